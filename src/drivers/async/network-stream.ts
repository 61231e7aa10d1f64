// The bytes of a connection that is no longer HTTP: after 101 (Switching Protocols), or a tunnel after CONNECT.
// RFC 9110 §7.8, §9.3.6; over HTTP/2 one stream, RFC 8441 §5.
import { isBytes, type Bytes, type OwnedBytes } from '../../http/index.ts'
import type { LinkInfo } from '../../pool/lean.ts'
import type { AsyncExchange } from './exchange.ts'
import { byteStream } from './byte-stream.ts'

export interface StartTlsOptions {
  /** For SNI and for the certificate. */
  readonly serverName?: string | undefined
  readonly alpn?: readonly string[] | undefined
  /** The platform's own, passed through. */
  readonly options?: unknown
}

export class NetworkStream implements AsyncDisposable {
  readonly #exchange: AsyncExchange
  #readable: ReadableStream<OwnedBytes> | undefined
  #writable: WritableStream<Bytes> | undefined

  /** @internal */
  constructor(exchange: AsyncExchange) {
    this.#exchange = exchange
    exchange.ownedBy(this)
  }

  /** What came next, first of all what came with the head; null: the peer sends no more. */
  async read(): Promise<OwnedBytes | null> {
    return (await this.#exchange.next()) ?? null
  }
  /** Resolves when the bytes are on their way; they must not be changed before the stream is closed. */
  write(data: Bytes): Promise<void> {
    if (isBytes(data)) return this.#exchange.write(data)
    return Promise.reject(new TypeError(`data must be a Uint8Array, not ${typeof data}`))
  }
  /** We send no more; reading goes on. */
  end(): Promise<void> {
    return this.#exchange.endWriting()
  }
  /** What was written still leaves, for as long as a connection may take to close; over HTTP/2 the stream is reset. */
  close(): Promise<void> {
    return this.#exchange.close()
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
  /** TLS over what is there; this stream and the one it gives are the same connection from then on. */
  async startTls(tls: StartTlsOptions = {}): Promise<NetworkStream> {
    this.#exchange.checkTls(tls)
    await this.#exchange.startTls(tls.serverName, tls.alpn ?? [], tls.options)
    return new NetworkStream(this.#exchange)
  }

  get readable(): ReadableStream<OwnedBytes> {
    return (this.#readable ??= byteStream(this.#exchange, () => this.close()))
  }
  get writable(): WritableStream<Bytes> {
    return (this.#writable ??= new WritableStream({
      write: (chunk) => this.write(chunk),
      close: () => this.end(),
      abort: () => this.close(),
    }))
  }
  /** Of the last handshake, or of the connection. */
  get info(): LinkInfo {
    return this.#exchange.secured ?? this.#exchange.connection ?? {}
  }
}
