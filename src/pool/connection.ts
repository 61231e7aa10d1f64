// A connection as the pool holds it: the scheduler's Carrier with a link, a machine and the exchanges that run on it.
//
// It is data with a few questions; what happens to it is decided in lifecycle.ts. It does not know which version it speaks.
import { formatOrigin, type Connection, type ExchangeId, type Millis, type Origin } from '../http/index.ts'
import type { LinkId, LinkInfo } from './commands.ts'
import type { Establishing } from './establish.ts'
import type { Attempt, Exchange } from './exchange.ts'
import { Carrier, OriginQueue, SERVES } from './scheduler.ts'
import { Deadline, type Timers } from './timers.ts'

/** An origin with everything that has to be the same for two requests to share a connection. */
export class Site extends OriginQueue {
  readonly key: string
  readonly origin: Origin
  /** In place of the host, for TLS; never empty. */
  readonly sniHostname: string | undefined
  /** Requests that have not settled, wherever they are. */
  requests = 0
  /** How many replays in a row found no end: what the backoff of its dials grows with. */
  failures = 0
  /** How many streams its server last said that a connection may have. */
  streams = Infinity
  /** How long requests wait for its first dial to tell what it speaks. */
  readonly shareDeadline: Deadline = new Deadline(this, 'share')
  gone = false

  constructor(key: string, origin: Origin, sniHostname: string | undefined) {
    super()
    this.key = key
    this.origin = origin
    this.sniHostname = sniHostname
  }

  /** With whom TLS is, where no other name is given. */
  get serverName(): string {
    return this.sniHostname ?? this.origin.host
  }
}

/** A socket, or an attempt at one. */
export class Link {
  id: LinkId = 0
  /** Of the attempt: an IP address, or the path of a Unix socket. */
  readonly address: string
  /** Whose it is while it is made, and afterwards. */
  owner: Establishing | LiveConnection
  destroyed = false
  /** Bytes written while it was made that the network has not accepted yet. */
  ahead = 0

  constructor(address: string, owner: Establishing) {
    this.address = address
    this.owner = owner
  }
}

const NONE_SENT: Attempt[] = []

export type ConnectionTimer = 'idle' | 'age' | 'closing' | 'machine' | 'grace' | 'ping'
type ConnectionDeadline = Deadline<PoolConnection, ConnectionTimer>

export class PoolConnection extends Carrier {
  establishing: Establishing | undefined
  /** Until its first SETTINGS: the request that it was dialled for, if it needs extended CONNECT. */
  dialledFor: Exchange | undefined
  /** Somebody listens to what becomes of it: the request that it was dialled for was traced. */
  traced = false
  link: Link | undefined
  machine: Connection | undefined
  info: LinkInfo = {}
  /** While nothing runs on it, one that all idle connections share. */
  exchanges = NOTHING_RUNS
  /** After a switch: the exchange whose bytes these are. */
  tunnel: Exchange | undefined
  /** How many requests it was given. */
  requests = 0
  /** -Infinity: it never was. */
  idleSince: Millis = -Infinity
  lastDrained = -Infinity
  /** Bytes given to the network since the beginning, and accepted by it. */
  written = 0
  accepted = 0
  dirty = false
  /** It holds the process. */
  held = false
  paused = false
  /** It was decided that it takes no other request. */
  retired = false
  /** How long what it sent back is not dialled for; undefined: it sent nothing back. */
  backoff: Millis | undefined
  /** A response has come on it. */
  answered = false
  /** It refused a stream, and has given no sign since that it would take another. */
  refusing = false
  /** The peer sends no more. */
  eof = false
  /** Of a multiplexed one. */
  lastReceived = -Infinity
  /** A PING of ours is not answered. */
  pinged = false
  /** How long the server's Keep-Alive can be relied on; undefined: it said nothing. */
  hint: Millis | undefined
  writeFailure: { readonly error: unknown } | undefined
  /** A close was asked for: nothing more is written. */
  closing = false
  #idle: ConnectionDeadline | undefined
  /** All but that of idling: most connections have none of them. */
  #deadlines: Partial<Record<ConnectionTimer, ConnectionDeadline>> | undefined

