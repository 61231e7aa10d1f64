// Errors say who was wrong, how far it reaches, which rule, where, and whether the request may be sent again.
//
// Two kinds, never mixed. What the *peer* did wrong is a value, `PeerFault`, carried by events in order with everything
// else the peer did; it is turned into an exception only where a promise (or a blocking call) has to fail. What the
// *caller* did wrong is thrown at once as `LocalProtocolError`, and changes nothing.

import type { Fields } from './fields.ts'

/** What is known of the fate of a request that failed. */
export type Disposition =
  /** Nothing of it left: it may be sent again, whatever the method. */
  | 'not-sent'
  /** The peer said that it did not process it (REFUSED_STREAM, GOAWAY): it may be sent again. */
  | 'refused'
  /** Some of it left and no answer came: only an idempotent request may be sent again. */
  | 'maybe-processed'
  /** A final response had begun. */
  | 'response-started'

/** What the peer did wrong. */
export interface PeerFault {
  /** Stable and kebab-case: 'chunk-size', 'flow-control', 'limit-head', 'incomplete-message' … */
  readonly code: string
  /** The rule that was broken: 'RFC 9112 §7.1'. */
  readonly rule: string
  readonly message: string
  /** Whether one exchange fails, or the connection with all of them. */
  readonly scope: 'exchange' | 'connection'
  /** Where in the connection's byte stream it was seen. */
  readonly offset: number
  /** The response a server should give: 400, 413, 414, 417, 431, 501, 505. */
  readonly status?: number | undefined
  /** The HTTP/2 error code that was sent or received for it. RFC 9113 §7. */
  readonly h2Code?: number | undefined
}

/** What a request was waiting for when it failed, and since when on the network's clock. */
export interface BlockedOn {
  readonly want: string
  readonly since: number
}
/** One address that was tried, and what came of it. */
export interface Attempt {
  readonly address: string
  readonly error: unknown
}

export interface ErrorDetails {
  readonly code: string
  readonly rule?: string | undefined
  readonly phase?: string | undefined
  readonly origin?: string | undefined
  readonly bytesSent?: number | undefined
  readonly bytesReceived?: number | undefined
  readonly disposition?: Disposition | undefined
  readonly blockedOn?: BlockedOn | undefined
  readonly attempts?: readonly Attempt[] | undefined
  readonly fault?: PeerFault | undefined
  readonly cause?: unknown
}

/** The base of everything that this library throws for a failed request. */
export class HttpCoreError extends Error {
  /** Stable and kebab-case; finer than the class. */
  readonly code: string
  /** The rule that was broken, where one was. */
  readonly rule: string | undefined
  /**
   * Where the request stood: 'pool', 'dns', 'connect', 'tls', 'proxy', 'req_head', 'req_body', 'waiting' (nothing has come),
   * 'resp_head', 'resp_body' (trailers as well); or ''.
   */
  readonly phase: string
  readonly origin: string | undefined
  /** Of the request, framing included. */
  readonly bytesSent: number
  /** Of the response, framing included. */
  readonly bytesReceived: number
  readonly disposition: Disposition
  readonly blockedOn: BlockedOn | undefined
  readonly attempts: readonly Attempt[]
  /** What the peer did wrong, where it did. */
  readonly fault: PeerFault | undefined

  constructor(message: string, details: ErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = details.code
    this.rule = details.rule ?? details.fault?.rule
    this.phase = details.phase ?? ''
    this.origin = details.origin
    this.bytesSent = details.bytesSent ?? 0
    this.bytesReceived = details.bytesReceived ?? 0
    this.disposition = details.disposition ?? 'not-sent'
    this.blockedOn = details.blockedOn
    this.attempts = details.attempts ?? []
    this.fault = details.fault
  }

  // A getter on the prototype, so that the first line of the stack has the right name too.
  override get name(): string {
    return 'HttpCoreError'
  }
}

/** What a proxy answered instead of a tunnel. */
export interface ProxyAnswer {
  readonly status: number
  readonly headers: Fields
  /** At most `maxProxyContentBytes` of its content. */
  readonly content: Uint8Array
}
/** The proxy refused, broke its protocol, or went away before there was a way through it. */
export class ProxyError extends HttpCoreError {
  /** undefined: it gave none that could be read (or it speaks SOCKS). */
  readonly answer: ProxyAnswer | undefined

  constructor(message: string, details: ErrorDetails, answer?: ProxyAnswer) {
    super(message, details)
    this.answer = answer
  }
  override get name(): string {
    return 'ProxyError'
  }
}

/** No connection may be had: the queue is full, or the only one that would do cannot take the request. */
export class ConnectionNotAvailable extends HttpCoreError {
  override get name(): string {
    return 'ConnectionNotAvailable'
  }
}
/** The pool is closed, or was closed while the request waited. */
export class PoolClosed extends HttpCoreError {
  override get name(): string {
    return 'PoolClosed'
  }
}
/** The URL's scheme is not one of http, https, ws, wss; or the peer lacks the protocol that the request needs. */
export class UnsupportedProtocol extends HttpCoreError {
  override get name(): string {
    return 'UnsupportedProtocol'
  }
}

export class ProtocolError extends HttpCoreError {
  override get name(): string {
    return 'ProtocolError'
  }
}
/** The peer broke the protocol, or ended the connection in the middle of a message. */
export class RemoteProtocolError extends ProtocolError {
  override get name(): string {
    return 'RemoteProtocolError'
  }
}
/** The caller asked for something that may not be sent. Nothing was changed by the call. */
export class LocalProtocolError extends ProtocolError {
  override get name(): string {
    return 'LocalProtocolError'
  }
}

/** The deadline of the whole request ('total-timeout'), and the base of the finer ones. */
export class TimeoutException extends HttpCoreError {
  override get name(): string {
    return 'TimeoutException'
  }
}
export class PoolTimeout extends TimeoutException {
  override get name(): string {
    return 'PoolTimeout'
  }
}
export class ConnectTimeout extends TimeoutException {
  override get name(): string {
    return 'ConnectTimeout'
  }
}
export class ReadTimeout extends TimeoutException {
  override get name(): string {
    return 'ReadTimeout'
  }
}
export class WriteTimeout extends TimeoutException {
  override get name(): string {
    return 'WriteTimeout'
  }
}

export class NetworkError extends HttpCoreError {
  override get name(): string {
    return 'NetworkError'
  }
}
/** Resolving, dialling or the TLS handshake failed; `attempts` has every address and its error. */
export class ConnectError extends NetworkError {
  override get name(): string {
    return 'ConnectError'
  }
}
export class ReadError extends NetworkError {
  override get name(): string {
    return 'ReadError'
  }
}
export class WriteError extends NetworkError {
  override get name(): string {
    return 'WriteError'
  }
}
