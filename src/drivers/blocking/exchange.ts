// A request whose owner sleeps: the shared Exchange, with a loop to wait in. What is delivered changes state; whoever
// waits for a state looks when the loop has turned.
//
// What it has noted about a source of content is forgotten when the pool has thought better of it: a retry opens the
// source anew, and what the attempt before wanted of it is of no interest. That it is to stop is not forgotten: it may hold
// a file.
import { HttpCoreError, NetworkError, type Bytes, type OwnedBytes } from '../../http/index.ts'
import { isThenable, NO_WAITING, unheard, type ContentPump } from '../shared/content.ts'
import type { Driver } from '../shared/driver.ts'
import {
  Exchange,
  streamClosed,
  streamEnded,
  type ContentMode,
  type ExchangeHooks,
  type Settled,
} from '../shared/exchange.ts'
import type { PreparedRequest } from '../shared/options.ts'
import type { Loop } from './loop.ts'
import { WorkerLost } from './thread.ts'

export class BlockingExchange extends Exchange {
  readonly #loop: Loop
  /** Counts the openings and stops of the source. */
  #opening = 0
  /** There is room for a chunk; only after a switch. */
  #room = false
  /** By a callback of the user's, or a limit. */
  #givenUp = false

  constructor(loop: Loop, driver: Driver, request: PreparedRequest, mode: ContentMode, hooks: ExchangeHooks) {
    super(driver, request, mode, hooks)
    this.#loop = loop
  }

  /**
   * Until there is the head, or, where content is collected, all of it. A head that came is returned, and what failed
   * right behind it is for whoever reads on.
   */
  begin(request: PreparedRequest, trace: boolean): void {
    this.start(request, trace)
    this.#loop.until(() => this.answered)
    const headed = this.mode !== 'collect' && this.headed
    if (this.failure !== undefined && (!headed || this.#givenUp)) throw this.failure.error
  }
  /** Users are called late: what theirs has thrown counts, though the peer may have failed meanwhile. */
  override giveUp(error: unknown): void {
    if (!this.#givenUp) this.failure = { error }
    this.#givenUp = true
    super.giveUp(error)
  }

  /** Throws what the request has failed with. */
  #until(done: () => boolean): void {
    this.#loop.until(() => this.failure !== undefined || done())
    if (this.failure !== undefined) throw this.failure.error
  }

  protected override get mayWait(): boolean {
    return false
  }
  protected override changed(): void {}
  protected override callBack(callback: () => void): void {
    this.#loop.later(() => this.guard(callback))
  }
  override settle(settled: Settled): void {
    const { result } = settled
    super.settle(result.ok ? settled : { ...settled, result: { ok: false, error: named(result.error) } })
  }

  // ── reading ──

  /**
   * The next piece of content; undefined: its end.
   * @param lent it is not used before its reader says so
   */
  next(lent = false): OwnedBytes | undefined {
    this.#loop.enter()
    this.#loop.until(() => this.queued || this.ended || this.settled)
    const chunk = this.take(lent)
    if (chunk === undefined && this.failure !== undefined) throw this.failure.error
    return chunk
  }

  /** Everything that is left, in one piece. */
  all(): OwnedBytes {
    this.#loop.enter()
    this.collectRest()
    this.#until(() => this.ended || this.settled)
    return this.whole()
  }

  each(consume: (lent: Bytes) => void): void {
    for (let chunk = this.next(true); chunk !== undefined; chunk = this.next(true)) {
      // A callback may have detached it: it would be told to the pool as nothing, and the sender held back for ever.
      const { buffer, byteLength } = chunk
      this.#lendTo(consume, chunk)
      this.consumed(byteLength)
      this.#loop.network.giveBack(buffer)
    }
  }
  #lendTo(consume: (lent: Bytes) => unknown, chunk: Bytes): void {
    try {
      const answer = consume(chunk)
      if (!isThenable(answer)) return
      unheard(answer)
      throw new TypeError(`the callback must not return a promise: ${NO_WAITING}`)
    } catch (error) {
      this.giveUp(error)
      this.#loop.until(() => this.settled)
      throw error
    }
  }

  /** Read and drop what is left, up to so many bytes; past that the connection is given up. */
  drain(limit: number | undefined): void {
    this.#loop.enter()
    this.dropContent()
    this.ask({ type: 'drain', id: this.id, limit })
    this.#until(() => this.settled)
  }

  close(): void {
    this.#loop.enter()
    if (this.settled) return
    this.abandon()
    this.#loop.until(() => this.settled)
  }

  // ── content of the request, or bytes after a switch ──

  override openContent(): void {
    this.#opening++
    this.#ofSource((content) => content.open())
  }
  override pullContent(): void {
    if (this.duplex) this.#room = true
    else this.#ofSource((content) => content.pull())
  }
  override stopContent(): void {
    this.#opening++
    // Which content is settled now: the request may be over, and have forgotten it, before its source hears of it.
    const { content } = this
    if (content.callsUser) this.#loop.later(() => content.stop())
    else content.stop()
  }
  /** At once where no user is called: head and content then leave together. */
  #ofSource(act: (content: ContentPump) => void): void {
    const { content } = this
    if (!content.callsUser) return act(content)
    const opening = this.#opening
    this.#loop.pull(() => {
      if (opening === this.#opening) act(content)
    })
  }

  write(data: Bytes): void {
    this.#loop.enter()
    this.#until(() => this.#room || this.endsWriting || this.settled)
    if (this.settled) throw streamClosed()
    if (this.endsWriting) throw streamEnded()
    if (data.byteLength === 0) return
    this.#room = false
    this.ask({ type: 'content', id: this.id, data })
  }
  /** Half-close, after what was written. */
  endWriting(): void {
    this.#loop.enter()
    this.#until(() => true)
    this.endsWriting = true
    this.ask({ type: 'contentEnd', id: this.id })
  }

  /** What has come by now came before the handshake. */
  override checkTls(tls: { readonly serverName?: unknown; readonly alpn?: unknown }): void {
    this.#loop.enter()
    super.checkTls(tls)
  }
  startTls(serverName: string | undefined, alpn: readonly string[], options: unknown): void {
    this.secured = undefined
    this.ask({ type: 'startTls', id: this.id, tls: { serverName, alpn, options } })
    this.#until(() => this.secured !== undefined || this.settled)
    if (this.secured === undefined) throw streamClosed()
  }
}

/** What broke was neither the connection nor the peer. */
function named(error: unknown): unknown {
  if (!(error instanceof HttpCoreError) || !(error.cause instanceof WorkerLost)) return error
  const { phase, origin, bytesSent, bytesReceived, disposition, attempts } = error
  const facts = { phase, origin, bytesSent, bytesReceived, disposition, attempts, cause: error.cause }
  return new NetworkError(error.cause.message, { code: 'worker-lost', ...facts })
}
