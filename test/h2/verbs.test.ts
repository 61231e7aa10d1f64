// What may be done with a machine and when: options, the verbs that are refused, the questions it answers, and what a
// harness may write that nobody else may. What comes from a peer stands in test/cases/h2.
import { describe, expect, it, test } from 'vitest'
import { Fields, type H2Event, type RequestHead, type ResponseHead } from '../../src/http/index.ts'
import { FLAG, FRAME, frameName, H2Connection, type H2Options } from '../../src/h2/index.ts'
import { HpackDecoder } from '../../src/h2/hpack/index.ts'
import { code, doing } from '../fixtures/meddling.ts'
import {
  asking,
  block,
  concat,
  data,
  drain,
  feed,
  frame,
  GET,
  GET_HEAD,
  goaway,
  headers,
  hex,
  NOTHING,
  OK,
  ping,
  POST,
  POST_HEAD,
  PREFACE,
  ready,
  reset,
  settings,
  SETTINGS_ACK,
  takeAll,
  takeFrames,
  windowUpdate,
  written,
} from './support.ts'

const make = (role: 'client' | 'server', given: Partial<H2Options> = {}): H2Connection =>
  new H2Connection(role, { now: 0, ...given })

/** A server that has a request to answer. */
function asked(fields = POST, given: Partial<H2Options> = {}): H2Connection {
  const machine = ready('server', given)
  feed(machine, headers(1, fields))
  machine.takeOutput()
  return machine
}

/** Throws with that code, and nothing is different. */
function refuses(machine: H2Connection, verb: (machine: H2Connection) => unknown, code: string): void {
  const before = JSON.stringify([machine.snapshot(), machine.outputBytes, machine.capacity])
  expect(() => verb(machine)).toThrow(expect.objectContaining({ code }) as Error)
  expect(JSON.stringify([machine.snapshot(), machine.outputBytes, machine.capacity])).toBe(before)
}

/** Identifier and value of each entry of the first SETTINGS. */
function firstSettings(machine: H2Connection): Record<number, number> {
  const { payload } = takeFrames(machine).find(({ type }) => type === FRAME.SETTINGS) as { payload: Uint8Array }
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length)
  return Object.fromEntries(
    Array.from({ length: payload.length / 6 }, (_, i) => [view.getUint16(6 * i), view.getUint32(6 * i + 2)]),
  )
}

describe('options', () => {
  it('a role that is none is a TypeError', () => {
    expect(() => make('peer' as 'client')).toThrow(TypeError)
  })
  it('a setting that is none is refused', () => {
    expect(() => make('client', { settings: { noSuchThing: 1 } })).toThrow('noSuchThing')
    expect(() => make('client', { settings: { maxHeaderListSize: -1 } })).toThrow('maxHeaderListSize')
    expect(() => make('client', { settings: { 2: 2 } })).toThrow("setting '2'")
    expect(() => make('client', { settings: { 2: 1 } })).toThrow('push')
  })
  it('limits that the peer has to know stand in the first SETTINGS', () => {
    const plain = firstSettings(make('client'))
    expect(Object.keys(plain)).toEqual(['2', '4', '6'])
    const limits = {
      maxFrameSize: 20_000,
      maxDecoderTableBytes: 100,
      maxConcurrentStreams: 7,
      streamWindow: 5,
      maxHeaderListBytes: 3_000,
    }
    expect(firstSettings(make('server', { limits }))).toEqual({ 1: 100, 3: 7, 4: 5, 5: 20_000, 6: 3_000 })
  })
  it('a setting goes before the limit that it stands for', () => {
    const machine = make('server', { settings: { maxHeaderListSize: 80 } })
    feed(machine, [PREFACE, settings(), SETTINGS_ACK])
    expect(feed(machine, headers(1, GET, true))).toMatchObject([
      { type: 'failed', fault: { code: 'limit-header-list' } },
    ])
  })
  it('the window of the connection is an option of its own, and goes before the limit', () => {
    const increments = (given: Partial<H2Options>): string[] =>
      written(make('client', given)).filter((line) => line.startsWith('WINDOW_UPDATE'))
    expect(increments({ connectionWindow: 65_535 })).toEqual([])
    expect(increments({ connectionWindow: 65_536, limits: { connectionWindow: 70_000 } })).toEqual([
      'WINDOW_UPDATE 0 1',
    ])
    expect(() => make('client', { connectionWindow: 1 })).toThrow(RangeError)
  })
})

