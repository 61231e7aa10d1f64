// HTTP/1.1 as a sibling: conversations from the grammar, then damaged.
import { fc } from '@fast-check/vitest'
import { H11Connection, type H11Options } from '../../src/h11/index.ts'
import { type ContentPlan, type H11Event, resolveLimits, type Role } from '../../src/http/index.ts'
import { latin1, type Machine, type Scene, type Sibling, type Step } from './connection.ts'

function bytes(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0))
}

// ── what a peer may send ──

const token = fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,11}$/)
const value = fc.stringMatching(/^[!-~\u0080-\u00ff]([ -~]{0,40}[!-~])?$/)
const field = fc.tuple(fc.tuple(fc.constant('X-'), token), value).map(([name, text]) => `${name.join('')}: ${text}\r\n`)
const fields = fc.array(field, { maxLength: 6 }).map((lines) => lines.join(''))
const text = fc.string({ maxLength: 60, unit: 'binary-ascii' })
const long = fc.string({ maxLength: 60, unit: 'binary-ascii', size: 'max' })

const chunked = fc
  .tuple(
    fc.array(
      fc.tuple(
        text.filter((s) => s !== ''),
        fc.constantFrom('', ';a', ';a=b', ' ; a="x\\"y"'),
      ),
    ),
    fields,
  )
  .map(
    ([chunks, trailers]) =>
      chunks.map(([data, ext]) => `${data.length.toString(16)}${ext}\r\n${data}\r\n`).join('') + `0\r\n${trailers}\r\n`,
  )
const content = fc.oneof(
  fc.constant('\r\n'),
  text.map((data) => `Content-Length: ${data.length}\r\n\r\n${data}`),
  chunked.map((coded) => `Transfer-Encoding: chunked\r\n\r\n${coded}`),
)
const connection = fc.constantFrom(
  '',
  '',
  '',
  'Connection: close\r\n',
  'connection: Keep-Alive, upgrade\r\nUpgrade: x\r\n',
)

const requestText = fc
  .tuple(
    fc.constantFrom('GET', 'POST', 'HEAD', 'OPTIONS', 'X-ODD'),
    fc.constantFrom('/', '/a?b', '*', 'http://h/x', '//'),
    fc.constantFrom('1.1', '1.1', '1.1', '1.0'),
    fields,
    connection,
    content,
  )
  .map(([method, target, version, lines, option, rest]) => {
    const form = target === '*' ? 'OPTIONS' : method
    return `${form} ${target} HTTP/${version}\r\nHost: a\r\n${lines}${option}${rest}`
  })
const informational = fc.constantFrom('', '', 'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n', 'HTTP/1.1 100 \r\n\r\n')
const responseText = fc
  .tuple(
    informational,
    fc.constantFrom('200 OK', '204 ', '304 x', '404 No', '101 Go', '101 Go\r\nUpgrade: x', '999 '),
    fields,
    connection,
    content,
  )
  .map(([before, status, lines, option, rest]) => `${before}HTTP/1.1 ${status}\r\n${lines}${option}${rest}`)

// ── damage ──

type Edit = readonly [at: number, remove: number, insert: string]
const edit: fc.Arbitrary<Edit> = fc.tuple(
  fc.nat(400),
  fc.nat(3),
  fc.constantFrom('', '\r', '\n', '\r\n', ' ', '\t', ':', '\0', '\x7f', '0', ',', '\r\n ', 'Content-Length: 3\r\n'),
)
function damaged(wire: string, edits: readonly Edit[]): Uint8Array {
  let result = wire
  for (const [at, remove, insert] of edits) {
    const from = at % (result.length + 1)
    result = result.slice(0, from) + insert + result.slice(from + remove)
  }
  return bytes(result)
}
const edits = fc.oneof(fc.constant([]), fc.array(edit, { maxLength: 3 }))

/** One message, whole or damaged. */
export const wires = {
  request: fc.tuple(requestText, edits).map(([wire, damage]) => damaged(wire, damage)),
  response: fc.tuple(responseText, edits).map(([wire, damage]) => damaged(wire, damage)),
} as const

// ── scenes ──

