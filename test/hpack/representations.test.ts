// RFC 7541 by its own examples (Appendix C), then rule by rule.
import { describe, expect, it } from 'vitest'
import { HpackDecoder, HpackEncoder, HpackError } from '../../src/h2/hpack/index.ts'
import type { HpackFault } from '../../src/h2/hpack/index.ts'
import { Fields, LocalProtocolError, RemoteProtocolError } from '../../src/http/index.ts'
import { bytesOf, hexOf } from './support.ts'

const decodeHex = (decoder: HpackDecoder, hex: string): [string, string][] =>
  [...decoder.decode(bytesOf(hex))].map(([name, value]) => [name, value])

/** The fault of a block that must be refused. */
function faultOf(decoder: HpackDecoder, hex: string): HpackFault {
  const { flat, fault } = decoder.decodeBlock(bytesOf(hex), 0, bytesOf(hex).length)
  expect(flat).toEqual([])
  expect(fault).toBeDefined()
  return fault as HpackFault
}

const filled = (octet: string, count: number): string => octet.repeat(count)

describe('RFC 7541 Appendix C', () => {
  it('C.2.1 literal with indexing', () => {
    const decoder = new HpackDecoder()
    expect(decodeHex(decoder, '400a637573746f6d2d6b65790d637573746f6d2d686561646572')).toEqual([
      ['custom-key', 'custom-header'],
    ])
    expect(decoder.tableSize).toBe(55)
  })
  it('C.2.2 literal without indexing', () => {
    const decoder = new HpackDecoder()
    expect(decodeHex(decoder, '040c2f73616d706c652f70617468')).toEqual([[':path', '/sample/path']])
    expect(decoder.tableSize).toBe(0)
  })
  it('C.2.3 literal never indexed', () => {
    const decoder = new HpackDecoder()
    const fields = decoder.decode(bytesOf('100870617373776f726406736563726574'))
    expect([...fields]).toEqual([['password', 'secret']])
    expect(fields.isSensitive(0)).toBe(true)
    expect(decoder.tableSize).toBe(0)
  })
  it('C.2.4 indexed field', () => {
    expect(decodeHex(new HpackDecoder(), '82')).toEqual([[':method', 'GET']])
  })

  const get = [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':path', '/'],
    [':authority', 'www.example.com'],
  ]
  const requests = [
    get,
    [...get, ['cache-control', 'no-cache']],
    [
      [':method', 'GET'],
      [':scheme', 'https'],
      [':path', '/index.html'],
      [':authority', 'www.example.com'],
      ['custom-key', 'custom-value'],
    ],
  ]
  const responses = [
    [
      [':status', '302'],
      ['cache-control', 'private'],
      ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
      ['location', 'https://www.example.com'],
    ],
    [
      [':status', '307'],
      ['cache-control', 'private'],
      ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
      ['location', 'https://www.example.com'],
    ],
    [
      [':status', '200'],
      ['cache-control', 'private'],
      ['date', 'Mon, 21 Oct 2013 20:13:22 GMT'],
      ['location', 'https://www.example.com'],
      ['content-encoding', 'gzip'],
      ['set-cookie', 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'],
    ],
  ]
  it.each([
    {
      section: 'C.3 requests without Huffman coding',
      maxTableSize: 4096,
      lists: requests,
      sizes: [57, 110, 164],
      blocks: [
        '828684410f7777772e6578616d706c652e636f6d',
        '828684be58086e6f2d6361636865',
        '828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565',
      ],
    },
    {
      section: 'C.4 requests with Huffman coding',
      maxTableSize: 4096,
      lists: requests,
      sizes: [57, 110, 164],
      blocks: [
        '828684418cf1e3c2e5f23a6ba0ab90f4ff',
        '828684be5886a8eb10649cbf',
        '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf',
      ],
    },
    {
      section: 'C.5 responses without Huffman coding',
      maxTableSize: 256,
      lists: responses,
      sizes: [222, 222, 215],
      blocks: [
        '4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d',
        '4803333037c1c0bf',
        '88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31',
      ],
    },
    {
      section: 'C.6 responses with Huffman coding',
      maxTableSize: 256,
      lists: responses,
      sizes: [222, 222, 215],
      blocks: [
        '488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3',
        '4883640effc1c0bf',
        '88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007',
      ],
    },
  ])('$section', ({ maxTableSize, lists, sizes, blocks }) => {
    const decoder = new HpackDecoder({ maxTableSize })
    blocks.forEach((block, i) => {
      expect(decodeHex(decoder, block)).toEqual(lists[i])
      expect(decoder.tableSize).toBe(sizes[i])
    })
  })

  it('C.4, written by our encoder octet for octet', () => {
    const encoder = new HpackEncoder()
    const written = requests.map((list) => hexOf(encoder.encode(list as [string, string][])))
    expect(written).toEqual([
      '828684418cf1e3c2e5f23a6ba0ab90f4ff',
      '828684be5886a8eb10649cbf',
      '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf',
    ])
  })
})

