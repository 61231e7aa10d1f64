// The bytes of a connection that is no longer HTTP: after 101 (Switching Protocols), or a tunnel after CONNECT.
// RFC 9110 §7.8, §9.3.6; over HTTP/2 one stream, RFC 8441 §5.
import { isBytes, type Bytes, type OwnedBytes } from '../../http/index.ts'
import type { LinkInfo } from '../../pool/lean.ts'
import { checkData, type Data } from './data.ts'
import type { BlockingExchange } from './exchange.ts'

export interface StartTlsOptions {
  /** For SNI and for the certificate. */
  readonly serverName?: string | undefined
  readonly alpn?: readonly string[] | undefined
  /** The platform's own, passed through; without functions and handles. */
  readonly options?: { readonly [name: string]: Data } | undefined
}

export class NetworkStream implements Disposable {
  readonly #exchange: BlockingExchange

  /** @internal */
  constructor(exchange: BlockingExchange) {
    this.#exchange = exchange
    exchange.ownedBy(this)
  }

  /** What came next, first of all what came with the head; null: the peer sends no more. */
  read(): OwnedBytes | null {
    return this.#exchange.next() ?? null
  }
  /** Returns when the bytes are on their way; they must not be changed before the stream is closed. */
  write(data: Bytes): void {
    if (!isBytes(data)) throw new TypeError(`data must be a Uint8Array, not ${typeof data}`)
    this.#exchange.write(data)
  }
  /** We send no more; reading goes on. */
  end(): void {
    this.#exchange.endWriting()
  }
  /** What was written still leaves, for as long as a connection may take to close; over HTTP/2 the stream is reset. */
  close(): void {
    this.#exchange.close()
  }
  [Symbol.dispose](): void {
    this.close()
  }
  /** TLS over what is there; this stream and the one it gives are the same connection from then on. */
  startTls(tls: StartTlsOptions = {}): NetworkStream {
    checkData('options', tls.options)
    this.#exchange.checkTls(tls)
    this.#exchange.startTls(tls.serverName, tls.alpn ?? [], tls.options)
    return new NetworkStream(this.#exchange)
  }

  /** Of the last handshake, or of the connection. */
  get info(): LinkInfo {
    return this.#exchange.secured ?? this.#exchange.connection ?? {}
  }
}
