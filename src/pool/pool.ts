// The pool: inputs turned into facts for the scheduler, its decisions into commands, bytes routed to machines and back.
//
// State changes come first, commands are noted and leave through `poll`. What is here is the outside, and who hears what:
// requests, links, time, the end of the pool. What follows from it stands in the parts that state.ts names.
//
// It knows no version of HTTP (establish.ts does), no socket, no clock, no promise. The laws (P1 to P10) it keeps:
//  P1  never over any limit                         P2  every seat has exactly one owner
//  P3  never closes a connection that carries an exchange, save by its own cancel, deadline or failure
//  P4  assigns only to a live connection of the right key with room
//  P5  every request settles exactly once           P6  no request waits while a usable seat exists
//  P7  first come first served per origin           P8  sends again only what retry.ts allows
//  P9  `timeout` at `nextTimeout()` makes progress  P10 what is delivered is a prefix of what was sent for that request
import { Fields, misuse, type Bytes, type HttpCoreError, type Millis } from '../http/index.ts'
import type { LinkSide, PoolCommand, PoolInput } from './commands.ts'
import { PoolConnection, Site, type ConnectionTimer, type LiveConnection } from './connection.ts'
import { connectionDue, exchangeDue } from './deadlines.ts'
import { decide, established, notEstablished, seatsPerDial } from './decisions.ts'
import { breakConnection, dropContent, isCrowded, onCancel, settle, turnAway } from './ending.ts'
import { askers, Establishing, forwardingProxy, type EstablishTimer, type Http2 } from './establish.ts'
import { Exchange, type ExchangeTimer, type RequestInput } from './exchange.ts'
import { factsOf, misused, poolClosed, unsupported } from './failures.ts'
import { destroy, gone, onCaughtUp, retire } from './lifecycle.ts'
import { deliver, drainMachine, endTunnel, feed, onConsumed, onDrain } from './receiving.ts'
import type { Need } from './scheduler.ts'
import { flush, onContent, onContentEnd, onDrained, onStartTls } from './sending.ts'
import { checkSettings, type PoolSettings } from './settings.ts'
import { awaitSeat, PoolState, siteOf } from './state.ts'
import { traceQueued } from './tracing.ts'

export class PoolMachine {
  readonly #pool: PoolState

  /**
   * @param settings checked for what excludes each other; limits against their bounds
   * @param start the seed is for jitter
   */
  constructor(settings: PoolSettings, start: { readonly now: Millis; readonly seed: number; readonly http2: Http2 }) {
    checkSettings(settings)
    this.#pool = new PoolState(settings, start, { decide, drain: drainMachine, established, notEstablished })
  }

  /** Takes an input at any moment, also while a command is performed: what follows from it is told by `poll`. */
  handle(input: PoolInput, now: Millis): void {
    const pool = this.#pool
    // Lists of deadlines rely on it that time does not go back.
    if (now > pool.now) pool.now = now
    switch (input.type) {
      case 'received':
        onReceived(pool, input.link, input.data)
        break
      case 'drained':
        onDrained(pool, input.link, input.bytes)
        break
      case 'request':
        onRequest(pool, input)
        break
      case 'consumed':
        onConsumed(pool, input.id, input.bytes)
        break
      case 'content':
        onContent(pool, input.id, input.data)
        break
      case 'contentEnd':
        onContentEnd(pool, input.id, input.trailers === undefined ? undefined : Fields.from(input.trailers))
        break
      case 'contentFailed':
        onCancel(pool, input.id, input.error)
        break
      case 'cancel':
        onCancel(pool, input.id, input.reason)
        break
      case 'drain':
        onDrain(pool, input.id, input.limit)
        break
      case 'startTls':
        onStartTls(pool, input.id, input.tls)
        break
      case 'closeIdle':
        for (const connection of [...pool.connections.keys()])
          if (connection.idle) retire(pool, connection as LiveConnection, 'close-idle')
        break
      case 'close':
        onClose(pool, input.grace)
        break
      case 'destroy':
        onDestroy(pool, input.reason)
        break
      case 'resolved':
        for (const asker of askers(pool, input.host)) asker.resolved(input.addresses)
        break
      case 'resolveFailed':
        for (const asker of askers(pool, input.host)) asker.notResolved(input.error)
        break
      case 'connected':
      case 'secured':
        onLinkUp(pool, input)
        break
      case 'eof':
        onEof(pool, input.link, input.clean)
        break
      case 'failed':
        onFailed(pool, input.link, input.error, input.side)
        break
      case 'closed':
        onClosed(pool, input.link)
        break
      case 'caughtUp':
        onCaughtUp(pool, input.link)
        break
      case 'timeout':
        onTimeout(pool)
        break
    }
    decide(pool)
    if (pool.owesClosed) tellClosed(pool)
  }

