// Content that is iterated, whichever way: opened for each attempt, pulled chunk by chunk as the pool has room, and
// returned when nobody wants more. The pool says when; this only knows iterators.
//
// Async iterators are stepped by `then`: the blocking interface, which cannot wait for anything, refuses them.
//
// A source is not touched before the first chunk is wanted: a request that the pool takes back before, to send it again on
// another connection, finds it as it was, even if it is one that can be iterated only once.
//
// A source is the user's code. It may make a request of its own while it is asked for a chunk, and what happens meanwhile
// may end this one; so it is told to stop only when it has answered.
import { Fields, type FieldsInit } from '../../http/index.ts'
import type { Exchange } from './exchange.ts'
import { asChunk, isStream } from './options.ts'

type AnyIterator = Iterator<unknown> | AsyncIterator<unknown>

export class ContentPump {
  readonly #exchange: Exchange
  readonly #trailers: Fields | (() => FieldsInit) | undefined
  readonly #mayWait: boolean
  /** What gives the source, until it is asked for the first chunk. */
  #open: (() => unknown) | undefined
  #single: Uint8Array | undefined
  #iterator: AnyIterator | undefined
  /** What is iterated. */
  #source: unknown
  /** Of the attempt: what an earlier one still answers is not heard. */
  #attempt = 0
  /** All of the attempt's was given: what is pulled then is another's, after a switch. */
  #ended = false
  /** The iterator that is being asked at this moment, further up the stack. */
  #asked: AnyIterator | undefined

  constructor(exchange: Exchange, trailers: Fields | (() => FieldsInit) | undefined, mayWait: boolean) {
    this.#exchange = exchange
    this.#trailers = trailers
    this.#mayWait = mayWait
  }

  /** Whether pulling calls the user. */
  get callsUser(): boolean {
    return this.#exchange.source.open !== undefined || typeof this.#trailers === 'function'
  }

