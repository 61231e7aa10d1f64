// Networks: what carries bytes, and has the clock. Reading order:
export { nodeNetwork } from './node.ts' // sockets
