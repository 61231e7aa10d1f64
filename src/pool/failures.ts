// Errors from facts: which class, and what it says, for everything that can end a request on its way through the pool.
import {
  ConnectError,
  ConnectionNotAvailable,
  formatOrigin,
  LocalProtocolError,
  PoolClosed,
  PoolTimeout,
  ReadError,
  ReadTimeout,
  RemoteProtocolError,
  TimeoutException,
  UnsupportedProtocol,
  WriteError,
  WriteTimeout,
  type Disposition,
  type ErrorDetails,
  type HttpCoreError,
  type PeerFault,
} from '../http/index.ts'
import type { Exchange } from './exchange.ts'

type Facts = Omit<ErrorDetails, 'code'>

/** What every error of an exchange says. */
export function factsOf(exchange: Exchange): Facts {
  return {
    phase: exchange.phase,
    origin: formatOrigin(exchange.site.origin),
    bytesSent: exchange.attempt.bytesSent,
    bytesReceived: exchange.attempt.bytesReceived,
    disposition: dispositionOf(exchange),
  }
}
/** The worst of all its attempts. `last`: what is known of the last one. */
function dispositionOf({ maybeProcessed, attempt }: Exchange, last = attempt.disposition): Disposition {
  return maybeProcessed && last !== 'response-started' ? 'maybe-processed' : last
}

export function queueFull(exchange: Exchange, limit: number): HttpCoreError {
  const message = `no connection is free, and ${limit} requests wait for one already`
  return new ConnectionNotAvailable(message, { code: 'queue-full', ...factsOf(exchange) })
}
export function poolClosed(facts: Facts, reason?: unknown): HttpCoreError {
  return new PoolClosed('the pool is closed', { code: 'pool-closed', ...facts, cause: reason })
}
export function unsupported(exchange: Exchange, message: string, rule: string): HttpCoreError {
  return new UnsupportedProtocol(message, { code: 'unsupported-protocol', rule, ...factsOf(exchange) })
}

export function poolTimeout(exchange: Exchange): HttpCoreError {
  const message = `no connection to ${formatOrigin(exchange.site.origin)} became free within ${exchange.timeouts.pool} ms`
  return new PoolTimeout(message, { code: 'pool-timeout', ...stuckAt(exchange) })
}
export function totalTimeout(exchange: Exchange): HttpCoreError {
  const message = `the request was not over within ${exchange.timeouts.total} ms`
  return new TimeoutException(message, { code: 'total-timeout', ...stuckAt(exchange) })
}
export function writeTimeout(exchange: Exchange): HttpCoreError {
  const message = `the peer accepted no byte of the request for ${exchange.timeouts.write} ms`
  return new WriteTimeout(message, { code: 'write-timeout', ...stuckAt(exchange) })
}
export function readTimeout(exchange: Exchange): HttpCoreError {
  const what = exchange.answered ? 'no more content' : 'no response'
  const message = `${what} came for ${exchange.timeouts.read} ms`
  return new ReadTimeout(message, { code: 'read-timeout', ...stuckAt(exchange) })
}
function stuckAt(exchange: Exchange): Facts {
  return { ...factsOf(exchange), blockedOn: exchange.blockedOn }
}

/** What a machine would not do for its caller. What is thrown there knows nothing of the request. */
export function misused(exchange: Exchange, error: unknown): unknown {
  if (!(error instanceof LocalProtocolError)) return error
  const { message, code, rule } = error
  return new LocalProtocolError(message, { code, rule, ...factsOf(exchange) })
}

/** The connection ended under the exchange. `fault`: what the machine says of that. */
export function connectionLost(exchange: Exchange, reason: unknown, fault?: PeerFault): HttpCoreError {
  const { begun, connection } = exchange.attempt
  const writing = connection?.writeFailure
  const cause = writing?.error ?? reason
  const facts = { ...factsOf(exchange), cause }
  if (begun) return new ReadError('the connection broke within the response', { code: 'connection-lost', ...facts })
  // Of a connection of many, what could not be written may be another's.
  if (writing !== undefined && (exchange.stage === 'sending' || connection?.multiplexed !== true))
    return new WriteError('the request could not be written', { code: 'write-failed', ...facts })
  const how = cause === undefined ? 'the server ended the connection' : 'the connection was lost'
  const code = 'server-disconnected'
  // Of the server's reasons only those are of interest that it gave itself.
  if (fault?.h2Code !== undefined) return new RemoteProtocolError(fault.message, { code, fault, ...facts })
  return new RemoteProtocolError(`${how} without a response`, { code, rule: 'RFC 9112 §9.5', ...facts })
}
export const TLS_DISCONNECTED = 'tls-disconnected'
/** What Node has no code of its own for is UNSPECIFIED: a weak key, a name constraint, a critical extension. */
const FAULTS = [
  ['certificate', /CERT|ISSUER|SIGNATURE|CRL|UNKNOWN_CA|^(?:INVALID_(?:CA|PURPOSE)|PATH_LENGTH|HOSTNAME|UNSPECIFIED)/],
  ['alpn', /ALPN|APPLICATION_PROTOCOL/],
  // Who mistook the port learns it from this alone: OpenSSL speaks of versions.
  ['handshake', /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG/, 'the peer speaks no TLS, plain HTTP perhaps: '],
] as const
/**
 * What a TLS handshake failed of, by the platform's own code for it.
 * @param cause undefined: the peer has gone without one
 * @param who left out: whom the request is for
 */
export function handshakeFault(cause: unknown, who?: string): { readonly code: string; readonly message: string } {
  const known = typeof cause === 'object' && cause !== null && 'code' in cause ? String(cause.code) : ''
  const handshake = `the TLS handshake${who === undefined ? '' : ` with ${who}`}`
  if (cause === undefined || /^(?:ECONN|EPIPE|ENET|EHOST|ETIMEDOUT)/.test(known)) {
    return { code: TLS_DISCONNECTED, message: `${handshake} was cut off` }
  }
  const [what, , hint = ''] = FAULTS.find(([, codes]) => codes.test(known)) ?? ['handshake']
  // OpenSSL ends its lines.
  const message = `${handshake} failed: ${hint}${(cause instanceof Error ? cause.message : String(cause)).trim()}`
  return { code: `tls-${what}`, message }
}
/** A handshake within a tunnel. */
export function handshakeFailed(exchange: Exchange, cause: unknown): HttpCoreError {
  const { code, message } = handshakeFault(cause)
  return new ConnectError(message, { ...factsOf(exchange), code, cause, phase: 'tls' })
}
/** The peer broke a rule, or refused. */
export function peerFailed(exchange: Exchange, fault: PeerFault, disposition: Disposition): HttpCoreError {
  const facts = { ...factsOf(exchange), disposition: dispositionOf(exchange, disposition) }
  return new RemoteProtocolError(fault.message, { code: fault.code, fault, ...facts })
}