describe('a request', () => {
  const tunnel: RequestHead = { method: 'CONNECT', target: 'a:1', headers: [] }
  test.each<[string, Partial<RequestHead>, string]>([
    ['whose scheme is none', { scheme: '1a' }, 'scheme'],
    ['with a protocol that is no token', { method: 'CONNECT', protocol: 'a b' }, 'protocol'],
    ['with userinfo in its authority', { authority: 'u@a' }, 'authority'],
    ['with a space in its authority', { authority: 'a b' }, 'authority'],
    ['with an empty authority', { authority: '' }, 'authority'],
    ['with a path in its authority', { authority: 'a/b' }, 'authority'],
    ['with a port of letters', { authority: 'a:b' }, 'authority'],
    ['with a Host that is none', { authority: undefined, headers: [['host', 'a#b']] }, 'authority'],
    [
      'with two Host fields',
      {
        headers: [
          ['host', 'a'],
          ['Host', 'a'],
        ],
      },
      'host',
    ],
    [
      'with two Host fields and no authority',
      {
        authority: undefined,
        headers: [
          ['host', 'a'],
          ['host', 'a'],
        ],
      },
      'host',
    ],
    ['to CONNECT to no port', { method: 'CONNECT', target: 'a' }, 'target'],
    ['to CONNECT to nowhere', { method: 'CONNECT', authority: undefined, target: '/' }, 'target'],
    ['with a fragment', { target: '/a#b' }, 'target'],
    ['with an urgency that is none', { priority: { urgency: 8 } }, 'priority'],
    ['with an urgency between two', { priority: { urgency: 0.5 } }, 'priority'],
    ['with a negative urgency', { priority: { urgency: -1 } }, 'priority'],
    ["to '*' that is not for OPTIONS", { target: '*' }, 'target'],
    ['without a slash', { target: 'a' }, 'target'],
    ['with a length that the plan denies', { content: { length: 3 }, headers: [['content-length', '4']] }, 'framing'],
    ['to TRACE with content', { method: 'TRACE', content: { length: 1 } }, 'content'],
    ['to TRACE with content of unknown length', { method: 'TRACE', content: 'unknown' }, 'content'],
    ['that expects 100 without content', { headers: [['expect', '100-Continue']], content: 'none' }, 'expect'],
    ['to CONNECT with a Content-Length', { ...tunnel, headers: [['content-length', '0']] }, 'content'],
    ['that expects 100 for a tunnel', { ...tunnel, headers: [['expect', 'x, 100-continue']] }, 'expect'],
    ['with a line break in a value', { headers: [['a', 'b\r\nc: d']] }, 'field-value'],
    ['with a name that is none', { headers: [['a b', 'c']] }, 'field-name'],
  ])('%s is refused', (_, head, code) => {
    const offering = ready('client', {}, settings([8, 1]))
    refuses(offering, (machine) => machine.sendRequest({ ...GET_HEAD, ...head }), code)
  })
  test.each<[string, Partial<Record<keyof RequestHead, unknown>>]>([
    ['method', { method: 1 }],
    ['request-target', { target: null }],
    ['scheme', { scheme: 2 }],
    ['authority', { authority: 7 }],
    ['protocol', { protocol: {} }],
  ])('whose %s is no string is a TypeError', (what, head) => {
    expect(() => ready('client').sendRequest({ ...GET_HEAD, ...(head as RequestHead) })).toThrow(
      new RegExp(`^the ${what} must be`),
    )
  })
  it('is what was checked, whatever its head says later', () => {
    /** Another value each time. */
    const changing = (...values: unknown[]): PropertyDescriptor => ({ get: () => values.shift() ?? '?' })
    const head = Object.create(GET_HEAD, {
      method: changing('GET'),
      scheme: changing('http'),
      authority: changing('a'),
      target: changing('/'),
      protocol: { value: undefined },
      priority: { value: Object.create(null, { urgency: changing(1), incremental: changing(true) }) as object },
    }) as RequestHead
    expect(sent(head)).toBe('HEADERS 1 END_STREAM :method=GET :scheme=http :authority=a :path=/ priority=u=1, i')
  })
  it('to CONNECT needs an authority, where there is a target of its own', () => {
    const offering = ready('client', {}, settings([8, 1]))
    refuses(offering, (machine) => machine.sendRequest({ ...tunnel, protocol: 'websocket', target: '/' }), 'authority')
  })
  it('to TRACE has no content either that was not planned', () => {
    const tracing = ready('client')
    tracing.sendRequest({ ...GET_HEAD, method: 'TRACE' })
    refuses(tracing, (machine) => machine.sendData(1, new Uint8Array(1)), 'content-length')
  })
  it('that ends with its head, and has content, is refused', () => {
    const send = (machine: H2Connection): unknown =>
      machine.sendRequest({ ...POST_HEAD, content: { length: 1 } }, { end: true })
    refuses(ready('client'), send, 'content-length')
  })
  it('of a server is refused', () => {
    refuses(ready('server'), (machine) => machine.sendRequest(GET_HEAD), 'role')
  })

  /** What stands in its HEADERS. */
  function sent(head: RequestHead, given: Partial<H2Options> = {}): string {
    const machine = ready('client', given, settings([8, 1]))
    machine.sendRequest(head, { end: true })
    return written(machine, new HpackDecoder())[0] as string
  }
  test.each<[string, RequestHead, string]>([
    [
      'takes its authority from Host',
      { method: 'GET', scheme: 'http', target: '/', headers: [['Host', 'b:80']] },
      ':method=GET :scheme=http :authority=b:80 :path=/',
    ],
    ['may have no authority at all', { method: 'GET', target: '/', headers: [] }, ':method=GET :scheme=https :path=/'],
    ['to CONNECT has its target for authority', tunnel, ':method=CONNECT :authority=a:1'],
    [
      'to CONNECT goes where its target says, whoever is asked',
      { ...tunnel, authority: 'proxy' },
      ':method=CONNECT :authority=a:1',
    ],
    [
      'to CONNECT goes there whatever its Host is, which is left out',
      { ...tunnel, target: 'a:80', headers: [['host', 'a']] },
      ':method=CONNECT :authority=a:80',
    ],
    [
      'to CONNECT promises no length of what goes through the tunnel',
      { ...tunnel, content: { length: 5 } },
      ':method=CONNECT :authority=a:1',
    ],
    [
      'to POST says that it has no content',
      { ...GET_HEAD, method: 'POST', content: 'none' },
      ':method=POST :scheme=http :authority=a :path=/ content-length=0',
    ],
    [
      'to CONNECT goes where its authority says, where the target is none',
      { ...tunnel, target: '', authority: 'b:2' },
      ':method=CONNECT :authority=b:2',
    ],
    [
      'has its scheme in lower case',
      { ...GET_HEAD, scheme: 'HTTPS' },
      ':method=GET :scheme=https :authority=a :path=/',
    ],
    ['for ws is one for http', { ...GET_HEAD, scheme: 'ws' }, ':method=GET :scheme=http :authority=a :path=/'],
    ['for wss is one for https', { ...GET_HEAD, scheme: 'wss' }, ':method=GET :scheme=https :authority=a :path=/'],
    [
      "may have '*' for OPTIONS",
      { ...GET_HEAD, method: 'OPTIONS', target: '*' },
      ':method=OPTIONS :scheme=http :authority=a :path=*',
    ],
    [
      'says its priority',
      { ...GET_HEAD, priority: { urgency: 1, incremental: true } },
      ':method=GET :scheme=http :authority=a :path=/ priority=u=1, i',
    ],
    [
      'says nothing of a priority that is the default',
      { ...GET_HEAD, priority: { urgency: 3 } },
      ':method=GET :scheme=http :authority=a :path=/',
    ],
    [
      'says only what is not the default',
      { ...GET_HEAD, priority: { incremental: true } },
      ':method=GET :scheme=http :authority=a :path=/ priority=i',
    ],
    [
      "keeps the caller's own priority field",
      { ...GET_HEAD, priority: { urgency: 1 }, headers: [['priority', 'u=5']] },
      ':method=GET :scheme=http :authority=a :path=/ priority=u=5',
    ],
    ['without content may say so', { ...GET_HEAD, content: 'none' }, ':method=GET :scheme=http :authority=a :path=/'],
    [
      'of no length says so',
      { ...GET_HEAD, content: { length: 0 } },
      ':method=GET :scheme=http :authority=a :path=/ content-length=0',
    ],
  ])('%s', (_, head, line) => {
    expect(sent(head)).toBe(`HEADERS 1 END_STREAM ${line}`)
  })

  it('is never indexed where its fields are sensitive, whatever is left out or added', () => {
    const seen = new HpackDecoder()
    const machine = ready('client')
    const flat = ['connection', 'close', 'x-a', '1', 'x-b', '2']
    machine.sendRequest({ ...POST_HEAD, headers: new Fields(flat, undefined, new Set([2])), content: { length: 1 } })
    const { payload } = takeFrames(machine)[0] as { payload: Uint8Array }
    const fields = seen.decode(payload)
    const marked = Array.from({ length: fields.length }, (_, i) => (fields.isSensitive(i) ? fields.name(i) : ''))
    expect(marked.filter((name) => name !== '')).toEqual(['x-b'])
    expect([...fields].slice(4)).toEqual([
      ['x-a', '1'],
      ['x-b', '2'],
      ['content-length', '1'],
    ])
  })
})

