// What may be sent again (law P8), as one decision over facts. Nothing else in the pool ever sends a request twice.
//
// (a) What is provably unprocessed: no byte of it was written, or the peer said so (REFUSED_STREAM, above GOAWAY's last
//     id). Any method; back to its old place in the queue; content that was not pulled yet counts as replayable. Not where
//     a connection that has answered nobody broke the protocol.
// (b) What is idempotent and replayable, after a *reused* connection, or one that was idle before its first request,
//     died with no byte of response: once, on a connection that is dialled for it. Timeouts, TLS, proxies, limits and
//     broken protocol are never retried.
import type { Disposition } from '../http/index.ts'

export interface Failure {
  readonly disposition: Disposition
  /** What became of the connection: it ended, a rule was broken, or it goes on. */
  readonly connection: 'lost' | 'broken' | 'up'
  /** A response came over it, be it another's. */
  readonly answered: boolean
  /** It was used before, or stood idle: its peer may have been about to end it. */
  readonly mayBeStale: boolean
  readonly responseBytes: boolean
  readonly idempotent: boolean
  /** Its content can be produced again. */
  readonly replayable: boolean
  /** Some of that was asked for. */
  readonly pulled: boolean
  readonly replays: number
  readonly staleRetries: number
}
export interface RetryLimits {
  readonly maxReplays: number
  readonly maxStaleRetries: number
}

export function retryOf(failure: Failure, limits: RetryLimits): 'replay' | 'fresh' | 'no' {
  const { disposition, connection, answered, responseBytes } = failure
  const whole = failure.replayable || !failure.pulled
  // Who breaks the protocol before it was asked, as the far end of a tunnel may, would do so each time.
  const unasked = disposition === 'not-sent' && !answered && (responseBytes || connection === 'broken')
  if (disposition === 'response-started' || unasked) return 'no'
  if (disposition !== 'maybe-processed') return whole && failure.replays < limits.maxReplays ? 'replay' : 'no'
  const stale = connection === 'lost' && failure.mayBeStale && !responseBytes
  return stale && failure.idempotent && whole && failure.staleRetries < limits.maxStaleRetries ? 'fresh' : 'no'
}