  /** The next command to perform, in order; undefined: nothing until the next input. */
  poll(): PoolCommand | undefined {
    const pool = this.#pool
    if (pool.taken === pool.commands.length) {
      // Setting a length costs a call into the engine.
      if (pool.taken > 0) pool.commands = []
      pool.taken = 0
      // Everything has been told: what the machines have to say leaves now, together.
      while (pool.dirty.length > 0) flush(pool, pool.dirty.pop() as LiveConnection)
      if (pool.commands.length === 0) return undefined
    }
    return pool.commands[pool.taken++]
  }

  /** When `timeout` is due; undefined: never. */
  nextTimeout(): Millis | undefined {
    return this.#pool.timers.next()
  }

  /** Counters of now. */
  stats(): Readonly<Record<string, unknown>> {
    const { exchanges, sites, scheduler } = this.#pool
    const { connections, idle, active, queued } = scheduler
    const origins: Record<string, unknown> = {}
    for (const { key, connections, active, waiting } of sites.values()) origins[key] = { connections, active, waiting }
    return { requests: exchanges.size, connections, idle, active, queued, origins }
  }

  /** All there are, connecting and draining ones included. */
  connections(): readonly { info(): string; snapshot(): unknown }[] {
    return Array.from(this.#pool.connections.keys(), (connection) => ({
      info: () => connection.describe(),
      snapshot: () => connection.machine?.snapshot(),
    }))
  }
}

// ── requests ──

function onRequest(pool: PoolState, input: RequestInput): void {
  const headers = Fields.from(input.head.headers)
  const head = input.head.headers === headers ? (input.head as Exchange['head']) : { ...input.head, headers }
  const need: Need = head.protocol !== undefined ? 'h2-connect' : headers.has('upgrade') ? 'h1' : 'any'
  const site = siteOf(pool, input)
  const exchange = new Exchange(input, head, site, need, pool.now)
  pool.exchanges.set(exchange)
  site.requests++
  const refusal = refusalOf(pool, exchange)
  if (refusal !== undefined) return settle(pool, exchange, { ok: false, error: refusal })
  retireExpired(pool, site)
  const { total } = exchange.timeouts
  if (total !== Infinity) pool.timers.after(exchange.deadline('total'), total, pool.now)
  pool.scheduler.enqueue(exchange)
  decide(pool)
  if (!exchange.waiting) return
  traceQueued(pool, exchange)
  if (exchange.dial !== undefined) return
  const { scheduler, limits } = pool
  if (isCrowded(pool) && !scheduler.shares(exchange, limits.assumedConcurrentStreams)) return turnAway(pool, exchange)
  awaitSeat(pool, exchange)
}

/**
 * What is too old, or has been idle for too long, serves nobody, though the driver was too busy to say in time that it is.
 * The next to serve is the one that was used last; how long it may be idle is its own server's word.
 */
function retireExpired(pool: PoolState, site: Site): void {
  for (let idle = site.idle.last; idle !== undefined; idle = site.idle.last) {
    const connection = idle.owner as LiveConnection
    const timer = connection.due('age') <= pool.now ? 'age' : 'idle'
    if (connection.due(timer) > pool.now) return
    connectionDue(pool, connection, timer)
  }
}

function refusalOf(pool: PoolState, exchange: Exchange): HttpCoreError | undefined {
  const { need, head, site } = exchange
  const { settings } = pool
  const { http1, http2, proxies } = settings
  if (pool.life !== 'open') return poolClosed(factsOf(exchange), pool.reason)
  if (need === 'h1' && !http1)
    return unsupported(exchange, 'an upgrade needs HTTP/1.1, and http1 is off', 'RFC 9113 §8.6')
  if (need === 'h2-connect' && !http2) {
    return unsupported(exchange, 'extended CONNECT needs HTTP/2, and http2 is off', 'RFC 8441 §4')
  }
  if (proxies.length > 0 && head.headers.has('proxy-authorization') && forwardingProxy(settings, site) === undefined) {
    const message = 'Proxy-Authorization would reach the origin: give it to the proxy option'
    return misused(exchange, misuse('proxy-authorization', 'RFC 9110 §11.7.2', message)) as HttpCoreError
  }
  return undefined
}

// ── links ──

function onLinkUp(pool: PoolState, input: Extract<PoolInput, { type: 'connected' | 'secured' }>): void {
  const link = pool.links.get(input.link)
  if (link === undefined || link.destroyed) return
  if (link.owner instanceof Establishing) {
    if (input.type === 'connected') link.owner.connected(link, input.info)
    else link.owner.secured(link, input.info)
  } else if (link.owner.tunnel !== undefined) {
    deliver(pool, link.owner.tunnel, { type: 'secured', info: input.info })
  }
}