describe('what is sent is what was checked, though a getter changes its mind', () => {
  /** At first the one, after so many reads the other. */
  const fickle = (after: number, one: unknown, other: unknown): PropertyDescriptor => {
    let reads = 0
    return { get: () => (reads++ < after ? one : other) }
  }
  const sent = (machine: H2Connection, send: () => void): string => {
    try {
      send()
    } catch {
      // Refused.
    }
    return written(machine, new HpackDecoder()).join()
  }
  test.each([0, 1, 2, 3, 4])('after %d reads', (after) => {
    for (const name of ['method', 'target', 'scheme', 'authority', 'protocol'] as const) {
      const right = POST_HEAD[name as keyof typeof POST_HEAD]
      for (const [one, other] of [
        ['x\n', right],
        [right, 'x\n'],
      ] as const) {
        const machine = ready('client')
        const head: RequestHead = Object.defineProperty({ ...POST_HEAD }, name, fickle(after, one, other))
        expect(sent(machine, () => machine.sendRequest(head, { end: true }))).not.toContain('\n')
      }
    }
    for (const [one, other] of [
      ['200\n', 200],
      [200, '200\n'],
    ] as const) {
      const machine = asked()
      const head = Object.defineProperty({ headers: [], status: 200 }, 'status', fickle(after, one, other))
      expect(sent(machine, () => machine.sendResponse(1, head, { end: true }))).not.toContain('\n')
    }
  })
})

it('what fields do to the machine while they are read has been done when it looks whether they may be sent', () => {
  const begin = ready('client')
  expect(() => begin.sendRequest({ ...POST_HEAD, headers: doing(() => begin.abort()) })).toThrow(code('capacity'))
  const end = ready('client')
  const id = end.sendRequest(POST_HEAD)
  const last = doing(() => end.end(id))
  expect(() => end.end(id, last)).toThrow(code('sequence'))
  for (const verb of ['sendResponse', 'sendInformational'] as const) {
    const machine = asked()
    const headers = doing(() => machine.sendResponse(1, { status: 204, headers: [] }, { end: true }))
    const send = (): void =>
      verb === 'sendResponse' ? machine[verb](1, { status: 200, headers }) : machine[verb](1, 103, headers)
    expect(send).toThrow(code('sequence'))
    expect(takeFrames(machine)).toHaveLength(1)
  }
})

