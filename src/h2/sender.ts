// What goes: sections, content and ends of all streams, in the order in which they may leave.
//
// Field blocks are encoded only while output is taken, since HPACK makes their order on the wire matter: first come,
// first written, never by urgency. Until then a cancel leaves no trace, and `end` sets END_STREAM on what waits. Content
// follows within both windows: the most urgent first (RFC 9218 §10), streams of one urgency by turns, a frame each, unless
// the request asked to be answered in one piece: these in the order of the requests. Small chunks are joined to frames; an
// empty DATA frame is written only to end a stream.
//
// It does not know what a request is, when a stream may be used, or what the peer sends.
import type { Bytes, ExchangeId, ResolvedLimits } from '../http/index.ts'
import { DEFAULT_WINDOW, FLAG, FRAME, FRAME_HEADER_BYTES, H2_ERROR, MIN_MAX_FRAME_SIZE } from './frames.ts'
import { HpackEncoder } from './hpack/index.ts'
import { isClosed } from './state.ts'
import { StreamList, type Section, type Stream } from './stream.ts'
import { Output } from './writer.ts'

const URGENCIES = 8
/** Larger frames save little and keep other streams waiting, whatever the peer allows. */
const LARGEST_FRAME = 64 * 1024
const SENT_CHUNKS = 64
/** About what the sections of a stream take. */
const SECTION_BYTES = 64
const NONE: readonly ExchangeId[] = []

export class Sender {
  readonly output = new Output()
  readonly encoder: HpackEncoder
  /** The connection's flow-control window, as the peer gave it. */
  sendWindow = DEFAULT_WINDOW
  /** Octets that were sent and for which the peer has not widened the window of the connection again. */
  owed = 0
  /** Something of a message was written since this was last cleared. */
  moved = false
  /** Streams whose END_STREAM was written, and streams with room again: for the connection to look at after `fill`. */
  readonly ended: Stream[] = []
  readonly relieved: Stream[] = []
  /** Streams of which something may have left with the last `take`. */
  taken: readonly ExchangeId[] = NONE
  /** Streams that wrote something to the output that has not left whole. */
  #moving: Stream[] = []

  readonly #highWater: number
  readonly #maxChunks: number
  #maxFrameSize = MIN_MAX_FRAME_SIZE
  /** Streams with a section or a bare end to write. */
  readonly #waiting = new StreamList()
  /** Streams with content and a window, by urgency. */
  readonly #rings: readonly StreamList[] = Array.from({ length: URGENCIES }, () => new StreamList())

  constructor(limits: ResolvedLimits) {
    this.encoder = new HpackEncoder({ maxTableSize: limits.maxEncoderTableBytes })
    this.#highWater = limits.maxBufferedOut
    this.#maxChunks = limits.maxQueuedFrames
  }

  set peerMaxFrameSize(size: number) {
    this.#maxFrameSize = Math.min(size, LARGEST_FRAME)
  }

  section(stream: Stream, section: Section): void {
    if (stream.head === undefined) stream.head = section
    else (stream.moreHeads ??= []).push(section)
    this.#place(stream)
  }

  /** false: no more, until it is in `relieved`. */
  content(stream: Stream, bytes: Bytes): boolean {
    if (bytes.length > 0) {
      stream.chunks.push(bytes)
      stream.buffered += bytes.length
      this.#place(stream)
    }
    stream.blocked = !this.#hasRoom(stream)
    return !stream.blocked
  }

  room(stream: Stream): number {
    return this.#highWater - stream.buffered
  }

  end(stream: Stream, trailers: Section | undefined): void {
    stream.sending = 'ending'
    stream.blocked = false
    stream.trailers = trailers
    this.#place(stream)
  }

  /** The peer moved the stream's window, perhaps to nothing or below. */
  windowMoved(stream: Stream): void {
    if (stream.sendWindow <= 0) this.#leaveRing(stream)
    this.#place(stream)
  }

