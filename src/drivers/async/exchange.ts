// A request whose owner awaits: the shared Exchange with promises on it, one for each thing that settles.
//
// Nobody is ever told twice, and nothing is told to nobody: a failure after the head waits here for the next reader,
// so that an abandoned response is not an unhandled rejection.
import { misuse, type Bytes, type OwnedBytes } from '../../http/index.ts'
import { isThenable } from '../shared/content.ts'
import { Exchange, streamClosed, streamEnded } from '../shared/exchange.ts'
import type { PreparedRequest } from '../shared/options.ts'
import { Queue } from '../shared/queue.ts'
import { Response } from './response.ts'

interface Waiter<T> {
  readonly resolve: (value: T) => void
  readonly reject: (error: unknown) => void
}
interface PendingWrite {
  readonly data: Bytes
  readonly waiter: Waiter<void>
}
interface Ending {
  readonly until: 'ended' | 'settled'
  readonly waiter: Waiter<void>
}
const NOTHING = new Uint8Array(0)

export type Lent = (lent: Bytes) => void | Promise<void>

export class AsyncExchange extends Exchange {
  /** Of the promise of `begin`, until it has settled: a hundred thousand may wait, and each has but this of its own. */
  #resolve: ((value: Response | Promise<never>) => void) | undefined
  // Most requests are collected: for them nobody ever waits in these.
  #readers: Queue<Waiter<OwnedBytes | undefined>> | undefined
  #waiting: Ending[] | undefined
  #consumer: Lent | undefined
  /** Writes that wait for room; only after a switch. */
  #writers: Queue<PendingWrite> | undefined
  #room = false
  #handshake: Waiter<void> | undefined

  /** Settles with the head, or, where content is collected, with all of it. */
  begin(request: PreparedRequest, trace: boolean): Promise<Response> {
    return new Promise((resolve) => {
      this.#resolve = resolve
      this.start(request, trace)
    })
  }

  protected override get mayWait(): boolean {
    return true
  }

  protected override changed(): void {
    if (this.#resolve !== undefined && this.answered) this.#answer(this.#resolve)
    if (this.#readers !== undefined) this.#answerReaders(this.#readers)
    if (this.secured !== undefined) this.#handshake?.resolve()
    if (this.#waiting !== undefined) this.#answerWaiting(this.#waiting)
    if (this.settled) this.#answerWriters()
  }

  #answer(resolve: (value: Response | Promise<never>) => void): void {
    this.#resolve = undefined
    try {
      resolve(this.failure === undefined ? new Response(this) : Promise.reject(this.failure.error as Error))
    } catch (error) {
      // There is no memory for all of its content in one piece.
      resolve(Promise.reject(error as Error))
    }
  }

  #answerReaders(readers: Queue<Waiter<OwnedBytes | undefined>>): void {
    while (readers.length > 0) {
      const chunk = this.take()
      if (chunk === undefined && !this.ended && !this.settled) return
      const reader = readers.shift() as Waiter<OwnedBytes | undefined>
      if (chunk === undefined && this.failure !== undefined) reader.reject(this.failure.error)
      else reader.resolve(chunk)
    }
  }

  #answerWaiting(waiting: readonly Ending[]): void {
    // With a consumer the end is reached when it has had the last byte, not when that byte was delivered.
    // What has settled without it was closed.
    const ended = this.ended ? this.#consumer === undefined || this.mode !== 'queue' : this.settled
    const left: Ending[] = []
    this.#waiting = left
    for (const one of waiting) {
      if (this.failure !== undefined) one.waiter.reject(this.failure.error)
      else if (one.until === 'ended' ? ended : this.settled) one.waiter.resolve()
      else left.push(one)
    }
  }

  // ── reading ──

