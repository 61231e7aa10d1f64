// What the parts of the pool share: its limits, everything that it holds, and the commands that it has noted.
//
// The parts are functions over this state, in layers: decisions and deadlines know sending and receiving, these know how an
// exchange ends, that knows what becomes of a connection, and nobody calls upwards. But an end is a beginning: a seat that
// is free is given away, what was written lets a machine speak, what was dialled is there. These calls lead up again, and
// stand here.
import { formatOrigin, resolveLimits, type Millis, type Origin, type ResolvedLimits } from '../http/index.ts'
import type { ConnectTarget, PoolCommand } from './commands.ts'
import { PoolConnection, Site, type Link, type LiveConnection } from './connection.ts'
import { machines, mayShare, type Established, type Establishing, type Http2 } from './establish.ts'
import type { Exchange, RequestInput } from './exchange.ts'
import { Passing } from './passing.ts'
import { Scheduler } from './scheduler.ts'
import type { PoolSettings } from './settings.ts'
import { BySlot, Slots } from './slots.ts'
import { Deadline, Timers } from './timers.ts'

/** What leads up: decisions are carried out; a machine is heard; a connection was made, or was not. */
interface Upward {
  readonly decide: (pool: PoolState) => void
  readonly drain: (pool: PoolState, connection: LiveConnection) => void
  readonly established: (pool: PoolState, connection: PoolConnection, made: Established) => void
  readonly notEstablished: (pool: PoolState, connection: PoolConnection, error: unknown) => void
}

export class PoolState {
  readonly settings: PoolSettings
  readonly limits: ResolvedLimits
  readonly makeMachine: ReturnType<typeof machines>
  readonly scheduler: Scheduler
  readonly timers = new Timers()
  readonly exchanges = new BySlot<Exchange>()
  readonly links = new Slots<Link>()
  readonly connections = new Passing<PoolConnection, true>()
  readonly sites = new Passing<string, Site>()
  /** The caller's own objects: most requests come with one that was seen before. */
  readonly byOrigin = new WeakMap<Origin, Site>()
  /** What an origin was found to speak. */
  readonly remembered = new Map<string, 'h1' | 'h2'>()
  readonly resolving = new Passing<string, Set<Establishing>>()
  /** What was dialled last. */
  lastTarget: ConnectTarget | undefined
  /** Their machines have something to say. */
  readonly dirty: LiveConnection[] = []
  readonly graceDeadline: Deadline = new Deadline(this, 'grace')
  readonly decide: Upward['decide']
  readonly drain: Upward['drain']
  readonly established: Upward['established']
  readonly notEstablished: Upward['notEstablished']
  commands: PoolCommand[] = []
  /** How many of the commands were performed. */
  taken = 0
  now: Millis
  life: 'open' | 'closing' | 'destroyed' = 'open'
  /** `close` or `destroy` was asked for, and is not answered yet. */
  owesClosed = false
  /** Why it was destroyed. */
  reason: unknown
  random: number
  /** Exchanges whose response has ended while a machine is heard. */
  finished: Exchange[] = []

  constructor(
    settings: PoolSettings,
    start: { readonly now: Millis; readonly seed: number; readonly http2: Http2 },
    { decide, drain, established, notEstablished }: Upward,
  ) {
    this.settings = settings
    this.limits = resolveLimits(settings.limits, 'client')
    this.makeMachine = machines(settings, start.http2)
    this.now = start.now
    this.random = start.seed >>> 0
    this.scheduler = new Scheduler(settings, (site, need) => {
      const connection = new PoolConnection(site, need)
      this.connections.set(connection, true)
      return connection
    })
    this.decide = decide
    this.drain = drain
    this.established = established
    this.notEstablished = notEstablished
  }
}

export function siteOf(pool: PoolState, { origin, sniHostname: name }: RequestInput): Site {
  const sniHostname = name === '' ? undefined : name
  const last = pool.byOrigin.get(origin)
  if (last !== undefined && !last.gone && last.sniHostname === sniHostname) return last
  // The same address on another link is another peer. RFC 4007 §6.
  const zone = /:.*?(%.*)/.exec(origin.host)?.[1] ?? ''
  const key = `${formatOrigin(origin)}${zone}${sniHostname === undefined ? '' : `#${sniHostname}`}`
  let site = pool.sites.get(key)
  if (site === undefined) {
    site = new Site(key, origin, sniHostname)
    const shares = mayShare(pool.settings, site) && pool.remembered.get(key) !== 'h1'
    if (shares) pool.scheduler.expect(site, Infinity)
    pool.sites.set(key, site)
  }
  pool.byOrigin.set(origin, site)
  return site
}

export function forgetSite(pool: PoolState, site: Site): void {
  if (site.requests > 0 || site.connections > 0) return
  pool.timers.clear(site.shareDeadline)
  pool.sites.delete(site.key)
  pool.byOrigin.delete(site.origin)
  site.gone = true
}

/**
 * Who waits, and has no dial of its own, does so under the pool's deadline. That is absolute: it goes on where it was,
 * however often a request comes back.
 */
export function awaitSeat(pool: PoolState, exchange: Exchange): void {
  const { waiting, dial, queuedAt, timeouts } = exchange
  if (!waiting || dial !== undefined || timeouts.pool === Infinity) return
  // A new one stands behind those of its own duration; only what comes back looks for its place.
  if (queuedAt === pool.now) pool.timers.after(exchange.poolDeadline, timeouts.pool, pool.now)
  else pool.timers.at(exchange.poolDeadline, queuedAt + timeouts.pool)
}

export function chance(pool: PoolState): number {
  // A linear congruence is chance enough for jitter. Numerical Recipes' constants.
  pool.random = (Math.imul(pool.random, 1_664_525) + 1_013_904_223) >>> 0
  // In steps: each duration has a list of its own.
  return (pool.random >>> 28) / 16
}
