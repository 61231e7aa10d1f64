// An exchange ends: with its response, by a fault, by its caller; or it is sent again, where retry.ts allows it (P8).
//
// Each way leads through `settle`, once (P5), and through `leave`, which takes it off its connection. That one's seat is
// free then: what is decided about it stands in lifecycle.ts.
import type { Disposition, Millis, PeerFault } from '../http/index.ts'
import type { LinkSide, PoolCommand, RequestId, Settlement } from './commands.ts'
import type { LiveConnection, PoolConnection, Site } from './connection.ts'
import type { Exchange } from './exchange.ts'
import { connectionLost, handshakeFailed, peerFailed, queueFull, unsupported } from './failures.ts'
import { closeLink, destroy, probe, release, restUnawaited, retire, sever } from './lifecycle.ts'
import { markDirty } from './output.ts'
import { retryOf, type Failure } from './retry.ts'
import { awaitSeat, chance, forgetSite, type PoolState } from './state.ts'
import { trace, traceFailure, traceQueued, traceStep } from './tracing.ts'

/** A peer that was heard within it is not asked whether it lives: of who asks too often many a server takes leave. */
const SILENCE: Millis = 1_000
const NO_ERROR = 0
const REFUSED_STREAM = 7
/** What a machine says of exchanges that the end of the connection left unfinished. */
const CUT_SHORT: ReadonlySet<string> = new Set(['server-disconnected', 'incomplete-message'])
/** What a fault makes of the connection, by how far it reaches. */
const LEFT_BEHIND = { connection: 'broken', exchange: 'up' } as const
const OK: Settlement = { ok: true }

// ── well ──

/** The response is complete. What of the request has not left by now is not wanted. */
export function complete(pool: PoolState, exchange: Exchange): void {
  const { attempt } = exchange
  const { connection, onConnection } = attempt
  if (connection === undefined) return
  const { machine, multiplexed } = connection
  const waits = multiplexed && !attempt.duplex && machine.unsent(onConnection) > 0
  const unfinished = waits || exchange.uploading || exchange.content === 'dropped'
  if (unfinished && exchange.stage === 'receiving') {
    dropContent(pool, exchange)
    machine.cancel(onConnection, NO_ERROR)
  } else if (exchange.stage === 'receiving' && multiplexed) {
    // What was delivered is the reader's; the machine need not hold it against the connection until it has been read.
    machine.consume(onConnection, attempt.unconsumed)
  }
  if (exchange.traced) {
    traceStep(pool, exchange, 'response_closed')
    traceStep(pool, exchange, undefined)
  }
  connection.refusing = false
  // What was written into a tunnel still leaves.
  if (attempt.duplex && machine.unsent(onConnection) > 0) connection.flushing = true
  finish(pool, exchange)
  exchange.shed()
}

/** It is over, and its seat is free; by default well. In this order: who has the seat next is told so afterwards (P2). */
export function finish(pool: PoolState, exchange: Exchange, result = OK): void {
  settle(pool, exchange, result)
  leave(pool, exchange)
}

/** Takes it off its connection, whose seat is free then. */
export function leave(pool: PoolState, exchange: Exchange): void {
  const { attempt } = exchange
  const { connection } = attempt
  if (connection === undefined) return
  takeOff(exchange, connection)
  if (connection.tunnel === exchange && !connection.link.destroyed) {
    const unsent = connection.accepted < connection.written
    if (exchange.content !== 'ended' || !(attempt.ended || unsent)) return destroy(pool, connection)
    // Both sides have ended it, or ours has: what was written still leaves, and nobody hears what else comes.
    connection.flushing = true
    connection.tunnel = undefined
    pool.scheduler.released(connection, 0)
    return closeLink(pool, connection)
  }
  release(pool, connection)
}

function takeOff(exchange: Exchange, connection: LiveConnection): void {
  exchange.attempt.connection = undefined
  connection.drop(exchange)
}

