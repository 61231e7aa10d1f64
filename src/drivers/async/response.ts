// The response as its reader meets it. It holds no state of its own but what has been read.
//
// It must be read, drained or closed: until then its connection is taken. `await using` does that.
import { misuse, type Bytes, type Fields, type Framing, type Millis, type OwnedBytes } from '../../http/index.ts'
import type { ConnectionInfo, ResponseEvent } from '../shared/exchange.ts'
import type { AsyncExchange } from './exchange.ts'
import { byteStream } from './byte-stream.ts'
import { NetworkStream } from './network-stream.ts'

/** What an abandoned response may cost before its connection is given up. */
const DEFAULT_DRAIN = 64 * 1024

export class Response implements AsyncIterable<OwnedBytes>, AsyncDisposable {
  readonly #exchange: AsyncExchange
  readonly #head: ResponseEvent
  #content: OwnedBytes | undefined
  #taken = false
  #stream: NetworkStream | undefined

  /** @internal */
  constructor(exchange: AsyncExchange) {
    this.#exchange = exchange
    this.#head = exchange.response as ResponseEvent
    if (exchange.mode === 'collect') this.#content = exchange.collected()
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
    return this.#head.framing === 'frames' ? this.#head.exchange : undefined
  }
  /** Addresses, protocol and certificate as they were when the request was assigned; valid for ever. */
  get connection(): ConnectionInfo {
    return this.#exchange.connection as ConnectionInfo
  }
  /** Milliseconds by phase; complete when the request has settled. */
  get timings(): Readonly<Record<string, Millis>> {
    return this.#exchange.timings
  }
  /** After 101, or 2xx to CONNECT. */
  get networkStream(): NetworkStream | undefined {
    if (!this.#exchange.duplex) return undefined
    return (this.#stream ??= new NetworkStream(this.#exchange))
  }

  /** What `read()` gave. LocalProtocolError before it. */
  get content(): OwnedBytes {
    if (this.#content === undefined) throw misuse('content-unread', 'RFC 9110 §6.4', 'call read() before content')
    return this.#content
  }
  /** All content; the same bytes each time. */
  async read(): Promise<OwnedBytes> {
    if (this.#content === undefined) {
      this.#take()
      this.#content = await this.#exchange.all()
    }
    return this.#content
  }
  /** Piece by piece; the pieces are the caller's for ever. Leaving the loop early closes the response. */
  [Symbol.asyncIterator](): AsyncIterator<OwnedBytes, undefined, undefined> {
    this.#take()
    const exchange = this.#exchange
    return {
      next: async () => {
        const value = await exchange.next()
        return value === undefined ? { done: true, value } : { done: false, value }
      },
      return: async () => {
        await exchange.close()
        return { done: true, value: undefined }
      },
    }
  }
  /** Bytes; cancelling it closes the response, and it errors with the response's error. */
  readable(): ReadableStream<OwnedBytes> {
    this.#take()
    return byteStream(this.#exchange, () => this.#exchange.close())
  }
  /**
   * The fastest way through: bytes are lent until the callback returns. If it returns a promise, the bytes are kept for
   * it until that settles, and the sender is held back.
   */
  async forEach(consume: (lent: Bytes) => void | Promise<void>): Promise<void> {
    this.#take()
    await this.#exchange.each(consume)
  }
  #take(): void {
    if (this.#taken || this.#content !== undefined) {
      throw misuse('content-taken', 'RFC 9110 §6.4', 'the content of a response can be taken once')
    }
    this.#taken = true
  }

  /** Reads and drops what is left, up to `limit` bytes (64 KiB) and a second, so that the connection lives; else closes. */
  async drain(limit: number = DEFAULT_DRAIN): Promise<void> {
    this.#taken = true
    await this.#exchange.drain(limit)
  }
  /** Gives up what has not come. Never rejects, may be called twice. */
  close(): Promise<void> {
    this.#taken = true
    return this.#exchange.close()
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