describe('integers (RFC 7541 §5.1)', () => {
  const plain = (count: number): string => filled('61', count)
  it.each([
    ['126: fits the prefix', `0001787e${plain(126)}`, 126],
    ['127: one octet more', `0001787f00${plain(127)}`, 127],
    ['254: the last of one octet', `0001787f7f${plain(254)}`, 254],
    ['255: two octets', `0001787f8001${plain(255)}`, 255],
    ['127 padded with zeros to five octets', `0001787f8080808000${plain(127)}`, 127],
  ])('%s', (_what, block, length) => {
    expect(decodeHex(new HpackDecoder(), block)).toEqual([['x', 'a'.repeat(length)]])
  })
  it.each([
    ['six octets after the prefix', '0001787f808080808000'],
    ['cut off after the prefix', '0001787f'],
    ['cut off in the middle', '0001787f80'],
    ['an index cut off', 'ff'],
  ])('refuses %s', (_what, block) => {
    expect(faultOf(new HpackDecoder(), block)).toMatchObject({ code: 'hpack-integer', rule: 'RFC 7541 §5.1' })
  })
  it.each([
    ['2^32 + 2, which is 2 in 32 bits', 'ff83ffffff0f'],
    ['2^35 − 1 + 127', 'ffffffffff7f'],
  ])('does not wrap: index %s', (_what, block) => {
    expect(faultOf(new HpackDecoder(), block)).toMatchObject({ code: 'hpack-index', offset: 0 })
  })
  it('writes the largest size update in six octets, and it is read back', () => {
    const encoder = new HpackEncoder({ maxTableSize: 2 ** 32 - 1 })
    encoder.setPeerMaxTableSize(2 ** 32 - 1)
    const block = encoder.encode([])
    expect(hexOf(block)).toBe('3fe0ffffff0f')
    const decoder = new HpackDecoder({ maxTableSize: 2 ** 32 - 1 })
    decoder.decode(block)
    expect(decoder.maxTableSize).toBe(2 ** 32 - 1)
  })
})