export function settle(pool: PoolState, exchange: Exchange, result: Settlement): void {
  if (exchange.stage === 'over') return
  exchange.stage = 'over'
  if (!result.ok) traceFailure(pool, exchange, result.error)
  else if (exchange.attempt.step !== undefined) traceStep(pool, exchange, undefined)
  exchange.clearDeadlines(pool.timers)
  pool.exchanges.delete(exchange)
  exchange.site.requests--
  stopContent(pool, exchange)
  const { bytesSent, bytesReceived } = exchange.attempt
  pool.commands.push({
    type: 'settle',
    id: exchange.id,
    result,
    timings: exchange.timings(pool.now),
    bytesSent,
    bytesReceived,
  })
  forgetSite(pool, exchange.site)
}

function stopContent(pool: PoolState, exchange: Exchange): void {
  if (exchange.opened && exchange.uploading) pool.commands.push({ type: 'stopContent', id: exchange.id })
  exchange.opened = false
}

export function dropContent(pool: PoolState, exchange: Exchange): void {
  if (!exchange.uploading) return
  stopContent(pool, exchange)
  exchange.content = 'dropped'
}

// ── not well ──

/** It has no connection: it leaves the queue, and settles with the error. */
export function fail(pool: PoolState, exchange: Exchange, error: unknown, dial?: PoolConnection): void {
  withdraw(pool, exchange, { ok: false, error }, dial)
}

/** More wait in the queue than there are places. */
export function isCrowded({ scheduler, settings }: PoolState): boolean {
  return scheduler.queued > settings.maxQueuedRequests
}
/** It has no place in the queue. */
export function turnAway(pool: PoolState, exchange: Exchange): void {
  fail(pool, exchange, queueFull(exchange, pool.settings.maxQueuedRequests))
}

function withdraw(pool: PoolState, exchange: Exchange, result: Settlement, dial?: PoolConnection): void {
  const own = exchange.dial as PoolConnection | undefined
  // A dial that nobody has a use for ends with the last request that it could have served.
  const useless = pool.scheduler.leave(exchange) as PoolConnection | undefined
  if (useless !== undefined && useless !== dial) destroy(pool, useless, result.ok ? undefined : result.error)
  if (own !== undefined && own !== dial && own.opener !== undefined) inherit(pool, own, own.opener as Exchange)
  restUnawaited(pool, exchange.site)
  settle(pool, exchange, result)
}

/** The dial is another's now who was lost as well: it has its own time to connect, and waits for no seat meanwhile. */
function inherit(pool: PoolState, { establishing }: PoolConnection, heir: Exchange): void {
  heir.clearPool(pool.timers)
  establishing?.awaitedBy(heir)
}

/** As `fail`, for a request that may be on a connection. `quietly`: it settles without an error. */
export function giveUp(pool: PoolState, exchange: Exchange, error: unknown, quietly = false): void {
  const { connection } = exchange.attempt
  const result: Settlement = quietly ? OK : { ok: false, error }
  if (connection === undefined) return withdraw(pool, exchange, result)
  const { machine } = connection
  machine.cancel(exchange.attempt.onConnection)
  if (machine.outputBytes > 0) markDirty(pool, connection)
  finish(pool, exchange, result)
}

export function onCancel(pool: PoolState, id: RequestId, reason: unknown): void {
  const exchange = pool.exchanges.get(id)
  if (exchange !== undefined) giveUpOnAll(pool, exchange, reason)
}

/**
 * As `giveUp`, by whoever no longer waits for any of it: a caller, or a deadline for the whole. It may be because the
 * connection is dead. What has come over it since the request was given its seat, be it for another, shows that it lives.
 */
export function giveUpOnAll(pool: PoolState, exchange: Exchange, error: unknown, quietly = false): void {
  const { connection, assignedAt } = exchange.attempt
  giveUp(pool, exchange, error, quietly)
  if (connection === undefined || connection.lastReceived > assignedAt) return
  if (pool.now - connection.lastReceived >= SILENCE) probe(pool, connection)
}