describe('what was never indexed stays marked', () => {
  /** A literal that is never indexed, name and value given in full. RFC 7541 §6.2.3. */
  const never = (name: string, value: string): Uint8Array => {
    const plain = block([[name, value]])
    plain[0] = 0x10
    return plain
  }
  const marks = (event: H2Event | undefined): string[] => {
    const { headers: fields } = event as Extract<H2Event, { type: 'request' | 'response' }>
    const all = Array.from({ length: fields.length }, (_, i) => i)
    return all.filter((i) => fields.isSensitive(i)).map((i) => `${fields.name(i)}=${fields.value(i)}`)
  }
  it('in a request, counted without the pseudo-header fields', () => {
    const payload = concat([block([...GET, ['x-a', '1']]), never('x-b', '2')])
    expect(marks(feed(ready('server'), frame(FRAME.HEADERS, 5, 1, payload))[0])).toEqual(['x-b=2'])
  })
  it('in a response', () => {
    const payload = concat([block(OK), never('x-a', '1'), block([['x-b', '2']])])
    expect(marks(feed(asking(), frame(FRAME.HEADERS, 5, 1, payload))[0])).toEqual(['x-a=1'])
  })
  it('in a cookie, where one of its crumbs was', () => {
    const payload = concat([
      block([...GET, ['cookie', 'a=1'], ['x-a', '1']]),
      never('cookie', 'b=2'),
      never('x-b', '3'),
    ])
    expect(marks(feed(ready('server'), frame(FRAME.HEADERS, 5, 1, payload))[0])).toEqual(['cookie=a=1; b=2', 'x-b=3'])
  })
})

describe('a block that is larger than a frame', () => {
  test.each([16_300, 16_500, 40_000])('of %i octets leaves in pieces', (length) => {
    const machine = ready('client')
    const value = '~'.repeat(length)
    machine.sendRequest({ ...GET_HEAD, headers: [['x-a', value]] }, { end: true })
    const frames = takeFrames(machine)
    expect(frames.map(({ type }) => type)).toEqual([
      FRAME.HEADERS,
      ...Array.from(
        { length: Math.ceil(frames.reduce((sum, one) => sum + one.payload.length, 0) / 16_384) - 1 },
        () => 9,
      ),
    ])
    const flags = frames.map((one) => one.flags)
    expect(flags[0]).toBe(frames.length === 1 ? FLAG.END_STREAM | FLAG.END_HEADERS : FLAG.END_STREAM)
    for (const later of flags.slice(1, -1)) expect(later).toBe(0)
    if (flags.length > 1) expect(flags.at(-1)).toBe(FLAG.END_HEADERS)
    const fields = new HpackDecoder().decode(concat(frames.map(({ payload }) => payload)))
    expect(fields.get('x-a')).toBe(value)
  })
})

describe('an answer', () => {
  it('of a client is refused', () => {
    refuses(asking(), (machine) => machine.sendResponse(1, { status: 200, headers: [] }), 'role')
    refuses(asking(), (machine) => machine.sendInformational(1, 103), 'role')
  })
  it('to nobody is refused', () => {
    refuses(ready('server'), (machine) => machine.sendResponse(1, { status: 200, headers: [] }), 'exchange')
  })
  test.each<[string, Partial<ResponseHead>, string]>([
    ['whose length the plan denies', { content: { length: 3 }, headers: [['content-length', '4']] }, 'framing'],
    ['with a status that is a fraction', { status: 200.5 }, 'status'],
    ['with a protocol to switch to', { headers: [['upgrade', 'x']] }, 'connection-specific'],
    ['of 204 with content', { status: 204, content: { length: 1 } }, 'content'],
    ['of 204 with content of unknown length', { status: 204, content: 'unknown' }, 'content'],
    ['of 205 with content', { status: 205, content: { length: 1 } }, 'content'],
    ['of 205 with content of unknown length', { status: 205, content: 'unknown' }, 'content'],
  ])('%s is refused', (_, head, code) => {
    refuses(asked(), (machine) => machine.sendResponse(1, { status: 200, headers: [], ...head }), code)
  })
  it('to HEAD has a length and no content', () => {
    const machine = asked([[':method', 'HEAD'], ...GET.slice(1)])
    machine.sendResponse(1, { status: 200, headers: [], content: { length: 5 } })
    refuses(machine, (one) => one.sendData(1, new Uint8Array(1)), 'content-length')
    machine.end(1)
    expect(written(machine, new HpackDecoder())).toEqual(['HEADERS 1 END_STREAM :status=200 content-length=5'])
  })
  it.each<ResponseHead['content']>([undefined, 'none', { length: 0 }])('of 204 has none, planned as %s', (content) => {
    const machine = asked()
    machine.sendResponse(1, { status: 204, headers: [], content }, { end: true })
    expect(written(machine, new HpackDecoder())).toEqual(['HEADERS 1 END_STREAM :status=204'])
  })
  it('of 205 has none either that was not planned', () => {
    const machine = asked()
    machine.sendResponse(1, { status: 205, headers: [['content-length', '0']] })
    refuses(machine, (one) => one.sendData(1, new Uint8Array(1)), 'content-length')
    machine.end(1)
    expect(written(machine, new HpackDecoder())).toEqual(['HEADERS 1 END_STREAM :status=205 content-length=0'])
  })
  it('may come too late', () => {
    const machine = asked()
    feed(machine, frame(FRAME.RST_STREAM, 0, 1, new Uint8Array(4)))
    machine.sendInformational(1, 103)
    machine.sendResponse(1, { status: 200, headers: [] })
    expect(machine.sendData(1, new Uint8Array(1))).toBe(true)
    machine.end(1)
    expect(takeAll(machine)).toHaveLength(0)
  })
})

describe('trailers', () => {
  it('that can be read only once are held to the same', () => {
    for (const name of ['content-length', 'host', 'transfer-encoding']) {
      refuses(asking({}, false), (machine) => machine.end(1, new Map([[name, '5']]).entries()), 'trailer-field')
    }
  })
  test.each(['Content-Type', 'Authorization', 'Set-Cookie', 'Trailer', 'TE', 'Connection', 'Age'])(
    '%s means something before the content only, as in HTTP/1.1',
    (name) => {
      refuses(asking({}, false), (machine) => machine.end(1, [[name, 'trailers']]), 'trailer-field')
    },
  )
})

