// What reading and writing the messages of one exchange takes: the bytes that came, the reader of heads, what waits to
// leave, and where both messages stand.
//
// A connection has one while it has bytes or an exchange, 0.9 KB of it, and hands it on when it rests: a thousand idle
// connections share one that stays empty. Nothing of an exchange stays behind on a desk, but for the names of fields by
// position: whoever comes next, on whichever connection, most likely has the same.
//
// It decides nothing: what its fields mean stands in connection.ts.
import type { ExchangeId, Fields, Framing, Ledger } from '../http/index.ts'
import { ChunkReader } from './chunks.ts'
import { Input } from './input.ts'
import { SectionReader } from './reader.ts'
import { forgetGone, Output } from './writer.ts'

/** Desks that nobody sits at; a burst of more connections leaves the rest to the collector. */
const MAX_FREE = 32
const NONE: readonly ExchangeId[] = []

export class Desk {
  // Reading.
  readonly input = new Input()
  readonly reader = new SectionReader()
  #chunks: ChunkReader | undefined
  /** Of the content, or of the chunk with its CRLF. */
  left = 0
  headBytes = 0
  informational = 0
  /** Of empty lines before a request. */
  emptyBytes = 0
  halfEmptyLine = false

  // The exchange.
  method = ''
  /** What the request offers. RFC 9110 §7.8. */
  upgrade: string | undefined
  /** The client waits for 100 (Continue). */
  expects = false
  keepAlive = false
  requestHeaders: Fields | undefined
  responseHeaders: Fields | undefined
  ledger: Ledger | undefined

  // Sending.
  readonly output = new Output()
  sending: Framing = 'none'
  sendLeft = 0
  /** Where the current exchange begins among all bytes that are ever taken here; Infinity: none has. */
  #begins = Infinity
  /** Exchanges before it, each with where it ends. */
  readonly #before: { readonly id: ExchangeId; readonly end: number }[] = []
  /** How many of them have left. */
  #gone = 0
  /** Bytes that have. */
  #taken = 0
  taken: readonly ExchangeId[] = NONE
  blocked = false

  get chunks(): ChunkReader {
    return (this.#chunks ??= new ChunkReader())
  }
  /** As it was, but for what waits to be read or to leave. */
  clear(): void {
    this.left = this.headBytes = this.informational = this.emptyBytes = 0
    this.halfEmptyLine = this.expects = this.keepAlive = this.blocked = false
    this.method = ''
    this.upgrade = this.requestHeaders = this.responseHeaders = this.ledger = undefined
    this.sending = 'none'
    this.sendLeft = 0
    this.#begins = Infinity
    this.taken = NONE
  }
  /** An exchange begins. `before` is over, and so many bytes wait, of it and of those before it. */
  begin(before: ExchangeId, waiting: number): void {
    const end = this.#taken + waiting
    if (waiting > 0 && end > this.#begins) this.#before.push({ id: before, end })
    this.#begins = end
  }
  /** Whether nothing of the current exchange has been taken. */
  get untouched(): boolean {
    return this.#taken <= this.#begins
  }
  /** How much waits of it. */
  get unsent(): number {
    return Math.max(this.#taken + this.output.bytes - Math.max(this.#begins, this.#taken), 0)
  }
  /** How much waits of an exchange before it. */
  unsentBefore(id: ExchangeId): number {
    const before = this.#before
    const i = before.findIndex((one) => one.id === id)
    const from = Math.max(before[i - 1]?.end ?? 0, this.#taken)
    return Math.max((before[i]?.end ?? 0) - from, 0)
  }
  take(exchange: ExchangeId, maxBytes: number | undefined): ReturnType<Output['take']> {
    const waiting = this.output.bytes
    const chunks = this.output.take(maxBytes)
    const to = this.#taken + waiting - this.output.bytes
    const own = to - Math.max(this.#taken, this.#begins)
    this.taken = this.#before.length === 0 ? NONE : this.#takeBefore(to)
    this.#taken = to
    if (own <= 0) return chunks
    this.taken = this.taken.length === 0 ? [exchange] : [...this.taken, exchange]
    if (this.ledger !== undefined) this.ledger.bytesSent += own
    return chunks
  }
  /** What the exchanges before the current one left behind goes first. */
  #takeBefore(to: number): ExchangeId[] {
    const before = this.#before
    const taken: ExchangeId[] = []
    let from = this.#taken
    for (let one = before[this.#gone]; one !== undefined && from < to; one = before[this.#gone]) {
      taken.push(one.id)
      from = one.end
      if (from <= to) this.#gone++
    }
    this.#gone = forgetGone(before, this.#gone)
    return taken
  }
}

/** Everybody's who has nothing to do: nothing came, nothing waits. */
export const RESTING = new Desk()
const free: Desk[] = []

/** @param offset how many bytes the connection has read so far */
export function takeDesk(offset: number): Desk {
  const desk = free.pop() ?? new Desk()
  desk.input.startAt(offset)
  return desk
}
/** Its input and output are empty, its reader rests. */
export function leaveDesk(desk: Desk): void {
  desk.clear()
  if (free.length < MAX_FREE) free.push(desk)
}
