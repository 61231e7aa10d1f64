// A small world around one PoolMachine, stepped by hand: a clock, links that connect when they are told to, and servers
// made of our own machines in the server role. Every command is performed at once; what could happen next is a list of
// actions, so that a property, or a search, decides what does. The laws are checked after every action.
import { expect } from 'vitest'
import { H11Connection } from '../../src/h11/index.ts'
import { H2Connection } from '../../src/h2/index.ts'
import type { Connection, Origin } from '../../src/http/index.ts'
import {
  PoolMachine,
  Slots,
  type PoolCommand,
  type PoolInput,
  type PoolSettings,
  type Timeouts,
} from '../../src/pool/index.ts'

export const SETTINGS: PoolSettings = {
  maxConnections: 2,
  maxConnectionsPerOrigin: 2,
  maxIdleConnections: 2,
  maxQueuedRequests: 100,
  keepAliveExpiry: undefined,
  maxConnectionAge: undefined,
  maxRequestsPerConnection: Infinity,
  http1: true,
  http2: false,
  retries: 0,
  proxies: [],
  tls: undefined,
  localAddress: undefined,
  unixSocket: undefined,
  socketOptions: undefined,
  limits: undefined,
  http2Options: undefined,
}
const RST_STREAM = 3
/** Few, so that a connection is full now and then. */
const STREAMS = 3
const TIMEOUTS: Timeouts = { pool: 5_000, connect: 1_000, write: 2_000, read: 3_000, total: Infinity }

export interface WorldRequest {
  id: number
  readonly name: string
  readonly origin: Origin
  readonly method: string
  outcome: { readonly ok: boolean; readonly error: unknown } | undefined
  settledTimes: number
  delivered: string
  status: number
  ended: boolean
  pulls: number
  /** The connection that it runs on; 0: none. */
  link: number
}
interface WorldLink {
  readonly id: number
  readonly key: string
  server: Connection | undefined
  state: 'connecting' | 'open' | 'closing' | 'gone'
  /** Names of requests whose response is begun or owed, by exchange. */
  readonly serving: Map<number, string>
  undrained: number
  /** In order: the first has the first stream. */
  readonly assigned: WorldRequest[]
  /** Its server's SETTINGS have come: nobody may be given a stream too many. */
  limited: boolean
}
/** Something that could happen now. */
export interface Action {
  readonly name: string
  readonly act: () => void
}

/** Names of the actions that bring requests on. */
export const GOES_WELL = /^(connected|answer|drained|closed)/

export class World {
  readonly machine: PoolMachine
  readonly requests: WorldRequest[] = []
  readonly links = new Map<number, WorldLink>()
  now = 0
  closedTold = 0
  dialled = 0
  /** Names of requests that a server has seen in full, once for each time. */
  readonly executed: string[] = []
  readonly #settings: PoolSettings
  readonly #multiplexed: boolean
  readonly #ids = new Slots<WorldRequest>()
  /** Connections that the pool closed since the input, and what they carried. */
  readonly #closed: { readonly link: number; readonly carried: readonly WorldRequest[] }[] = []

  constructor(settings: Partial<PoolSettings> = {}) {
    this.#settings = { ...SETTINGS, ...settings }
    this.#multiplexed = !this.#settings.http1
    this.machine = new PoolMachine(this.#settings, { now: 0, seed: 1 })
  }

  input(input: PoolInput): void {
    this.machine.handle(input, this.now)
    this.poll()
    for (const { link, carried } of this.#closed.splice(0)) {
      for (const request of carried) {
        const own = input.type === 'cancel' ? input.id === request.id : 'link' in input && input.link === link
        const due = (input.type === 'timeout' || input.type === 'destroy') && request.outcome?.ok === false
        expect(own || due, `P3: ${request.name} lost its connection to ${input.type}`).toBe(true)
      }
    }
  }
  #carriedBy(link: number): WorldRequest[] {
    return this.requests.filter((request) => request.link === link && !request.ended)
  }
  poll(): void {
    for (let command = this.machine.poll(); command !== undefined; command = this.machine.poll()) this.#perform(command)
  }

