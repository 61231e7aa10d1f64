// What a trace is told: the steps of an exchange and the fates of connections, under httpcore's names, and why the pool
// decided as it did.
//
// It decides nothing. Whoever calls from where it costs asks first whether anybody listens.
import type { PoolConnection } from './connection.ts'
import type { Exchange, TraceStep } from './exchange.ts'
import type { PoolState } from './state.ts'

export function trace(
  pool: PoolState,
  exchange: Exchange | undefined,
  connection: PoolConnection | undefined,
  name: string,
  info: Readonly<Record<string, unknown>> = {},
  link = connection?.link?.id,
): void {
  if (exchange?.traced !== true && connection?.traced !== true) return
  const version = connection?.multiplexed === true ? 'http2.' : 'http11.'
  pool.commands.push({
    type: 'trace',
    event: {
      name: (/^(send|receive|response)_/.test(name) ? version : '') + name,
      time: pool.now,
      request: exchange?.id,
      connection: link,
      info,
    },
  })
}

// ── the steps of an exchange ──

/** The step that was begun is over, the next begins. */
export function traceStep(
  pool: PoolState,
  exchange: Exchange,
  next: TraceStep | undefined,
  info: Readonly<Record<string, unknown>> = {},
  how: 'complete' | 'failed' = 'complete',
): void {
  const { attempt } = exchange
  const { connection, step } = attempt
  if (step !== undefined) trace(pool, exchange, connection, `${step}.${how}`, info)
  attempt.step = next
  if (next !== undefined) trace(pool, exchange, connection, `${next}.started`)
}

/** The step that was begun ends here. */
export function traceFailure(pool: PoolState, exchange: Exchange, error: unknown): void {
  if (exchange.attempt.step !== undefined) traceStep(pool, exchange, undefined, { exception: error }, 'failed')
}

// ── the end of a connection ──

export function traceClosed(pool: PoolState, connection: PoolConnection): void {
  if (!connection.closing) traceClosing(pool, connection, 'started')
  traceClosing(pool, connection, 'complete')
}

/** The reason is the machine's: what the peer said, or that it was ours. */
export function traceClosing(pool: PoolState, connection: PoolConnection, how: 'started' | 'complete'): void {
  trace(pool, undefined, connection, `connection.close.${how}`, { reason: connection.machine?.closeReason })
}

// ── why ──

export function traceQueued(pool: PoolState, exchange: Exchange): void {
  if (exchange.traced) trace(pool, exchange, undefined, 'pool.queued', { reason: whyQueued(pool, exchange) })
}

function whyQueued(pool: PoolState, { dial, held, need, site }: Exchange): string {
  if (dial !== undefined) return 'dialling'
  if (held) return 'backoff'
  if (need !== 'h1' && site.seatsPerDial > 1 && site.dials[0] > 0) return 'sharing-dial'
  if (site.suspended > 0) return pool.remembered.get(site.key) === 'h2' ? 'no-streams' : 'catching-up'
  return site.connections >= pool.settings.maxConnectionsPerOrigin ? 'origin-limit' : 'pool-limit'
}

export function whyOpened({ lostAt, site }: Exchange): string {
  if (lostAt > 0) return 'stale-retry'
  return site.active > 0 || site.idle.length > 0 ? 'all-taken' : 'no-connection'
}
