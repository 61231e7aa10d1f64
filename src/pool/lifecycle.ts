// A connection after its dial: seats are given back, it rests, it is retired, it is closed or destroyed, it is gone.
//
// A seat is given back in the step that destroys, or when an exchange has been looked after once more: a client's surplus
// bytes end the connection before its seat is free. A connection that carries an exchange is never closed from here (P3).
// It does not know why an exchange ended.
import type { H2Extras, Millis } from '../http/index.ts'
import type { LinkId } from './commands.ts'
import { PoolConnection, type LiveConnection, type Site } from './connection.ts'
import type { Exchange } from './exchange.ts'
import { markDirty, write } from './output.ts'
import { forgetSite, type PoolState } from './state.ts'
import { trace, traceClosed, traceClosing } from './tracing.ts'

/** A server that has answered and left so much of the request unread reads no more of it: who came next would wait. */
const MOST_UNREAD = 64 * 1024
const IDLE_H1: Millis = 4_000
const IDLE_MULTIPLEXED: Millis = 60_000
/** How long a connection on which a request timed out has to show that it lives: as long as others give it. */
export const PROBE_TIMEOUT: Millis = 15_000

/** Why a connection takes no other request; the scheduler has reasons of its own. */
type RetireReason =
  | 'close-idle'
  | 'idle-expired'
  | 'max-age'
  | 'max-requests'
  | 'no-longer-usable'
  | 'pool-closing'
  | 'stale'

// ── an exchange has left it ──

export function release(pool: PoolState, connection: LiveConnection): void {
  const { machine, link } = connection
  if (link.destroyed) return
  const unread = connection.multiplexed ? 0 : connection.written - connection.accepted
  const usable =
    !machine.draining &&
    !machine.closed &&
    connection.writeFailure === undefined &&
    unread <= MOST_UNREAD &&
    pool.life === 'open'
  if (!usable) pool.scheduler.leaving(connection)
  const wary = usable && mustCatchUp(pool, connection)
  if (wary) pool.scheduler.suspend(connection, true)
  pool.scheduler.released(connection, usable && !wary ? seatsOf(pool, connection) : 0)
  pool.decide(pool)
  if (connection.phase === 'leaving' && connection.active === 0) {
    // Broken ones end at once; others are closed as they should be.
    if (!machine.closed || machine.outputBytes > 0)
      retire(pool, connection, usable ? 'max-requests' : 'no-longer-usable')
    else if (machine.closeReason === 'cancelled' || connection.writeFailure !== undefined) destroy(pool, connection)
    else closeLink(pool, connection)
  } else if (!connection.idle) return
  else if (wary) {
    connection.idleSince = pool.now
    pool.commands.push({ type: 'catchUp', link: link.id })
  } else rest(pool, connection)
}

/** Whether who comes next cannot be sent again: the end of the connection may stand right behind the response. */
function mustCatchUp({ settings, scheduler }: PoolState, { site, serves, multiplexed }: LiveConnection): boolean {
  if (multiplexed || settings.catchUp !== true || site.waiting === 0) return false
  const next = scheduler.nextFor(site, serves) as Exchange | undefined
  return next?.repeatable === false
}
export function onCaughtUp(pool: PoolState, id: LinkId): void {
  const connection = pool.links.get(id)?.owner
  if (!(connection instanceof PoolConnection) || !connection.idle) return
  pool.scheduler.seats(connection, seatsOf(pool, connection))
  pool.scheduler.suspend(connection, false)
  pool.decide(pool)
  if (connection.idle) rest(pool, connection)
}

/** How many requests it could be given now. */
export function seatsOf(pool: PoolState, { machine, refusing, requests }: LiveConnection): number {
  if (refusing) return 0
  return Math.min(machine.capacity, pool.settings.maxRequestsPerConnection - requests)
}

/** Nothing runs on it: it waits for the next request, for so long. */
export function rest(pool: PoolState, connection: LiveConnection): void {
  const expiry = expiryOf(pool, connection)
  connection.idleSince = pool.now
  if (expiry <= 0) return retire(pool, connection, 'idle-expired')
  hold(pool, connection, false)
  if (expiry === Infinity) return
  const deadline = connection.idleDeadline
  // Often idle for moments only: where the deadline is set already it is looked at when it fires.
  if (deadline.at > pool.now + expiry) pool.timers.after(deadline, expiry, pool.now)
}

/** Somebody waits no longer: whose word nobody waits for any more may be idle for as long as any other. */
export function restUnawaited(pool: PoolState, { idle, undecided, suspended }: Site): void {
  if (undecided + suspended === 0) return
  for (let one = idle.first, next = one; one !== undefined; one = next) {
    next = one.next as typeof one | undefined
    restAnew(pool, one.owner as LiveConnection)
  }
}
/** It may have been awaited when it began to rest. */
export function restAnew(pool: PoolState, connection: LiveConnection): void {
  if (!connection.idle) return
  const due = connection.idleSince + expiryOf(pool, connection)
  if (due <= pool.now) retire(pool, connection, 'idle-expired')
  else if (due < connection.due('idle')) pool.timers.at(connection.idleDeadline, due)
}

