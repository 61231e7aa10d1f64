// The response, with its content awaited.
//
// It must be read, drained or closed: until then its connection is taken. `await using` does that.
import type { Bytes, OwnedBytes } from '../../http/index.ts'
import { checkDrain } from '../shared/options.ts'
import { ResponseParts } from '../shared/response.ts'
import type { AsyncExchange } from './exchange.ts'
import { byteStream } from './byte-stream.ts'
import { NetworkStream } from './network-stream.ts'

export class Response extends ResponseParts implements AsyncIterable<OwnedBytes>, AsyncDisposable {
  readonly #exchange: AsyncExchange
  #stream: NetworkStream | undefined
  #reading: Promise<OwnedBytes> | undefined

  /** @internal */
  constructor(exchange: AsyncExchange) {
    super(exchange)
    this.#exchange = exchange
  }

  /** After 101, or 2xx to CONNECT. */
  get networkStream(): NetworkStream | undefined {
    if (!this.#exchange.duplex) return undefined
    return (this.#stream ??= new NetworkStream(this.#exchange))
  }

  /** All content; the same bytes each time. */
  read(): Promise<OwnedBytes> {
    return (this.#reading ??= this.#read())
  }
  async #read(): Promise<OwnedBytes> {
    if (this.known !== undefined) return this.known
    this.take()
    return this.keep(await this.#exchange.all())
  }
  /** Piece by piece; the pieces are the caller's for ever. Leaving the loop early closes the response. */
  [Symbol.asyncIterator](): AsyncIterableIterator<OwnedBytes, undefined, undefined> {
    this.take()
    const exchange = this.#exchange
    const iterator: AsyncIterableIterator<OwnedBytes, undefined, undefined> = {
      [Symbol.asyncIterator]: () => iterator,
      next: async () => {
        const value = await exchange.next()
        return value === undefined ? { done: true, value } : { done: false, value }
      },
      return: async () => {
        await exchange.close()
        return { done: true, value: undefined }
      },
    }
    exchange.ownedBy(iterator)
    return iterator
  }
  /** Bytes; cancelling it closes the response, and it errors with the response's error. */
  readable(): ReadableStream<OwnedBytes> {
    this.take()
    const stream = byteStream(this.#exchange, () => this.#exchange.close())
    this.#exchange.ownedBy(stream)
    return stream
  }
  /**
   * The fastest way through: bytes are lent until the callback returns, their `buffer` never: it has others' bytes, too.
   * If it returns a promise, the bytes are kept for it until that settles, and the sender is held back.
   */
  async forEach(consume: (lent: Bytes) => void | Promise<void>): Promise<void> {
    this.take()
    await this.#exchange.each(consume)
  }

  /** Reads and drops what is left, up to `limit` bytes (`drainBytes`) and a second, so that the connection lives; else closes. */
  async drain(limit?: number): Promise<void> {
    checkDrain(limit)
    this.leave()
    await this.#exchange.drain(limit)
  }
  /** Gives up what has not come: a loop over it ends, `complete` is false. Never rejects, may be called twice. */
  close(): Promise<void> {
    this.leave()
    return this.#exchange.close()
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
