// HTTP/2, for pools that may speak it: a third of the package's code, and a third of what its import would cost above that
// of an empty file. It comes with the first request of such a pool, once for all of them.
//
// What is imported is the machine and not the folder: in dist/ that is one file and not two, the one that httpcore/sim has.
import type { H2Connection } from '../../h2/connection.ts'

let machine: typeof H2Connection | undefined
let loading: Promise<void> | undefined

/** To be awaited before there is a connection; undefined: it is there. */
export function loadHttp2(): Promise<void> | undefined {
  if (machine !== undefined) return undefined
  return (loading ??= import('../../h2/connection.ts').then(
    (module) => {
      machine = module.H2Connection
    },
    (error: unknown) => {
      // Too many open files, say: the next request tries again.
      loading = undefined
      throw error
    },
  ))
}

export function http2(): typeof H2Connection {
  return machine as typeof H2Connection
}