test.each([-1, NaN, 0.5])('%d bytes of output are none', (most) => {
  const machine = make('client')
  const waiting = machine.outputBytes
  expect(machine.takeOutput(most)).toEqual([])
  expect(machine.outputBytes).toBe(waiting)
})

test.each([
  ['SETTINGS that take fewer streams', settings([3, 1]), 'settings'],
  ['GOAWAY', goaway(1, 0), 'goaway'],
])('content for what %s stopped is nothing, before its caller hears of it', (_, bytes, type) => {
  const machine = asking()
  const id = machine.sendRequest(POST_HEAD)
  machine.receiveData(bytes, 0)
  expect(machine.nextEvent()?.type).toBe(type)
  expect(machine.sendData(id, new Uint8Array(1))).toBe(true)
  machine.end(id)
  expect(drain(machine)).toContainEqual(expect.objectContaining({ type: 'failed', exchange: id }))
  expect(written(machine)).not.toContainEqual(expect.stringMatching(/HEADERS|DATA/))
})

test.each([
  ['a reset', reset(1, 0), true],
  ['GOAWAY', goaway(0, 0), false],
  ['a connection error', ping('short'), false],
])(
  'content for what ended with its connection by %s is nothing, until its caller has heard of all',
  (_, bytes, closes) => {
    const machine = ready('client', { limits: { maxBufferedOut: 10 } }, settings([4, 5]))
    for (const id of [machine.sendRequest(POST_HEAD), machine.sendRequest(POST_HEAD)]) {
      if (id === 3 && closes) machine.cancel(id)
      else expect(machine.sendData(id, new Uint8Array(16))).toBe(false)
    }
    machine.takeOutput()
    if (closes) machine.close(0)
    drain(machine)
    feed(machine, headers(1, OK, true))
    machine.receiveData(bytes, 0)
    const types: string[] = []
    for (let event = machine.nextEvent(); event !== undefined; event = machine.nextEvent()) {
      types.push(event.type)
      if (event.type !== 'writable' && event.type !== 'failed') continue
      expect(machine.closed).toBe(true)
      expect(machine.sendData(event.exchange, new Uint8Array(1))).toBe(true)
    }
    expect(['closed', 'error']).toContain(types.at(-1))
    expect(() => machine.sendData(1, new Uint8Array(1))).toThrow('there is no running exchange')
  },
)

describe('bytes', () => {
  test.each<[string, (machine: H2Connection, none: never) => unknown]>([
    [
      'received',
      (machine, none) => {
        machine.receiveData(none, 0)
      },
    ],
    ['of content', (machine, none) => machine.sendData(1, none)],
    [
      'of a PING',
      (machine, none) => {
        machine.ping(none, 0)
      },
    ],
    [
      'of a frame',
      (machine, none) => {
        machine.sendFrame(0x42, 0, 0, none)
      },
    ],
    [
      'that are written as they are',
      (machine, none) => {
        machine.sendRaw(none)
      },
    ],
  ])('%s that are none are a TypeError, and change nothing', (_, verb) => {
    const machine = asking({}, false)
    const before = JSON.stringify([machine.snapshot(), machine.outputBytes])
    for (const none of ['12345678', new Uint16Array(8), [1, 2, 3, 4, 5, 6, 7, 8]]) {
      expect(() => verb(machine, none as never)).toThrow(TypeError)
    }
    expect(JSON.stringify([machine.snapshot(), machine.outputBytes])).toBe(before)
  })
})

describe('framing', () => {
  it('is that of frames, and none where the head ends the message or nothing can come behind it', () => {
    const server = ready('server')
    const events = feed(server, [headers(1, POST), headers(3, GET, true)])
    const asked: RequestHead[] = [
      GET_HEAD,
      GET_HEAD,
      { ...GET_HEAD, method: 'HEAD' },
      { method: 'CONNECT', target: 'a:1', headers: [] },
    ]
    const client = ready('client')
    for (const head of asked) client.sendRequest(head, { end: head.method !== 'CONNECT' })
    client.takeOutput()
    const empty = [[':status', '204']] as const
    events.push(...feed(client, [headers(1, OK), headers(3, OK, true), headers(5, OK), headers(7, empty)]))
    const framings = events.flatMap((event) => ('framing' in event ? [event.framing] : []))
    expect(framings).toEqual(['frames', 'none', 'frames', 'none', 'none', 'frames'])
  })
})