describe('strings (RFC 7541 §5.2)', () => {
  it.each([
    ['a block that ends before the name', '00'],
    ['a block that ends before the value', '000178'],
    ['a length one octet beyond the block', '0001780261'],
    ['a length of 2^32, which is 0 in 32 bits', '0001787f81ffffff0f'],
  ])('refuses %s', (_what, block) => {
    expect(faultOf(new HpackDecoder(), block)).toMatchObject({ code: 'hpack-string', rule: 'RFC 7541 §5.2' })
  })
  it.each([
    ['EOS alone', '00017884ffffffff'],
    ['EOS and then a', '000178851ffffffff8'],
    ['a whole octet of padding', '00017882 f8ff'],
    ['padding of zeros', '00017881 18'],
    ['half a code', '00017881 80'],
  ])('refuses %s', (_what, block) => {
    expect(faultOf(new HpackDecoder(), block)).toMatchObject({ code: 'hpack-huffman', offset: 3 })
  })
  it('an empty Huffman string is empty', () => {
    expect(decodeHex(new HpackDecoder(), '00017880')).toEqual([['x', '']])
  })
  it('every octet survives Huffman coding, alone and among digits', () => {
    const encoder = new HpackEncoder()
    const decoder = new HpackDecoder()
    for (let c = 0; c < 256; c++) {
      const value = '0'.repeat(40) + String.fromCharCode(c) + '0'.repeat(c % 8)
      const list: [string, string][] = [
        ['a', String.fromCharCode(c)],
        ['b', value],
      ]
      expect([...decoder.decode(encoder.encode(list))]).toEqual(list)
    }
  })
  it('uses Huffman coding only where that is shorter', () => {
    // "%%%" is three octets raw, three coded; "000" is two coded.
    expect(hexOf(new HpackEncoder().encode([[':path', '%%%']]))).toBe('0403252525')
    expect(hexOf(new HpackEncoder().encode([[':path', '000']]))).toBe('04820001')
    expect(hexOf(new HpackEncoder().encode([[':path', '\u00ff\u00fe']]))).toBe('0402fffe')
  })
  it.each([126, 127, 128, 200, 203, 204, 254, 255, 300, 16_000, 100_000])(
    'strings of %i chars come through, long or short when coded',
    (length) => {
      const list: [string, string][] = [
        ['digits', '0'.repeat(length)],
        ['controls', '\u0001'.repeat(length)],
      ]
      const decoder = new HpackDecoder({ maxListBytes: Infinity })
      expect([...decoder.decode(new HpackEncoder().encode(list))]).toEqual(list)
    },
  )
})

describe('the dynamic table', () => {
  it('an entry larger than the table empties it and is no error (§4.4)', () => {
    const decoder = new HpackDecoder({ maxTableSize: 64 })
    decodeHex(decoder, '4001610162')
    expect(decoder.tableSize).toBe(34)
    expect(decodeHex(decoder, `400161 20 ${filled('62', 32)}`)).toEqual([['a', 'b'.repeat(32)]])
    expect(decoder.tableSize).toBe(0)
    expect(faultOf(decoder, 'be').code).toBe('hpack-index')
  })
  it('a new entry may take its name from the entry that it evicts (§4.4)', () => {
    const decoder = new HpackDecoder({ maxTableSize: 40 })
    decodeHex(decoder, '40046e616d65 0131')
    expect(decodeHex(decoder, '7e 0132 be')).toEqual([
      ['name', '2'],
      ['name', '2'],
    ])
  })
  it('keeps hundreds of entries in order while the ring grows', () => {
    const decoder = new HpackDecoder({ maxTableSize: 65_536 })
    const count = 1000
    for (let i = 0; i < count; i++) decodeHex(decoder, `400161 ${i < 10 ? '01' : i < 100 ? '02' : '03'} ${hexText(i)}`)
    for (const age of [0, 1, 500, 998, 999]) {
      const { flat } = decoder.decodeBlock(indexed(62 + age), 0, indexed(62 + age).length)
      expect(flat).toEqual(['a', String(count - 1 - age)])
    }
    expect(faultOf(decoder, hexOf(indexed(62 + count))).code).toBe('hpack-index')
  })
  const hexText = (n: number): string => Buffer.from(String(n)).toString('hex')
  function indexed(index: number): Uint8Array {
    const octets = [0xff]
    let rest = index - 127
    if (rest < 0) return new Uint8Array([0x80 | index])
    for (; rest >= 128; rest = Math.floor(rest / 128)) octets.push(rest % 128 | 128)
    return new Uint8Array([...octets, rest])
  }
})

