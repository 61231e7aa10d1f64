// httpcore/sync: the blocking interface. The same names, options and errors as `httpcore`, without promises.
export {
  ConnectionPool,
  request,
  stream,
  type ContentSource,
  type PoolOptions,
  type ProxyOptions,
  type RequestOptions,
  type TlsOptions,
} from './drivers/blocking/pool.ts'
export { Response } from './drivers/blocking/response.ts'
export { NetworkStream, type StartTlsOptions } from './drivers/blocking/network-stream.ts'
export type { Data } from './drivers/blocking/data.ts'
export type { ConnectionInfo } from './drivers/shared/exchange.ts'
export type { ResponseParts } from './drivers/shared/response.ts'
export type { CommonRequestOptions, TimeoutInit, TimeoutOptions } from './drivers/shared/options.ts'
export type { CommonPoolOptions } from './drivers/shared/pool-options.ts'
export type { LinkInfo, Timeouts, TraceEvent } from './pool/lean.ts'
export * from './http/public.ts'
