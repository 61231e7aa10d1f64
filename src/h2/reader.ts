// Bytes to frames (RFC 9113 §4.1), one at a time, whatever way the bytes were cut.
//
// A frame that lies whole in the lent bytes is read where it lies; what is cut is gathered once, so the work is linear.
// DATA is never gathered: its content is handed on as it comes. Padding of DATA and everything about lengths that a
// header tells is checked here; what a frame means, and whether it may come now, is the connection's business.
import type { Bytes, Role } from '../http/index.ts'
import {
  FLAG,
  FRAME,
  frameName,
  FRAME_HEADER_BYTES,
  MIN_MAX_FRAME_SIZE,
  PREFACE,
  ruleOf,
  violation,
  wrongSize,
  type Violation,
} from './frames.ts'

/** need: more bytes. frame: a whole payload. data: a piece of DATA. violation: see `violation`. */
export type ReaderStep = 'need' | 'frame' | 'data' | 'violation'

const EMPTY = new Uint8Array(0)

export class FrameReader {
  /** Ours, as acknowledged by the peer. RFC 9113 §4.2. */
  maxFrameSize = MIN_MAX_FRAME_SIZE

  // The current frame.
  type = 0
  flags = 0
  stream = 0
  /** Of the whole payload, padding included. */
  length = 0
  /** Where its header began, in the connection's byte stream. */
  offset = 0
  /** The payload, or a piece of content: `bytes` from `start` to `end`. */
  bytes: Bytes = EMPTY
  start = 0
  end = 0
  /** DATA: the first piece (perhaps without content), the last one, and what is padding (the length octet included). */
  first = false
  last = false
  padding = 0
  violation: Violation | undefined

  #stage: 'preface' | 'header' | 'payload' | 'pad-length' | 'content' | 'padding'
  #prefaceRead = 0
  #chunk: Bytes = EMPTY
  #at = 0
  /** Bytes lent before the current ones were read, copied: from `waitingAt` on. */
  readonly #waiting: Bytes[] = []
  #waitingAt = 0
  readonly #header = new Uint8Array(FRAME_HEADER_BYTES)
  #headerRead = 0
  #held: Bytes = EMPTY
  #heldRead = 0
  /** DATA: content and padding still to come. */
  #left = 0
  #paddingLeft = 0
  /** Bytes of the connection before the chunk. */
  #before = 0

  constructor(role: Role) {
    this.#stage = role === 'server' ? 'preface' : 'header'
  }

  receive(data: Bytes): void {
    if (this.#waitingAt < this.#waiting.length) this.#waiting.push(data.slice())
    else if (this.#at < this.#chunk.length) {
      // Nobody asked for the last bytes yet, and they are lent no longer.
      this.#load(this.#chunk.slice(this.#at))
      this.#waiting.push(data.slice())
    } else this.#load(data)
  }

  /** Whether the peer stopped in the middle of something. */
  get partial(): boolean {
    return this.#stage === 'preface' ? this.#prefaceRead > 0 : this.#stage !== 'header' || this.#headerRead > 0
  }
  /** Bytes read so far, of the whole connection. */
  get consumed(): number {
    return this.#before + this.#at
  }
  /** Octets that have come of a frame that is not whole, once its header has told whose it is. */
  get begun(): number {
    return this.#stage === 'payload' ? FRAME_HEADER_BYTES + this.#heldRead : 0
  }

  next(): ReaderStep {
    for (;;) {
      if (this.#at === this.#chunk.length && !this.#nextChunk()) return 'need'
      const step = this.#step()
      if (step !== undefined) return step
    }
  }

  /** Nothing more will be read: what is held is let go. */
  drop(): void {
    this.#load(EMPTY)
    this.#held = this.bytes = EMPTY
    this.#waiting.length = this.#waitingAt = 0
  }

  /** What was read of the chunk before is not needed any more. */
  #load(chunk: Bytes): void {
    this.#before += this.#at
    this.#chunk = chunk
    this.#at = 0
  }

  #nextChunk(): boolean {
    if (this.#waitingAt === this.#waiting.length) {
      this.#load(EMPTY)
      return false
    }
    this.#load(this.#waiting[this.#waitingAt++] as Bytes)
    // What was read is let go once it is half of the list: to shift the list each time is quadratic.
    if (2 * this.#waitingAt >= this.#waiting.length) {
      this.#waiting.splice(0, this.#waitingAt)
      this.#waitingAt = 0
    }
    return true
  }

