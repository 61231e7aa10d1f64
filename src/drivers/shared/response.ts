// A response as its reader meets it, but for the ways to read it: those are the interface's. It holds no state of its own
// but what has been read, and whether somebody reads.
import { misuse, type Fields, type Framing, type Millis, type OwnedBytes } from '../../http/index.ts'
import type { ConnectionInfo, Exchange, ResponseEvent } from './exchange.ts'

export abstract class ResponseParts {
  readonly #exchange: Exchange
  readonly #head: ResponseEvent
  #connection: ConnectionInfo | undefined
  #content: OwnedBytes | undefined
  #taken = false

  /** @internal */
  constructor(exchange: Exchange) {
    this.#exchange = exchange
    this.#head = exchange.response as ResponseEvent
    if (exchange.mode === 'collect') this.#content = exchange.collected()
    exchange.ownedBy(this)
  }

  /** 200 to 999, and 101. */
  get status(): number {
    return this.#head.status
  }
  get headers(): Fields {
    return this.#head.headers
  }
  /** 'HTTP/1.1', 'HTTP/1.0' or 'HTTP/2'. */
  get httpVersion(): string {
    return this.#head.httpVersion
  }
  /** '' in HTTP/2. */
  get reasonPhrase(): string {
    return this.#head.reasonPhrase
  }
  /** How the end of the content is known; 'close-delimited' cannot tell an end from a cut. RFC 9112 §6.3. */
  get framing(): Framing {
    return this.#head.framing
  }
  /** All of it has come. */
  get complete(): boolean {
    return this.#exchange.ended
  }
  /** undefined until the end, and where there were none. */
  get trailers(): Fields | undefined {
    return this.#exchange.trailers
  }
  /** HTTP/2 only. */
  get streamId(): number | undefined {
    return this.#head.httpVersion === 'HTTP/2' ? this.#head.exchange : undefined
  }
  /** Addresses, protocol and certificate as they were when the request was assigned; valid for ever. */
  get connection(): ConnectionInfo {
    return (this.#connection ??= this.#exchange.connection as ConnectionInfo)
  }
  /** Milliseconds by phase; complete when the request has settled. */
  get timings(): Readonly<Record<string, Millis>> {
    return this.#exchange.timings
  }
  /** Octets on the wire, of the last attempt: heads, content and trailers with all that frames them. 0 until it has settled. */
  get bytesSent(): number {
    return this.#exchange.bytesSent
  }
  /** As `bytesSent`. */
  get bytesReceived(): number {
    return this.#exchange.bytesReceived
  }
  /** What `read()` gave. A view: its `buffer` may hold more than these bytes. LocalProtocolError before it. */
  get content(): OwnedBytes {
    if (this.#content === undefined) throw misuse('content-unread', 'RFC 9110 §6.4', 'call read() before content')
    return this.#content
  }

  /** What was read already. @internal */
  protected get known(): OwnedBytes | undefined {
    return this.#content
  }
  /** @internal */
  protected keep(content: OwnedBytes): OwnedBytes {
    return (this.#content = content)
  }
  /** For one reader, and no other after it. @internal */
  protected take(): void {
    if (this.#taken || this.#content !== undefined) {
      throw misuse('content-taken', 'RFC 9110 §6.4', 'the content of a response can be taken once')
    }
    this.leave()
  }
  /** Nobody else reads it from now on. @internal */
  protected leave(): void {
    this.#taken = true
    this.#exchange.disowned()
  }
}
