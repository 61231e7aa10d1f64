// A connection as the pool holds it: the scheduler's Carrier with a link, a machine and the exchanges that run on it.
//
// It is data with a few questions; what happens to it is decided in pool.ts. It does not know which version it speaks.
import type { Connection, ExchangeId, Millis } from '../http/index.ts'
import { formatOrigin, type Origin } from '../http/index.ts'
import type { LinkId, LinkInfo } from './commands.ts'
import type { Establishing } from './establish.ts'
import type { Exchange } from './exchange.ts'
import { Carrier, OriginQueue, SERVES } from './scheduler.ts'
import { Deadline } from './timers.ts'

/** An origin with everything that has to be the same for two requests to share a connection. */
export class Site extends OriginQueue {
  readonly key: string
  readonly origin: Origin
  /** In place of the host, for TLS. */
  readonly sniHostname: string | undefined
  /** Requests that have not settled, wherever they are. */
  requests = 0
  /** How many replays in a row found no end: what the backoff of its dials grows with. */
  failures = 0
  /** How long requests wait for its first dial to tell what it speaks. */
  readonly shareDeadline: Deadline<Site, 'share'> = new Deadline<Site, 'share'>(this, 'share')
  gone = false

  constructor(key: string, origin: Origin, sniHostname: string | undefined) {
    super()
    this.key = key
    this.origin = origin
    this.sniHostname = sniHostname
  }
}

/** A socket, or an attempt at one. */
export class Link {
  id: LinkId = 0
  /** Of the attempt; '' where there was none to choose. */
  readonly address: string
  /** Whose it is while it is made, and afterwards. */
  owner: Establishing | PoolConnection
  destroyed = false
  /** Bytes written while it was made that the network has not accepted yet. */
  ahead = 0

  constructor(address: string, owner: Establishing) {
    this.address = address
    this.owner = owner
  }
}

export type ConnectionTimer = 'idle' | 'age' | 'closing' | 'machine' | 'grace' | 'ping'

export class PoolConnection extends Carrier {
  readonly site: Site
  establishing: Establishing | undefined
  /** Somebody listens to what becomes of it: the request that it was dialled for was traced. */
  traced = false
  link: Link | undefined
  machine: Connection | undefined
  info: LinkInfo = {}
  httpVersion = ''
  readonly exchanges = new ExchangeTable()
  /** After a switch: the exchange whose bytes these are. */
  tunnel: Exchange | undefined
  /** Exchanges whose last byte has left the machine, in order, until the network has accepted it. */
  readonly sent: Exchange[] = []
  /** How many requests it was given. */
  requests = 0
  idleSince: Millis = 0
  lastDrained: Millis = 0
  /** Bytes given to the network since the beginning, and accepted by it. */
  written = 0
  accepted = 0
  dirty = false
  paused = false
  /** It was decided that it takes no other request. */
  retired = false
  /** How long what it sent back is not dialled for; undefined: it sent nothing back. */
  backoff: Millis | undefined
  /** It refused a stream, and has given no sign since that it would take another. */
  refusing = false
  /** The peer sends no more. */
  eof = false
  lastReceived: Millis = 0
  /** A PING of ours is not answered. */
  pinged = false
  /** How long the server's Keep-Alive can be relied on; undefined: it said nothing. */
  hint: Millis | undefined
  writeFailure: { readonly error: unknown } | undefined
  /** A close was asked for: nothing more is written. */
  closing = false
  readonly deadlines: { [timer in ConnectionTimer]?: Deadline<PoolConnection, ConnectionTimer> } = {}

  constructor(site: Site, group: number) {
    super(site, group)
    this.site = site
  }

  deadline(timer: ConnectionTimer): Deadline<PoolConnection, ConnectionTimer> {
    return (this.deadlines[timer] ??= new Deadline<PoolConnection, ConnectionTimer>(this, timer))
  }
  get multiplexed(): boolean {
    return (this.serves & SERVES.h1) === 0
  }
  /** As httpcore prints it. */
  describe(): string {
    const origin = `'${formatOrigin(this.site.origin)}'`
    if (this.phase === 'connecting') return `${origin}, CONNECTING`
    const state =
      this.phase === 'leaving' ? (this.active > 0 ? 'DRAINING' : 'CLOSING') : this.active > 0 ? 'ACTIVE' : 'IDLE'
    return `${origin}, ${this.httpVersion}, ${state}, Request Count: ${this.requests}`
  }
}

/**
 * Running exchanges by id. Ids only grow, so a ring of slots serves them: two that meet in one slot are too far apart,
 * and the elder one, which has been running for long, moves aside. (A Map of all of them costs half again at
 * concurrency 500.)
 */
export class ExchangeTable {
  // Two are what HTTP/1.1 needs; an idle connection is not to weigh more for what HTTP/2 might do.
  readonly #slots: (Exchange | undefined)[] = [undefined, undefined]
  #elder: Map<ExchangeId, Exchange> | undefined
  size = 0

  get(id: ExchangeId): Exchange | undefined {
    const exchange = this.#slots[this.#slot(id)]
    if (exchange !== undefined && exchange.attempt.onConnection === id) return exchange
    return this.#elder?.get(id)
  }
  set(exchange: Exchange): void {
    if (this.size > this.#slots.length / 2) this.#grow()
    const slot = this.#slot(exchange.attempt.onConnection)
    const there = this.#slots[slot]
    if (there !== undefined) {
      this.#elder ??= new Map()
      this.#elder.set(there.attempt.onConnection, there)
    }
    this.#slots[slot] = exchange
    this.size++
  }
  delete(exchange: Exchange): void {
    const slot = this.#slot(exchange.attempt.onConnection)
    if (this.#slots[slot] === exchange) this.#slots[slot] = undefined
    else if (this.#elder?.delete(exchange.attempt.onConnection) !== true) return
    this.size--
  }
  all(): Exchange[] {
    const all = [...(this.#elder?.values() ?? [])]
    for (const exchange of this.#slots) if (exchange !== undefined) all.push(exchange)
    return all.sort((a, b) => a.attempt.onConnection - b.attempt.onConnection)
  }
  // HTTP/2's are odd: half of the slots would stay empty.
  #slot(id: ExchangeId): number {
    return (id >> 1) & (this.#slots.length - 1)
  }
  #grow(): void {
    const all = this.all()
    this.#elder = undefined
    const length = 2 * this.#slots.length
    this.#slots.length = 0
    while (this.#slots.length < length) this.#slots.push(undefined)
    this.size = 0
    for (const exchange of all) this.set(exchange)
  }
}