  get #securing(): boolean {
    return this.#handshake !== undefined && this.secured === undefined
  }
  /** What comes while a handshake is under way is nobody's: it would pass as secured. */
  override take(lent?: boolean): OwnedBytes | undefined {
    return this.#securing ? undefined : super.take(lent)
  }
  /** The next piece of content; undefined: its end. */
  next(): Promise<OwnedBytes | undefined> {
    const readers = (this.#readers ??= new Queue())
    const chunk = readers.length === 0 ? this.take() : undefined
    if (chunk !== undefined) return Promise.resolve(chunk)
    return new Promise((resolve, reject) => {
      readers.push({ resolve, reject })
      this.#answerReaders(readers)
    })
  }

  /** Everything that is left, in one piece. */
  async all(): Promise<OwnedBytes> {
    this.collectRest()
    await this.#until('ended')
    return this.whole()
  }

  /** Every piece as it comes, lent until the callback returns or its promise settles. */
  async each(consume: Lent): Promise<void> {
    this.#consumer = consume
    if (this.failure === undefined) this.#lendQueued()
    // What came before the failure was told to nobody.
    else for (let chunk = this.take(); chunk !== undefined; chunk = this.take()) await consume(chunk)
    await this.#until('ended')
  }

  /** What is lent goes with its buffer when a promise asks for it; what could not is a copy from the start. */
  protected override lend(data: Bytes): void {
    if (this.failure !== undefined) return
    // A callback may have detached it: it would be told to the pool as nothing, and the sender held back for ever.
    const { buffer, byteLength } = data
    const lent = this.driver.lends(buffer) ? data : this.own(data)
    this.guard(() => {
      const pending: unknown = (this.#consumer as Lent)(lent)
      this.driver.look()
      if (!isThenable(pending)) return this.consumed(byteLength)
      this.driver.keep(buffer)
      this.#holdFor(pending, byteLength)
    })
  }

  /** What comes meanwhile is queued, and the sender held back: nothing is consumed before the promise settles. */
  #holdFor(pending: PromiseLike<unknown>, bytes: number): void {
    if (this.mode === 'lend') this.mode = 'queue'
    pending.then(
      () => {
        this.consumed(bytes)
        this.#lendQueued()
      },
      (error: unknown) => this.giveUp(error),
    )
  }
  /** Who was told of a failure meanwhile is lent nothing more. */
  #lendQueued(): void {
    this.guard(() => {
      while (this.failure === undefined) {
        const chunk = this.take(true)
        if (chunk === undefined) {
          if (this.mode === 'queue') this.mode = 'lend'
          return this.changed()
        }
        const { byteLength } = chunk
        const pending: unknown = (this.#consumer as Lent)(chunk)
        if (isThenable(pending)) return this.#holdFor(pending, byteLength)
        this.consumed(byteLength)
      }
    })
  }

  /** Until the last byte is through, or all is over; rejects with what the request failed with. */
  #until(until: 'ended' | 'settled'): Promise<void> {
    return new Promise((resolve, reject) => {
      ;(this.#waiting ??= []).push({ until, waiter: { resolve, reject } })
      this.changed()
    })
  }

  /** Read and drop what is left, up to so many bytes; past that the connection is given up. */
  drain(limit: number | undefined): Promise<void> {
    this.dropContent()
    this.ask({ type: 'drain', id: this.id, limit })
    return this.#until('settled')
  }

  close(): Promise<void> {
    if (this.settled) return Promise.resolve()
    this.abandon()
    return this.#until('settled').catch(() => {
      // It failed before it could be closed. Whoever closes has no use for it any more: closed it is.
    })
  }

  // ── content of the request, or bytes after a switch ──

  override openContent(): void {
    this.content.open()
  }
  override pullContent(): void {
    if (!this.duplex) return this.content.pull()
    this.#room = true
    this.#answerWriters()
  }
  override stopContent(): void {
    this.content.stop()
  }

  write(data: Bytes): Promise<void> {
    if (this.endsWriting && data !== NOTHING && !this.settled) return Promise.reject(streamEnded())
    return new Promise((resolve, reject) => {
      ;(this.#writers ??= new Queue()).push({ data, waiter: { resolve, reject } })
      this.#answerWriters()
    })
  }
  #answerWriters(): void {
    const writers = this.#writers
    while (writers !== undefined && writers.length > 0 && (this.#room || this.settled)) {
      const { data, waiter } = writers.shift() as PendingWrite
      if (this.settled) waiter.reject(this.failure?.error ?? streamClosed())
      else if (data.byteLength === 0) waiter.resolve()
      else {
        this.#room = false
        this.ask({ type: 'content', id: this.id, data })
        waiter.resolve()
      }
    }
    if (this.settled) this.#handshake?.reject(this.failure?.error ?? streamClosed())
  }
  /** Half-close, after what was written; to be asked for it again is no write. Of what has failed nothing is ended. */
  async endWriting(): Promise<void> {
    if (this.failure !== undefined) throw this.failure.error
    this.endsWriting = true
    if (this.#writers !== undefined && this.#writers.length > 0) await this.write(NOTHING)
    this.ask({ type: 'contentEnd', id: this.id })
  }

  startTls(serverName: string | undefined, alpn: readonly string[], options: unknown): Promise<void> {
    if (this.#securing && !this.settled)
      return Promise.reject(misuse('start-tls', 'RFC 8446 §4', 'a handshake is under way'))
    return new Promise((resolve, reject) => {
      this.#handshake = { resolve, reject }
      this.secured = undefined
      const begin = (): void => this.ask({ type: 'startTls', id: this.id, tls: { serverName, alpn, options } })
      // After what waits to be written, before what is written from now on.
      if (this.#writers === undefined || this.#writers.length === 0) begin()
      else this.#writers.push({ data: NOTHING, waiter: { resolve: begin, reject } })
      if (this.settled) this.changed()
    })
  }
}