  request(host: string, method = 'GET', timeouts: Partial<Timeouts> = {}): WorldRequest {
    const origin = { scheme: 'http', host, port: 80 }
    const request: WorldRequest = {
      id: 0,
      name: `r${this.requests.length}`,
      origin,
      method,
      outcome: undefined,
      settledTimes: 0,
      delivered: '',
      status: 0,
      ended: false,
      pulls: 0,
      link: 0,
    }
    this.requests.push(request)
    this.#ids.add(request)
    const content = method === 'POST' ? ({ length: 3 } as const) : 'none'
    this.input({
      type: 'request',
      id: request.id,
      origin,
      head: { method, scheme: 'http', authority: host, target: `/${request.name}`, headers: [] },
      content,
      replayable: true,
      timeouts: { ...TIMEOUTS, ...timeouts },
      expectContinue: false,
      trace: false,
    })
    return request
  }
  cancel(request: WorldRequest): void {
    this.input({ type: 'cancel', id: request.id, reason: 'cancelled' })
  }
  advance(to: number): void {
    this.now = Math.max(this.now, to)
    this.input({ type: 'timeout' })
  }

  #perform(command: PoolCommand): void {
    switch (command.type) {
      case 'connect': {
        const key = String(command.target.address)
        const { link: id } = command
        this.dialled++
        this.links.set(id, {
          id,
          key,
          server: undefined,
          state: 'connecting',
          serving: new Map(),
          assigned: [],
          undrained: 0,
          limited: false,
        })
        return
      }
      case 'write': {
        const link = this.links.get(command.link) as WorldLink
        expect(link.state, 'nothing is written before a link connects or after it is given up').toBe('open')
        for (const chunk of command.chunks) {
          link.undrained += chunk.byteLength
          link.server?.receiveData(chunk, this.now)
          this.#serve(link)
        }
        return
      }
      case 'assigned': {
        const link = this.links.get(command.link) as WorldLink
        const request = this.#byId(command.id)
        expect(link.state, 'P4: to a live connection').toBe('open')
        expect(link.key, 'P4: of the right key').toBe(request.origin.host)
        const before = this.requests.find((other) => other.link === link.id && other !== request)
        if (!this.#multiplexed)
          expect(before?.name, 'P2: whose seat it was has been told that it is over').toBe(undefined)
        request.link = link.id
        link.assigned.push(request)
        const room = !this.#multiplexed ? 1 : link.limited ? STREAMS : Infinity
        const { maxRequestsPerConnection } = this.#settings
        expect(link.assigned.length, 'P4: no more than it may have').toBeLessThanOrEqual(maxRequestsPerConnection)
        expect(this.#carriedBy(link.id).length, 'P4: with room').toBeLessThanOrEqual(room)
        return
      }
      case 'close':
      case 'destroy': {
        const link = this.links.get(command.link) as WorldLink
        const carried = this.#carriedBy(link.id)
        this.#closed.push({ link: link.id, carried })
        for (const request of carried) request.link = 0
        link.state = command.type === 'close' ? 'closing' : 'gone'
        return
      }
      case 'pullContent': {
        const request = this.#byId(command.id)
        request.pulls++
        this.machine.handle({ type: 'content', id: command.id, data: new Uint8Array(3) }, this.now)
        this.machine.handle({ type: 'contentEnd', id: command.id }, this.now)
        return
      }
      case 'deliver': {
        const request = this.#byId(command.id)
        const { event } = command
        expect(request.settledTimes, 'nothing is delivered after a request has settled').toBe(0)
        if (event.type === 'response') request.status = event.status
        if (event.type === 'data') {
          request.delivered += Buffer.from(event.data).toString('latin1')
          this.machine.handle({ type: 'consumed', id: command.id, bytes: event.data.byteLength }, this.now)
        }
        if (event.type === 'end') request.ended = true
        return
      }
      case 'settle': {
        const request = this.#byId(command.id)
        request.settledTimes++
        request.link = 0
        request.outcome = command.result.ok
          ? { ok: true, error: undefined }
          : { ok: false, error: command.result.error }
        this.#ids.delete(command.id)
        return
      }
      case 'closed':
        this.closedTold++
        return
      default:
        return
    }
  }
  #byId(id: number): WorldRequest {
    const request = this.#ids.get(id)
    expect(request, 'P5: a command names a request that is not over').toBeDefined()
    return request as WorldRequest
  }