describe('questions', () => {
  it('sendWindow is the smaller of both windows, and nothing where there is no stream', () => {
    const machine = asking({}, false)
    expect(machine.sendWindow(1)).toBe(65_535)
    feed(machine, windowUpdate(0, 100_000))
    expect(machine.sendWindow(1)).toBe(65_535)
    feed(machine, windowUpdate(1, 200_000))
    expect(machine.sendWindow(1)).toBe(165_535)
    feed(machine, settings([4, 0]))
    expect(machine.sendWindow(1)).toBe(165_535)
    expect(machine.sendWindow(3)).toBe(0)
    machine.cancel(1)
    expect(machine.sendWindow(1)).toBe(0)
  })
  it('of a stream that is closed and unread, the window is nothing', () => {
    const machine = asking()
    feed(machine, [headers(1, OK), data(1, 5, true)])
    expect(machine.sendWindow(1)).toBe(0)
  })
  it('unsent counts what was handed over and not taken', () => {
    const machine = ready('client')
    expect(machine.unsent(1)).toBe(0)
    machine.sendRequest(POST_HEAD)
    expect(machine.unsent(1)).toBe(1)
    machine.takeOutput()
    expect(machine.unsent(1)).toBe(0)
    machine.sendData(1, new Uint8Array(70_000))
    machine.takeOutput()
    expect(machine.unsent(1)).toBe(70_000 - 65_535)
    machine.end(1)
    expect(machine.unsent(1)).toBe(70_000 - 65_535 + 1)
    feed(machine, [windowUpdate(0, 70_000), windowUpdate(1, 70_000)])
    machine.takeOutput()
    expect(machine.unsent(1)).toBe(0)
  })
  it('unsent counts it on where the stream has ended before all of it was taken', () => {
    const machine = asked(GET)
    feed(machine, data(1, 0, true))
    machine.sendResponse(1, { status: 200, headers: [] })
    machine.sendData(1, new Uint8Array(70), true)
    machine.takeOutput(12)
    expect([machine.active, machine.unsent(1)]).toEqual([0, machine.outputBytes])
    machine.takeOutput()
    expect([machine.unsent(1), machine.taken]).toEqual([0, [1]])
  })
  it('outputBytes guesses what is not encoded yet, and counts what could leave', () => {
    const machine = ready('client')
    expect(machine.outputBytes).toBe(0)
    machine.sendRequest(POST_HEAD)
    expect(machine.outputBytes).toBeGreaterThan(0)
    machine.takeOutput()
    machine.sendData(1, new Uint8Array(70_000))
    expect(machine.outputBytes).toBe(65_535)
    machine.takeOutput()
    expect(machine.outputBytes).toBe(0)
    const ending = asking({}, false)
    ending.end(1)
    expect(ending.outputBytes).toBeGreaterThan(0)
    expect(takeAll(ending)).toHaveLength(9)
    const leaving = asking()
    leaving.close(0)
    expect(leaving.outputBytes).toBe(17)
  })
  it('takeOutput gives as much as it is asked for, in pieces that make the whole', () => {
    const whole = takeAll(make('client'))
    const machine = make('client')
    const taken = [24, 9, whole.length - 33, 1].map((n) => concat(machine.takeOutput(n)))
    expect(taken.map(({ length }) => length)).toEqual([24, 9, whole.length - 33, 0])
    expect(concat(taken)).toEqual(whole)
  })
  it('readState, draining, wantsClose, nextTimeout tell the life', () => {
    const machine = make('server')
    const life = (): unknown[] => [machine.readState, machine.draining, machine.closed, machine.wantsClose]
    expect(machine.nextTimeout()).toBe(30_000)
    feed(machine, [PREFACE, settings(), SETTINGS_ACK])
    expect(machine.nextTimeout()).toBeUndefined()
    expect(life()).toEqual(['need-data', false, false, 'no'])
    feed(machine, headers(1, POST))
    machine.close(0)
    expect(machine.nextTimeout()).toBeGreaterThan(0)
    expect(life()).toEqual(['need-data', true, false, 'no'])
    machine.receiveEof(0)
    expect(life()).toEqual(['done', true, false, 'no'])
    expect(machine.nextEvent()).toMatchObject({ type: 'draining' })
    expect(machine.nextEvent()).toMatchObject({ type: 'failed' })
    expect(life()).toEqual(['done', true, true, 'after-output'])
    expect(machine.closeReason).toBe('server-disconnected')
    machine.takeOutput()
    expect(life()).toEqual(['done', true, true, 'now'])
    const overdue = make('client')
    overdue.abort()
    expect(overdue.nextTimeout()).toBeUndefined()
  })
  it('a Buffer is as good as any other view', () => {
    const machine = ready('server')
    const bytes = Buffer.from(concat([new Uint8Array(3), headers(1, POST), data(1, 5)])).subarray(3)
    const events = feed(machine, bytes)
    expect(events.map(({ type }) => type)).toEqual(['request', 'data'])
    expect((events[1] as Extract<H2Event, { type: 'data' }>).data.constructor).toBe(Uint8Array)
  })
  it('a PING of ours is known by the octets that it was given, though the caller has others there by now', () => {
    const machine = ready('client')
    const payload = new Uint8Array(8).fill(1)
    machine.ping(payload, 0)
    payload.fill(2)
    machine.receiveData(frame(FRAME.PING, FLAG.ACK, 0, new Uint8Array(8).fill(1)), 0)
    expect(machine.nextEvent()).toMatchObject({ type: 'ping', ack: true })
  })
  it('the last identifier of a setting is one, the next is none', () => {
    const machine = ready('client')
    expect(() => machine.updateSettings({ 65535: 1 }, 0)).not.toThrow()
    refuses(machine, (one) => one.updateSettings({ 65536: 1 }, 0), 'settings')
  })
  it('a setting without a name is sent, and its acknowledgement changes nothing of ours', () => {
    const machine = ready('client')
    const { local } = (machine.snapshot() as { settings: { local: object } }).settings
    machine.updateSettings({ 153: 7 }, 0)
    expect(feed(machine, frame(FRAME.SETTINGS, FLAG.ACK, 0))).toMatchObject([{ type: 'settings-ack' }])
    expect(machine.snapshot()).toMatchObject({ settings: { local } })
  })
  it('bytes that nobody asked for yet are read in their order, whatever is asked for between', () => {
    const pings = ['11111111', '22222222', '33333333', '44444444']
    const machine = ready('server')
    const seen: string[] = []
    const next = (): void => {
      const event = machine.nextEvent() as Extract<H2Event, { type: 'ping' }>
      seen.push(Buffer.from(event.payload).toString())
    }
    machine.receiveData(ping(pings[0]), 0)
    machine.receiveData(ping(pings[1]), 0)
    next()
    machine.receiveData(ping(pings[2]), 0)
    next()
    machine.receiveData(ping(pings[3]), 0)
    next()
    next()
    expect(seen).toEqual(pings)
    expect(machine.nextEvent()).toBeUndefined()
  })
  it('nothing is timed that is off', () => {
    expect(make('client', { limits: { settingsTimeout: null } }).nextTimeout()).toBeUndefined()
  })
  it('a timeout that comes too early is nothing', () => {
    const machine = make('client')
    machine.handleTimeout(29_999)
    expect(machine.closed).toBe(false)
    expect(machine.nextTimeout()).toBe(30_000)
    const closing = ready('server')
    closing.close(0)
    closing.handleTimeout(1)
    expect(closing.closed).toBe(false)
  })
  it('the snapshot shows what waits, without secrets', () => {
    const machine = ready('client')
    machine.sendRequest({
      ...GET_HEAD,
      headers: [
        ['authorization', 'Basic eA=='],
        ['x-a', 'b'],
      ],
    })
    const text = JSON.stringify(machine.snapshot())
    expect(text).toContain('["authorization","…"]')
    expect(text).toContain('["x-a","b"]')
    expect(text).not.toContain('Basic')
  })
  it('nextExchange has nothing to let through', () => {
    const machine = ready('server')
    feed(machine, [headers(1, GET, true), headers(3, GET, true)])
    const before = JSON.stringify(machine.snapshot())
    machine.nextExchange()
    expect([machine.active, JSON.stringify(machine.snapshot())]).toEqual([2, before])
  })
})