  open(): void {
    const { chunk, open } = this.#exchange.source
    this.#ended = false
    this.#single = chunk
    this.#open = open
  }
  /** false: it has failed, or nobody wants it any more. */
  #opened(open: () => unknown): boolean {
    const attempt = this.#attempt
    this.#open = undefined
    try {
      const value = open()
      const single = asChunk(value)
      const iterator = single === undefined ? iterate(value, this.#mayWait) : undefined
      if (attempt === this.#attempt) {
        this.#single = single
        this.#iterator = iterator
        this.#source = value
        return true
      }
      if (iterator !== undefined) giveBack(iterator, value)
    } catch (error) {
      if (attempt === this.#attempt) this.#fail(error)
    }
    return false
  }

  pull(): void {
    if (this.#ended) return
    const open = this.#open
    if (open !== undefined && !this.#opened(open)) return
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
    const source = this.#source
    this.#attempt++
    this.#iterator = this.#single = this.#open = this.#source = undefined
    if (iterator !== undefined && iterator !== this.#asked) giveBack(iterator, source)
  }

  #step(iterator: AnyIterator, attempt: number): void {
    const asked = this.#asked
    try {
      for (;;) {
        this.#asked = iterator
        const result = iterator.next()
        this.#asked = asked
        if (isThenable(result)) return this.#await(iterator, result, attempt)
        if (attempt !== this.#attempt) return giveBack(iterator)
        if (this.#take(result)) return
      }
    } catch (error) {
      this.#asked = asked
      if (attempt === this.#attempt) this.#fail(error)
    }
  }
  #await(iterator: AnyIterator, result: PromiseLike<IteratorResult<unknown>>, attempt: number): void {
    if (!this.#mayWait) {
      unheard(result)
      throw new TypeError(`content must not come in promises: ${NO_WAITING}`)
    }
    const failed = (error: unknown): void => {
      if (attempt === this.#attempt) this.#fail(error)
    }
    result.then((step) => {
      try {
        if (attempt === this.#attempt && !this.#take(step)) this.#step(iterator, attempt)
      } catch (error) {
        failed(error)
      }
    }, failed)
  }

  /** false: it was empty, and the next is wanted. */
  #take(result: IteratorResult<unknown>): boolean {
    if (result.done === true) this.#end()
    else {
      const chunk = asChunk(result.value)
      if (chunk === undefined) {
        unheard(result.value)
        throw new TypeError(`content must come in Uint8Arrays or strings, not ${typeof result.value}`)
      }
      if (chunk.byteLength === 0) return false
      this.#send(chunk)
    }
    return true
  }

  #send(data: Uint8Array): void {
    this.#exchange.ask({ type: 'content', id: this.#exchange.id, data })
  }
  #end(): void {
    const attempt = this.#attempt
    this.#ended = true
    this.#iterator = undefined
    let trailers: FieldsInit | undefined
    try {
      trailers = typeof this.#trailers === 'function' ? this.#trailers() : this.#trailers
      const fields = trailers === undefined ? undefined : Fields.from(trailers)
      if (attempt !== this.#attempt) return
      this.#exchange.ask({ type: 'contentEnd', id: this.#exchange.id, trailers: fields })
    } catch (error) {
      unheard(trailers)
      if (attempt === this.#attempt) this.#fail(error)
    }
  }
  #fail(error: unknown): void {
    this.#exchange.ask({ type: 'contentFailed', id: this.#exchange.id, error })
  }
}

export const NO_WAITING = 'the blocking interface cannot wait for them'

/** TypeError: it can only be awaited. */
export function refuseWaiting(source: object): void {
  if (Symbol.asyncIterator in source && !(Symbol.iterator in source))
    throw new TypeError(`content must not be an async iterable or a ReadableStream: ${NO_WAITING}`)
}

function iterate(value: unknown, mayWait: boolean): AnyIterator {
  if (typeof value === 'object' && value !== null) {
    if (mayWait && Symbol.asyncIterator in value) {
      if (isWebStream(value)) return readerOf(value)
      return (value as AsyncIterable<unknown>)[Symbol.asyncIterator]()
    }
    if (Symbol.iterator in value) return (value as Iterable<unknown>)[Symbol.iterator]()
    refuseWaiting(value)
  }
  unheard(value)
  throw new TypeError('the content function gave neither bytes, a string nor an iterable')
}

/** By what it can do: where it comes from, there may be another class of that name, or none here. */
function isWebStream(value: unknown): value is ReadableStream {
  return typeof value === 'object' && value !== null && 'getReader' in value
}

/** The iterator of a web stream, too, would hear of a return only when the chunk has come that is awaited. */
function readerOf(stream: ReadableStream): AnyIterator {
  const reader = stream.getReader()
  const next = (): Promise<IteratorResult<unknown>> => reader.read() as Promise<IteratorResult<unknown>>
  const cancel = async (): Promise<IteratorResult<unknown>> => {
    const cancelled = reader.cancel()
    reader.releaseLock()
    return { done: true, value: await cancelled }
  }
  return { next, return: cancel }
}

function giveBack(iterator: AnyIterator, source?: unknown): void {
  try {
    unheard(iterator.return?.())
  } catch {
    // As below.
  }
  discard(source)
}

/**
 * A stream holds what it reads from (a file) until it is destroyed or cancelled, even if nobody has begun to read; and of a
 * return one of Node's hears only when the chunk has come that is awaited, which may be never. What a server of Node's was
 * asked with would take along the socket on which it is to be answered.
 */
export function discard(source: unknown): void {
  try {
    if (isStream(source)) {
      if (!('httpVersion' in source) || 'req' in source) source.destroy()
    } else if (isWebStream(source) && !source.locked) source.cancel().then(undefined, ignore)
  } catch {
    // As below.
  }
}

export function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
/** Whoever gave a promise where none may be is told so by an error; that it is rejected as well must not end the process. */
export function unheard(answer: unknown): void {
  if (isThenable(answer)) answer.then(undefined, ignore)
}

function ignore(): void {
  // The source was told to stop because its request is over; there is nobody left whom its complaint could reach.
}
