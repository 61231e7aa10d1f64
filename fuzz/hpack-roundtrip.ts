// Lists of fields made of any octets, through an encoder to a decoder and back. Each step takes an octet that says what
// it is (a field, the end of a list, a new size of the table), then its names and values after an octet of length.
import { HpackDecoder, HpackEncoder } from '../src/h2/hpack/index.ts'

const NAMES = [':method', ':path', 'cookie', 'set-cookie', 'authorization', 'etag', 'x-a', 'x-b']

export const seeds: readonly Uint8Array[] = [
  new Uint8Array(
    Buffer.from('\x00\x03GET\x01\x01/\x08\x06\x01a\xc0\x06\x01a\xc0\x80\x40\x06\x01b\xc0\x80\x01\x06\x01b', 'latin1'),
  ),
  new Uint8Array(Buffer.from('\x02\x02ab\x12\x02ab\xc0\x06\x7f' + '\x01'.repeat(127), 'latin1')),
]

/** Throws where a list does not come back as it was, with its secrets marked. */
export function fuzz(input: Uint8Array): void {
  const encoder = new HpackEncoder()
  const decoder = new HpackDecoder({ maxListBytes: Infinity, maxFields: Infinity })
  let list: [string, string][] = []
  let sensitive = new Set<string>()
  for (let at = 0; at < input.length; ) {
    const step = input[at++] as number
    if (step >= 0xc0) {
      compare(decoder, encoder.encode(list, sensitive), list, sensitive)
      if (encoder.tableSize !== decoder.tableSize) throw new Error('the two tables differ in size')
      list = []
      sensitive = new Set()
    } else if (step >= 0x80) {
      const size = (input[at++] ?? 0) * (step & 0x3f)
      encoder.setPeerMaxTableSize(size)
      decoder.setMaxTableSize(size)
    } else {
      const length = input[at++] ?? 0
      const name = NAMES[step & 7] as string
      if ((step & 0x10) !== 0) sensitive.add(name)
      list.push([name, Buffer.from(input.subarray(at, at + length)).toString('latin1')])
      at += length
    }
  }
}

function compare(
  decoder: HpackDecoder,
  block: Uint8Array,
  list: readonly [string, string][],
  sensitive: ReadonlySet<string>,
): void {
  const fields = decoder.decode(block)
  if (JSON.stringify(fields) !== JSON.stringify(list)) throw new Error('the list came back as another')
  list.forEach(([name], i) => {
    const secret = sensitive.has(name) || name === 'set-cookie' || name === 'authorization'
    if (secret && !fields.isSensitive(i)) throw new Error(`${name} was not sent as a never-indexed literal`)
  })
}
