// Content that is iterated, whichever way: opened for each attempt, pulled chunk by chunk as the pool has room, and
// returned when nobody wants more. The pool says when; this only knows iterators.
//
// Async iterators are stepped by `then`, so that the blocking interface can use the same file and refuse them.
import { Fields, misuse, type FieldsInit } from '../../http/index.ts'
import type { Exchange } from './exchange.ts'
import { asChunk } from './options.ts'

type AnyIterator = Iterator<unknown> | AsyncIterator<unknown>

export class ContentPump {
  readonly #exchange: Exchange
  readonly #trailers: FieldsInit | (() => FieldsInit) | undefined
  #single: Uint8Array | undefined
  #iterator: AnyIterator | undefined
  /** Of the attempt: what an earlier one still answers is not heard. */
  #attempt = 0

  constructor(exchange: Exchange, trailers: FieldsInit | (() => FieldsInit) | undefined) {
    this.#exchange = exchange
    this.#trailers = trailers
  }

  open(): void {
    this.#attempt++
    this.#iterator = undefined
    const { chunk, open } = this.#exchange.request.source
    this.#single = chunk
    if (open === undefined) return
    try {
      const value = open()
      this.#single = asChunk(value)
      if (this.#single === undefined) this.#iterator = iterate(value)
    } catch (error) {
      this.#fail(error)
    }
  }

  pull(): void {
    const single = this.#single
    if (single !== undefined) {
      this.#single = undefined
      if (single.byteLength > 0) this.#send(single)
      return this.#end()
    }
    if (this.#iterator === undefined) return this.#end()
    this.#step(this.#iterator, this.#attempt)
  }

  /** Tells the source that nobody wants more. What it answers, or throws, changes nothing: its request is decided. */
  stop(): void {
    const iterator = this.#iterator
    this.#attempt++
    this.#iterator = this.#single = undefined
    try {
      const returned = iterator?.return?.()
      if (isThenable(returned)) returned.then(undefined, ignore)
    } catch {
      ignore()
    }
  }

  #step(iterator: AnyIterator, attempt: number): void {
    try {
      const result = iterator.next()
      if (!isThenable(result)) return this.#take(iterator, result)
      result.then(
        (step) => {
          if (attempt === this.#attempt) this.#take(iterator, step)
        },
        (error: unknown) => {
          if (attempt === this.#attempt) this.#fail(error)
        },
      )
    } catch (error) {
      this.#fail(error)
    }
  }

  #take(iterator: AnyIterator, result: IteratorResult<unknown>): void {
    if (result.done === true) return this.#end()
    const chunk = asChunk(result.value)
    if (chunk === undefined) {
      this.#fail(new TypeError(`content must come in Uint8Arrays or strings, not ${typeof result.value}`))
    } else if (chunk.byteLength > 0) this.#send(chunk)
    else this.#step(iterator, this.#attempt)
  }

  #send(data: Uint8Array): void {
    this.#exchange.ask({ type: 'content', id: this.#exchange.id, data })
  }
  #end(): void {
    this.#iterator = undefined
    try {
      const trailers = typeof this.#trailers === 'function' ? this.#trailers() : this.#trailers
      const fields = trailers === undefined ? undefined : Fields.from(trailers)
      this.#exchange.ask({ type: 'contentEnd', id: this.#exchange.id, trailers: fields })
    } catch (error) {
      this.#fail(error)
    }
  }
  #fail(error: unknown): void {
    this.#exchange.ask({ type: 'contentFailed', id: this.#exchange.id, error })
  }
}

function iterate(value: unknown): AnyIterator {
  if (typeof value === 'object' && value !== null) {
    if (Symbol.asyncIterator in value) return (value as AsyncIterable<unknown>)[Symbol.asyncIterator]()
    if (Symbol.iterator in value) return (value as Iterable<unknown>)[Symbol.iterator]()
  }
  throw misuse('content', 'RFC 9110 §6.4', 'the content function gave neither bytes, a string nor an iterable')
}

function isThenable(value: unknown): value is PromiseLike<IteratorResult<unknown>> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

function ignore(): void {
  // The source was told to stop because its request is over; there is nobody left whom its complaint could reach.
}
