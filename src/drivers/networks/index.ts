// Networks: what carries bytes, and has the clock. Reading order:
export { nodeNetwork } from './node.ts' // sockets
export { SimNetwork } from './sim.ts' // memory, and a clock that waits
export type { SimConditions, SimFault, SimHandshake, SimListenOptions, SimOptions, SimTls } from './sim.ts'