describe('size updates (RFC 7541 §4.2, §6.3; RFC 9113 §4.3.1)', () => {
  it.each([
    ['three at the head', '202020'],
    ['one after a field', '8220'],
    ['one above the limit', '3fe21f'],
  ])('refuses %s', (_what, block) => {
    expect(faultOf(new HpackDecoder(), block).code).toBe('hpack-size-update')
  })
  it('demands one after a reduction below the present size, even of an empty block', () => {
    for (const block of ['82', '']) {
      const decoder = new HpackDecoder()
      decoder.setMaxTableSize(100)
      expect(faultOf(decoder, block)).toMatchObject({ code: 'hpack-size-update', rule: 'RFC 9113 §4.3.1' })
    }
  })
  it('demands none where the table is small enough already', () => {
    const decoder = new HpackDecoder()
    decodeHex(decoder, '3f45')
    expect(decoder.maxTableSize).toBe(100)
    decoder.setMaxTableSize(100)
    expect(decodeHex(decoder, '82')).toHaveLength(1)
  })
  it('after down and up again, the first must come down to the smallest limit and the second may go up', () => {
    const lowered = (): HpackDecoder => {
      const decoder = new HpackDecoder()
      decoder.setMaxTableSize(0)
      decoder.setMaxTableSize(4096)
      return decoder
    }
    expect(faultOf(lowered(), '3fe11f82').code).toBe('hpack-size-update')
    const decoder = lowered()
    expect(decodeHex(decoder, '203fe11f82')).toHaveLength(1)
    expect(decoder.maxTableSize).toBe(4096)
    // Once told, it is not asked for again.
    expect(decodeHex(decoder, '82')).toHaveLength(1)
  })
  it('the second may not go above the limit either', () => {
    const decoder = new HpackDecoder()
    decoder.setMaxTableSize(100)
    expect(faultOf(decoder, '203f46').code).toBe('hpack-size-update')
  })

  it('our encoder announces the smallest size and the last one, once', () => {
    const encoder = new HpackEncoder()
    encoder.setPeerMaxTableSize(1000)
    encoder.setPeerMaxTableSize(0)
    encoder.setPeerMaxTableSize(4096)
    expect(hexOf(encoder.encode([[':method', 'GET']]))).toBe('203fe11f82')
    expect(hexOf(encoder.encode([[':method', 'GET']]))).toBe('82')
    encoder.setPeerMaxTableSize(100)
    encoder.setPeerMaxTableSize(200)
    encoder.setPeerMaxTableSize(100)
    expect(hexOf(encoder.encode([[':method', 'GET']]))).toBe('3f4582')
    encoder.setPeerMaxTableSize(200)
    expect(hexOf(encoder.encode([[':method', 'GET']]))).toBe('3fa90182')
  })
  it('a greedy peer gets no more table than our own limit', () => {
    const encoder = new HpackEncoder()
    encoder.setPeerMaxTableSize(2 ** 32 - 1)
    expect(hexOf(encoder.encode([[':method', 'GET']]))).toBe('82')
    expect(encoder.maxTableSize).toBe(4096)
  })
  it('a smaller table of our own is announced by the first block', () => {
    const encoder = new HpackEncoder({ maxTableSize: 100 })
    expect(hexOf(encoder.encode([[':method', 'GET']]))).toBe('3f4582')
    expect(hexOf(encoder.encode([[':method', 'GET']]))).toBe('82')
  })
  it('setPeerMaxTableSize evicts at once', () => {
    const encoder = new HpackEncoder()
    encoder.encode([['a', 'b']])
    expect(encoder.tableSize).toBe(34)
    encoder.setPeerMaxTableSize(33)
    expect(encoder.tableSize).toBe(0)
  })
})