function onReceived(pool: PoolState, id: number, data: Bytes): void {
  const link = pool.links.get(id)
  if (link === undefined || link.destroyed) return
  if (link.owner instanceof Establishing) link.owner.received(link, data)
  else feed(pool, link.owner, data)
}

function onEof(pool: PoolState, id: number, clean: boolean | undefined): void {
  const link = pool.links.get(id)
  if (link === undefined || link.destroyed) return
  if (link.owner instanceof Establishing) return link.owner.eof(link)
  const connection = link.owner
  const { tunnel, machine } = connection
  if (tunnel !== undefined) return endTunnel(pool, tunnel)
  if (connection.closing) return
  connection.eof = true
  machine.receiveEof(pool.now, clean)
  drainMachine(pool, connection)
}

function onFailed(pool: PoolState, id: number, error: unknown, side: LinkSide): void {
  const link = pool.links.get(id)
  if (link === undefined || link.destroyed) return
  if (link.owner instanceof Establishing) return link.owner.failed(link, error, side)
  const connection = link.owner
  if (side !== 'write' || connection.exchanges.size === 0) return breakConnection(pool, connection, error, side)
  // A response may be there to be read: what the server had to say before it stopped listening.
  connection.writeFailure = { error }
  pool.scheduler.leaving(connection)
  for (const exchange of connection.exchanges.all()) {
    dropContent(pool, exchange)
    if (exchange.stage !== 'sending') continue
    // Nothing of it is written any more, so that the deadline of writing becomes that of reading.
    exchange.attempt.movedAt = pool.now
    pool.timers.after(exchange.ioDeadline, exchange.timeouts.read, pool.now)
  }
  pool.timers.after(connection.deadline('grace'), pool.limits.earlyResponseGrace, pool.now)
}

function onClosed(pool: PoolState, id: number): void {
  const link = pool.links.get(id)
  if (link === undefined) return
  pool.links.delete(id)
  const { owner } = link
  if (link.destroyed) return
  if (owner instanceof Establishing) return owner.closed(link)
  link.destroyed = true
  if (owner.exchanges.size > 0 || owner.undecided) breakConnection(pool, owner)
  else gone(pool, owner)
}

// ── time ──

function onTimeout(pool: PoolState): void {
  for (let due = pool.timers.take(pool.now); due !== undefined; due = pool.timers.take(pool.now)) {
    const { owner, kind } = due
    if (owner instanceof Exchange) exchangeDue(pool, owner, kind as ExchangeTimer)
    else if (owner instanceof PoolConnection) connectionDue(pool, owner as LiveConnection, kind as ConnectionTimer)
    else if (owner instanceof Establishing) owner.timeout(kind as EstablishTimer)
    else if (owner instanceof Site) pool.scheduler.expect(owner, seatsPerDial(pool, owner))
    else onDestroy(pool)
    decide(pool)
  }
}

// ── the end of the pool ──

function onClose(pool: PoolState, grace: Millis): void {
  pool.owesClosed = true
  if (pool.life === 'destroyed') return
  pool.life = 'closing'
  // Who closes it once more takes back no promise: who runs has the shorter of the two.
  pool.timers.at(pool.graceDeadline, Math.min(pool.graceDeadline.at, pool.now + grace))
  dismiss(pool)
  const closed = poolClosed({})
  for (const connection of [...pool.connections.keys()]) {
    if (connection.phase === 'connecting') destroy(pool, connection, closed)
    else retire(pool, connection as LiveConnection, 'pool-closing')
  }
}

/** All that wait, before any connection goes: nothing is dialled for them any more. */
function dismiss(pool: PoolState, reason?: unknown): void {
  const waiting = [...pool.exchanges].filter((exchange) => exchange.waiting)
  const errors = waiting.map((exchange) => poolClosed(factsOf(exchange), reason))
  for (const exchange of waiting) pool.scheduler.leave(exchange)
  for (const [i, exchange] of waiting.entries()) settle(pool, exchange, { ok: false, error: errors[i] })
}

function onDestroy(pool: PoolState, reason?: unknown): void {
  pool.owesClosed = true
  pool.life = 'destroyed'
  pool.reason = reason
  pool.timers.clear(pool.graceDeadline)
  dismiss(pool, reason)
  for (const exchange of pool.exchanges)
    settle(pool, exchange, { ok: false, error: poolClosed(factsOf(exchange), reason) })
  const closed = poolClosed({}, reason)
  for (const connection of [...pool.connections.keys()]) {
    connection.machine?.abort()
    destroy(pool, connection, closed)
  }
}

function tellClosed(pool: PoolState): void {
  if (pool.exchanges.size > 0 || pool.connections.size > 0) return
  pool.owesClosed = false
  pool.timers.clear(pool.graceDeadline)
  pool.commands.push({ type: 'closed' })
}