const options: fc.Arbitrary<Omit<H11Options, 'now'>> = fc.oneof(
  fc.constant({}),
  fc.record({
    limits: fc.record({
      maxHeadBytes: fc.integer({ min: 64, max: 300 }),
      maxHeaderCount: fc.integer({ min: 1, max: 6 }),
      maxRequestLineBytes: fc.integer({ min: 32, max: 64 }),
      maxChunkLineBytes: fc.integer({ min: 18, max: 24 }),
      maxChunkExtensionBytes: fc.nat(12),
      maxTrailerBytes: fc.nat(80),
      maxTrailerCount: fc.nat(4),
      maxContentLength: fc.nat(90),
      maxInformational: fc.nat(1),
    }),
    lenient: fc.record({
      bareLf: fc.boolean(),
      obsFold: fc.boolean(),
      skipInvalidFields: fc.boolean(),
      spaceBeforeColon: fc.boolean(),
      statusLineWithoutSpace: fc.boolean(),
      repeatedChunked: fc.boolean(),
      http10KeepAlive: fc.boolean(),
      missingHost: fc.boolean(),
    }),
    chunkDetails: fc.boolean(),
  }),
)

const ask: fc.Arbitrary<Step> = fc
  .constantFrom<
    readonly [string, string]
  >(['GET', '/'], ['HEAD', '/'], ['POST', '/p'], ['CONNECT', 'a:1'], ['GET', '/up'])
  .map(([method, target]) => ({
    says: `${method} ${target}`,
    act: (machine) => {
      const upgrade = target === '/up' ? [['Upgrade', 'x'] as const] : []
      machine.sendRequest({ method, target, headers: [['Host', 'a'], ...upgrade] }, { end: method !== 'POST' })
      if (method === 'POST') machine.end(1)
    },
  }))
const ending: fc.Arbitrary<Step[]> = fc.constantFrom([], [{ eof: true }], [{ eof: false }])

const clientScene: fc.Arbitrary<Scene> = fc
  .tuple(options, fc.array(fc.tuple(ask, responseText, edits), { minLength: 1, maxLength: 3 }), ending)
  .map(([given, turns, end]) => ({
    role: 'client',
    options: given,
    steps: [...turns.flatMap(([request, wire, damage]) => [request, { peer: damaged(wire, damage) }]), ...end],
  }))
const serverScene: fc.Arbitrary<Scene> = fc
  .tuple(options, fc.array(requestText, { minLength: 1, maxLength: 3 }), edits, ending)
  .map(([given, wires, damage, end]) => ({
    role: 'server',
    options: given,
    steps: [{ peer: damaged(wires.join(''), damage) }, ...end],
  }))

/** A server answers what it has read, says so where it could not read, and goes on. */
function react(machine: Machine, event: H11Event | { readonly type: string }): void {
  if (machine.role === 'client') return
  const known = event as H11Event
  if (known.type === 'request' && known.upgrade !== undefined) {
    machine.sendResponse(known.exchange, { status: 101, headers: [['Upgrade', 'x']] })
  } else if (known.type === 'end') {
    machine.sendResponse(known.exchange, { status: 200, headers: [['A', 'b']], content: 'unknown' })
    machine.sendData(known.exchange, bytes('ok'), true)
    machine.nextExchange()
  } else if (known.type === 'failed') {
    machine.sendResponse(known.exchange, { status: known.fault.status ?? 400, headers: [] }, { end: true })
  }
}

// ── mirrors ──

const plan = fc.oneof(
  fc.constant<readonly [ContentPlan, string]>(['none', '']),
  long.map((data): readonly [ContentPlan, string] => [{ length: data.length }, data]),
  long.map((data): readonly [ContentPlan, string] => ['unknown', data]),
)
const pairs = fc.array(
  fc.tuple(
    token.map((name) => `X-${name}`),
    fc.oneof(value, fc.constant('')),
  ),
  { maxLength: 5 },
)
const message = fc.record({
  headers: pairs,
  content: plan,
  trailers: pairs,
  cuts: fc.array(fc.nat(60), { maxLength: 3 }),
})

const mirror = fc
  .tuple(fc.array(fc.tuple(message, message), { minLength: 1, maxLength: 3 }), fc.nat())
  .map(([turns, seed]) => () => {
    const client = new H11Connection('client', { now: 0 })
    const server = new H11Connection('server', { now: 0 })
    const sent: unknown[] = []
    const arrived: unknown[] = []
    for (const [request, response] of turns) {
      const id = client.sendRequest({
        method: 'POST',
        target: '/',
        headers: [['Host', 'a'], ...request.headers],
        content: request.content[0],
      })
      sent.push(sendContent(client, id, request))
      arrived.push(collect(client, server, seed, 1))
      server.sendResponse(id, { status: 200, headers: response.headers, content: response.content[0] })
      sent.push(sendContent(server, id, response))
      arrived.push(collect(server, client, seed, 0))
      server.nextExchange()
    }
    return { sent, arrived }
  })

