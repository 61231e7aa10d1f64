// What users see of http, from `httpcore` and `httpcore/sync` alike. The rest is between machines and drivers.
export { Fields, type FieldsInit } from './fields.ts'
export { IDEMPOTENT_METHODS } from './messages.ts'
export type {
  Bytes,
  ContentPlan,
  ExchangeId,
  Framing,
  Millis,
  OwnedBytes,
  Priority,
  RequestHead,
  ResponseHead,
  Role,
} from './messages.ts'
export type * from './events.ts'
export type * from './connection.ts'
export * from './errors.ts'
export { formatAuthority, formatOrigin, splitHostPort, splitUrl, type Origin, type SplitUrl } from './origin.ts'
export { LIMITS, type LimitName, type Limits } from './limits.ts'