describe('what the encoder puts into the table', () => {
  const firstOctet = (name: string, value: string, sensitive?: ReadonlySet<string>): number =>
    new HpackEncoder().encode([[name, value]], sensitive)[0] as number
  const INDEXING = 0x40
  const NEVER = 0x10

  it.each(['authorization', 'proxy-authorization', 'set-cookie'])('%s: never, whatever its length', (name) => {
    for (const value of ['', 'x', 'x'.repeat(200)]) expect(firstOctet(name, value) & 0xf0).toBe(NEVER)
  })
  it('cookie: never below 20 chars', () => {
    expect(firstOctet('cookie', 'x'.repeat(19)) & 0xf0).toBe(NEVER)
    expect(firstOctet('cookie', 'x'.repeat(20)) & 0xc0).toBe(INDEXING)
  })
  it.each([':path', 'age', 'content-length', 'etag', 'if-modified-since', 'if-none-match', 'location'])(
    '%s: a literal that is not inserted',
    (name) => {
      expect(firstOctet(name, 'something') & 0xf0).toBe(0)
    },
  )
  it('all else is inserted up to three quarters of the table', () => {
    expect(firstOctet('x', 'y') & 0xc0).toBe(INDEXING)
    const room = (3 / 4) * 4096 - 32 - 1
    expect(firstOctet('x', 'y'.repeat(room)) & 0xc0).toBe(INDEXING)
    expect(firstOctet('x', 'y'.repeat(room + 1)) & 0xf0).toBe(0)
  })
  it('what the caller calls sensitive is never indexed, even where a table has it', () => {
    const encoder = new HpackEncoder()
    encoder.encode([['x-key', 'k']])
    expect(hexOf(encoder.encode([['x-key', 'k']]))).toBe('be')
    expect((encoder.encode([['x-key', 'k']], new Set(['x-key']))[0] as number) & 0xf0).toBe(NEVER)
    expect(firstOctet(':method', 'GET', new Set([':method'])) & 0xf0).toBe(NEVER)
  })
  it('what came never-indexed leaves never-indexed (§6.2.3)', () => {
    const received = new HpackDecoder().decode(bytesOf('82 1001610162 4001630164'))
    expect([0, 1, 2].map((i) => received.isSensitive(i))).toEqual([false, true, false])
    const again = new HpackDecoder().decode(new HpackEncoder().encode(received))
    expect([...again]).toEqual([...received])
    expect([0, 1, 2].map((i) => again.isSensitive(i))).toEqual([false, true, false])
  })
  it('static entries without a value are found too', () => {
    expect(hexOf(new HpackEncoder().encode([['accept-charset', '']]))).toBe('8f')
    expect(hexOf(new HpackEncoder().encode([['www-authenticate', '']]))).toBe('bd')
  })
})

describe('names and values', () => {
  it('upper-case letters: `decode` reads lower-case, `rawName` has the wire; later blocks too', () => {
    const decoder = new HpackDecoder()
    const fields = decoder.decode(bytesOf('4001410162 82'))
    expect(fields.get('a')).toBe('b')
    expect([fields.name(0), fields.rawName(0), fields.rawName(1)]).toEqual(['a', 'A', ':method'])
    const again = decoder.decode(bytesOf('be'))
    expect([again.name(0), again.rawName(0)]).toEqual(['a', 'A'])
    const { flat } = decoder.decodeBlock(bytesOf('be'), 0, 1)
    expect(flat).toEqual(['A', 'b'])
  })
  it('`decodeBlock` reads the octets from start to end and no others', () => {
    const { flat } = new HpackDecoder().decodeBlock(bytesOf('00 82 86 00'), 1, 3)
    expect(flat).toEqual([':method', 'GET', ':scheme', 'http'])
    const cut = new HpackDecoder().decodeBlock(bytesOf('82 0001780261 61'), 1, 6)
    expect(cut.fault).toMatchObject({ code: 'hpack-string', offset: 3 })
  })
  it('values are latin1: one char, one octet', () => {
    const list: [string, string][] = [['x', '\u0000\u007f\u0080\u009f\u00e9\u00ff']]
    expect([...new HpackDecoder().decode(new HpackEncoder().encode(list))]).toEqual(list)
  })
  it('law C6: a char above 0xFF is refused and changes nothing', () => {
    const encoder = new HpackEncoder({ maxTableSize: 100 })
    const twin = new HpackEncoder({ maxTableSize: 100 })
    const bad: [string, string][][] = [
      [['x', '\u0100']],
      [['\u0141', 'x']],
      // It evicts and inserts before it is found out.
      [
        ['c', '3'],
        ['d', '4'],
        ['e', '5'],
        ['f', '€'],
      ],
      [
        ['a', '1'],
        ['g', '6'],
        ['long', '0'.repeat(300) + '\u{1f600}'],
      ],
    ]
    const good: [string, string][][] = [
      [['a', '1']],
      [['b', '2']],
      [
        ['b', '2'],
        ['a', '1'],
        ['a', '3'],
        [':method', 'GET'],
        ['b', '2'],
      ],
    ]
    const decoder = new HpackDecoder()
    for (const list of good) {
      for (const refused of bad) expect(() => encoder.encode(refused)).toThrow(LocalProtocolError)
      const block = encoder.encode(list)
      expect(hexOf(block)).toBe(hexOf(twin.encode(list)))
      expect([...decoder.decode(block)]).toEqual(list)
    }
  })
  it('`encodeBlock` writes control data before the fields, into memory that it lends', () => {
    const encoder = new HpackEncoder()
    const block = encoder.encodeBlock([':method', 'GET', ':path', '/'], Fields.from({ 'x-a': '1' }), new Set(['x-a']))
    const fields = new HpackDecoder().decode(block)
    expect([...fields]).toEqual([
      [':method', 'GET'],
      [':path', '/'],
      ['x-a', '1'],
    ])
    expect(fields.isSensitive(2)).toBe(true)
    const owned = new HpackEncoder().encode([[':method', 'GET']])
    encoder.encode([[':method', 'POST']])
    expect(hexOf(owned)).toBe('82')
  })
  it('a block beyond the kept memory does not keep it', () => {
    const encoder = new HpackEncoder()
    const large = encoder.encodeBlock([], Fields.from({ a: '0'.repeat(100_000) }))
    const copy = large.slice()
    const small = encoder.encodeBlock([], Fields.from({ b: '0' }))
    expect(small.buffer.byteLength).toBeLessThan(large.buffer.byteLength)
    expect(hexOf(large)).toBe(hexOf(copy))
  })
})

