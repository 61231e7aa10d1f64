// httpcore/sim: a network in memory on a virtual clock. `new ConnectionPool({ networkBackend: new SimNetwork() })` runs
// in it, and so does any machine that is joined to a link with `pump`.
import './h2/index.ts' // Loaded before it is needed: a virtual clock would not wait for a file.

export * from './drivers/networks/sim.ts'
export { pump } from './drivers/shared/pump.ts'
export type { Pump } from './drivers/shared/pump.ts'
export type { Link, Network, NetworkCapabilities, Sink } from './drivers/network.ts'