  #step(): ReaderStep | undefined {
    switch (this.#stage) {
      case 'preface':
        return this.#readPreface()
      case 'header':
        return this.#readHeader()
      case 'payload':
        return this.#readPayload()
      case 'pad-length':
        return this.#readPadLength()
      case 'content':
        return this.#readContent(false)
      case 'padding':
        return this.#skipPadding()
    }
  }

  #readPreface(): ReaderStep | undefined {
    const chunk = this.#chunk
    while (this.#at < chunk.length && this.#prefaceRead < PREFACE.length) {
      if (chunk[this.#at] !== PREFACE.charCodeAt(this.#prefaceRead)) return this.#refuse(this.#badPreface())
      this.#at++
      this.#prefaceRead++
    }
    if (this.#prefaceRead === PREFACE.length) this.#stage = 'header'
    return undefined
  }

  /** A request-line of HTTP/1.x departs from 'PRI * HTTP/2.0' inside its method or at its target. */
  #badPreface(): Violation {
    const wrong = this.#chunk[this.#at] as number
    const looksLikeHttp1 = (this.#prefaceRead <= 3 && wrong >= 0x41 && wrong <= 0x5a) || wrong === 0x2f
    return looksLikeHttp1
      ? violation('http1-peer', 'RFC 9113 §3.4', 'the peer speaks HTTP/1.x')
      : violation('preface', 'RFC 9113 §3.4', 'the connection preface is wrong')
  }

  #readHeader(): ReaderStep | undefined {
    const chunk = this.#chunk
    const available = chunk.length - this.#at
    if (this.#headerRead === 0) this.offset = this.consumed
    if (this.#headerRead === 0 && available >= FRAME_HEADER_BYTES) {
      const at = this.#at
      this.#at += FRAME_HEADER_BYTES
      return this.#begin(chunk, at)
    }
    const n = Math.min(available, FRAME_HEADER_BYTES - this.#headerRead)
    this.#header.set(chunk.subarray(this.#at, this.#at + n), this.#headerRead)
    this.#at += n
    this.#headerRead += n
    if (this.#headerRead < FRAME_HEADER_BYTES) return undefined
    this.#headerRead = 0
    return this.#begin(this.#header, 0)
  }

  #begin(bytes: Bytes, at: number): ReaderStep | undefined {
    this.length = ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number)
    this.type = bytes[at + 3] as number
    this.flags = bytes[at + 4] as number
    // The first bit is reserved and ignored. RFC 9113 §4.1.
    this.stream =
      (((bytes[at + 5] as number) & 0x7f) << 24) |
      ((bytes[at + 6] as number) << 16) |
      ((bytes[at + 7] as number) << 8) |
      (bytes[at + 8] as number)
    const wrong = this.#checkHeader()
    if (wrong !== undefined) return this.#refuse(wrong)
    this.#left = this.length
    if (this.type === FRAME.DATA) return this.#beginData()
    this.#stage = 'payload'
    return this.length === 0 ? this.#readPayload() : undefined
  }

  #checkHeader(): Violation | undefined {
    const { type, length, stream } = this
    if (length > this.maxFrameSize) return this.#tooLarge()
    const rule = ruleOf(type)
    if (rule === undefined) return undefined
    if (rule.on === 'connection' ? stream !== 0 : rule.on === 'stream' && stream === 0) {
      const where = stream === 0 ? 'the connection' : 'a stream'
      return violation('frame-stream', rule.section, `${frameName(type)} on ${where}`)
    }
    if (length < rule.minBytes || length > rule.maxBytes || length % rule.multipleOf !== 0) {
      return wrongSize(rule.section, `${frameName(type)} of ${length} octets`)
    }
    return undefined
  }

  #tooLarge(): Violation {
    // 'HTTP/1.1 …' read as a frame header: 4.7 MB of type 'P'.
    if (this.offset === 0 && this.length === 0x48_54_54 && this.type === 0x50 && this.flags === 0x2f) {
      return violation('http1-peer', 'RFC 9113 §3.4', 'the peer speaks HTTP/1.x', 'FRAME_SIZE_ERROR')
    }
    const message = `${frameName(this.type)} of ${this.length} octets, above ${this.maxFrameSize}`
    return wrongSize('RFC 9113 §4.2', message)
  }

  #readPayload(): ReaderStep | undefined {
    const available = this.#chunk.length - this.#at
    if (this.#heldRead === 0 && available >= this.length) {
      this.bytes = this.#chunk
      this.start = this.#at
      this.end = this.#at += this.length
      this.#stage = 'header'
      return 'frame'
    }
    if (this.#heldRead === 0) this.#held = new Uint8Array(this.length)
    const n = Math.min(available, this.length - this.#heldRead)
    this.#held.set(this.#chunk.subarray(this.#at, this.#at + n), this.#heldRead)
    this.#at += n
    this.#heldRead += n
    if (this.#heldRead < this.length) return undefined
    this.bytes = this.#held
    this.start = 0
    this.end = this.length
    this.#held = EMPTY
    this.#heldRead = 0
    this.#stage = 'header'
    return 'frame'
  }

  #beginData(): ReaderStep | undefined {
    this.padding = this.#paddingLeft = 0
    if ((this.flags & FLAG.PADDED) === 0) return this.#readContent(true)
    this.#stage = 'pad-length'
    if (this.length > 0) return undefined
    return this.#refuse(wrongSize('RFC 9113 §6.1', 'padded DATA without a pad length'))
  }

  #readPadLength(): ReaderStep | undefined {
    const padding = this.#chunk[this.#at++] as number
    if (padding >= this.length) {
      const message = `${padding} octets of padding in a payload of ${this.length}`
      return this.#refuse(violation('padding', 'RFC 9113 §6.1', message))
    }
    this.padding = padding + 1
    this.#paddingLeft = padding
    this.#left -= this.padding
    return this.#readContent(true)
  }

  /** The first piece is handed on even where no bytes of it are there. */
  #readContent(first: boolean): ReaderStep {
    const n = Math.min(this.#chunk.length - this.#at, this.#left)
    this.bytes = this.#chunk
    this.start = this.#at
    this.end = this.#at += n
    this.#left -= n
    this.first = first
    this.last = this.#left === 0 && this.#paddingLeft === 0
    this.#stage = this.#left > 0 ? 'content' : this.last ? 'header' : 'padding'
    return 'data'
  }

  #skipPadding(): ReaderStep | undefined {
    const n = Math.min(this.#chunk.length - this.#at, this.#paddingLeft)
    this.#at += n
    this.#paddingLeft -= n
    if (this.#paddingLeft > 0) return undefined
    this.start = this.end = 0
    this.first = false
    this.last = true
    this.#stage = 'header'
    return 'data'
  }

  #refuse(wrong: Violation): ReaderStep {
    this.violation = wrong
    return 'violation'
  }
}

export function readUint32(bytes: Bytes, at: number): number {
  const high = ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
  return high * 0x1_00_00 + (((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number))
}
/** Stream identifiers and increments: the first bit is reserved and ignored. RFC 9113 §4.1, §6.9. */
export function readUint31(bytes: Bytes, at: number): number {
  return readUint32(bytes, at) % 2 ** 31
}
