// One stream: a record, whose fields are moved by whoever receives (what comes) and by the sender (what goes), and its
// state only by the table in state.ts. And a row of streams, as the sender keeps them.
import type { Bytes, ExchangeId, Fields, Ledger } from '../http/index.ts'
import type { ReceiveWindow } from './flow.ts'
import { transition, type StreamInput, type StreamState } from './state.ts'

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
  /** CONNECT, unless it was refused: after its heads a stream carries DATA and nothing else. RFC 9113 §8.5. */
  tunnel = false
  /** Content-Length, or 0 where no content may come; −1: unknown. */
  expected = -1
  received = 0
  /** It has had DATA that neither held nor ended anything. */
  hadEmptyData = false
  informational = 0
  /** Cancelled, while what is complete still leaves: nothing more is said of it, and RST_STREAM follows its end. */
  silent = false
  /** It was stopped when its response was whole: nothing failed, so nothing was said. */
  untold = false
  /** Decoded header bytes. */
  headBytes = 0

  // ── what goes ──
  /** Before its final head was given, in its content, its end was asked for, END_STREAM is written. */
  sending: 'head' | 'content' | 'ending' | 'over' = 'head'
  sendWindow = 0
  /** Octets that were sent and not credited yet; one more, since a window may be widened once for nothing. */
  owed = 1
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

  /** By an input that has a transition. */
  move(input: StreamInput): void {
    this.state = transition(this.state, input) as StreamState
  }
}

/** Streams in a row; a stream is in one list at most, so its links are its own. */
export class StreamList {
  first: Stream | undefined
  last: Stream | undefined
  size = 0

  /** @param after whom it comes before; left out: it is the last */
  add(stream: Stream, after?: Stream): void {
    const before = after === undefined ? this.last : after.before
    stream.list = this
    stream.before = before
    stream.after = after
    if (before === undefined) this.first = stream
    else before.after = stream
    if (after === undefined) this.last = stream
    else after.before = stream
    this.size++
  }

  remove(stream: Stream): void {
    const { before, after } = stream
    if (before === undefined) this.first = after
    else before.after = after
    if (after === undefined) this.last = before
    else after.before = before
    stream.list = stream.before = stream.after = undefined
    this.size--
  }
}
