// Modules of the platform, loaded when they are first used: together they would be a fifth of what importing this package
// costs, and many programs never come to them. And no import fails where there is no such module: a browser may import
// any subpath, if only to be told what it cannot do there. A look-up costs a tenth of a microsecond.
import type * as Crypto from 'node:crypto'
import type * as DiagnosticsChannel from 'node:diagnostics_channel'
import type * as Dns from 'node:dns'
import type * as Fs from 'node:fs'
import type * as Net from 'node:net'
import type * as PerfHooks from 'node:perf_hooks'
import type * as Timers from 'node:timers'
import type * as Tls from 'node:tls'
import type * as Url from 'node:url'
import type * as WorkerThreads from 'node:worker_threads'

interface Builtins {
  'node:crypto': typeof Crypto
  'node:diagnostics_channel': typeof DiagnosticsChannel
  'node:dns': typeof Dns
  'node:fs': typeof Fs
  'node:net': typeof Net
  'node:perf_hooks': typeof PerfHooks
  'node:timers': typeof Timers
  'node:tls': typeof Tls
  'node:url': typeof Url
  'node:worker_threads': typeof WorkerThreads
}

/** undefined: this platform has none of that name. */
export function builtin<Name extends keyof Builtins>(name: Name): Builtins[Name] | undefined {
  const { process } = globalThis as { process?: Partial<NodeJS.Process> }
  return process?.getBuiltinModule?.(name) as Builtins[Name] | undefined
}

/** For what cannot be done without it. */
export function needed<Name extends keyof Builtins>(name: Name): Builtins[Name] {
  const found = builtin(name)
  if (found === undefined) throw new Error(`this platform has no ${name}`)
  return found
}
