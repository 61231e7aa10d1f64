// What the scheduler decided is carried out: a request is given its seat, a connection is closed, another is dialled.
//
// How a connection is made stands in establish.ts. Here is who is told of it: the scheduler, which then has seats to give,
// and the request that it was dialled for, which alone fails if it fails.
import type { LiveConnection, PoolConnection, Site } from './connection.ts'
import { fail, isCrowded, refuseConnects, turnAway } from './ending.ts'
import { Establishing, mayShare, type Established } from './establish.ts'
import type { Exchange } from './exchange.ts'
import { armMachine, armPing, bidFarewell, destroy, gone, rest, restUnawaited, seatsOf } from './lifecycle.ts'
import { markDirty } from './output.ts'
import { feed } from './receiving.ts'
import { GROUP, SERVES } from './scheduler.ts'
import { assign } from './sending.ts'
import { awaitSeat, chance, type PoolState } from './state.ts'
import { trace, whyOpened } from './tracing.ts'

const MAX_REMEMBERED = 1_000

/** What the scheduler has decided since. */
export function decide(pool: PoolState): void {
  for (let decision = pool.scheduler.next(); decision !== undefined; decision = pool.scheduler.next()) {
    switch (decision.type) {
      case 'assign':
        assign(pool, decision.carrier as LiveConnection, decision.waiter as Exchange)
        restUnawaited(pool, decision.waiter.origin as Site)
        break
      case 'open':
        // It may have been given up together with whoever it was for.
        if (decision.carrier.phase !== 'gone')
          open(pool, decision.carrier as PoolConnection, decision.opener as Exchange)
        break
      case 'close': {
        const connection = decision.carrier as LiveConnection
        trace(pool, undefined, connection, 'pool.close', { reason: decision.reason })
        if (decision.now) destroy(pool, connection)
        else bidFarewell(pool, connection)
        break
      }
    }
  }
}

// ── dials ──

function open(pool: PoolState, connection: PoolConnection, opener: Exchange): void {
  const { site } = connection
  opener.clearPool(pool.timers)
  if (site.seatsPerDial === Infinity && opener.need !== 'h1')
    pool.timers.after(site.shareDeadline, pool.limits.shareTimeout, pool.now)
  connection.traced = opener.traced
  if (opener.traced) trace(pool, opener, connection, 'pool.open', { reason: whyOpened(opener) })
  connection.establishing = new Establishing(pool, connection, opener)
  connection.establishing.start()
}

export function established(
  pool: PoolState,
  dialled: PoolConnection,
  { link, info, version, surplus }: Established,
): void {
  const connection = dialled as LiveConnection
  const { site, opener } = connection
  const multiplexed = version === 'h2'
  connection.machine = pool.makeMachine(version, pool.now, site.streams)
  connection.establishing = undefined
  connection.link = link
  connection.written = link.ahead
  link.owner = connection
  connection.info = info
  // A dial for HTTP/1.1 alone does not tell what else the origin speaks.
  const asked = connection.group !== GROUP.h1
  const shared = site.seatsPerDial > 1
  // Before the scheduler hears of either, or it would dial for them.
  if (asked && !multiplexed) refuseConnects(pool, connection)
  if (asked) remember(pool, site, version)
  const age = pool.settings.maxConnectionAge
  if (age !== undefined) pool.timers.after(connection.deadline('age'), age * (1 - chance(pool) / 10), pool.now)
  markDirty(pool, connection)
  if (connection.traced && multiplexed) {
    for (const how of ['started', 'complete']) {
      trace(pool, opener as Exchange | undefined, connection, `http2.send_connection_init.${how}`)
    }
  }
  // Whether it takes extended CONNECT is known with its first SETTINGS.
  pool.scheduler.opened(
    connection,
    multiplexed ? SERVES.any : SERVES.any | SERVES.h1,
    seatsOf(pool, connection),
    multiplexed,
  )
  armMachine(pool, connection)
  armPing(pool, connection)
  if (multiplexed && opener?.need === 'h2-connect') connection.dialledFor = opener as Exchange
  decide(pool)
  if (asked && shared && !multiplexed) turnAwayLast(pool, site)
  // Its dial was somebody else's gain: it waits on.
  if (opener !== undefined) awaitSeat(pool, opener as Exchange)
  if (connection.idle) rest(pool, connection)
  if (surplus.length > 0) feed(pool, connection, surplus)
}

/** Who waited for a dial's answer, and has no stream of it, is in the queue from now on: if there is a place. */
function turnAwayLast(pool: PoolState, { undialled: [waiting] }: Site): void {
  while (waiting.last !== undefined && isCrowded(pool)) turnAway(pool, waiting.last as Exchange)
}

/** A failed dial fails only the request that it was opened for. */
export function notEstablished(pool: PoolState, connection: PoolConnection, error: unknown): void {
  const opener = connection.opener as Exchange | undefined
  connection.establishing = undefined
  if (opener !== undefined) fail(pool, opener, error, connection)
  gone(pool, connection)
}

// ── what an origin speaks ──

function remember(pool: PoolState, site: Site, version: 'h1' | 'h2'): void {
  if (pool.remembered.size >= MAX_REMEMBERED) pool.remembered.clear()
  pool.remembered.set(site.key, version)
  pool.timers.clear(site.shareDeadline)
  if (mayShare(pool.settings, site)) pool.scheduler.expect(site, version === 'h2' ? Infinity : 1)
}

/** How many requests one more dial is for, when the first takes long. */
export function seatsPerDial(pool: PoolState, site: Site): number {
  return pool.remembered.get(site.key) === 'h2' ? Math.min(pool.limits.assumedConcurrentStreams, site.streams) : 1
}
