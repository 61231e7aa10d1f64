// A client machine against a server machine, with the bytes between them cut at random: what one sends the other
// receives (law C9), whatever happens in between; at the end nothing is left over on either side.
import { fc, test } from '@fast-check/vitest'
import { describe, expect } from 'vitest'
import type { H2Event } from '../../src/http/index.ts'
import { H2Connection } from '../../src/h2/index.ts'
import { concat, drain, GET_HEAD } from './support.ts'

type Action =
  | { readonly do: 'request'; readonly length: number; readonly trailers: boolean; readonly urgency: number }
  | {
      readonly do: 'respond'
      readonly which: number
      readonly length: number
      readonly trailers: boolean
      readonly hints: number
    }
  | { readonly do: 'cancel'; readonly side: 'client' | 'server'; readonly which: number }
  | { readonly do: 'carry'; readonly from: 'client' | 'server'; readonly most: number }
  | { readonly do: 'settings'; readonly side: 'client' | 'server'; readonly window: number }
  | { readonly do: 'ping'; readonly side: 'client' | 'server' }

const side = fc.constantFrom('client' as const, 'server' as const)
const length = fc.oneof(fc.constant(0), fc.nat(200), fc.nat(100_000))
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('request' as const), length, trailers: fc.boolean(), urgency: fc.nat(7) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('respond' as const),
      which: fc.nat(9),
      length,
      trailers: fc.boolean(),
      hints: fc.nat(2),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cancel' as const), side, which: fc.nat(9) }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('carry' as const), from: side, most: fc.oneof(fc.nat(64), fc.nat(20_000)) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('settings' as const), side, window: fc.nat(100_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('ping' as const), side }) },
)

/** Content that tells its stream and its place, so that a mix-up is seen. */
function content(id: number, n: number): Uint8Array {
  const bytes = new Uint8Array(n)
  for (let i = 0; i < n; i++) bytes[i] = id * 31 + i * 7
  return bytes
}

/** What one side was to receive of one message. */
interface Expected {
  readonly content: Uint8Array
  readonly trailers: boolean
}
interface Received {
  head: boolean
  chunks: Uint8Array[]
  informational: number
  trailers: boolean
  ended: boolean
  failed: boolean
}

class Side {
  readonly machine: H2Connection
  readonly received = new Map<number, Received>()
  /** Content that was not accepted yet, with what follows it. */
  readonly unsent = new Map<number, { rest: Uint8Array; trailers: boolean }>()
  readonly cancelled = new Set<number>()
  readonly wire: Uint8Array[] = []

  constructor(machine: H2Connection) {
    this.machine = machine
  }

  start(id: number, bytes: Uint8Array, trailers: boolean): void {
    this.unsent.set(id, { rest: bytes, trailers })
    this.send(id)
  }

  /** As the contract has it: chunks until false, then wait for 'writable'. */
  send(id: number): void {
    const waiting = this.unsent.get(id)
    if (waiting === undefined) return
    while (waiting.rest.length > 0) {
      const chunk = waiting.rest.subarray(0, 30_000)
      waiting.rest = waiting.rest.subarray(chunk.length)
      if (!this.machine.sendData(id, chunk)) return
    }
    this.unsent.delete(id)
    this.machine.end(id, waiting.trailers ? { 'x-sum': '1' } : undefined)
  }

  on(event: H2Event): void {
    if (event.type === 'error') throw new Error(JSON.stringify(event.fault))
    if (!('exchange' in event)) return
    const id = event.exchange
    expect(this.cancelled).not.toContain(id)
    if (event.type === 'writable') return this.send(id)
    const so = this.received.get(id) ?? {
      head: false,
      chunks: [],
      informational: 0,
      trailers: false,
      ended: false,
      failed: false,
    }
    this.received.set(id, so)
    // Law C3.
    expect(so.ended && this.machine.role === 'client').toBe(false)
    expect(so.failed).toBe(false)
    if (event.type === 'informational') {
      expect(so.head).toBe(false)
      so.informational++
    } else if (event.type === 'request' || event.type === 'response') {
      expect(so.head).toBe(false)
      so.head = true
    } else if (event.type === 'data') {
      expect(so.head && !so.ended).toBe(true)
      so.chunks.push(event.data.slice())
      this.machine.consume(id, event.data.length)
    } else if (event.type === 'end') {
      so.ended = true
      so.trailers = event.trailers !== undefined
    } else if (event.type === 'failed') {
      so.failed = true
      this.unsent.delete(id)
    }
  }

  take(): void {
    this.wire.push(...this.machine.takeOutput())
    for (const event of drain(this.machine)) this.on(event)
  }
}

/** Takes chunks of at most that many bytes together. */
function first(chunks: Uint8Array[], most: number): Uint8Array[] {
  const taken: Uint8Array[] = []
  for (let left = most; left > 0 && chunks.length > 0; ) {
    const chunk = chunks.shift() as Uint8Array
    taken.push(chunk.subarray(0, left))
    if (chunk.length > left) chunks.unshift(chunk.subarray(left))
    left -= Math.min(left, chunk.length)
  }
  return taken
}

