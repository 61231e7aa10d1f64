// The response, with its content waited for.
//
// It must be read, drained or closed: until then its connection is taken. `using` does that.
import type { Bytes, OwnedBytes } from '../../http/index.ts'
import { checkDrain } from '../shared/options.ts'
import { ResponseParts } from '../shared/response.ts'
import type { BlockingExchange } from './exchange.ts'
import { NetworkStream } from './network-stream.ts'

export class Response extends ResponseParts implements Iterable<OwnedBytes>, Disposable {
  readonly #exchange: BlockingExchange
  #stream: NetworkStream | undefined
  #failed = false

  /** @internal */
  constructor(exchange: BlockingExchange) {
    super(exchange)
    this.#exchange = exchange
  }

  /** After 101, or 2xx to CONNECT. */
  get networkStream(): NetworkStream | undefined {
    if (!this.#exchange.duplex) return undefined
    return (this.#stream ??= new NetworkStream(this.#exchange))
  }

  /** All content; the same bytes each time. */
  read(): OwnedBytes {
    if (this.known !== undefined) return this.known
    if (!this.#failed) this.take()
    try {
      return this.keep(this.#exchange.all())
    } catch (error) {
      // Who reads again is told of it again.
      this.#failed = true
      throw error
    }
  }
  /** Piece by piece; the pieces are the caller's for ever. Leaving the loop early closes the response. */
  [Symbol.iterator](): IterableIterator<OwnedBytes, undefined, undefined> {
    this.take()
    const exchange = this.#exchange
    const iterator: IterableIterator<OwnedBytes, undefined, undefined> = {
      [Symbol.iterator]: () => iterator,
      next: () => {
        const value = exchange.next()
        return value === undefined ? { done: true, value } : { done: false, value }
      },
      return: () => {
        exchange.close()
        return { done: true, value: undefined }
      },
    }
    exchange.ownedBy(iterator)
    return iterator
  }
  /** Every piece as it comes, lent until the callback returns. */
  forEach(consume: (lent: Bytes) => void): void {
    this.take()
    this.#exchange.each(consume)
  }

  /** Reads and drops what is left, up to `limit` bytes (`drainBytes`) and a second, so that the connection lives; else closes. */
  drain(limit?: number): void {
    checkDrain(limit)
    this.leave()
    this.#exchange.drain(limit)
  }
  /** Gives up what has not come. May be called twice. */
  close(): void {
    this.leave()
    this.#exchange.close()
  }
  [Symbol.dispose](): void {
    this.close()
  }
}