  reprioritized(stream: Stream): void {
    this.#leaveRing(stream)
    this.#place(stream)
  }

  #leaveRing(stream: Stream): void {
    if (stream.list !== this.#waiting) stream.list?.remove(stream)
  }

  /** What waits of the stream is dropped. */
  forget(stream: Stream): void {
    stream.list?.remove(stream)
    stream.head = stream.moreHeads = stream.trailers = undefined
    if (stream.chunks.length > 0) stream.chunks = []
    stream.chunk = stream.chunkAt = stream.buffered = 0
    stream.sending = 'over'
    stream.blocked = false
  }

  reset(stream: Stream, h2Code: number): void {
    this.output.number(FRAME.RST_STREAM, stream.id, h2Code)
    stream.move('send RST_STREAM')
  }

  /** Octets that could leave now; sections, not yet encoded, by a guess. */
  get ready(): number {
    const bytes = this.output.bytes + this.#waiting.size * SECTION_BYTES
    let content = 0
    for (const ring of this.#rings) {
      for (let stream = ring.first; stream !== undefined; stream = stream.after) {
        content += Math.min(stream.buffered, stream.sendWindow)
      }
    }
    return bytes + Math.max(0, Math.min(content, this.sendWindow))
  }

  /** Moves what may leave to the output, until it holds `maxBytes`. */
  fill(maxBytes: number): void {
    for (let stream = this.#waiting.first; stream !== undefined && this.output.bytes < maxBytes; ) {
      this.#waiting.remove(stream)
      this.#writeSections(stream)
      this.#place(stream)
      stream = this.#waiting.first
    }
    let urgency = 0
    while (urgency < URGENCIES && this.sendWindow > 0 && this.output.bytes < maxBytes) {
      const stream = (this.#rings[urgency] as StreamList).first
      if (stream === undefined) urgency++
      else this.#writeContent(stream)
    }
  }

  take(maxBytes: number): Bytes[] {
    const chunks = this.output.take(maxBytes)
    const moving = this.#moving
    if (moving.length === 0) {
      this.taken = NONE
      return chunks
    }
    this.taken = moving.map(({ id }) => id)
    this.#moving = moving.filter((stream) => (stream.moving = stream.writtenTo > this.output.taken))
    return chunks
  }
  #wrote(stream: Stream, bytes: number): void {
    this.moved = true
    stream.writtenTo = this.output.taken + this.output.bytes
    if (stream.ledger !== undefined) stream.ledger.bytesSent += bytes
    if (stream.moving) return
    stream.moving = true
    this.#moving.push(stream)
  }
  /** A stream that is gone, while something of it waits in the output. */
  leaving(exchange: ExchangeId): Stream | undefined {
    return this.#moving.find(({ id }) => id === exchange)
  }
  /** Octets handed over that have not been taken; one for what has none yet: a section, or the end. */
  unsent(stream: Stream | undefined): number {
    if (stream === undefined) return 0
    const written = Math.max(0, stream.writtenTo - this.output.taken)
    return stream.buffered + written + (stream.head !== undefined || stream.sending === 'ending' ? 1 : 0)
  }