  get site(): Site {
    return this.origin as Site
  }
  /** How long it may be idle. */
  get idleDeadline(): ConnectionDeadline {
    return (this.#idle ??= new Deadline(this, 'idle'))
  }
  deadline(timer: Exclude<ConnectionTimer, 'idle'>): ConnectionDeadline {
    const deadlines = (this.#deadlines ??= {})
    return (deadlines[timer] ??= new Deadline(this, timer))
  }
  /** When a deadline comes; Infinity: it is not set. None is made. */
  due(timer: ConnectionTimer): Millis {
    return (timer === 'idle' ? this.#idle : this.#deadlines?.[timer])?.at ?? Infinity
  }
  clearDeadlines(timers: Timers): void {
    if (this.#idle !== undefined) timers.clear(this.#idle)
    if (this.#deadlines !== undefined) for (const deadline of Object.values(this.#deadlines)) timers.clear(deadline)
  }

  /** It runs on this connection from here on. */
  carry(exchange: Exchange): void {
    if (this.exchanges === NOTHING_RUNS) this.exchanges = new ExchangeTable()
    this.exchanges.set(exchange)
  }
  /** It no longer does. */
  drop(exchange: Exchange): void {
    this.exchanges.delete(exchange)
    if (this.exchanges.rests) this.exchanges = NOTHING_RUNS
  }
  get multiplexed(): boolean {
    return (this.serves & SERVES.h1) === 0
  }
  get httpVersion(): string {
    return this.multiplexed ? 'HTTP/2' : 'HTTP/1.1'
  }
  /** As httpcore prints it. */
  describe(): string {
    const origin = `'${formatOrigin(this.site.origin)}'`
    if (this.phase === 'connecting') return `${origin}, CONNECTING`
    const [empty, busy] = this.phase === 'leaving' ? ['CLOSING', 'DRAINING'] : ['IDLE', 'ACTIVE']
    return `${origin}, ${this.httpVersion}, ${this.active > 0 ? busy : empty}, Request Count: ${this.requests}`
  }
}

/** From the end of its dial on. */
export interface LiveConnection extends PoolConnection {
  link: Link
  machine: Connection
}

/**
 * Running exchanges by id. One alone needs no table. Ids only grow, so a ring of slots serves several: two that meet in
 * one slot are too far apart, and the elder one, which has been running for long, moves aside. (A Map of all of them
 * costs half again at concurrency 500.)
 */
export class ExchangeTable {
  #only: Exchange | undefined
  #slots: (Exchange | undefined)[] | undefined
  #elder: Map<ExchangeId, Exchange> | undefined
  size = 0
  /** Attempts whose last byte has left the machine, in order, until the network has accepted it. */
  sent = NONE_SENT

  /** Nothing runs, and there was never more than one: it has nothing that would be worth keeping. */
  get rests(): boolean {
    return this.size === 0 && this.#slots === undefined
  }
  get(id: ExchangeId): Exchange | undefined {
    if (this.#slots === undefined) return this.#only?.attempt.onConnection === id ? this.#only : undefined
    const exchange = this.#slots[slotIn(this.#slots, id)]
    if (exchange !== undefined && exchange.attempt.onConnection === id) return exchange
    return this.#elder?.get(id)
  }
  set(exchange: Exchange): void {
    if (this.#slots === undefined && this.size === 0) {
      this.#only = exchange
      this.size = 1
      return
    }
    let slots = this.#slots
    if (slots === undefined || this.size > slots.length / 2) slots = this.#grow()
    const slot = slotIn(slots, exchange.attempt.onConnection)
    const there = slots[slot]
    if (there !== undefined) {
      this.#elder ??= new Map()
      this.#elder.set(there.attempt.onConnection, there)
    }
    slots[slot] = exchange
    this.size++
  }
  delete(exchange: Exchange): void {
    if (this.#slots === undefined) {
      if (this.#only !== exchange) return
      this.#only = undefined
    } else {
      const slot = slotIn(this.#slots, exchange.attempt.onConnection)
      if (this.#slots[slot] === exchange) this.#slots[slot] = undefined
      else if (this.#elder?.delete(exchange.attempt.onConnection) !== true) return
    }
    this.size--
  }
  all(): Exchange[] {
    if (this.#slots === undefined) return this.#only === undefined ? [] : [this.#only]
    const all = [...(this.#elder?.values() ?? [])]
    for (const exchange of this.#slots) if (exchange !== undefined) all.push(exchange)
    return all.sort((a, b) => a.attempt.onConnection - b.attempt.onConnection)
  }
  /** The last of its bytes has left the machine. */
  left(attempt: Attempt): void {
    if (this.sent.length === 0) this.sent = [attempt]
    else this.sent.push(attempt)
  }
  #grow(): (Exchange | undefined)[] {
    const all = this.all()
    const length = 2 * (this.#slots?.length ?? 1)
    const slots = (this.#slots = new Array<Exchange | undefined>(length).fill(undefined))
    this.#only = this.#elder = undefined
    this.size = 0
    for (const exchange of all) this.set(exchange)
    return slots
  }
}
// HTTP/2's ids are odd: half of the slots would stay empty.
function slotIn(slots: readonly unknown[], id: ExchangeId): number {
  return (id >> 1) & (slots.length - 1)
}
/** Of every connection that carries nothing. */
const NOTHING_RUNS = new ExchangeTable()