type Message = typeof message extends fc.Arbitrary<infer T> ? T : never

function sendContent(machine: H11Connection, id: number, sent: Message): unknown {
  const [kind, data] = sent.content
  let from = 0
  for (const to of [...sent.cuts.map((cut) => Math.min(cut, data.length)).sort((a, b) => a - b), data.length]) {
    if (to > from) machine.sendData(id, bytes(data.slice(from, to)))
    from = to
  }
  const trailers = kind === 'unknown' ? sent.trailers : []
  machine.end(id, trailers)
  return { headers: sent.headers, data, trailers }
}

/** Carries bytes over in pieces; answers what arrived, without the fields that the machine itself wrote. */
function collect(from: H11Connection, to: H11Connection, seed: number, skip: number): unknown {
  const arrived = { headers: [] as unknown[], data: '', trailers: [] as unknown[] }
  let size = 1 + (seed % 40)
  while (from.outputBytes > 0) {
    for (const chunk of from.takeOutput(size)) to.receiveData(chunk, 0)
    size = 1 + ((size * 7) % 40)
    for (let event = to.nextEvent(); event !== undefined; event = to.nextEvent()) {
      if (event.type === 'request' || event.type === 'response') {
        for (let i = skip; i < event.headers.length; i++) {
          if (event.headers.name(i).startsWith('x-'))
            arrived.headers.push([event.headers.rawName(i), event.headers.value(i)])
        }
      } else if (event.type === 'data') arrived.data += latin1(event.data)
      else if (event.type === 'end' && event.trailers !== undefined) {
        const { trailers } = event
        for (let i = 0; i < trailers.length; i++) arrived.trailers.push([trailers.rawName(i), trailers.value(i)])
      }
    }
  }
  return arrived
}

const GET = { method: 'GET', target: '/', headers: [['Host', 'a']] as const } as const

export const h11: Sibling = {
  name: 'HTTP/1.1',
  make: (role: Role, given: object) => new H11Connection(role, { ...given, now: 0 }),
  scenes: fc.oneof(clientScene, serverScene),
  garbage: fc.oneof(
    fc.uint8Array({ maxLength: 300, size: 'max' }),
    fc.tuple(fc.oneof(requestText, responseText), edits).map(([wire, damage]) => damaged(wire, damage)),
  ),
  react,
  request: (machine) => void machine.sendRequest(GET, { end: true }),
  verbs: [
    (machine) => void machine.sendRequest({ ...GET, headers: [['Host', 'a b']] }),
    (machine) =>
      void machine.sendRequest({
        ...GET,
        headers: [
          ['Host', 'a'],
          ['X', 'a\r\nb'],
        ],
      }),
    (machine) =>
      void machine.sendRequest({
        ...GET,
        headers: [
          ['Host', 'a'],
          ['Content-Length', '1'],
          ['Transfer-Encoding', 'chunked'],
        ],
      }),
    (machine) => void machine.sendData(7, bytes('x')),
    (machine) => void machine.sendData(1, bytes('x'.repeat(99)), true),
    (machine) => machine.end(1, [['Content-Length', '1']]),
    (machine) => machine.consume(1, 1_000_000),
    (machine) => machine.sendInformational(1, 200),
    (machine) => machine.sendResponse(1, { status: 200, headers: [['a b', 'c']] }),
    (machine) => machine.sendResponse(1, { status: 101, headers: [] }),
    (machine) => machine.cancel(99),
  ],
  readableOutput: latin1,
  resetsAfterEnd: false,
  held(machine, given) {
    const { held } = machine.snapshot() as { held: { section: number } }
    // What was delivered in one piece may wait; a partial section may not pass its limit.
    const { maxHeadBytes, maxTrailerBytes } = resolveLimits((given as H11Options).limits, machine.role)
    return { bytes: held.section, atMost: Math.max(maxHeadBytes, maxTrailerBytes) }
  },
  mirror,
}
