// Heads that were met before are compared instead of read. Nobody may tell: what is read whole, after whatever was read
// before it, is what the same bytes say when they come one by one, which are never compared.
import { fc, test } from '@fast-check/vitest'
import { describe, expect } from 'vitest'
import { H11Connection } from '../../src/h11/index.ts'
import { Fields, type H11Event, type Role } from '../../src/http/index.ts'

type Options = ConstructorParameters<typeof H11Connection>[1]
const ASKED = { method: 'GET', authority: 'a.example', target: '/', headers: Fields.empty }
const bytes = (text: string): Uint8Array => Uint8Array.from(text, (char) => char.charCodeAt(0))

function readBy(role: Role, text: string, size: number, options?: Partial<Options>): unknown[] {
  const connection = new H11Connection(role, { now: 0, ...options } as Options)
  if (role === 'client') connection.sendRequest(ASKED, { end: true })
  const data = bytes(text)
  const events: H11Event[] = []
  for (let i = 0; i < data.length; i += size) {
    connection.receiveData(data.subarray(i, i + size), 0)
    for (let event = connection.nextEvent(); event !== undefined; event = connection.nextEvent()) events.push(event)
  }
  return events.map(plain)
}
function plain(event: H11Event): unknown {
  if (event.type === 'error') return { type: 'error', rule: event.fault.rule, at: event.fault.offset }
  if (event.type === 'data') return { type: 'data', content: Buffer.from(event.data).toString('latin1') }
  if (!('headers' in event)) return event
  const { headers } = event
  return { ...event, headers: [...headers], raw: Array.from({ length: headers.length }, (_, i) => headers.rawName(i)) }
}
/** The same head is read three times before, so that it is known. */
const whole = (role: Role, text: string, options?: Partial<Options>): unknown[] => {
  for (let i = 0; i < 3; i++) readBy(role, text, Infinity, options)
  return readBy(role, text, Infinity, options)
}
const byteByByte = (role: Role, text: string, options?: Partial<Options>): unknown[] => readBy(role, text, 1, options)

const RESPONSE =
  'HTTP/1.1 200 Fine\r\nServer: one\r\nDate: Thu, 26 Nov 2026 15:00:00 GMT\r\nX-A:  spaced \t\r\nx-a: again\r\n' +
  'Content-Length: 0\r\nConnection: keep-alive\r\n\r\n'
const REQUEST =
  'POST /a?b HTTP/1.1\r\nHost: a.example\r\nUpgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n'

describe('a head that was met before', () => {
  test('says what it said', () => {
    expect(whole('client', RESPONSE)).toEqual(byteByByte('client', RESPONSE))
    expect(whole('server', REQUEST)).toEqual(byteByByte('server', REQUEST))
    const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'
    expect(whole('client', chunked)).toEqual(byteByByte('client', chunked))
    const folded = 'HTTP/1.1 200 OK\r\nX-A: one\r\n two\r\nContent-Length: 0\r\n\r\n'
    expect(whole('client', folded)).toEqual(byteByByte('client', folded))
  })

  test('with any one byte changed is another head', () => {
    for (const [role, head] of [
      ['client', RESPONSE],
      ['server', REQUEST],
    ] as const) {
      for (let i = 0; i < head.length; i++) {
        for (const other of ['x', '\x7f', '\n']) {
          const changed = head.slice(0, i) + other + head.slice(i + 1)
          readBy(role, head, Infinity)
          expect(readBy(role, changed, Infinity), `byte ${i}`).toEqual(byteByByte(role, changed))
          expect(readBy(role, head, Infinity), `after byte ${i}`).toEqual(byteByByte(role, head))
        }
      }
    }
  })

  test('is read again where other rules or limits hold', () => {
    const bare = 'HTTP/1.1 200 OK\nContent-Length: 0\n\n'
    expect(whole('client', bare, { lenient: { bareLf: true } })).toMatchObject([{ type: 'response' }, { type: 'end' }])
    expect(readBy('client', bare, Infinity)).toMatchObject([{ type: 'failed' }, { type: 'error' }])
    whole('client', RESPONSE)
    expect(readBy('client', RESPONSE, Infinity, { limits: { maxHeadBytes: 100 } })).toMatchObject([
      { type: 'failed' },
      { type: 'error' },
    ])
    expect(readBy('client', RESPONSE, Infinity, { limits: { maxHeaderCount: 3 } })).toMatchObject([
      { type: 'failed' },
      { type: 'error' },
    ])
  })

  test('counts against what informational heads have left', () => {
    const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'
    const limits = { maxHeadBytes: RESPONSE.length + hints.length - 1 }
    expect(whole('client', RESPONSE, { limits })).toMatchObject([{ type: 'response' }, { type: 'end' }])
    expect(whole('client', hints + RESPONSE, { limits })).toEqual(byteByByte('client', hints + RESPONSE, { limits }))
  })

  test('is nobody’s to write to, where it began a message that ended amid its trailers', () => {
    const post = (path: string): string =>
      `POST /${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n`
    // However often its place was kept by another.
    for (let i = 0; i < 65; i++) readBy('server', post('one'), Infinity)
    const server = new H11Connection('server', { now: 0 })
    for (const text of [post('one'), '0\r\nX-A: 1']) {
      server.receiveData(bytes(text), 0)
      while (server.nextEvent() !== undefined);
    }
    server.sendResponse(1, { status: 200, headers: [] }, { end: true })
    expect(readBy('server', post('two'), 30)).toMatchObject([{ target: '/two' }, { type: 'draining' }])
    expect(readBy('server', post('two'), Infinity)).toMatchObject([{ target: '/two' }, { type: 'draining' }])
  })

  test.prop(
    [fc.array(head(), { minLength: 1, maxLength: 3 }), fc.array(fc.nat({ max: 2 }), { maxLength: 90, size: 'max' })],
    {
      numRuns: 60,
    },
  )('with whatever came before, and however long', (heads, order) => {
    for (const i of order) {
      const text = heads[i % heads.length] as string
      expect(readBy('client', text, Infinity)).toEqual(byteByByte('client', text))
    }
  })
})

function head(): fc.Arbitrary<string> {
  const value = fc.constantFrom('a', 'b', 'long '.repeat(30) + 'value', 'x'.repeat(1100))
  const line = fc
    .tuple(fc.constantFrom('Server', 'server', 'Date', 'ETag', 'Connection'), value)
    .map(([name, text]) => `${name}: ${text}\r\n`)
  const lines = fc.array(line, { maxLength: 5 }).map((several) => several.join(''))
  return fc
    .tuple(fc.constantFrom('OK', 'Fine', ''), lines)
    .map(([reason, fields]) => `HTTP/1.1 200 ${reason}\r\n${fields}Content-Length: 1\r\n\r\na`)
}