describe('errors', () => {
  it('say who was wrong, which rule and where', () => {
    const decoder = new HpackDecoder()
    let error: unknown
    try {
      decoder.decode(bytesOf('8286 be'))
    } catch (thrown) {
      error = thrown
    }
    expect(error).toBeInstanceOf(HpackError)
    expect(error).toBeInstanceOf(RemoteProtocolError)
    expect(error).toMatchObject({
      name: 'HpackError',
      code: 'hpack-index',
      rule: 'RFC 7541 §2.3.3',
      offset: 2,
      fault: { scope: 'connection', code: 'hpack-index', offset: 2 },
    })
  })
  it('an index that stands for nothing and one behind both tables break different rules', () => {
    expect(faultOf(new HpackDecoder(), '80').rule).toBe('RFC 7541 §6.1')
    expect(faultOf(new HpackDecoder(), 'be').rule).toBe('RFC 7541 §2.3.3')
    expect(faultOf(new HpackDecoder(), '7f00 0161').rule).toBe('RFC 7541 §2.3.3')
  })
  it("the caller's mistakes are exceptions of their own, and the decoder goes on", () => {
    const decoder = new HpackDecoder()
    expect(() => decoder.decode('82' as unknown as Uint8Array)).toThrow(TypeError)
    expect(() => decoder.decodeBlock(undefined as unknown as Uint8Array, 0, 1)).toThrow(TypeError)
    expect(decodeHex(decoder, '82')).toHaveLength(1)
  })
  it('law C8: a decoder that has failed stays failed, with the first error', () => {
    const decoder = new HpackDecoder()
    const first = faultOf(decoder, '80')
    expect(faultOf(decoder, '82')).toBe(first)
    expect(faultOf(decoder, '')).toBe(first)
    expect(() => decoder.decode(bytesOf('82'))).toThrow(HpackError)
  })
})

