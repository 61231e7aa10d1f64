// One stream, and where streams are kept. A stream is a record: its fields are moved by the connection (what comes) and
// by the sender (what goes); its state only by the table in state.ts.
//
// Live streams are in a slot table with open addressing: as fast as an array, no larger than what lives, and without the
// old tables that a Map keyed by running numbers leaves to the garbage collector. Closed streams take O(1) memory: two
// rings of the last identifiers that we reset and that ended otherwise. What has dropped out of the first counts as reset
// by us, the lenient answer; RFC 9113 §5.1 asks for proof before an error.
import type { Bytes, ExchangeId, Fields, Ledger } from '../http/index.ts'
import type { ReceiveWindow } from './flow.ts'
import type { StreamState } from './state.ts'

/** A field section that waits to be encoded: pseudo-header fields and fields. */
export interface Section {
  readonly control: readonly string[]
  readonly fields: Fields
}

export class Stream {
  readonly id: ExchangeId
  state: StreamState = 'idle'
  /** HEAD, CONNECT: what the method says about the content of the response. */
  method = ''

  // ── what comes ──
  /** Of the message that comes: before its (final) head, in its content, over. */
  receiving: 'head' | 'content' | 'over' = 'head'
  readonly window: ReceiveWindow
  /** Content that the application was given and has not consumed; and what its small frames cost beyond it. */
  unread = 0
  overhead = 0
  /** CONNECT: after its heads a stream carries DATA and nothing else. RFC 9113 §8.5. */
  tunnel = false
  /** Content-Length; −1: unknown. */
  expected = -1
  received = 0
  /** No content may come: HEAD, 204, 304. */
  empty = false
  informational = 0
  /** Cancelled, while what was complete still leaves: nothing more is said of it. */
  silent = false
  /** Decoded header bytes. */
  headBytes = 0

  // ── what goes ──
  /** Before its final head was given, in its content, its end was asked for, END_STREAM is written. */
  sending: 'head' | 'content' | 'ending' | 'over' = 'head'
  sendWindow = 0
  /** Sections that wait, the first of them apart: there seldom is a second. */
  head: Section | undefined
  moreHeads: Section[] | undefined
  trailers: Section | undefined
  /** Content that waits: chunks from `chunk` on, the first from `chunkAt` on. */
  chunks: Bytes[] = []
  chunk = 0
  chunkAt = 0
  buffered = 0
  /** Content that the caller may still send; Infinity: any. */
  promised = Infinity
  /** `sendData` answered false. */
  blocked = false
  /** Where in all output its last frame ends, and whether it is among those of which something waits there. */
  writtenTo = 0
  moving = false
  ledger: Ledger | undefined
  /** RST_STREAM with this code follows END_STREAM; −1: none. */
  resetAfterEnd = -1
  urgency = 3
  incremental = true

  // ── the list of the sender that it is in, if any ──
  list: StreamList | undefined
  before: Stream | undefined
  after: Stream | undefined

  constructor(id: ExchangeId, window: ReceiveWindow) {
    this.id = id
    this.window = window
  }
}

/** Streams in a row; a stream is in one list at most, so its links are its own. */
export class StreamList {
  first: Stream | undefined
  #last: Stream | undefined

  add(stream: Stream): void {
    stream.list = this
    stream.before = this.#last
    stream.after = undefined
    if (this.#last === undefined) this.first = stream
    else this.#last.after = stream
    this.#last = stream
  }

  remove(stream: Stream): void {
    const { before, after } = stream
    if (before === undefined) this.first = after
    else before.after = after
    if (after === undefined) this.#last = before
    else after.before = before
    stream.list = stream.before = stream.after = undefined
  }
}

const MIN_SLOTS = 16

/** Live streams by identifier: linear probing, never more than half full. Order of iteration: none. */
export class StreamTable {
  #slots: (Stream | undefined)[] = new Array<Stream | undefined>(MIN_SLOTS).fill(undefined)
  #mask = MIN_SLOTS - 1
  #size = 0

  get size(): number {
    return this.#size
  }

  get(id: ExchangeId): Stream | undefined {
    const slots = this.#slots
    for (let i = (id >>> 1) & this.#mask; ; i = (i + 1) & this.#mask) {
      const stream = slots[i]
      if (stream === undefined || stream.id === id) return stream
    }
  }

  add(stream: Stream): void {
    if (2 * ++this.#size > this.#slots.length) this.#grow()
    this.#place(stream)
  }

  delete(id: ExchangeId): void {
    const slots = this.#slots
    const mask = this.#mask
    let hole = (id >>> 1) & mask
    while (slots[hole] !== undefined && (slots[hole] as Stream).id !== id) hole = (hole + 1) & mask
    if (slots[hole] === undefined) return
    this.#size--
    // What was pushed beyond the hole moves back into it, so that no search ends too early.
    for (let i = (hole + 1) & mask; slots[i] !== undefined; i = (i + 1) & mask) {
      const home = ((slots[i] as Stream).id >>> 1) & mask
      if (((i - home) & mask) >= ((i - hole) & mask)) {
        slots[hole] = slots[i]
        hole = i
      }
    }
    slots[hole] = undefined
  }

  /** In the order of identifiers. */
  all(): Stream[] {
    const streams: Stream[] = []
    for (const stream of this.#slots) if (stream !== undefined) streams.push(stream)
    return streams.sort((a, b) => a.id - b.id)
  }

  #place(stream: Stream): void {
    let i = (stream.id >>> 1) & this.#mask
    while (this.#slots[i] !== undefined) i = (i + 1) & this.#mask
    this.#slots[i] = stream
  }

  #grow(): void {
    const old = this.#slots
    this.#slots = new Array<Stream | undefined>(2 * old.length).fill(undefined)
    this.#mask = this.#slots.length - 1
    for (const stream of old) if (stream !== undefined) this.#place(stream)
  }
}

/** What is remembered of streams that are gone. */
export class ClosedStreams {
  readonly #resets: Int32Array
  #resetAt = 0
  /** The highest identifier that dropped out of the ring: of what is not above it nothing is known for sure. */
  #forgotten = 0
  readonly #others: Int32Array
  #otherAt = 0

  constructor(remembered: number) {
    this.#resets = new Int32Array(remembered)
    this.#others = new Int32Array(remembered)
  }

  add(id: ExchangeId, state: StreamState): void {
    if (state === 'closed (by us)') this.#addReset(id)
    else if (this.#others.length > 0) {
      // The sign tells how: nobody but the peer knows what it sent after its own reset.
      this.#others[this.#otherAt] = state === 'closed (by peer)' ? -id : id
      this.#otherAt = (this.#otherAt + 1) % this.#others.length
    }
  }

  /** undefined: it was skipped, or ended longer ago than is remembered; we did not reset it. */
  stateOf(id: ExchangeId): StreamState | undefined {
    if (this.#resets.includes(id)) return 'closed (by us)'
    if (this.#others.includes(id)) return 'closed (ended)'
    if (this.#others.includes(-id)) return 'closed (by peer)'
    return id <= this.#forgotten ? 'closed (by us)' : undefined
  }

  #addReset(id: ExchangeId): void {
    const dropped = this.#resets.length === 0 ? id : (this.#resets[this.#resetAt] as number)
    this.#forgotten = Math.max(this.#forgotten, dropped)
    if (this.#resets.length === 0) return
    this.#resets[this.#resetAt] = id
    this.#resetAt = (this.#resetAt + 1) % this.#resets.length
  }
}