describe('cancel', () => {
  it.each([NaN, -1, 0.5, 2 ** 32, Infinity])('and abort take no %d for a code: it would leave as another', (code) => {
    refuses(asking({}, false), (machine) => machine.cancel(1, code), 'h2-code')
    refuses(asking({}, false), (machine) => machine.abort(code), 'h2-code')
  })
  it('takes the largest code of 32 bits', () => {
    const machine = asking({}, false)
    machine.cancel(1, 2 ** 32 - 1)
    expect(machine.snapshot()).toMatchObject({ active: 0 })
  })
  it.each([0, 2, -1, 3])('and consume know no exchange %d that never was', (exchange) => {
    refuses(asking(), (machine) => machine.cancel(exchange), 'exchange')
    refuses(asking(), (machine) => machine.consume(exchange, 0), 'exchange')
  })
  it('takes back what was said of the exchange and not yet heard, and only that', () => {
    const machine = ready('client')
    machine.sendRequest(GET_HEAD, { end: true })
    machine.sendRequest(GET_HEAD, { end: true })
    machine.takeOutput()
    // One event is heard; whatever the frame in hand has said beside it is not.
    machine.receiveData(concat([headers(1, OK, true), headers(3, OK, true), ping()]), 0)
    expect(machine.nextEvent()).toMatchObject({ type: 'response', exchange: 1 })
    machine.cancel(1)
    const rest: H2Event[] = []
    for (let event = machine.nextEvent(); event !== undefined; event = machine.nextEvent()) rest.push(event)
    expect(rest.map((event) => [event.type, 'exchange' in event ? event.exchange : 0])).toEqual([
      ['response', 3],
      ['end', 3],
      ['ping', 0],
    ])
  })
  it('leaves what is about the connection', () => {
    const machine = ready('client', {}, settings([3, 1]))
    machine.sendRequest(GET_HEAD, { end: true })
    machine.takeOutput()
    machine.receiveData(headers(1, OK, true), 0)
    expect(machine.nextEvent()).toMatchObject({ type: 'response' })
    machine.cancel(1)
    expect(machine.nextEvent()).toEqual({ type: 'slots', capacity: 1 })
  })
})