  /** To the list where it belongs now. */
  #place(stream: Stream): void {
    if (stream.list !== undefined) return
    if (stream.head !== undefined || isThrough(stream)) this.#waiting.add(stream)
    else if (stream.buffered > 0 && stream.sendWindow > 0) {
      const ring = this.#rings[stream.urgency] as StreamList
      let after: Stream | undefined
      // From behind: mostly it is the last.
      let one = stream.incremental ? undefined : ring.last
      for (; one !== undefined && (one.incremental || one.id > stream.id); one = one.before) {
        if (!one.incremental) after = one
      }
      ring.add(stream, after)
    }
  }

  #writeSections(stream: Stream): void {
    while (stream.head !== undefined) {
      const section = stream.head
      stream.head = stream.moreHeads?.shift()
      const last = stream.head === undefined && isThrough(stream) && stream.trailers === undefined
      this.#writeSection(stream, section, last)
    }
    if (isThrough(stream)) this.#writeEnd(stream)
  }

  /** Content is through: trailers, or an empty DATA frame. */
  #writeEnd(stream: Stream): void {
    const { trailers } = stream
    stream.trailers = undefined
    if (trailers !== undefined) this.#writeSection(stream, trailers, true)
    else {
      this.output.header(0, FRAME.DATA, FLAG.END_STREAM, stream.id)
      this.#wrote(stream, FRAME_HEADER_BYTES)
      this.#ended(stream)
    }
  }

  /** HEADERS and, where the block is larger than a frame, CONTINUATION. RFC 9113 §4.3. */
  #writeSection(stream: Stream, section: Section, end: boolean): void {
    const block = this.encoder.encodeBlock(section.control, section.fields)
    const endFlag = end ? FLAG.END_STREAM : 0
    const size = this.#maxFrameSize
    const before = this.output.bytes
    if (block.length <= size) this.output.copied(FRAME.HEADERS, endFlag | FLAG.END_HEADERS, stream.id, block)
    else {
      this.output.copied(FRAME.HEADERS, endFlag, stream.id, block.subarray(0, size))
      for (let at = size; at < block.length; at += size) {
        const flags = at + size >= block.length ? FLAG.END_HEADERS : 0
        this.output.copied(FRAME.CONTINUATION, flags, stream.id, block.subarray(at, at + size))
      }
    }
    this.#wrote(stream, this.output.bytes - before)
    stream.move('send HEADERS')
    if (end) this.#ended(stream)
  }

  /** One frame of content. */
  #writeContent(stream: Stream): void {
    const n = Math.min(stream.buffered, stream.sendWindow, this.sendWindow, this.#maxFrameSize)
    const end = n === stream.buffered && stream.sending === 'ending' && stream.trailers === undefined
    this.output.header(n, FRAME.DATA, end ? FLAG.END_STREAM : 0, stream.id)
    this.#moveContent(stream, n)
    this.#wrote(stream, FRAME_HEADER_BYTES + n)
    stream.sendWindow -= n
    this.sendWindow -= n
    this.owed += n
    stream.owed += n
    const ring = stream.list as StreamList
    if (stream.buffered === 0 || stream.sendWindow <= 0 || stream.incremental) {
      ring.remove(stream)
      if (end) this.#ended(stream)
      else if (isThrough(stream)) this.#writeEnd(stream)
      else this.#place(stream)
    }
    if (stream.blocked && this.#hasRoom(stream)) {
      stream.blocked = false
      this.relieved.push(stream)
    }
  }

  #moveContent(stream: Stream, n: number): void {
    stream.buffered -= n
    while (n > 0) {
      const chunk = stream.chunks[stream.chunk] as Bytes
      const from = stream.chunkAt
      const to = Math.min(chunk.length, from + n)
      this.output.content(from === 0 && to === chunk.length ? chunk : chunk.subarray(from, to))
      n -= to - from
      stream.chunkAt = to
      if (to === chunk.length) {
        stream.chunk++
        stream.chunkAt = 0
      }
    }
    // What was sent is let go, before the list of it outgrows what waits.
    if (stream.buffered === 0 || stream.chunk >= SENT_CHUNKS) {
      stream.chunks.splice(0, stream.chunk)
      stream.chunk = 0
    }
  }

  #hasRoom(stream: Stream): boolean {
    return stream.buffered < this.#highWater && stream.chunks.length - stream.chunk < this.#maxChunks
  }

  #ended(stream: Stream): void {
    stream.sending = 'over'
    stream.move('send END_STREAM')
    if (stream.silent && !isClosed(stream.state)) this.reset(stream, H2_ERROR.NO_ERROR)
    this.ended.push(stream)
  }
}

/** Nothing but its end, with trailers or without, is left to send. */
function isThrough(stream: Stream): boolean {
  return stream.sending === 'ending' && stream.buffered === 0
}