describe('limits', () => {
  const field = '0001610162' // a: b, 34 octets by the rule

  it('counts name, value and 32 of each field, exactly', () => {
    expect(decodeHex(new HpackDecoder({ maxListBytes: 68 }), field + field)).toHaveLength(2)
    expect(faultOf(new HpackDecoder({ maxListBytes: 67 }), field + field)).toMatchObject({
      code: 'limit-header-list',
      scope: 'exchange',
      offset: 5,
    })
  })
  it('counts fields, exactly', () => {
    expect(decodeHex(new HpackDecoder({ maxFields: 2 }), '8282')).toHaveLength(2)
    expect(faultOf(new HpackDecoder({ maxFields: 2 }), '828282')).toMatchObject({
      code: 'limit-header-count',
      scope: 'exchange',
      offset: 2,
    })
  })
  it('goes on after a block that was too large, its table in step, and says the first limit that was passed', () => {
    const decoder = new HpackDecoder({ maxListBytes: 1000, maxFields: 2 })
    const tail = '4001630164'
    expect(faultOf(decoder, field.repeat(40) + tail)).toMatchObject({ code: 'limit-header-count', scope: 'exchange' })
    expect(decodeHex(decoder, 'be')).toEqual([['c', 'd']])
    expect(() => decoder.decode(bytesOf('828282'))).toThrow(HpackError)
    expect(decodeHex(decoder, 'be')).toEqual([['c', 'd']])
  })
  it('forgets the never-indexed fields of a block that was too large', () => {
    const decoder = new HpackDecoder({ maxFields: 1 })
    const { sensitive } = decoder.decodeBlock(bytesOf('1001610162 82'), 0, 6)
    expect(sensitive).toBeUndefined()
  })
  it('gives up above four times the list limit, and then for good', () => {
    const at = new HpackDecoder({ maxListBytes: 34 })
    expect(faultOf(at, field.repeat(4))).toMatchObject({ code: 'limit-header-list', scope: 'exchange' })
    expect(decodeHex(at, field)).toHaveLength(1)
    const above = new HpackDecoder({ maxListBytes: 34 })
    expect(faultOf(above, field.repeat(5))).toMatchObject({
      code: 'limit-header-list',
      scope: 'connection',
      offset: 20,
    })
    expect(faultOf(above, field)).toMatchObject({ scope: 'connection' })
  })
  it('one entry, referred to thousands of times, is stopped by what it would decode to', () => {
    const decoder = new HpackDecoder({ maxFields: Infinity })
    decodeHex(decoder, `40017a 7fc11e ${filled('61', 4032)}`)
    expect(decoder.tableSize).toBe(1 + 4032 + 32)
    const fault = faultOf(decoder, filled('be', 16_000))
    expect(fault).toMatchObject({ code: 'limit-header-list', scope: 'connection' })
    expect(fault.offset).toBeLessThan(200)
  })
  it('has defaults: 128 KiB and 256 fields', () => {
    expect(decodeHex(new HpackDecoder(), filled('82', 256))).toHaveLength(256)
    expect(faultOf(new HpackDecoder(), filled('82', 257)).code).toBe('limit-header-count')
    const list: [string, string][] = [['x', 'y'.repeat(131_072 - 33)]]
    expect([...new HpackDecoder().decode(new HpackEncoder().encode(list))]).toEqual(list)
    const larger = new HpackEncoder().encode([['x', 'y'.repeat(131_072 - 32)]])
    expect(() => new HpackDecoder().decode(larger)).toThrow('a field section above 131072 octets')
  })
  it.each([-1, 1.5, NaN, 2 ** 32, Infinity, '4096' as unknown as number])(
    'refuses %s as the size of a table',
    (size) => {
      expect(() => new HpackDecoder({ maxTableSize: size })).toThrow(RangeError)
      expect(() => new HpackEncoder({ maxTableSize: size })).toThrow(RangeError)
      expect(() => new HpackDecoder().setMaxTableSize(size)).toThrow(RangeError)
      expect(() => new HpackEncoder().setPeerMaxTableSize(size)).toThrow(RangeError)
    },
  )
  it.each([-1, 1.5, NaN])('refuses %s as a limit', (limit) => {
    expect(() => new HpackDecoder({ maxListBytes: limit })).toThrow(RangeError)
    expect(() => new HpackDecoder({ maxFields: limit })).toThrow(RangeError)
  })
})
