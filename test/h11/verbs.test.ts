// What may be done with a machine and when: each verb in the states that refuse it, what it writes in those that do not,
// and what a harness may write that nobody else may. What comes from a peer stands in test/cases/h11.
import { describe, expect, it, test } from 'vitest'
import { H11Connection, type H11Options } from '../../src/h11/index.ts'
import { Fields, type FieldsInit, LocalProtocolError, type H11Event, type RequestHead } from '../../src/http/index.ts'
import { code, doing } from '../fixtures/meddling.ts'

type Given = Omit<H11Options, 'now'>
const make = (role: 'client' | 'server', given: Given = {}): H11Connection =>
  new H11Connection(role, { now: 0, ...given })
const bytes = (text: string): Uint8Array => Uint8Array.from(text, (char) => char.charCodeAt(0))
const written = (machine: H11Connection): string =>
  machine
    .takeOutput()
    .map((chunk) => Buffer.from(chunk).toString('latin1'))
    .join('')

/** Feeds it and tells the types of what it says. */
function hear(machine: H11Connection, text: string): string[] {
  if (text !== '') machine.receiveData(bytes(text), 0)
  return events(machine).map(({ type }) => type)
}
function events(machine: H11Connection): H11Event[] {
  const all: H11Event[] = []
  for (let event = machine.nextEvent(); event !== undefined; event = machine.nextEvent()) all.push(event)
  return all
}

const GET: RequestHead = { method: 'GET', target: '/', authority: 'a', headers: [] }
const POST: RequestHead = { ...GET, method: 'POST' }
/** A client that waits for its response, everything taken. */
function asking(head: RequestHead = GET, given: Given = {}): H11Connection {
  const machine = make('client', given)
  machine.sendRequest(head, { end: head.content === undefined })
  machine.takeOutput()
  return machine
}
/** A server that has a request to answer. */
function asked(request = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', given: Given = {}): H11Connection {
  const machine = make('server', given)
  hear(machine, request)
  return machine
}

/** Throws with that code, and nothing is different. */
function refuses(machine: H11Connection, verb: (machine: H11Connection) => unknown, code: string): void {
  const before = JSON.stringify([machine.snapshot(), machine.outputBytes, machine.capacity])
  expect(() => verb(machine)).toThrow(expect.objectContaining({ code }) as Error)
  expect(JSON.stringify([machine.snapshot(), machine.outputBytes, machine.capacity])).toBe(before)
}

describe('options', () => {
  test.each<[string, () => unknown]>([
    ['a role that is none', () => make('peer' as 'client')],
    ['a leniency that is none', () => make('client', { lenient: { all: true } as never })],
    ['a leniency that is no boolean', () => make('client', { lenient: { bareLf: 1 as never } })],
  ])('%s is a TypeError', (_, build) => {
    expect(build).toThrow(TypeError)
  })
})

it('a leniency that is undefined is left out, as any option', () => {
  const lenient = { bareLf: undefined, missingHost: true }
  expect(hear(make('server', { lenient }), 'GET / HTTP/1.1\r\n\r\n')).toEqual(['request', 'end'])
})

describe('a request is refused', () => {
  test.each<[string, Partial<RequestHead>, string]>([
    ['whose method is no token', { method: 'GE T' }, 'method'],
    ['whose target has a space', { target: '/ HTTP/1.1\r\nX: y' }, 'target'],
    ['whose target has another form', { target: 'a/b' }, 'target'],
    ['to CONNECT with two ports', { method: 'CONNECT', target: 'a:1:80' }, 'target'],
    ['to TRACE with content', { method: 'TRACE', content: { length: 1 } }, 'content'],
    ['to TRACE with content of unknown length', { method: 'TRACE', content: 'unknown' }, 'content'],
    ['that lists chunked in TE', { headers: [['TE', 'trailers, Chunked;q=1']] }, 'te'],
    ['to CONNECT with content', { method: 'CONNECT', target: 'a:1', content: { length: 1 } }, 'content'],
    ['that expects 100 without content', { headers: [['Expect', '100-Continue']] }, 'expect'],
    [
      'with two hosts',
      {
        headers: [
          ['Host', 'a'],
          ['host', 'a'],
        ],
      },
      'host',
    ],
    ['without a host', { authority: undefined }, 'host'],
    ['with a host that is none', { authority: 'a b' }, 'host'],
    ['with a name that is none', { headers: [['a b', 'c']] }, 'field-name'],
    ['with a line break in a value', { headers: [['a', 'b\r\nc: d']] }, 'field-value'],
    ['with a NUL in a value', { headers: [['a', 'b\0']] }, 'field-value'],
    ['with a char that is no byte', { headers: [['a', '\u0100']] }, 'field-value'],
    ['with blanks around a value', { headers: [['a', ' b']] }, 'field-value'],
    ['with a protocol, of which HTTP/1.1 could say nothing', { protocol: 'websocket' }, 'protocol'],
    ['to CONNECT with a protocol', { method: 'CONNECT', target: 'a:1', protocol: 'websocket' }, 'protocol'],
  ])('%s', (_, head, code) => {
    refuses(make('client'), (machine) => machine.sendRequest({ ...GET, ...head }), code)
  })
  test.each<[string, Partial<Record<keyof RequestHead, unknown>>]>([
    ['method', { method: 1 }],
    ['request-target', { target: null }],
    ['authority', { authority: 7 }],
  ])('whose %s is no string: a TypeError', (what, head) => {
    expect(() => make('client').sendRequest({ ...GET, ...(head as RequestHead) })).toThrow(
      new RegExp(`^the ${what} must be`),
    )
  })
  it('that ends with its head, and has content', () => {
    refuses(
      make('client'),
      (machine) => machine.sendRequest({ ...POST, content: { length: 1 } }, { end: true }),
      'content-length',
    )
  })
  it('of a server', () => {
    refuses(make('server'), (machine) => machine.sendRequest(GET), 'role')
  })
  it('while one runs', () => {
    refuses(asking(), (machine) => machine.sendRequest(GET), 'capacity')
  })
  it('after the end', () => {
    const machine = make('client')
    machine.abort()
    refuses(machine, (closed) => closed.sendRequest(GET), 'closed')
  })
  it('while bytes wait that nobody asked for', () => {
    const machine = make('client')
    machine.receiveData(bytes('HTTP/1.1 200 OK\r\n\r\n'), 0)
    refuses(machine, (early) => early.sendRequest(GET), 'closed')
  })
  it('with content of unknown length, to a server of HTTP/1.0', () => {
    const machine = asking(GET, { lenient: { http10KeepAlive: true } })
    hear(machine, 'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n')
    refuses(machine, (old) => old.sendRequest({ ...POST, content: 'unknown' }), 'transfer-encoding')
    expect(machine.sendRequest({ ...POST, content: { length: 1 } })).toBe(2)
  })
})