export function expiryOf(pool: PoolState, connection: LiveConnection): Millis {
  const { keepAliveExpiry } = pool.settings
  const { hint } = connection
  if (pool.scheduler.isAwaited(connection)) return IDLE_MULTIPLEXED
  if (hint !== undefined) return Math.min(hint, keepAliveExpiry ?? Infinity)
  return keepAliveExpiry ?? (connection.multiplexed ? IDLE_MULTIPLEXED : IDLE_H1)
}

/** The idle hold no process. */
export function hold(pool: PoolState, connection: LiveConnection, ref: boolean): void {
  const { link } = connection
  connection.held = ref
  if (!link.destroyed) pool.commands.push({ type: ref ? 'ref' : 'unref', link: link.id })
}

// ── it takes no other request ──

/** Takes no other request; closes when the last is over. */
export function retire(pool: PoolState, connection: LiveConnection, reason: RetireReason): void {
  if (connection.traced && !connection.retired) trace(pool, undefined, connection, 'pool.close', { reason })
  connection.retired = true
  pool.scheduler.leaving(connection)
  if (connection.active > 0 || connection.closing || connection.phase !== 'leaving') return
  bidFarewell(pool, connection)
}

/** It carries nothing any more, but for what of a tunnel within HTTP/2 waits to be let through: that has as long as a close. */
export function bidFarewell(pool: PoolState, connection: LiveConnection): void {
  const { machine, multiplexed } = connection
  machine.close(pool.now)
  if (!multiplexed || machine.active === 0) return closeLink(pool, connection)
  pool.timers.after(connection.deadline('closing'), pool.limits.closeTimeout, pool.now)
  markDirty(pool, connection)
}

/** The machine is done with the connection. */
export function over(pool: PoolState, connection: LiveConnection): void {
  if (connection.active === 0) closeLink(pool, connection)
}

/** Written to its end, then closed; it counts until the network says so, or for `closeTimeout`. */
export function closeLink(pool: PoolState, connection: LiveConnection): void {
  if (connection.closing || connection.phase === 'gone') return
  write(pool, connection)
  // The machine may have come to the same end while it was asked for its last bytes.
  if (connection.closing) return
  connection.closing = true
  if (connection.traced) traceClosing(pool, connection, 'started')
  const { link } = connection
  if (link.destroyed) return gone(pool, connection)
  pool.commands.push({ type: 'close', link: link.id })
  pool.timers.after(connection.deadline('closing'), pool.limits.closeTimeout, pool.now)
}

// ── it is no more ──

/**
 * Its seat is free in this step; what the network still says of it is not heard.
 * @param reason why it is not even made
 */
export function destroy(pool: PoolState, connection: PoolConnection, reason?: unknown): void {
  connection.establishing?.abandon(reason)
  connection.establishing = undefined
  sever(pool, connection)
  gone(pool, connection)
}

export function sever(pool: PoolState, { link }: PoolConnection): void {
  if (link === undefined || link.destroyed) return
  link.destroyed = true
  pool.commands.push({ type: 'destroy', link: link.id })
}

export function gone(pool: PoolState, connection: PoolConnection): void {
  pool.connections.delete(connection)
  if (connection.traced && connection.machine !== undefined) traceClosed(pool, connection)
  connection.clearDeadlines(pool.timers)
  pool.scheduler.gone(connection)
  forgetSite(pool, connection.site)
}

// ── what it waits for ──

export function armMachine(pool: PoolState, connection: LiveConnection): void {
  const at = connection.machine.nextTimeout() ?? Infinity
  if (at !== connection.due('machine')) pool.timers.at(connection.deadline('machine'), at)
}

/** The option `keepAlivePing`: a connection on which nothing comes is asked whether it lives. */
export function armPing(pool: PoolState, connection: LiveConnection): void {
  const option = pool.settings.http2Options?.keepAlivePing
  if (connection.pinged) pool.timers.clear(connection.deadline('ping'))
  connection.pinged = false
  if (!option || !connection.multiplexed) return
  // After 0 it would be due again in the same step, without end.
  pool.timers.after(connection.deadline('ping'), Math.max(option.after, 1), pool.now)
}

export function ping(pool: PoolState, connection: LiveConnection, within: Millis): void {
  const { machine } = connection
  if (machine.closed) return
  connection.pinged = true
  ;(machine as unknown as H2Extras).ping(new Uint8Array(8), pool.now)
  markDirty(pool, connection)
  pool.timers.after(connection.deadline('ping'), within, pool.now)
}

/** One stream stalls, or the connection is dead: an answer to a PING tells. */
export function probe(pool: PoolState, connection: LiveConnection): void {
  if (connection.multiplexed && connection.phase !== 'gone' && !connection.pinged) ping(pool, connection, PROBE_TIMEOUT)
}