/** Nobody here takes extended CONNECT, and nobody will; said before the scheduler hears of it, or it would dial again. */
export function refuseConnects(pool: PoolState, connection: LiveConnection): void {
  const { site } = connection
  if (site.undecided > (connection.undecided ? 1 : 0)) return
  for (;;) {
    const waiter = pool.scheduler.oldest(site, 'h2-connect') as Exchange | undefined
    if (waiter === undefined) return
    fail(pool, waiter, unsupported(waiter, 'the server does not take extended CONNECT', 'RFC 8441 §3'), connection)
  }
}

/**
 * It ended before it said whether it takes extended CONNECT: as a failed dial it fails the request that it was opened for.
 * Said before the scheduler hears of it, or it would dial again, without end.
 */
export function disappoint(pool: PoolState, connection: LiveConnection, cause: unknown, fault?: PeerFault): void {
  const waiter = connection.dialledFor
  connection.dialledFor = undefined
  if (waiter?.waiting !== true || waiter.dial !== undefined || !connection.undecided) return
  fail(pool, waiter, fault === undefined ? connectionLost(waiter, cause) : peerFailed(waiter, fault, 'not-sent'))
}

/** The machine says that it failed. */
export function exchangeFailed(pool: PoolState, exchange: Exchange, fault: PeerFault, disposition: Disposition): void {
  const { attempt } = exchange
  const connection = attempt.connection as LiveConnection
  // Whatever ended the connection: to who has no answer the server is gone, the response of another is cut short.
  const cut = connection.eof && CUT_SHORT.has(fault.code)
  const lost = cut && !attempt.begun
  // With no other to turn to, when to try again is for the owner of a single one to say.
  if (fault.h2Code === REFUSED_STREAM && disposition === 'refused' && pool.settings.once !== true)
    connection.refusing = true
  const said = cut && attempt.begun ? incomplete(fault) : fault
  const error =
    lost && disposition === 'maybe-processed'
      ? connectionLost(exchange, undefined, fault)
      : peerFailed(exchange, said, disposition)
  retryOrFail(pool, exchange, error, disposition, lost ? 'lost' : LEFT_BEHIND[fault.scope])
}

/** What is told of those whose response has begun; the reason that GOAWAY gave is kept. */
function incomplete(fault: PeerFault): PeerFault {
  const message = fault.h2Code === undefined ? 'the connection ended within the response' : fault.message
  return { ...fault, code: 'incomplete-message', message }
}

/**
 * The connection is no more: what ran on it was lost.
 * @param side where the link failed; left out: it ended otherwise
 */
export function breakConnection(pool: PoolState, connection: LiveConnection, cause?: unknown, side?: LinkSide): void {
  const exchanges = connection.exchanges.all()
  const { tunnel } = connection
  disappoint(pool, connection, cause)
  connection.machine.abort()
  sever(pool, connection)
  // Its room is given away when all that were lost stand in line for it.
  if (exchanges.length > 0) pool.scheduler.leaving(connection)
  for (const exchange of exchanges) {
    const switched = exchange === tunnel
    const error = switched && side === 'tls' ? handshakeFailed(exchange, cause) : connectionLost(exchange, cause)
    if (switched) finish(pool, exchange, { ok: false, error })
    else retryOrFail(pool, exchange, error, exchange.attempt.disposition, 'lost')
  }
  destroy(pool, connection)
}

/** A write has failed, and whoever has no head by now gets none. Who reads a response reads it to its end. */
export function graceOver(pool: PoolState, connection: LiveConnection, lost = unanswered(connection)): void {
  if (lost.length === connection.exchanges.size) return breakConnection(pool, connection)
  for (const exchange of lost) {
    connection.machine.cancel(exchange.attempt.onConnection)
    retryOrFail(pool, exchange, connectionLost(exchange, undefined), exchange.attempt.disposition, 'lost')
  }
}
function unanswered({ exchanges }: LiveConnection): Exchange[] {
  return exchanges.all().filter(({ stage, attempt }) => stage !== 'receiving' || attempt.duplex)
}