describe('a request is written', () => {
  test.each<[string, Partial<RequestHead>, string]>([
    ['with the option that TE needs', { headers: [['TE', 'trailers']] }, 'TE: trailers\r\nConnection: TE\r\n'],
    [
      'with both options',
      {
        headers: [
          ['te', 'x'],
          ['Upgrade', 'y'],
        ],
      },
      'te: x\r\nUpgrade: y\r\nConnection: Upgrade, TE\r\n',
    ],
    [
      'with none where they stand',
      {
        headers: [
          ['TE', 'x'],
          ['Connection', 'te'],
          ['Upgrade', 'y'],
          ['Connection', 'upgrade'],
        ],
      },
      'TE: x\r\nConnection: te\r\nUpgrade: y\r\nConnection: upgrade\r\n',
    ],
    [
      'with codings that are not chunked',
      { headers: [['TE', 'xchunked, chunked-x']] },
      'TE: xchunked, chunked-x\r\nConnection: TE\r\n',
    ],
    ['to TRACE, whatever it echoes', { headers: [['Max-Forwards', '0']] }, 'Max-Forwards: 0\r\n'],
    ['with an expectation of another kind', { headers: [['Expect', 'more']] }, 'Expect: more\r\n'],
    ['with an empty value', { headers: [['a', '']] }, 'a: \r\n'],
  ])('%s', (_, head, fields) => {
    const machine = make('client')
    machine.sendRequest({ ...GET, ...head }, { end: true })
    expect(written(machine)).toBe(`GET / HTTP/1.1\r\nHost: a\r\n${fields}\r\n`)
  })
  it('with a Host from its target, however long that is', () => {
    const host = 'a'.repeat(70_000)
    const machine = make('client')
    machine.sendRequest({ method: 'GET', target: `http://${host}/`, headers: [] }, { end: true })
    expect(written(machine)).toBe(`GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
  })
  it('with a Host that leaves out the userinfo of a target', () => {
    const machine = make('client')
    machine.sendRequest({ method: 'GET', target: 'ftp://me:hunter2@a:21/', headers: [] }, { end: true })
    expect(written(machine)).toBe('GET ftp://me:hunter2@a:21/ HTTP/1.1\r\nHost: a:21\r\n\r\n')
  })
  it('with the case and order that it was given, Host first', () => {
    const machine = make('client')
    machine.sendRequest(
      {
        ...GET,
        headers: [
          ['X-b', '1'],
          ['hOST', 'z'],
          ['x-A', '2'],
        ],
      },
      { end: true },
    )
    expect(written(machine)).toBe('GET / HTTP/1.1\r\nhOST: z\r\nX-b: 1\r\nx-A: 2\r\n\r\n')
  })
})

describe('an informational response is refused', () => {
  test.each([200, 101, 99, 102.5])('with status %d', (status) => {
    refuses(asked(), (machine) => machine.sendInformational(1, status), 'status')
  })
  it('to a client of HTTP/1.0', () => {
    refuses(asked('GET / HTTP/1.0\r\n\r\n'), (machine) => machine.sendInformational(1, 100), 'informational')
  })
  it('with a framing field', () => {
    refuses(asked(), (machine) => machine.sendInformational(1, 103, [['Content-Length', '1']]), 'framing')
  })
  it('after a fault', () => {
    refuses(asked('GET / HTTP/1.1\r\n\r\n'), (machine) => machine.sendInformational(1, 103), 'state')
  })
  it('of a client', () => {
    refuses(asking(), (machine) => machine.sendInformational(1, 103), 'role')
  })
})
it('an informational response has its reason, or none where nobody knows one', () => {
  const machine = asked()
  machine.sendInformational(1, 103, [
    ['Link', '</x>'],
    ['Upgrade', 'y'],
  ])
  machine.sendInformational(1, 199)
  expect(written(machine)).toBe(
    'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nUpgrade: y\r\nConnection: Upgrade\r\n\r\nHTTP/1.1 199 \r\n\r\n',
  )
})

it('an informational response that says close is the last but for the final one', () => {
  const machine = asked()
  machine.sendInformational(1, 103, [['Connection', 'close']])
  machine.sendResponse(1, { status: 204, headers: [] }, { end: true })
  expect(written(machine)).toBe(
    'HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\nHTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n',
  )
  expect(machine.closeReason).toBe('local-close')
})

it('a reason-phrase is sent back as it was received, whitespace at its ends too', () => {
  const client = asking()
  client.receiveData(bytes('HTTP/1.1 204  a\t\xe9 \r\n\r\n'), 0)
  const [response] = events(client)
  const reasonPhrase = response?.type === 'response' ? response.reasonPhrase : ''
  const server = asked()
  server.sendResponse(1, { status: 204, reasonPhrase, headers: [] }, { end: true })
  expect(written(server)).toBe('HTTP/1.1 204  a\t\xe9 \r\n\r\n')
})

describe('a response is refused', () => {
  test.each([199, 1000, 200.5, 100])('with status %d', (status) => {
    refuses(asked(), (machine) => machine.sendResponse(1, { status, headers: [] }), 'status')
  })
  test.each<[string, string, Parameters<H11Connection['sendResponse']>[1], string]>([
    [
      'with a line break in its reason',
      'GET / HTTP/1.1',
      { status: 200, reasonPhrase: 'a\r\nb: c', headers: [] },
      'reason-phrase',
    ],
    ['101 where nothing was offered', 'GET / HTTP/1.1', { status: 101, headers: [['Upgrade', 'x']] }, 'upgrade'],
    [
      'chunked, to HTTP/1.0',
      'GET / HTTP/1.0',
      { status: 200, headers: [['Transfer-Encoding', 'chunked']], content: 'unknown' },
      'transfer-encoding',
    ],
    ['204 with a length', 'GET / HTTP/1.1', { status: 204, headers: [['Content-Length', '1']] }, 'framing'],
    ['205 with content', 'GET / HTTP/1.1', { status: 205, headers: [], content: { length: 1 } }, 'content'],
    [
      '205 with content of unknown length',
      'GET / HTTP/1.1',
      { status: 205, headers: [], content: 'unknown' },
      'content',
    ],
    ['204 with content', 'GET / HTTP/1.1', { status: 204, headers: [], content: { length: 1 } }, 'content'],
  ])('%s', (_, line, head, code) => {
    refuses(asked(`${line}\r\nHost: a\r\n\r\n`), (machine) => machine.sendResponse(1, head), code)
  })
  it('whose reason is no string: a TypeError', () => {
    expect(() => asked().sendResponse(1, { status: 200, reasonPhrase: 1 as never, headers: [] })).toThrow(TypeError)
  })
  describe('101', () => {
    const upgrade = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x/1, y\r\nUpgrade: Z\r\n\r\n'
    const answer = (...named: string[]) => ({ status: 101, headers: named.map((name) => ['Upgrade', name] as const) })
    test.each([[[]], [['']], [['x']], [['x/1, a']], [['y', 'a']]])('that names %j', (named) => {
      refuses(asked(upgrade), (machine) => machine.sendResponse(1, answer(...named)), 'upgrade')
    })
    test.each([[['x/1']], [['z']], [['X/1, y']], [['y', 'Z']]])('but not one that names %j', (named) => {
      const machine = asked(upgrade)
      machine.sendResponse(1, answer(...named))
      expect(written(machine)).toContain(named.map((name) => `Upgrade: ${name}\r\n`).join(''))
    })
  })
  it('101 before the 100 that was asked for, while the content is not all there', () => {
    const upgrade = 'POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\nExpect: 100-continue\r\n'
    const head = { status: 101, headers: [['Upgrade', 'x']] } as const
    const machine = asked(`${upgrade}Content-Length: 2\r\n\r\n`)
    refuses(machine, (server) => server.sendResponse(1, head), 'expect')
    machine.sendInformational(1, 103)
    refuses(machine, (server) => server.sendResponse(1, head), 'expect')
    machine.sendInformational(1, 100)
    machine.sendResponse(1, head)
    expect(hear(machine, 'ab')).toEqual(['data', 'end', 'switched'])
    for (const early of ['Content-Length: 2\r\n\r\nab', 'Content-Length: 0\r\n\r\n']) {
      const whole = asked(upgrade + early)
      whole.sendResponse(1, head)
      expect(hear(whole, '')).toEqual(['switched'])
    }
  })
  test.each([
    ['101', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n', 101],
    ['2xx to CONNECT', 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n', 200],
  ])('%s after a fault in the request: the connection ends', (_, head, status) => {
    const machine = asked(`${head}Transfer-Encoding: chunked\r\n\r\nx`)
    refuses(machine, (server) => server.sendResponse(1, { status, headers: [['Upgrade', 'x']] }), 'state')
    machine.sendResponse(1, { status: 400, headers: [] }, { end: true })
    expect([written(machine), machine.wantsClose]).toEqual([expect.stringContaining('Connection: close\r\n'), 'now'])
  })
  it('content for HEAD, 2xx for CONNECT, where the head is read and refused; not after what is no head', () => {
    const head = { status: 400, headers: [], content: { length: 1 } } as const
    const machine = asked('HEAD / HTTP/1.1\r\n\r\n')
    machine.sendResponse(1, head)
    refuses(machine, (server) => server.sendData(1, bytes('x')), 'content')
    machine.end(1)
    expect(written(machine)).toBe('HTTP/1.1 400 Bad Request\r\nContent-Length: 1\r\nConnection: close\r\n\r\n')
    const connect = asked('CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n')
    refuses(connect, (server) => server.sendResponse(1, { status: 200, headers: [] }), 'state')
    const next = asked('HEAD / HTTP/1.1\r\nHost: a\r\n\r\nHEAD\r\n')
    next.sendResponse(1, { status: 204, headers: [] }, { end: true })
    next.nextExchange()
    expect(hear(next, '')).toEqual(['error'])
    next.sendResponse(2, head)
    next.sendData(2, bytes('x'), true)
    expect(written(next)).toMatch(/\r\n\r\nx$/)
  })
  it('twice, to nobody, by a client, and after the end', () => {
    const machine = asked()
    refuses(machine, (server) => server.sendResponse(2, { status: 200, headers: [] }), 'exchange')
    machine.sendResponse(1, { status: 200, headers: [] })
    refuses(machine, (server) => server.sendResponse(1, { status: 200, headers: [] }), 'state')
    refuses(make('server'), (server) => server.sendResponse(0, { status: 200, headers: [] }), 'exchange')
    refuses(asking(), (client) => client.sendResponse(1, { status: 200, headers: [] }), 'role')
    machine.abort()
    refuses(machine, (server) => server.sendResponse(1, { status: 200, headers: [] }), 'closed')
  })
  it('that ends with its head, and has content; not to HEAD, which is told what GET would get', () => {
    const head = { status: 200, headers: [], content: { length: 3 } } as const
    refuses(asked(), (machine) => machine.sendResponse(1, head, { end: true }), 'content-length')
    const machine = asked('HEAD / HTTP/1.1\r\nHost: a\r\n\r\n')
    machine.sendResponse(1, head, { end: true })
    expect(written(machine)).toBe('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n')
  })
})

it('what fields do to the machine while they are read has been done when it looks whether they may be sent', () => {
  const begin = make('client')
  const inner = doing(() => begin.sendRequest(GET, { end: true }))
  expect(() => begin.sendRequest({ ...GET, headers: inner })).toThrow(code('capacity'))
  expect(written(begin)).toBe('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  const abort = make('client')
  expect(() => abort.sendRequest({ ...GET, headers: doing(() => abort.abort()) })).toThrow(code('closed'))
  const end = asking({ ...POST, content: 'unknown' })
  const last = doing(() => end.end(1))
  expect(() => end.end(1, last)).toThrow(code('state'))
  for (const verb of ['sendResponse', 'sendInformational'] as const) {
    const machine = asked()
    const headers = doing(() => machine.sendResponse(1, { status: 204, headers: [] }, { end: true }))
    const send = (): void =>
      verb === 'sendResponse' ? machine[verb](1, { status: 200, headers }) : machine[verb](1, 103, headers)
    expect(send).toThrow(code('state'))
    expect(written(machine)).toBe('HTTP/1.1 204 No Content\r\n\r\n')
  }
})
it('205 has no content, and says so', () => {
  const machine = asked()
  machine.sendResponse(1, { status: 205, headers: [] })
  machine.end(1)
  expect(written(machine)).toBe('HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n')
})
describe('Transfer-Encoding is kept from HTTP/1.0', () => {
  test.each([
    ['HEAD', 200],
    ['GET', 304],
  ])('in a response to %s with %d, too', (method, status) => {
    const machine = asked(`${method} / HTTP/1.0\r\n\r\n`)
    machine.sendResponse(1, { status, reasonPhrase: 'x', headers: [], content: 'unknown' }, { end: true })
    expect(written(machine)).toBe(`HTTP/1.1 ${status} x\r\nConnection: close\r\n\r\n`)
  })
  test.each([
    ['whose head says so', 'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['whose head is not one', '\x16\x03\x01'],
    ['whose head broke behind its first line', 'GET / HTTP/1.1\r\nno colon\r\n'],
    ['who comes after another', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', ' / HTTP/1.0\r\n'],
    ['whose empty lines are too many', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', '\r\n'.repeat(5)],
  ])('in the answer to one %s', (_, ...requests) => {
    const machine = make('server')
    for (const [i, request] of requests.entries()) {
      hear(machine, request)
      const exchange = i + 1
      const last = exchange === requests.length
      machine.sendResponse(exchange, { status: last ? 400 : 204, headers: [] }, { end: !last })
      if (last) machine.sendData(exchange, bytes('no'), true)
      else machine.nextExchange()
      if (!last) machine.takeOutput()
    }
    expect(written(machine)).toBe('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nno')
  })
  it('but not from one whose head was read as HTTP/1.1', () => {
    const machine = asked('GET / HTTP/1.1\r\n\r\n')
    machine.sendResponse(1, { status: 400, headers: [] })
    expect(written(machine)).toBe('HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n')
  })
})

describe('content', () => {
  it('is neither more nor less than was said', () => {
    const machine = make('client')
    machine.sendRequest({ ...POST, content: { length: 3 } })
    refuses(machine, (client) => client.sendData(1, bytes('abcd')), 'content-length')
    refuses(machine, (client) => client.sendData(1, bytes('ab'), true), 'content-length')
    refuses(machine, (client) => client.end(1), 'content-length')
    machine.sendData(1, bytes(''))
    machine.sendData(1, bytes('abc'), true)
    expect(written(machine)).toMatch(/Content-Length: 3\r\n\r\nabc$/)
    refuses(machine, (client) => client.sendData(1, bytes('x')), 'state')
    refuses(machine, (client) => client.sendData(2, bytes('x')), 'exchange')
  })
  it('is framed by its Content-Length, also where the caller does not know the length', () => {
    const client = make('client')
    client.sendRequest({ ...POST, headers: [['Content-Length', '3']], content: 'unknown' })
    refuses(client, (machine) => machine.sendData(1, bytes('abcd')), 'content-length')
    client.sendData(1, bytes('abc'), true)
    expect(written(client)).toBe('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc')
    const server = asked('GET / HTTP/1.0\r\n\r\n')
    server.sendResponse(1, { status: 200, headers: [['Content-Length', '3']], content: 'unknown' })
    server.sendData(1, bytes('abc'), true)
    expect(written(server)).toBe('HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc')
  })
  it('is none where a message has none', () => {
    const machine = make('client')
    machine.sendRequest(GET)
    refuses(machine, (client) => client.sendData(1, bytes('x')), 'content')
    machine.end(1)
    expect(written(machine)).toBe('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  })
  it('is bytes, of whatever class', () => {
    const machine = make('client')
    machine.sendRequest({ ...POST, content: 'unknown' })
    expect(() => machine.sendData(1, 'text' as never)).toThrow(TypeError)
    machine.sendData(1, Buffer.from('abc'), true)
    expect(written(machine)).toMatch(/3\r\nabc\r\n0\r\n\r\n$/)
  })
  it('above a kilobyte goes by reference, with its chunk framing around it', () => {
    const large = bytes('x'.repeat(2_000))
    const machine = make('client')
    machine.sendRequest({ ...POST, content: 'unknown' })
    machine.takeOutput()
    machine.sendData(1, large)
    const chunks = machine.takeOutput()
    expect(chunks.map(({ length }) => length)).toEqual([5, 2_000, 2])
    expect(chunks[1]).toBe(large)
  })
  it('waits for room: false, then a refusal, then an event', () => {
    const machine = make('client', { limits: { maxBufferedOut: 100 } })
    machine.sendRequest({ ...POST, content: 'unknown' })
    expect(machine.sendData(1, bytes('x'.repeat(200)))).toBe(false)
    refuses(machine, (client) => client.sendData(1, bytes('y')), 'backpressure')
    expect(machine.sendData(1, bytes(''))).toBe(false)
    expect(machine.nextEvent()).toBeUndefined()
    machine.takeOutput()
    expect(events(machine)).toEqual([{ type: 'writable', exchange: 1, room: 100 }])
    expect(machine.sendData(1, bytes('y'), true)).toBe(true)
  })
  it('waits for nothing that nobody was told of: a head may be larger than the mark', () => {
    const machine = make('client', { limits: { maxBufferedOut: 10 } })
    machine.sendRequest({ ...POST, content: 'unknown' })
    expect(machine.sendData(1, bytes('x'))).toBe(false)
    refuses(machine, (client) => client.sendData(1, bytes('y')), 'backpressure')
    machine.takeOutput()
    expect(machine.sendData(1, bytes('y'), true)).toBe(true)
  })
  it('is followed by trailers where it is chunked, and by those that may be sent', () => {
    const machine = make('client')
    machine.sendRequest({ ...POST, content: { length: 0 } })
    refuses(machine, (client) => client.end(1, [['a', 'b']]), 'trailers')
    const chunked = make('client')
    chunked.sendRequest({ ...POST, content: 'unknown' })
    refuses(chunked, (client) => client.end(1, [['Content-Length', '1']]), 'trailer-field')
    refuses(chunked, (client) => client.end(1, [['a', 'b\n']]), 'field-value')
    chunked.end(1, [['A', 'b']])
    expect(written(chunked)).toMatch(/\r\n0\r\nA: b\r\n\r\n$/)
  })
  // Framing, routing, request modifiers, authentication, response controls, content format: RFC 9110 §6.5.1.
  test.each([
    ...['Transfer-Encoding', 'Host', 'Max-Forwards', 'Authorization', 'Cookie', 'Content-Encoding', 'Trailer'],
    ...['If-Match', 'If-None-Match', 'If-Modified-Since', 'If-Unmodified-Since', 'If-Range', 'Range', 'Expect'],
    ...['Age', 'Cache-Control', 'Date', 'Expires', 'Location', 'Retry-After', 'Vary'],
  ])('is not followed by %s, which means something before it only', (name) => {
    const machine = make('client')
    machine.sendRequest({ ...POST, content: 'unknown' })
    refuses(machine, (client) => client.end(1, [[name, 'x']]), 'trailer-field')
  })
  test.each(['ETag', 'Accept-Ranges', 'Authentication-Info', 'Server-Timing', 'X-Checksum'])(
    'may be followed by %s',
    (name) => {
      const machine = make('client')
      machine.sendRequest({ ...POST, content: 'unknown' })
      machine.end(1, [[name, 'x']])
      expect(written(machine)).toContain(`\r\n0\r\n${name}: x\r\n\r\n`)
    },
  )
  it('is sent by nobody after the end', () => {
    const machine = make('client')
    machine.sendRequest({ ...POST, content: 'unknown' })
    machine.abort()
    refuses(machine, (client) => client.sendData(1, bytes('x')), 'closed')
    refuses(machine, (client) => client.end(1), 'closed')
  })
})

describe('consume', () => {
  it('takes as many bytes as were delivered, of this exchange', () => {
    const machine = asking()
    hear(machine, 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc')
    for (const n of [-1, 0.5, Number.NaN, 4]) refuses(machine, (client) => client.consume(1, n), 'consume')
    for (const id of [0, 2, 1.5]) refuses(machine, (client) => client.consume(id, 0), 'exchange')
    machine.consume(1, 3)
    hear(machine, 'de')
    machine.sendRequest(GET, { end: true })
    refuses(machine, (client) => client.consume(2, 1), 'consume')
    machine.consume(1, 2)
    expect(machine.snapshot()).toMatchObject({ exchange: 2 })
  })
})

describe('nextExchange', () => {
  it('is a server’s', () => {
    refuses(make('client'), (machine) => machine.nextExchange(), 'role')
  })
  it('waits for the end of this one, and does nothing where there is none', () => {
    const machine = make('server')
    machine.nextExchange()
    hear(machine, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na')
    refuses(machine, (server) => server.nextExchange(), 'capacity')
    hear(machine, 'bc')
    refuses(machine, (server) => server.nextExchange(), 'capacity')
    machine.sendResponse(1, { status: 200, headers: [] }, { end: true })
    machine.nextExchange()
    expect(hear(machine, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')).toEqual(['request', 'end'])
    machine.abort()
    machine.nextExchange()
  })
})

describe('cancel', () => {
  it('leaves no trace of a request that nobody saw', () => {
    const machine = make('client')
    refuses(machine, (client) => client.cancel(1), 'exchange')
    machine.sendRequest({ ...POST, content: 'unknown' })
    machine.sendData(1, bytes('abc'))
    machine.cancel(1)
    expect([machine.outputBytes, machine.capacity, machine.active, machine.closed]).toEqual([0, 1, 0, false])
    machine.cancel(1)
    expect(machine.sendRequest(GET, { end: true })).toBe(2)
    machine.cancel(1)
    expect([machine.active, written(machine)]).toEqual([1, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'])
  })
  it('of a server takes back what was written raw, and nothing of what waits before it', () => {
    const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
    const machine = asked(get + get)
    machine.sendResponse(1, { status: 204, headers: [] }, { end: true })
    machine.nextExchange()
    hear(machine, '')
    machine.sendRaw(bytes('raw'))
    machine.cancel(2)
    expect([machine.outputBytes, written(machine)]).toEqual([27, 'HTTP/1.1 204 No Content\r\n\r\n'])
  })
  test.each<[string, () => H11Connection]>([
    ['of which a byte was taken', () => asking()],
    [
      'that was answered in part',
      () => {
        const machine = make('client')
        machine.sendRequest({ ...POST, content: 'unknown' })
        machine.receiveData(bytes('HTTP/1.1 1'), 0)
        machine.nextEvent()
        return machine
      },
    ],
    [
      'on a connection that closes',
      () => {
        const machine = make('client')
        machine.sendRequest({ ...GET, headers: [['Connection', 'close']] }, { end: true })
        return machine
      },
    ],
    ['of a server', () => asked()],
  ])('ends the connection of one %s', (_, begun) => {
    const machine = begun()
    const reason = machine.closeReason ?? 'cancelled'
    machine.cancel(1)
    expect([machine.closed, machine.closeReason, machine.active]).toEqual([true, reason, 0])
  })
})

describe('close', () => {
  it('at once where nothing runs, else after the exchange', () => {
    const idle = make('client')
    idle.close(0)
    expect(events(idle)).toEqual([{ type: 'closed', reason: 'local-close' }])
    idle.close(0)
    expect(events(idle)).toEqual([])
    const running = asking()
    running.close(0)
    expect([running.draining, running.closed]).toEqual([true, false])
    expect(hear(running, 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')).toEqual([
      'response',
      'end',
      'closed',
    ])
  })
  it('without the response that a fault is owed', () => {
    const machine = asked('GET / HTTP/1.1\r\n\r\n')
    expect([machine.closed, machine.wantsClose]).toEqual([false, 'no'])
    machine.close(0)
    expect([machine.closed, machine.wantsClose, machine.closeReason]).toEqual([true, 'now', 'missing-host'])
  })
  it('after the response to a fault that has begun', () => {
    const machine = asked('GET / HTTP/1.1\r\n\r\n')
    machine.sendResponse(1, { status: 400, headers: [], content: { length: 2 } })
    machine.sendData(1, bytes('a'))
    machine.close(0)
    expect([machine.closed, machine.wantsClose]).toEqual([false, 'no'])
    machine.sendData(1, bytes('b'), true)
    expect([machine.closed, machine.wantsClose, written(machine).slice(-2)]).toEqual([true, 'after-output', 'ab'])
  })
  it('tells the response, that it was the last, and the end', () => {
    const machine = asking()
    expect(hear(machine, 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na')).toEqual([
      'response',
      'draining',
      'data',
      'end',
      'closed',
    ])
  })
})

describe('readState', () => {
  it('pauses at a window that is full, for as long as this content comes', () => {
    const machine = asking(GET, { limits: { streamWindow: 4 } })
    expect(machine.readState).toBe('need-data')
    hear(machine, 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcd')
    expect(machine.readState).toBe('paused')
    machine.consume(1, 1)
    expect(machine.readState).toBe('need-data')
    hear(machine, 'e')
    expect(machine.readState).toBe('need-data')
  })
  it('pauses for a request that comes too early, and goes on', () => {
    const machine = asked('GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2')
    expect(machine.readState).toBe('paused')
    machine.sendResponse(1, { status: 200, headers: [] }, { end: true })
    machine.nextExchange()
    expect(hear(machine, ' HTTP/1.1\r\nHost: a\r\n\r\n')).toEqual(['request', 'end'])
    expect(machine.readState).toBe('need-data')
  })
  it('is done where nothing that comes would be looked at', () => {
    const last = asked('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    expect(last.readState).toBe('done')
    // Nor is it held, however much comes before the answer does.
    expect(hear(last, 'x'.repeat(1_000))).toEqual([])
    expect(last.snapshot()).toMatchObject({ held: { input: 0 } })
    last.abort()
    expect(last.readState).toBe('done')
    // What came together with the request is of no use either, nor is the end behind it.
    const surplus = asked('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nx')
    surplus.receiveEof(0)
    expect(surplus.readState).toBe('done')
  })
  it('is not done where the last request may become a tunnel', () => {
    const head = 'Host: a\r\nConnection: close, upgrade\r\nUpgrade: x\r\n\r\n'
    const machine = asked(`GET / HTTP/1.1\r\n${head}`)
    expect(machine.readState).toBe('need-data')
    machine.sendResponse(1, { status: 101, headers: [['Upgrade', 'x']] })
    expect(hear(machine, '')).toEqual(['switched'])
    const connect = asked('CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nConnection: close\r\n\r\n')
    expect(connect.readState).toBe('need-data')
    connect.sendResponse(1, { status: 400, headers: [] }, { end: true })
    expect(connect.readState).toBe('done')
  })
  it('is done at the end, and paused while something of it waits', () => {
    const machine = asked('GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n')
    machine.receiveEof(0)
    expect(machine.readState).toBe('paused')
    const idle = make('server')
    idle.receiveEof(0)
    expect(idle.readState).toBe('done')
  })
})

it('heads that come in pieces on several connections at once are kept apart', () => {
  const servers = [make('server'), make('server'), make('server')]
  for (let turn = 0; turn < 4; turn++) {
    const heads = servers.map((_, i) => `GET /${i}${turn} HTTP/1.1\r\nHost: a\r\nX-${'n'.repeat(i)}: ${turn}\r\n\r\n`)
    const seen: unknown[] = servers.map(() => undefined)
    for (let at = 0; at < Math.max(...heads.map(({ length }) => length)); at++) {
      for (const [i, server] of servers.entries()) {
        const byte = (heads[i] as string).slice(at, at + 1)
        if (byte === '') continue
        server.receiveData(bytes(byte), 0)
        for (const event of events(server)) {
          if (event.type !== 'request') continue
          seen[i] = [event.target, ...event.headers]
          server.sendResponse(event.exchange, { status: 204, headers: [] }, { end: true })
          server.takeOutput()
        }
        if (server.active === 0) server.nextExchange()
      }
    }
    expect(seen).toEqual(servers.map((_, i) => [`/${i}${turn}`, ['host', 'a'], [`x-${'n'.repeat(i)}`, `${turn}`]]))
  }
})

it('a switch waits for the end of the request', () => {
  const machine = asked('POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\na')
  machine.sendResponse(1, { status: 101, headers: [['Upgrade', 'x']] })
  expect(hear(machine, '')).toEqual([])
  expect(hear(machine, 'bleading')).toEqual(['data', 'end', 'switched'])
  refuses(machine, (server) => server.sendRaw(bytes('x')), 'closed')
})

it('fields that are those of the request before are written as they are now', () => {
  const given: readonly (readonly [FieldsInit, string])[] = [
    [
      [
        ['X-A', '1'],
        ['b', '2'],
      ],
      'Host: a\r\nX-A: 1\r\nb: 2\r\n',
    ],
    [{ 'X-A': '1', b: '2' }, 'Host: a\r\nX-A: 1\r\nb: 2\r\n'],
    [
      [
        ['x-a', '1'],
        ['b', '2'],
      ],
      'Host: a\r\nx-a: 1\r\nb: 2\r\n',
    ],
    [new Fields(['x-a', '1', 'b', '2']), 'Host: a\r\nx-a: 1\r\nb: 2\r\n'],
    [new Fields(['x-a', '1', 'b', '3']), 'Host: a\r\nx-a: 1\r\nb: 3\r\n'],
    [
      [
        ['x-a', '1'],
        ['B', '3'],
      ],
      'Host: a\r\nx-a: 1\r\nB: 3\r\n',
    ],
    [
      [
        ['x-a', '1'],
        ['Host', 'z'],
      ],
      'Host: z\r\nx-a: 1\r\n',
    ],
    [
      [
        ['Host', 'z'],
        ['x-a', '1'],
      ],
      'Host: z\r\nx-a: 1\r\n',
    ],
    [
      [
        ['host', 'y'],
        ['x-a', '1'],
      ],
      'host: y\r\nx-a: 1\r\n',
    ],
    [[], 'Host: a\r\n'],
  ]
  for (const [headers, fields] of [...given, ...[...given].reverse()]) {
    const machine = make('client')
    machine.sendRequest({ ...GET, headers }, { end: true })
    expect(written(machine)).toBe(`GET / HTTP/1.1\r\n${fields}\r\n`)
    refuses(
      machine,
      () =>
        make('client').sendRequest({
          ...GET,
          headers: [
            ['x-a', '1'],
            ['b', '\n'],
          ],
        }),
      'field-value',
    )
  }
})
it('whatever fields follow one another, each request has its own', () => {
  const names = ['a', 'A', 'x-long-name']
  const values = ['1', '2', '', 'x'.repeat(100)]
  let turn = 1
  const next = (n: number): number => (turn = (turn * 48_271) % 2_147_483_647) % n
  // More than fit into one slab, so that what is copied has to come from the one before.
  for (let i = 0; i < 3000; i++) {
    const headers: [string, string][] = []
    for (let left = next(5); left > 0; left--) headers.push([names[next(3)] as string, values[next(4)] as string])
    if (next(10) === 0) {
      expect(() => make('client').sendRequest({ ...GET, headers: [...headers, ['a', '\n']] })).toThrow(/field/)
    }
    const machine = make('client')
    const authority = `h${next(2)}`
    machine.sendRequest({ ...GET, authority, headers }, { end: true })
    const lines = [['Host', authority], ...headers].map(([name, value]) => `${name}: ${value}\r\n`)
    expect(written(machine)).toBe(`GET / HTTP/1.1\r\n${lines.join('')}\r\n`)
  }
})

it('a client switches when its request has ended, too', () => {
  const machine = make('client')
  machine.sendRequest({ ...POST, headers: [['Upgrade', 'x']], content: { length: 1 } })
  expect(hear(machine, 'HTTP/1.1 101 Go\r\nUpgrade: x\r\n\r\nleading')).toEqual(['response'])
  machine.sendData(1, bytes('a'), true)
  expect(hear(machine, '')).toEqual(['switched'])
})
it('an answer in the moment of the last request is told with the end, in order', () => {
  const machine = make('server')
  machine.receiveData(bytes('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'), 0)
  expect(machine.nextEvent()).toMatchObject({ type: 'request' })
  machine.sendResponse(1, { status: 299, headers: { upgrade: 'x' } }, { end: true })
  expect(events(machine).map(({ type }) => type)).toEqual(['draining', 'closed'])
  expect(written(machine)).toBe(
    'HTTP/1.1 299 \r\nupgrade: x\r\nContent-Length: 0\r\nConnection: close, Upgrade\r\n\r\n',
  )
})
it('fields that came are sent on as they are', () => {
  const server = make('server')
  const client = make('client')
  client.sendRequest({ ...GET, headers: new Fields(['a', 'b']) }, { end: true })
  for (const chunk of client.takeOutput()) server.receiveData(chunk, 0)
  expect(server.nextEvent()).toMatchObject({
    type: 'request',
    headers: Fields.from([
      ['Host', 'a'],
      ['a', 'b'],
    ]),
  })
})
it('a head larger than what most need is read whole, and in pieces', () => {
  const head = `HTTP/1.1 200 OK\r\n${Array.from({ length: 60 }, (_, i) => `X-${i}: ${'v'.repeat(500)}\r\n`).join('')}\r\n`
  for (const size of [head.length, 1_000, 1]) {
    const machine = asking()
    const told: string[] = []
    for (let from = 0; from < head.length; from += size) told.push(...hear(machine, head.slice(from, from + size)))
    expect(told).toEqual(['response', 'draining'])
  }
})
test.each([
  ['method', `${'M'.repeat(40)} / HTTP/1.1`],
  ['target', `GET /${'t'.repeat(40)} HTTP/1.1`],
  ['version', `GET /${'t'.repeat(21)} HTTP/1.1`],
])('a request-line is too long by its %s', (_, line) => {
  const machine = make('server', { limits: { maxRequestLineBytes: 32 } })
  machine.receiveData(bytes(`${line}\r\n\r\n`), 0)
  expect(machine.nextEvent()).toMatchObject({ type: 'error', fault: { code: 'limit-request-line', status: 414 } })
})
it('output leaves in pieces of any size', () => {
  const machine = make('client')
  machine.sendRequest({ ...POST, content: { length: 4_000 } })
  for (const char of 'ab') machine.sendData(1, bytes(char.repeat(2_000)))
  const pieces: string[] = []
  for (const most of [30, 2_500, 10_000])
    pieces.push(
      machine
        .takeOutput(most)
        .map((chunk) => Buffer.from(chunk).toString('latin1'))
        .join(''),
    )
  expect(pieces.map(({ length }) => length)).toEqual([30, 2_500, expect.any(Number)])
  expect(pieces.join('')).toBe(
    `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000\r\n\r\n${'a'.repeat(2_000)}${'b'.repeat(2_000)}`,
  )
})

test.each([-1, NaN, 0.5])('%d bytes of output are none', (most) => {
  const machine = make('client')
  machine.sendRequest(GET, { end: true })
  const waiting = machine.outputBytes
  expect(machine.takeOutput(most)).toEqual([])
  expect(machine.outputBytes).toBe(waiting)
})

describe('a harness', () => {
  const free = { validateOutbound: false } as const
  it('writes what it likes in place of a request', () => {
    const machine = make('client', free)
    machine.sendRequest({
      method: 'G T',
      target: ' ',
      headers: [
        ['a b', 'c\r\nd'],
        ['Content-Length', '7'],
      ],
    })
    expect(written(machine)).toBe('G T   HTTP/1.1\r\na b: c\r\nd\r\nContent-Length: 7\r\n\r\n')
    machine.sendData(1, bytes('more than seven'))
    machine.end(1)
    expect(written(machine)).toBe('more than seven')
  })
  test.each<[string, readonly (readonly [string, string])[], string]>([
    ['chunked', [['Transfer-Encoding', 'gzip']], '1\r\nx\r\n0\r\nHost: y\r\n\r\n'],
    ['a length', [['Content-Length', '1']], 'x'],
  ])('frames by %s where its fields say so', (_, headers, content) => {
    const machine = make('client', free)
    machine.sendRequest({ ...POST, headers })
    machine.takeOutput()
    machine.sendData(1, bytes('x'))
    machine.end(1, content.endsWith('x') ? undefined : [['Host', 'y']])
    expect(written(machine)).toBe(content)
  })
  it('has no content where its length is no number', () => {
    const machine = make('client', free)
    machine.sendRequest({ ...POST, headers: [['Content-Length', 'x']] }, { end: true })
    expect(written(machine)).toBe('POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n')
  })
  it('ends with its head what it says has content', () => {
    const headers = [['Content-Length', '5']] as const
    const client = make('client', free)
    client.sendRequest({ ...POST, headers }, { end: true })
    expect(written(client)).toBe('POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n')
    const server = asked(undefined, free)
    server.sendResponse(1, { status: 200, headers }, { end: true })
    expect(written(server)).toBe('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n')
  })
  it('answers as it likes', () => {
    const machine = asked('GET / HTTP/1.0\r\n\r\n', free)
    machine.sendInformational(1, 103, [['Content-Length', '1']])
    machine.sendResponse(
      1,
      { status: 204, reasonPhrase: 'a\r\nb', headers: [['Transfer-Encoding', 'chunked']] },
      { end: true },
    )
    expect(written(machine)).toBe(
      'HTTP/1.1 103 Early Hints\r\nContent-Length: 1\r\n\r\nHTTP/1.1 204 a\r\nb\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    )
  })
  it('cannot write what is no byte', () => {
    const machine = make('client', free)
    refuses(machine, (client) => client.sendRequest({ ...GET, target: '/\u0100' }), 'field-value')
  })
  it('writes raw bytes while the connection lives', () => {
    const machine = make('client')
    machine.sendRaw(bytes('a'))
    machine.sendRequest(GET, { end: true })
    machine.sendRaw(bytes('b'))
    machine.cancel(1)
    expect(written(machine)).toBe('a')
    machine.abort()
    refuses(machine, (client) => client.sendRaw(bytes('c')), 'closed')
  })
  it('is told of chunks when it asks', () => {
    const machine = asking(GET, { chunkDetails: true })
    machine.receiveData(bytes('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\nx\r\n0;c\r\n\r\n'), 0)
    expect(events(machine).filter(({ type }) => type === 'chunk')).toEqual([
      { type: 'chunk', exchange: 1, size: 1, extensions: ';a=b' },
      { type: 'chunk', exchange: 1, size: 0, extensions: ';c' },
    ])
  })
})

it('a snapshot shows state, and no secret', () => {
  const machine = make('client')
  machine.sendRequest(
    {
      ...GET,
      headers: [
        ['Authorization', 'Basic abc'],
        ['a', 'b'],
      ],
    },
    { end: true },
  )
  expect(machine.snapshot()).toMatchObject({
    life: 'open',
    running: true,
    requestHeaders: [
      ['authorization', '(redacted)'],
      ['a', 'b'],
    ],
    held: { input: 0, section: 0 },
  })
  expect(JSON.stringify(machine.snapshot())).not.toContain('abc')
})

it('has no timers, and no window', () => {
  const machine = asking()
  machine.handleTimeout(1e9)
  expect([machine.nextTimeout(), machine.sendWindow(1), machine.active]).toEqual([undefined, Infinity, 1])
})

it('a refusal says which rule', () => {
  try {
    make('client').sendRequest({ ...GET, authority: undefined })
    expect.unreachable()
  } catch (error) {
    expect(error).toBeInstanceOf(LocalProtocolError)
    expect((error as Error).message).toContain('Host')
  }
})

test.each([
  ['userinfo in a target', 'GET http://me:hunter2@a/ HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['userinfo in a broken request-line', 'GET http://me:hunter2@a/ HTTP/1.1 \r\n\r\n'],
  ['a value that holds a bare CR', 'GET / HTTP/1.1\r\nCookie: hunter2\r \r\n\r\n'],
  ['a value that ends with a bare LF', 'GET / HTTP/1.1\r\nCookie: hunter2\n\r\n'],
])('a fault does not show %s', (_, text) => {
  const machine = make('server')
  machine.receiveData(bytes(text), 0)
  expect(JSON.stringify(events(machine))).toMatch(/^(?!.*hunter2).*"message"/)
})
it('a fault of a line end names the field, and shows nothing of a line that continues another', () => {
  const told = ['Cookie: hunter2\n', 'Cookie: a\r\n hunter2\r '].map((line) => {
    const machine = asking()
    machine.receiveData(bytes(`HTTP/1.1 200 OK\r\n${line}`), 0)
    return events(machine).flatMap((event) => (event.type === 'error' ? event.fault.message : []))
  })
  expect(told).toEqual([['a line ends with a bare LF: "Cookie"'], ['a CR is not followed by LF: ""']])
})
describe('a fault shows what broke the rule', () => {
  const chunked = 'Transfer-Encoding: chunked\r\n\r\n'
  test.each([
    ['GET / HTTP/2.0\r\n', '"GET / HTTP/2.0"'],
    ['GET / HTTP/1.1\r\nHost: a b\r\n\r\n', '"a b"'],
    ['GET / HTTP/1.1\r\nHost: me:hunter2@a\r\n\r\n', '…"@a"'],
    ['GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n', '"tea"'],
    ['GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n', '"5, 6"'],
    ['GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +\xe9\r\n\r\n', '"+\\xe9"'],
    ['GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n', '"gzip, chunked"'],
    [`GET / HTTP/1.1\r\nHost: a\r\n${chunked}5x`, 'byte 0x78'],
    [`GET / HTTP/1.1\r\nHost: a\r\n${chunked}5;=`, 'byte 0x3d'],
    [`GET / HTTP/1.1\r\nHost: a\r\n${chunked}1\r\na\0`, 'byte 0x00'],
  ])('%j', (text, shown) => {
    for (const size of [text.length, 1]) {
      const machine = make('server')
      const told: string[] = []
      for (let at = 0; at < text.length; at += size) {
        machine.receiveData(bytes(text.slice(at, at + size)), 0)
        for (const event of events(machine)) if (event.type === 'error') told.push(event.fault.message)
      }
      expect(told).toEqual([expect.stringMatching(/: ./)])
      expect(told[0]?.endsWith(`: ${shown}`)).toBe(true)
    }
  })
  it('a byte that belongs to no response', () => {
    const machine = make('client')
    machine.receiveData(bytes('HTTP'), 0)
    expect(events(machine)).toMatchObject([
      { type: 'error', fault: { message: expect.stringMatching(/: byte 0x48$/) } },
    ])
  })
})
it('a refusal does not show userinfo', () => {
  const send = (head: Partial<RequestHead>) => () => make('client').sendRequest({ ...GET, ...head })
  expect(send({ target: 'http://me:hunter2@a/' })).toThrow(/^(?!.*hunter2)/)
  expect(send({ authority: 'me:hunter2@a' })).toThrow(/^(?!.*hunter2)/)
})

it('what was handed over for each of several answers is unsent until it was taken', () => {
  const machine = asked('GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(3))
  const unsent = (): boolean[] => [1, 2, 3].map((id) => machine.unsent(id) > 0)
  const answer = (id: number): number => {
    const before = machine.outputBytes
    machine.sendResponse(id, { status: 204, headers: [] }, { end: true })
    return machine.outputBytes - before
  }
  const first = answer(1)
  machine.nextExchange()
  events(machine)
  expect(unsent()).toEqual([true, false, false])
  const second = answer(2)
  machine.nextExchange()
  events(machine)
  expect(unsent()).toEqual([true, true, false])
  machine.takeOutput(first - 1)
  expect([unsent(), machine.taken]).toEqual([[true, true, false], [1]])
  machine.takeOutput(1)
  expect([unsent(), machine.taken]).toEqual([[false, true, false], [1]])
  const third = answer(3)
  machine.takeOutput(second)
  expect([unsent(), machine.taken]).toEqual([[false, false, true], [2]])
  machine.takeOutput(third)
  expect([unsent(), machine.taken]).toEqual([[false, false, false], [3]])
  const cancelling = asked('GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(2))
  cancelling.sendResponse(1, { status: 204, headers: [] }, { end: true })
  cancelling.nextExchange()
  events(cancelling)
  cancelling.sendInformational(2, 103)
  cancelling.cancel(2)
  expect([cancelling.unsent(1) > 0, cancelling.unsent(2)]).toEqual([true, 0])
  const raw = make('client')
  raw.sendRaw(bytes('\r\n'))
  raw.sendRequest(GET, { end: true })
  raw.takeOutput()
  expect(raw.taken).toEqual([1])
})

it('C12: answers that nobody took leave at a cost linear in them, and each is told when it does', () => {
  const machine = make('server')
  const answers = 40_000
  for (let i = 0; i < answers; i++) {
    hear(machine, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    machine.sendResponse(i + 1, { status: 204, headers: [] }, { end: true })
    machine.nextExchange()
  }
  const size = machine.outputBytes / answers
  expect([1, 2, answers].map((id) => machine.unsent(id))).toEqual([size, size, size])
  const before = performance.now()
  const told: number[] = []
  while (machine.outputBytes > 0) {
    machine.takeOutput(2 * size)
    told.push(...machine.taken)
  }
  expect(performance.now() - before).toBeLessThan(1_000)
  expect(told).toEqual(Array.from({ length: answers }, (_, i) => i + 1))
})

describe('a ledger', () => {
  it('counts the octets of its own exchange, both ways', () => {
    const machine = make('client')
    const ledger = { bytesSent: 0, bytesReceived: 0 }
    machine.sendRequest(GET, { end: true, ledger })
    expect(ledger).toEqual({ bytesSent: 0, bytesReceived: 0 })
    const sent = machine.takeOutput().reduce((sum, chunk) => sum + chunk.length, 0)
    const head = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n'
    hear(machine, head)
    hear(machine, 'ok')
    expect(ledger).toEqual({ bytesSent: sent, bytesReceived: head.length + 2 })
  })
  it('counts nothing of a request before it that had not left when its response was over', () => {
    const machine = make('client')
    machine.sendRequest(GET, { end: true })
    const size = machine.outputBytes
    hear(machine, 'HTTP/1.1 204 No Content\r\n\r\n')
    const ledger = { bytesSent: 0, bytesReceived: 0 }
    machine.sendRequest(GET, { end: true, ledger })
    const counted = [size - 1, 1, 2, size].map((n) => {
      machine.takeOutput(n)
      return ledger.bytesSent
    })
    expect(counted).toEqual([0, 0, 2, size])
  })
  it('counts nothing of what a harness sent before it', () => {
    const machine = make('client')
    const ledger = { bytesSent: 0, bytesReceived: 0 }
    machine.sendRaw(bytes('raw'))
    machine.sendRequest(GET, { end: true, ledger })
    machine.takeOutput(3)
    expect([machine.taken, ledger.bytesSent]).toEqual([[], 0])
    const size = machine.outputBytes
    machine.takeOutput()
    expect([machine.taken, ledger.bytesSent]).toEqual([[1], size])
  })
  it('is done when its exchange is', () => {
    const machine = make('client')
    const ledger = { bytesSent: 0, bytesReceived: 0 }
    const first = machine.sendRequest(GET, { end: true, ledger })
    expect(machine.unsent(first)).toBe(machine.outputBytes)
    machine.takeOutput()
    hear(machine, 'HTTP/1.1 204 No Content\r\n\r\n')
    const before = { ...ledger }
    const second = machine.sendRequest(GET, { end: true })
    expect(machine.unsent(second)).toBeGreaterThan(0)
    expect(machine.unsent(first)).toBe(0)
    machine.takeOutput()
    expect(ledger).toEqual(before)
  })
})

// What reading and writing takes goes from a connection that rests to the next one that has something to do.
describe('connections that take turns', () => {
  const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx'
  const offset = (machine: H11Connection): unknown =>
    (machine.snapshot() as { reading: { offset: number } }).reading.offset
  const turn = (machine: H11Connection, head = GET): void => {
    machine.sendRequest(head, { end: true })
    machine.takeOutput()
    hear(machine, ANSWER)
  }

  it('count their own bytes', () => {
    const [one, other] = [make('client'), make('client')]
    turn(one)
    turn(other)
    turn(one)
    expect([offset(one), offset(other)]).toEqual([2 * ANSWER.length, ANSWER.length])
    one.receiveData(bytes('surplus'), 0)
    expect(events(one)).toMatchObject([{ type: 'error', fault: { code: 'surplus-bytes', offset: 2 * ANSWER.length } }])
  })

  it('leave nothing of an exchange to the next', () => {
    const [one, fresh] = [make('client'), make('client')]
    const untouched = JSON.stringify(fresh.snapshot())
    const ledger = { bytesSent: 0, bytesReceived: 0 }
    one.sendRequest(
      {
        ...GET,
        headers: [
          ['Upgrade', 'h2c'],
          ['Connection', 'Upgrade'],
        ],
      },
      { end: true, ledger },
    )
    one.takeOutput()
    hear(one, ANSWER)
    const counted = { ...ledger }
    expect(JSON.stringify(fresh.snapshot())).toBe(untouched)
    fresh.sendRequest(GET, { end: true })
    expect(fresh.taken).toEqual([])
    fresh.takeOutput()
    expect(hear(fresh, 'HTTP/1.1 101 Switching Protocols\r\n\r\n')).toEqual(['failed', 'error'])
    expect(ledger).toEqual(counted)
  })

  it('do not share while one has an exchange, or bytes that wait', () => {
    const [one, other, third] = [make('client'), make('client'), make('client')]
    one.sendRequest(GET, { end: true })
    other.sendRequest({ ...GET, target: '/other' }, { end: true })
    third.sendRaw(bytes('raw'))
    expect([one, other, third].map(written)).toEqual([
      'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
      'GET /other HTTP/1.1\r\nHost: a\r\n\r\n',
      'raw',
    ])
    hear(one, ANSWER.slice(0, 20))
    hear(other, ANSWER)
    expect(hear(one, ANSWER.slice(20))).toEqual(['response', 'data', 'end'])
  })

  it('a response that is over before its request was taken leaves the request', () => {
    const [one, other] = [make('client'), make('client')]
    one.sendRequest(GET, { end: true })
    hear(one, ANSWER)
    turn(other)
    expect(written(one)).toBe('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  })

  it('many at once come to rest, and all of them work again', () => {
    const machines = Array.from({ length: 40 }, () => make('client'))
    for (let round = 0; round < 2; round++) {
      for (const machine of machines) machine.sendRequest(GET, { end: true })
      expect(new Set(machines.map(written))).toEqual(new Set(['GET / HTTP/1.1\r\nHost: a\r\n\r\n']))
      for (const machine of machines) expect(hear(machine, ANSWER)).toEqual(['response', 'data', 'end'])
    }
  })

  it('a request that was answered amid its trailers leaves none of their names', () => {
    const one = asked(
      'POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: 1\r\nY: 2\r\nHost: 3\r\nZ',
    )
    one.sendResponse(1, { status: 200, headers: [], content: { length: 1 } })
    one.sendData(1, bytes('a'))
    one.takeOutput()
    one.end(1)
    const other = make('server')
    other.receiveData(bytes('GET / HTTP/1.1\r\nX: 1\r\nY: 2\r\nHost: a\r\n\r\n'), 0)
    const [request] = events(other)
    expect((request as { headers: Fields }).headers.rawPairs().map(([name]) => name)).toEqual(['X', 'Y', 'Host'])
  })

  it('a request that vanishes leaves nothing', () => {
    const machine = make('client')
    const before = JSON.stringify(machine.snapshot())
    machine.cancel(machine.sendRequest(GET, { end: true }))
    expect(JSON.stringify({ ...(machine.snapshot() as object), exchange: 0 })).toBe(before)
    expect([machine.capacity, machine.outputBytes]).toEqual([1, 0])
  })
})
