// HTTP/2 as a sibling: conversations with a peer, and frames that break them.
import { fc } from '@fast-check/vitest'
import { resolveLimits } from '../../src/http/index.ts'
import { H2Connection, type H2Options } from '../../src/h2/index.ts'
import { peer } from '../h2/arbitrary.ts'
import {
  concat,
  drain,
  GET_HEAD,
  parseFrames,
  POST_HEAD,
  PREFACE,
  settings,
  SETTINGS_ACK,
  toHex,
} from '../h2/support.ts'
import { type Scene, type Sibling, type Step } from './connection.ts'

const options = fc.constantFrom({}, { frameEvents: true }, { limits: { maxHeldHeaderBytes: 300, maxHeaderCount: 6 } })
const ending: fc.Arbitrary<Step[]> = fc.constantFrom([], [{ eof: true }], [{ eof: false }])
const ask: Step = {
  says: 'three requests',
  act: (machine) => {
    machine.sendRequest(GET_HEAD, { end: true })
    machine.sendRequest(POST_HEAD)
    machine.sendRequest({ ...GET_HEAD, method: 'HEAD' }, { end: true })
  },
}

const scenes: fc.Arbitrary<Scene> = fc.tuple(peer, options, ending).map(([[role, bytes], given, end]) => {
  const opening = concat([role === 'server' ? PREFACE : new Uint8Array(0), settings(), SETTINGS_ACK])
  const asked = role === 'client' ? [ask] : []
  return { role, options: given, steps: [...asked, { peer: opening }, { peer: bytes }, ...end] }
})

const pairs = fc.array(fc.tuple(fc.stringMatching(/^x-[a-z]{1,8}$/), fc.stringMatching(/^[!-~]{0,20}$/)), {
  maxLength: 4,
})
const message = fc.record({ headers: pairs, length: fc.nat(40_000), trailers: pairs })
type Message = typeof message extends fc.Arbitrary<infer T> ? T : never

const mirror = fc
  .tuple(message, message, fc.integer({ min: 1, max: 5_000 }))
  .map(([request, response, piece]) => () => {
    const client = new H2Connection('client', { now: 0 })
    const server = new H2Connection('server', { now: 0 })
    const arrived = [collector(), collector()]
    const id = client.sendRequest({ ...POST_HEAD, headers: request.headers })
    send(client, id, request)
    carry(client, server, piece, arrived[0] as Collector)
    server.sendResponse(id, { status: 200, headers: response.headers })
    send(server, id, response)
    carry(server, client, piece, arrived[1] as Collector)
    return { sent: [plain(request), plain(response)], arrived: arrived.map((one) => ({ ...one })) }
  })

interface Collector {
  headers: unknown[]
  length: number
  trailers: unknown[]
}
function collector(): Collector {
  return { headers: [], length: 0, trailers: [] }
}
function plain({ headers, length, trailers }: Message): Collector {
  return { headers, length, trailers }
}
function send(machine: H2Connection, id: number, { length, trailers }: Message): void {
  machine.sendData(id, new Uint8Array(length))
  machine.end(id, trailers)
}
function carry(from: H2Connection, to: H2Connection, piece: number, into: Collector): void {
  while (from.outputBytes > 0) {
    for (const chunk of from.takeOutput(piece)) to.receiveData(chunk.slice(), 0)
    for (const event of drain(to)) {
      if (event.type === 'request' || event.type === 'response') into.headers = [...event.headers]
      else if (event.type === 'data') {
        into.length += event.data.length
        to.consume(event.exchange, event.data.length)
      } else if (event.type === 'end') into.trailers = [...(event.trailers ?? [])]
    }
    if (from.outputBytes === 0) {
      for (const chunk of to.takeOutput()) from.receiveData(chunk.slice(), 0)
      drain(from)
    }
  }
}

/** Frames in order, WINDOW_UPDATEs of each stream summed up. */
function readableOutput(bytes: Uint8Array): unknown {
  const sums = new Map<number, number>()
  const lines: string[] = []
  for (const { type, flags, stream, payload } of parseFrames(bytes)) {
    if (type === 8) sums.set(stream, (sums.get(stream) ?? 0) + new DataView(payload.buffer).getUint32(0))
    else lines.push(`${type} ${flags} ${stream} ${toHex(payload)}`)
  }
  return [lines, [...sums].sort(([a], [b]) => a - b)]
}

/** Nothing: what we send meets the peer's bytes at another place when these are cut, and so would be judged otherwise. */
function react(): void {}

export const h2: Sibling = {
  name: 'HTTP/2',
  make: (role, given) => new H2Connection(role, { ...given, now: 0 }),
  scenes,
  garbage: fc.oneof(
    fc.uint8Array({ maxLength: 300, size: 'max' }),
    peer.map(([, bytes]) => bytes),
  ),
  react,
  request: (machine) => void machine.sendRequest(GET_HEAD, { end: true }),
  verbs: [
    (machine) => void machine.sendRequest({ ...GET_HEAD, headers: [['x', 'a\r\nb']] }),
    (machine) => void machine.sendRequest({ ...GET_HEAD, headers: [['upgrade', 'x']] }),
    (machine) => void machine.sendRequest({ ...GET_HEAD, target: 'no-slash' }),
    (machine) => void machine.sendRequest({ ...GET_HEAD, headers: [['content-length', '1']] }, { end: true }),
    (machine) => void machine.sendData(77, new Uint8Array(1)),
    (machine) => machine.end(1, [['upgrade', 'x']]),
    (machine) => machine.consume(1, 1_000_000),
    (machine) => machine.sendInformational(1, 200),
    (machine) => machine.sendResponse(1, { status: 200, headers: [['a b', 'c']] }),
    (machine) => machine.sendResponse(1, { status: 101, headers: [] }),
    (machine) => machine.cancel(99),
  ],
  readableOutput,
  held(machine, given) {
    const { held } = machine.snapshot() as { held: { headers: number } }
    const { maxHeldHeaderBytes } = resolveLimits((given as H2Options).limits, machine.role)
    return { bytes: held.headers, atMost: maxHeldHeaderBytes }
  },
  resetsAfterEnd: true,
  mirror,
}
