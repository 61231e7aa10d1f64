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
import { Output } from './writer.ts'

/** Desks that nobody sits at; a burst of more connections leaves the rest to the collector. */
const MAX_FREE = 32
const NONE: readonly ExchangeId[] = []

export class Desk {
  // Reading.
  readonly input = new Input()
  readonly reader = new SectionReader()
  #chunks: ChunkReader | undefined
  /** Of the content, or of the chunk. */
  left = 0
  contentBytes = 0
  sectionAt = 0
  headBytes = 0
  informational = 0
  receivedAny = false
  /** Of empty lines before a request. */
  emptyBytes = 0
  halfEmptyLine = false

  // The exchange.
  method = ''
  upgrade = false
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
  /** Bytes written of the current exchange: while as many wait, none has been taken. */
  exchangeBytes = 0
  /** Exchanges before the current one, and how many bytes are to be taken until nothing of them waits. */
  readonly before: { readonly id: ExchangeId; bytes: number }[] = []
  taken: readonly ExchangeId[] = NONE
  blocked = false

  get chunks(): ChunkReader {
    return (this.#chunks ??= new ChunkReader())
  }
  /** As it was, but for what waits to be read or to leave. */
  clear(): void {
    this.left = this.contentBytes = this.sectionAt = this.headBytes = this.informational = this.emptyBytes = 0
    this.receivedAny = this.halfEmptyLine = this.upgrade = this.expects = this.keepAlive = this.blocked = false
    this.method = ''
    this.requestHeaders = this.responseHeaders = this.ledger = undefined
    this.sending = 'none'
    this.sendLeft = this.exchangeBytes = 0
    this.taken = NONE
  }
  take(exchange: ExchangeId, maxBytes: number | undefined): ReturnType<Output['take']> {
    const waiting = this.output.bytes
    const chunks = this.output.take(maxBytes)
    const bytes = waiting - this.output.bytes
    // What the exchanges before it left behind goes first.
    const own = bytes - (this.before.at(-1)?.bytes ?? 0)
    if (this.ledger !== undefined && own > 0) this.ledger.bytesSent += own
    this.taken = bytes === 0 ? NONE : [exchange]
    if (this.before.length > 0) this.#tookBefore(bytes)
    return chunks
  }
  #tookBefore(bytes: number): void {
    const { before } = this
    this.taken = [...before.map(({ id }) => id), ...this.taken]
    for (const one of before) one.bytes -= bytes
    while (before.length > 0 && (before[0] as { bytes: number }).bytes <= 0) before.shift()
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