// ── again ──

function retryOrFail(
  pool: PoolState,
  exchange: Exchange,
  error: unknown,
  disposition: Disposition,
  became: Failure['connection'],
): void {
  // Only the rest of the request was still to leave: no harm is done.
  const { attempt } = exchange
  if (attempt.ended) return finish(pool, exchange)
  if (exchange.pulled && !exchange.replayable && attempt.assignedAt === pool.now) unpull(pool, exchange)
  const { idempotent, replayable, pulled, replays, staleRetries } = exchange
  const connection = attempt.connection as LiveConnection
  // It has not been sent: that is no replay. A server that restarts takes away all its connections at once, and one
  // request may be given each of them in turn.
  const { answered } = connection
  const spared = answered && attempt.bytesSent === 0
  const retry = retryOf(
    {
      disposition,
      connection: became,
      answered,
      mayBeStale: attempt.mayBeStale,
      responseBytes: attempt.begun,
      idempotent,
      replayable,
      pulled,
      replays: spared ? 0 : replays,
      staleRetries,
    },
    pool.limits,
  )
  if (retry === 'no' || pool.life !== 'open') return finish(pool, exchange, { ok: false, error })
  traceFailure(pool, exchange, error)
  trace(pool, exchange, connection, 'pool.retry', { reason: retry, disposition, exception: error })
  stopContent(pool, exchange)
  pool.timers.clear(exchange.ioDeadline)
  takeOff(exchange, connection)
  exchange.sendBack(retry === 'replay')
  // Who was lost stands in line before the room of its connection is given away.
  if (retry === 'fresh') askAnew(pool, exchange)
  release(pool, connection)
  if (retry === 'replay') replay(pool, exchange, connection, spared)
  pool.decide(pool)
  if (exchange.waiting) traceQueued(pool, exchange)
  awaitSeat(pool, exchange)
}

function askAnew(pool: PoolState, exchange: Exchange): void {
  exchange.staleRetries++
  pool.scheduler.requeueFresh(exchange)
  // What else waits idle there is as old: it would be the next disappointment.
  const { idle } = exchange.site
  for (let other = idle.first; other !== undefined; other = idle.first)
    retire(pool, other.owner as LiveConnection, 'stale')
}

function replay(pool: PoolState, exchange: Exchange, connection: LiveConnection, spared: boolean): void {
  if (spared) return pool.scheduler.requeue(exchange, false)
  exchange.replays++
  // All that one connection sends back are one failure of its origin, and wait alike.
  connection.backoff ??= backoffOf(pool, exchange.site)
  const held = connection.backoff > 0
  if (held) pool.timers.at(exchange.deadline('backoff'), pool.now + connection.backoff)
  pool.scheduler.requeue(exchange, held)
}

/** What is lost in the step that gave it its seat leaves its source as it was: nobody was told yet to open and to pull it. */
function unpull(pool: PoolState, exchange: Exchange): void {
  const { commands, taken } = pool
  const told = (type: PoolCommand['type']): number =>
    commands.findIndex(
      (command, i) => i >= taken && command.type === type && 'id' in command && command.id === exchange.id,
    )
  const [opened, pulled] = [told('openContent'), told('pullContent')]
  if (opened < 0 || pulled < 0) return
  // Next to each other, save where 100 (Continue) is not waited for at all.
  commands.splice(pulled, 1)
  commands.splice(opened, 1)
  exchange.opened = exchange.pulled = false
}

/** None for the first failure since a response came; the jitter only shortens it. */
function backoffOf(pool: PoolState, site: Site): Millis {
  const { replayBackoff, replayBackoffCap } = pool.limits
  const before = site.failures++
  if (before === 0) return 0
  return Math.min(replayBackoff * 2 ** Math.min(before - 1, 16), replayBackoffCap) * (1 - chance(pool) / 10)
}
