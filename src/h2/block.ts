// A field block in pieces: HEADERS without END_HEADERS, and the CONTINUATION frames that complete it (RFC 9113 §4.3).
//
// Nothing else may come between, so there is at most one per connection. Its pieces and its octets are bounded by what
// the largest acceptable field section needs; a block is never decoded before it is whole.
import type { Bytes, ExchangeId } from '../http/index.ts'
import { MIN_MAX_FRAME_SIZE } from './frames.ts'

/** A block is smaller than its list, unless every string was blown up by Huffman code. */
const BLOCK_PER_LIST = 2
const MIN_CONTINUATIONS = 8

export class FieldBlock {
  stream: ExchangeId = 0
  endStream = false
  readonly #givenContinuations: number
  #maxBytes = 0
  #maxContinuations = 0
  #bytes: Uint8Array = EMPTY
  #length = 0
  #continuations = -1

  /** @param maxContinuations 0: as many as the list needs */
  constructor(maxContinuations: number) {
    this.#givenContinuations = maxContinuations
  }

  get open(): boolean {
    return this.#continuations >= 0
  }

  /** Of a field section of at most `maxListBytes`. */
  begin(stream: ExchangeId, endStream: boolean, maxListBytes: number): void {
    this.stream = stream
    this.endStream = endStream
    this.#maxBytes = BLOCK_PER_LIST * maxListBytes
    const needed = Math.ceil((1.25 * maxListBytes) / MIN_MAX_FRAME_SIZE)
    this.#maxContinuations = this.#givenContinuations || Math.max(MIN_CONTINUATIONS, needed)
    this.#continuations = 0
    this.#length = 0
  }

  append(bytes: Bytes, start: number, end: number): void {
    const length = this.#length + end - start
    if (length > this.#bytes.length) {
      const larger = new Uint8Array(2 * length)
      larger.set(this.#bytes.subarray(0, this.#length))
      this.#bytes = larger
    }
    this.#bytes.set(bytes.subarray(start, end), this.#length)
    this.#length = length
  }

  /** The fragment of a CONTINUATION frame. false: too many, or too large. */
  add(bytes: Bytes, start: number, end: number): boolean {
    if (++this.#continuations > this.#maxContinuations) return false
    if (this.#length + end - start > this.#maxBytes) return false
    this.append(bytes, start, end)
    return true
  }

  /** The whole block; there is none afterwards. */
  take(): Bytes {
    const whole = this.#bytes.subarray(0, this.#length)
    this.#bytes = EMPTY
    this.#continuations = -1
    return whole
  }
}

const EMPTY = new Uint8Array(0)
