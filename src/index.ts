// httpcore: the async interface. The blocking one is `httpcore/sync`; the machines are `httpcore/h11`, `httpcore/h2`,
// `httpcore/hpack` and `httpcore/pool`; a network in memory is `httpcore/sim`.
export {
  ConnectionPool,
  request,
  stream,
  type ContentSource,
  type PoolOptions,
  type RequestOptions,
} from './drivers/async/pool.ts'
export { SingleConnection, type SingleConnectionOptions } from './drivers/async/connection.ts'
export { Response } from './drivers/async/response.ts'
export { NetworkStream, type StartTlsOptions } from './drivers/async/network-stream.ts'
export type { ConnectionInfo } from './drivers/shared/exchange.ts'
export type { ResponseParts } from './drivers/shared/response.ts'
export type { CommonRequestOptions, TimeoutInit, TimeoutOptions } from './drivers/shared/options.ts'
export type { CommonPoolOptions, ProxyOptions } from './drivers/shared/pool-options.ts'
export { pump, type Pump } from './drivers/shared/pump.ts'
export { nodeNetwork } from './drivers/networks/node.ts'
export type { Link, Network, NetworkCapabilities, Sink } from './drivers/network.ts'
export type { ConnectTarget, LinkInfo, LinkSide, Timeouts, TlsTarget, TraceEvent } from './pool/lean.ts'
export * from './http/public.ts'
