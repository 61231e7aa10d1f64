// Who hears of what happens: the request's own callback, the pool's, and everybody on the diagnostics channel
// 'httpcore:trace'. With nobody listening a request costs one look at each. Where there are no diagnostics channels there
// are two to look at.
import type { TraceEvent } from '../../pool/index.ts'
import { builtin } from './builtin.ts'

export type TraceCallback = (event: TraceEvent) => void

const published = builtin('node:diagnostics_channel')?.channel('httpcore:trace')

export function isTraced(own: TraceCallback | undefined, pool: TraceCallback | undefined): boolean {
  return own !== undefined || pool !== undefined || published?.hasSubscribers === true
}

/** Tells them all; what a callback throws is for the caller of this to place. */
export function tell(event: TraceEvent, own: TraceCallback | undefined, pool: TraceCallback | undefined): void {
  if (published?.hasSubscribers === true) published.publish(event)
  pool?.(event)
  own?.(event)
}