describe('what a harness may write', () => {
  const broken: Partial<H2Options> = { validateOutbound: false }
  /** Frames with their fields as they stand on the wire. */
  function wire(machine: H2Connection): string[] {
    const decoder = new HpackDecoder()
    return takeFrames(machine).map(({ type, payload }) => {
      if (type !== FRAME.HEADERS) return `${frameName(type)} ${payload.length}`
      return decoder.decodeBlock(payload, 0, payload.length).flat.join(' ')
    })
  }
  it('heads and trailers as they are given, names and framing included', () => {
    const machine = ready('client', broken, settings([6, 10]))
    const head = {
      ...POST_HEAD,
      method: 'P T',
      headers: [
        ['Connection', 'x'],
        ['content-length', '9'],
      ],
    } as const
    machine.sendRequest(head, { end: false })
    machine.sendData(1, new Uint8Array(20))
    machine.end(1, [[':path', '/']])
    machine.sendRequest({ ...head, protocol: 'x' }, { end: true })
    expect(wire(machine)).toEqual([
      ':method P T :scheme http :authority a :path / Connection x content-length 9',
      ':method P T :scheme http :authority a :path / :protocol x Connection x content-length 9',
      'DATA 20',
      ':path /',
    ])
  })
  it('answers as they are given', () => {
    const machine = asked(POST, broken)
    machine.sendInformational(1, 101, [['Content-Length', '5']])
    machine.sendResponse(1, {
      status: 99,
      headers: [
        ['Upgrade', 'x'],
        ['content-length', '1'],
      ],
    })
    machine.sendData(1, new Uint8Array(2), true)
    expect(wire(machine)).toEqual([':status 101 Content-Length 5', ':status 99 Upgrade x content-length 1', 'DATA 2'])
  })
  it('what is never to be indexed as such', () => {
    const machine = ready('client', broken)
    machine.sendRequest({ ...GET_HEAD, headers: new Fields(['x-a', '1', 'x-b', '2'], ['X-A', 'x-b'], new Set([1])) })
    const { payload } = takeFrames(machine)[0] as { payload: Uint8Array }
    expect(new HpackDecoder().decodeBlock(payload, 0, payload.length).sensitive).toEqual(new Set([5]))
  })
  it('but no char that is no octet, and no urgency that there is not', () => {
    const client = ready('client', broken)
    refuses(client, (one) => one.sendRequest({ ...GET_HEAD, target: '/\u0100' }), 'field-value')
    refuses(client, (one) => one.sendRequest({ ...GET_HEAD, headers: [['x-\u0100', 'b']] }), 'field-value')
    refuses(client, (one) => one.sendRequest({ ...GET_HEAD, priority: { urgency: 9 } }), 'priority')
    const server = asked(POST, broken)
    refuses(server, (one) => one.sendInformational(1, 103, [['a', '\u0100']]), 'field-value')
    refuses(server, (one) => one.sendResponse(1, { status: 200, headers: [['a', '\u0100']] }), 'field-value')
    server.sendResponse(1, { status: 200, headers: [] })
    refuses(server, (one) => one.end(1, [['a', '\u0100']]), 'field-value')
  })
  it('settings with any value, by name or number', () => {
    const machine = make('client', { ...broken, settings: { enablePush: 7, 3: 4, maxFrameSize: 1 } })
    expect(firstSettings(machine)).toMatchObject({ 2: 7, 3: 4, 5: 1 })
    refuses(machine, (one) => one.updateSettings({ enablePush: 2 ** 32 }, 0), 'settings')
    refuses(machine, (one) => one.updateSettings({ 65_536: 1 }, 0), 'settings')
  })
  it('any frame, behind what waits', () => {
    const machine = ready('client')
    machine.sendRequest(GET_HEAD, { end: true })
    machine.sendFrame(0x42, 0xff, 5, hex('0102'))
    expect(takeFrames(machine).map(({ type, flags, stream }) => [type, flags, stream])).toEqual([
      [FRAME.HEADERS, 5, 1],
      [0x42, 0xff, 5],
    ])
    refuses(machine, (one) => one.sendFrame(0, 0, 1, new Uint8Array(2 ** 24)), 'frame-size')
    for (const [type, flags, stream] of [
      [256, 0, 1],
      [0, -1, 1],
      [0, 0, 2 ** 32],
      [0, 0, 0.5],
    ] as const) {
      refuses(machine, (one) => one.sendFrame(type, flags, stream, NOTHING), 'frame-size')
    }
    machine.sendFrame(0xff, 0xff, 2 ** 32 - 1, NOTHING)
    expect(takeFrames(machine)).toEqual([{ type: 0xff, flags: 0xff, stream: 2 ** 32 - 1, payload: NOTHING }])
  })
  it('any bytes, behind what waits', () => {
    const machine = ready('client')
    machine.sendRequest(GET_HEAD, { end: true })
    const request = takeAll(machine)
    const again = ready('client')
    again.sendRequest(GET_HEAD, { end: true })
    again.sendRaw(hex('00'))
    again.sendRaw(NOTHING)
    expect(takeAll(again)).toEqual(concat([request, hex('00')]))
  })
  it('nothing once all is over', () => {
    const machine = ready('client')
    machine.abort()
    refuses(machine, (one) => one.sendFrame(6, 0, 0, new Uint8Array(8)), 'closed')
    refuses(machine, (one) => one.sendRaw(hex('00')), 'closed')
    refuses(machine, (one) => one.ping(new Uint8Array(8), 0), 'closed')
    refuses(machine, (one) => one.updateSettings({}, 0), 'closed')
  })
})

describe.each([true, false])('a ledger counts of a response that is cut short (the end has come: %s)', (ended) => {
  const fields = block(OK)
  const cut = (bytes: Uint8Array): number => {
    const machine = ready('client')
    const ledger = { bytesSent: 0, bytesReceived: 0 }
    machine.sendRequest(GET_HEAD, { end: true, ledger })
    machine.takeOutput()
    feed(machine, bytes)
    if (ended) machine.receiveEof(0)
    while (machine.nextEvent() !== undefined);
    return ledger.bytesReceived
  }

  it('what has come of its HEADERS', () => {
    const whole = frame(FRAME.HEADERS, FLAG.END_HEADERS, 1, fields)
    expect(cut(whole.subarray(0, whole.length - 2))).toBe(whole.length - 2)
  })
  it('a block that waits for its CONTINUATION, and what has come of that', () => {
    const begun = frame(FRAME.HEADERS, 0, 1, fields.subarray(0, 4))
    const rest = frame(FRAME.CONTINUATION, FLAG.END_HEADERS, 1, fields.subarray(4))
    expect(cut(begun)).toBe(begun.length)
    expect(cut(concat([begun, rest.subarray(0, rest.length - 1)]))).toBe(begun.length + rest.length - 1)
  })
  it('nothing of a frame that is no part of it', () => {
    const frames = ping('12345678')
    expect(cut(frames.subarray(0, frames.length - 1))).toBe(0)
  })
  it('nothing for a stream that it is not of', () => {
    const whole = frame(FRAME.HEADERS, FLAG.END_HEADERS, 3, fields)
    expect(cut(whole.subarray(0, whole.length - 2))).toBe(0)
  })
})
