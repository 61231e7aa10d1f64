// The contract of a machine: one face for HTTP/1.1 and HTTP/2, client and server. A machine holds one connection's
// protocol state and no socket: bytes and time go in, events and bytes come out, nothing calls back.
//
// The laws. Every machine is tested against each of them, by these numbers:
//  C1  cutting the bytes anywhere never changes the events (adjacent `data` of one exchange joined) nor the bytes
//      written (WINDOW_UPDATEs summed)
//  C2  no bytes whatever make it throw
//  C3  per exchange: informational*, then response data* end, or response switched; or at any point one failure.
//      For a server: request data* end, then switched after our 101 or our 2xx to CONNECT. Then nothing
//  C4  capacity > 0 exactly when a request is accepted
//  C5  active = begun − ended
//  C6  a refused verb changes nothing
//  C7  output that was taken is gone
//  C8  closed is for ever
//  C9  what a client sends its server mirror receives, and back
//  C10 what it holds never passes its limits, in bytes and in items
//  C11 same inputs, same outputs
//  C12 the cost is linear in the bytes, however they are cut
//  C13 overwriting the lent buffer after each drain changes nothing that was delivered
//  C14 `unsent` is 0 exactly when the last byte that was handed over has been taken out; where `takeOutput` changed it,
//      the exchange is among `taken`
//
// What the peer does wrong is an event, after everything that preceded it, once; then the machine is deaf. What the
// caller does wrong is thrown as LocalProtocolError.
import type { FieldsInit } from './fields.ts'
import type { H11Event, H2Event } from './events.ts'
import type { Bytes, ExchangeId, Millis, RequestHead, ResponseHead, Role } from './messages.ts'

/** What of an exchange goes and comes, in octets on the wire: heads, content and trailers with all that frames them. */
export interface Ledger {
  bytesSent: number
  bytesReceived: number
}

export interface Connection<E = H11Event | H2Event> {
  /** Lends bytes until the next call. Parses nothing that `nextEvent` was not asked for. */
  receiveData(data: Bytes, now: Millis): void
  /** The peer will send no more; `clean`: TLS said so too, where the network can tell. */
  receiveEof(now: Millis, clean?: boolean): void
  /** undefined: nothing more until more bytes, a send, a `consume` or `nextExchange`; `readState` says which. */
  nextEvent(): E | undefined
  /** paused: stop reading the socket. done: nothing that comes will be read. */
  readonly readState: 'need-data' | 'paused' | 'done'

  /** Needs `capacity` > 0. `end`: there is no content. `ledger`: added to for as long as the exchange runs. */
  sendRequest(head: RequestHead, options?: { readonly end?: boolean; readonly ledger?: Ledger | undefined }): ExchangeId
  sendInformational(exchange: ExchangeId, status: number, headers?: FieldsInit): void
  sendResponse(exchange: ExchangeId, head: ResponseHead, options?: { readonly end?: boolean }): void
  /**
   * One chunk of any size while less than the high-water mark waits; the bytes are the machine's until drained. false:
   * wait for 'writable'; called again before that it throws.
   */
  sendData(exchange: ExchangeId, data: Bytes, end?: boolean): boolean
  end(exchange: ExchangeId, trailers?: FieldsInit): void
  /** The application has used n bytes of content: reading resumes, windows reopen. */
  consume(exchange: ExchangeId, n: number): void
  /** HTTP/1.1 server: let the next pipelined request through. */
  nextExchange(): void
  /** Give the exchange up. Nothing more is said of it. */
  cancel(exchange: ExchangeId, h2Code?: number): void
  /** Finish what runs, begin nothing. HTTP/2: GOAWAY. */
  close(now: Millis): void
  /** End now. */
  abort(h2Code?: number): void
  /** For harnesses: these bytes, as they are, next in the output. */
  sendRaw(bytes: Bytes): void

  /** Chunks to write, in order, of at most about `maxBytes` together. Never written again by the machine. */
  takeOutput(maxBytes?: number): Bytes[]
  readonly outputBytes: number
  /** Exchanges of which something may have left with the last `takeOutput`; valid until the next. */
  readonly taken: readonly ExchangeId[]
  readonly wantsClose: 'no' | 'after-output' | 'now'
  nextTimeout(): Millis | undefined
  handleTimeout(now: Millis): void

  readonly role: Role
  /** How many exchanges it could begin now. */
  readonly capacity: number
  readonly active: number
  /** It will not begin another exchange. */
  readonly draining: boolean
  readonly closed: boolean
  readonly closeReason: string | undefined
  /** What was handed over for the exchange and not taken out yet: 0, or about so many bytes. */
  unsent(exchange: ExchangeId): number
  /** Bytes of content that could leave now; Infinity in HTTP/1.1. */
  sendWindow(exchange: ExchangeId): number
  /** JSON of the whole state, secrets redacted. */
  snapshot(): unknown
}

/** What only HTTP/2 can say. */
export interface H2Extras {
  /** Eight octets. RFC 9113 §6.7. */
  ping(payload: Bytes, now: Millis): void
  updateSettings(settings: Readonly<Record<string, number>>, now: Millis): void
  sendFrame(frameType: number, flags: number, stream: number, payload: Bytes): void
}
