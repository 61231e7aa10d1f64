// Who hears of what happens: the request's own callback, the pool's, and everybody on the diagnostics channel
// 'httpcore:trace'. With nobody listening a request costs one look at each.
import { channel } from 'node:diagnostics_channel'
import type { TraceEvent } from '../../pool/index.ts'

export type TraceCallback = (event: TraceEvent) => void

const published = channel('httpcore:trace')

export function isTraced(own: TraceCallback | undefined, pool: TraceCallback | undefined): boolean {
  return own !== undefined || pool !== undefined || published.hasSubscribers
}

/** Tells them all; what a callback throws is for the caller of this to place. */
export function tell(event: TraceEvent, own: TraceCallback | undefined, pool: TraceCallback | undefined): void {
  if (published.hasSubscribers) published.publish(event)
  pool?.(event)
  own?.(event)
}
