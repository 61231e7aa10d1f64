// Who hears of what happens: the request's own callback, the pool's, and everybody on the diagnostics channel
// 'httpcore:trace'. With nobody listening a request costs one look at each. Where there are no diagnostics channels (a
// browser, which may import the blocking interface, if only to be told that it cannot block) there are two to look at.
import type * as DiagnosticsChannel from 'node:diagnostics_channel'
import type { TraceEvent } from '../../pool/index.ts'

export type TraceCallback = (event: TraceEvent) => void

const published = builtin('node:diagnostics_channel')?.channel('httpcore:trace')

function builtin(name: string): typeof DiagnosticsChannel | undefined {
  const { process } = globalThis as { process?: Partial<NodeJS.Process> }
  return process?.getBuiltinModule?.(name) as typeof DiagnosticsChannel | undefined
}

export function isTraced(own: TraceCallback | undefined, pool: TraceCallback | undefined): boolean {
  return own !== undefined || pool !== undefined || published?.hasSubscribers === true
}

/** Tells them all; what a callback throws is for the caller of this to place. */
export function tell(event: TraceEvent, own: TraceCallback | undefined, pool: TraceCallback | undefined): void {
  if (published?.hasSubscribers === true) published.publish(event)
  pool?.(event)
  own?.(event)
}