  /** What the server at the other end understands. */
  #serve(link: WorldLink): void {
    const server = link.server
    if (server === undefined) return
    for (let event = server.nextEvent(); event !== undefined; event = server.nextEvent()) {
      expect(event.type, 'the client never breaks the protocol').not.toBe('error')
      if (event.type === 'request') link.serving.set(event.exchange, event.target.slice(1))
      if (event.type === 'end') this.executed.push(link.serving.get(event.exchange) as string)
      if (event.type === 'failed') link.serving.delete(event.exchange)
    }
    if (!this.#multiplexed) expect(link.serving.size, 'P2: one exchange at a time').toBeLessThanOrEqual(1)
  }
  #answer(link: WorldLink): void {
    const chunks = link.server?.takeOutput() ?? []
    if (this.#multiplexed) this.#noteRefusals(link, Buffer.concat(chunks))
    for (const chunk of chunks) {
      this.input({ type: 'received', link: link.id, data: chunk.slice() })
      if (link.state !== 'open') return
    }
  }

  /** A stream too many, opened before the limit was known, comes back. RFC 9113 §8.7. */
  #noteRefusals(link: WorldLink, frames: Buffer): void {
    for (let at = 0; at < frames.length; at += 9 + frames.readUIntBE(at, 3)) {
      const request = link.assigned[frames.readUInt32BE(at + 5) >> 1]
      if (frames[at + 3] === RST_STREAM && request?.link === link.id) request.link = 0
    }
  }

  // ── what could happen ──

  actions(): Action[] {
    const actions: Action[] = []
    for (const link of this.links.values()) this.#actionsOf(link, actions)
    for (const request of this.requests) {
      if (request.settledTimes === 0) actions.push({ name: `cancel ${request.name}`, act: () => this.cancel(request) })
    }
    const at = this.machine.nextTimeout()
    if (at !== undefined) actions.push({ name: `timeout at ${at}`, act: () => this.advance(at) })
    return actions
  }
  #actionsOf(link: WorldLink, actions: Action[]): void {
    const { id } = link
    const add = (name: string, act: () => void): void => void actions.push({ name: `${name} ${id}`, act })
    const gone = (): void => {
      link.state = 'gone'
      this.input({ type: 'closed', link: id })
      this.links.delete(id)
    }
    if (link.state === 'connecting') {
      add('connected', () => this.connect(link))
      add('refused', () => {
        this.input({ type: 'failed', link: id, error: new Error('refused'), side: 'connect' })
        gone()
      })
    } else if (link.state === 'open') {
      for (const [exchange, name] of link.serving) add(`answer ${name} on`, () => this.respond(link, exchange, name))
      if (link.undrained > 0) add('drained', () => this.#drained(link))
      add('eof', () => this.input({ type: 'eof', link: id }))
      add('reset', () => {
        this.input({ type: 'failed', link: id, error: new Error('reset'), side: 'read' })
        gone()
      })
    } else add('closed', gone)
  }
  connect(link: WorldLink): void {
    link.state = 'open'
    link.server = this.#multiplexed
      ? new H2Connection('server', { now: this.now, limits: { maxConcurrentStreams: STREAMS } })
      : new H11Connection('server', { now: this.now })
    this.input({ type: 'connected', link: link.id, info: {} })
    if (link.state === 'open' && this.#multiplexed) this.#answer(link)
    link.limited = true
  }
  respond(link: WorldLink, exchange: number, name: string): void {
    const server = link.server as Connection
    link.serving.delete(exchange)
    const content = new TextEncoder().encode(name)
    server.sendResponse(exchange, { status: 200, headers: [], content: { length: content.length } })
    server.sendData(exchange, content, true)
    if (!this.#multiplexed) server.nextExchange()
    this.#drained(link)
    if (link.state === 'open') this.#answer(link)
  }
  #drained(link: WorldLink): void {
    const bytes = link.undrained
    link.undrained = 0
    if (bytes > 0) this.input({ type: 'drained', link: link.id, bytes })
  }

  // ── the laws ──

  check(): void {
    const { maxConnections, maxConnectionsPerOrigin } = this.#settings
    const counted = [...this.links.values()].filter(({ state }) => state !== 'gone')
    expect(counted.length, 'P1: maxConnections').toBeLessThanOrEqual(maxConnections)
    const perOrigin = new Map<string, number>()
    for (const { key } of counted) perOrigin.set(key, (perOrigin.get(key) ?? 0) + 1)
    for (const count of perOrigin.values()) expect(count, 'P1: per origin').toBeLessThanOrEqual(maxConnectionsPerOrigin)

    const stats = this.machine.stats() as unknown as Stats
    const open = this.requests.filter(({ settledTimes }) => settledTimes === 0)
    expect(stats.requests, 'P5: what is not settled is held').toBe(open.length)
    for (const { settledTimes } of this.requests) expect(settledTimes, 'P5: at most once').toBeLessThanOrEqual(1)
    expect(stats.active + waiting(stats), 'P2: a request is queued or has one seat').toBe(open.length)
    this.#checkWork(stats)
    this.#checkHeld()
    for (const { name, method } of this.requests) {
      if (method !== 'POST') continue
      const times = this.executed.filter((one) => one === name).length
      expect(times, 'P8: what is not idempotent is executed once').toBeLessThanOrEqual(1)
    }

    for (const { name, delivered, outcome, status, ended } of this.requests) {
      expect(name.startsWith(delivered), `P10: ${delivered} was delivered for ${name}`).toBe(true)
      if (outcome?.ok === true) expect([delivered, status, ended]).toEqual([name, 200, true])
    }
  }
  /** P3: a stream that is over, and whose content was consumed, is held no longer. */
  #checkHeld(): void {
    if (!this.#multiplexed) return
    for (const connection of this.machine.connections()) {
      const held = connection.snapshot() as { active: number; streams: unknown[]; held: { unread: number } } | undefined
      if (held === undefined) continue
      expect(held.streams.length, 'P3: closed streams').toBe(held.active)
      expect(held.held.unread, 'P3: content that nobody will read').toBe(0)
    }
  }
  /** P6: who waits without a dial has no seat to wait for. */
  #checkWork(stats: Stats): void {
    if (stats.queued === 0) return
    const { maxConnections, maxConnectionsPerOrigin } = this.#settings
    for (const origin of Object.values(stats.origins)) {
      // Of an HTTP/2 origin nobody can tell from outside whether its connections are full.
      if (this.#multiplexed || origin.active + origin.waiting <= origin.connections) continue
      if (origin.connections >= maxConnectionsPerOrigin) continue
      expect(stats.connections, 'P6: nobody waits while there is room').toBe(maxConnections)
      expect(stats.idle, 'P6: nobody waits while a connection is idle').toBe(0)
    }
  }

  /** Everything that can go well does, until nothing is left; then the pool is closed, and must leave nothing behind. */
  finish(): void {
    for (let i = 0; i < 10_000; i++) {
      const good = this.actions().find(({ name }) => GOES_WELL.test(name))
      if (good === undefined) {
        if (this.requests.every(({ settledTimes }) => settledTimes === 1)) break
        const at = this.machine.nextTimeout()
        expect(at, 'P9: somebody waits, and nothing is due').toBeDefined()
        this.advance(at as number)
      } else good.act()
      this.check()
    }
    for (const { name, settledTimes } of this.requests) expect(settledTimes, `P5: ${name} settles`).toBe(1)
    const told = this.closedTold
    this.input({ type: 'destroy' })
    expect(this.machine.nextTimeout(), 'no deadline is left').toBeUndefined()
    expect(this.machine.connections()).toHaveLength(0)
    expect(this.closedTold, 'it says so once').toBe(told + 1)
  }
}

interface Stats {
  readonly requests: number
  readonly connections: number
  readonly idle: number
  readonly active: number
  readonly queued: number
  readonly origins: Readonly<Record<string, { connections: number; active: number; waiting: number }>>
}
function waiting({ origins }: Stats): number {
  return Object.values(origins).reduce((sum, origin) => sum + origin.waiting, 0)
}