/** How many bytes moved. */
function carry(from: Side, to: Side, most: number): number {
  from.take()
  const lent = concat(first(from.wire, most))
  to.machine.receiveData(lent, 0)
  for (const event of drain(to.machine)) to.on(event)
  // Law C13: what was lent is gone.
  lent.fill(0xee)
  return lent.length
}

describe('mirror', () => {
  test.prop([fc.array(action, { maxLength: 60, size: 'max' })], { numRuns: 150 })(
    'laws C3, C5, C9, C13: what is sent is received',
    (actions) => {
      const client = new Side(
        new H2Connection('client', { now: 0, limits: { streamWindow: 70_000, connectionWindow: 200_000 } }),
      )
      const server = new Side(
        new H2Connection('server', { now: 0, limits: { streamWindow: 40_000, connectionWindow: 100_000 } }),
      )
      const requests = new Map<number, Expected>()
      const responses = new Map<number, Expected & { readonly hints: number }>()
      for (const one of actions) act(one, client, server, requests, responses)
      for (let i = 0, moved = 1; moved > 0 && i < 1000; i++) {
        moved = carry(client, server, 1 << 24) + carry(server, client, 1 << 24)
        for (const id of server.received.keys()) {
          if (!responses.has(id) && server.received.get(id)?.failed === false && !server.cancelled.has(id)) {
            respond(server, id, 5, false, 0, responses)
            moved++
          }
        }
      }
      const gone = (id: number): boolean => client.cancelled.has(id) || server.cancelled.has(id)
      for (const [id, sent] of requests) if (!gone(id)) expectReceived(server.received.get(id), sent)
      for (const [id, sent] of responses) {
        if (gone(id)) continue
        expectReceived(client.received.get(id), sent)
        expect(client.received.get(id)?.informational).toBe(sent.hints)
      }
      for (const { machine } of [client, server]) {
        expect(machine.active).toBe(0)
        expect(machine.outputBytes).toBe(0)
        const { held } = machine.snapshot() as { held: Record<string, number> }
        expect(held).toMatchObject({ unread: 0, overhead: 0, headers: 0 })
      }
      // I8: nothing of the windows was lost: what one may send and what the other allows are the same.
      const windows = [client, server].map(
        ({ machine }) => (machine.snapshot() as { windows: { send: number; receive: number } }).windows,
      )
      expect(windows[0]?.send).toBe(windows[1]?.receive)
      expect(windows[1]?.send).toBe(windows[0]?.receive)
    },
  )
})

function act(
  one: Action,
  client: Side,
  server: Side,
  requests: Map<number, Expected>,
  responses: Map<number, Expected & { readonly hints: number }>,
): void {
  switch (one.do) {
    case 'request': {
      if (client.machine.capacity === 0) return
      const head = { ...GET_HEAD, method: 'POST', target: `/${requests.size}`, priority: { urgency: one.urgency } }
      const id = client.machine.sendRequest(head)
      requests.set(id, { content: content(id, one.length), trailers: one.trailers })
      return client.start(id, content(id, one.length), one.trailers)
    }
    case 'respond': {
      const open = [...server.received].filter(
        ([id, so]) => so.head && !so.failed && !responses.has(id) && !server.cancelled.has(id),
      )
      const picked = open[one.which % Math.max(1, open.length)]
      if (picked !== undefined) respond(server, picked[0], one.length, one.trailers, one.hints, responses)
      return
    }
    case 'cancel': {
      const sideOf = one.side === 'client' ? client : server
      const ids = one.side === 'client' ? [...requests.keys()] : [...server.received.keys()]
      const id = ids[one.which % Math.max(1, ids.length)]
      if (id === undefined) return
      sideOf.machine.cancel(id)
      sideOf.cancelled.add(id)
      return void sideOf.unsent.delete(id)
    }
    case 'carry':
      return void (one.from === 'client' ? carry(client, server, one.most) : carry(server, client, one.most))
    case 'settings':
      return (one.side === 'client' ? client : server).machine.updateSettings(
        { initialWindowSize: one.window + 1_000 },
        0,
      )
    case 'ping':
      return (one.side === 'client' ? client : server).machine.ping(new Uint8Array(8), 0)
  }
}

function respond(
  server: Side,
  id: number,
  n: number,
  trailers: boolean,
  hints: number,
  responses: Map<number, Expected & { readonly hints: number }>,
): void {
  for (let i = 0; i < hints; i++) server.machine.sendInformational(id, 103, { link: '</a>' })
  server.machine.sendResponse(id, { status: 200, headers: { 'x-id': `${id}` } })
  responses.set(id, { content: content(id + 1, n), trailers, hints })
  server.start(id, content(id + 1, n), trailers)
}

function expectReceived(so: Received | undefined, sent: Expected): void {
  expect(so?.ended).toBe(true)
  expect(Buffer.compare(concat(so?.chunks ?? []), sent.content)).toBe(0)
  expect(so?.trailers).toBe(sent.trailers)
}
