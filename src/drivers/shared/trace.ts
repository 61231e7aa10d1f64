// Who hears of what happens: the request's own callback, the pool's, and everybody on the diagnostics channel
// 'httpcore:trace'. With nobody listening a request costs one look at each. Where there are no diagnostics channels there
// are two to look at.
import type { Channel } from 'node:diagnostics_channel'
import type { TraceEvent } from '../../pool/lean.ts'
import { builtin } from './builtin.ts'

export type TraceCallback = (event: TraceEvent) => void
/** A pool, as far as its events go. */
export interface Traced {
  readonly trace: TraceCallback | undefined
  /** Among the pools of this thread: each numbers its requests and connections for itself. */
  readonly number: number
}

/** null: not looked for yet. A request looks, an import does not: it would load the module, in 0.2 ms. */
let published: Channel | undefined | null = null

export function isTraced(own: TraceCallback | undefined, pool: TraceCallback | undefined): boolean {
  if (published === null) published = builtin('node:diagnostics_channel')?.channel('httpcore:trace')
  return own !== undefined || pool !== undefined || published?.hasSubscribers === true
}

/** Tells them all; what a callback throws is for the caller of this to place. */
export function tell(event: TraceEvent, own: TraceCallback | undefined, pool: Traced): void {
  if (published?.hasSubscribers === true) published.publish({ ...event, pool: pool.number })
  pool.trace?.(event)
  own?.(event)
}
