// Frames to bytes (RFC 9113 §4.1): the output of one connection as a list of chunks.
//
// What we write ourselves goes into a slab that is only ever appended to, shared by all connections of the thread; a
// large chunk of content is put between by reference, a small one is copied behind its frame header (below about 1 KiB
// a copy is cheaper than a chunk of its own in writev). Bytes that were handed out are never written again.
import { wholeBytes, type Bytes } from '../http/index.ts'
import { FRAME, FRAME_HEADER_BYTES } from './frames.ts'

const SLAB_BYTES = 64 * 1024
/** Content of at least this size is not copied. */
const BY_REFERENCE = 1024

let slab = new Uint8Array(0)
let slabAt = 0

export class Output {
  /** Octets that were taken, of the whole connection. */
  taken = 0
  #chunks: Bytes[] = []
  #bytes = 0
  /** The part of the slab that was written and is not yet a chunk. What has nothing to say holds none. */
  #slab: Uint8Array<ArrayBuffer> | undefined
  #from = 0
  #to = 0

  get bytes(): number {
    return this.#bytes
  }

  /**
   * A frame header; its payload follows.
   * @param room how much of the payload is written behind it at once
   * @returns where in the slab that begins
   */
  header(length: number, type: number, flags: number, stream: number, room = 0): number {
    const at = this.#reserve(FRAME_HEADER_BYTES + room)
    writeUint32(slab, at, (length << 8) | type)
    slab[at + 4] = flags
    writeUint32(slab, at + 5, stream)
    return at + FRAME_HEADER_BYTES
  }

  /** A whole frame around a copy of the payload. */
  copied(type: number, flags: number, stream: number, payload: Bytes): void {
    const at = this.header(payload.length, type, flags, stream, payload.length)
    slab.set(payload, at)
  }

  /** A frame whose payload is one 32-bit number: RST_STREAM, WINDOW_UPDATE. */
  number(type: number, stream: number, value: number): void {
    const at = this.header(4, type, 0, stream, 4)
    writeUint32(slab, at, value)
  }

  goaway(lastStream: number, h2Code: number): void {
    const at = this.header(8, FRAME.GOAWAY, 0, 0, 8)
    writeUint32(slab, at, lastStream)
    writeUint32(slab, at + 4, h2Code)
  }

  /** Content after a frame header that was written for it. */
  content(bytes: Bytes): void {
    if (bytes.length >= BY_REFERENCE) return this.raw(bytes)
    // First the room: it may be in another slab.
    const at = this.#reserve(bytes.length)
    slab.set(bytes, at)
  }

  /** These bytes, by reference. */
  raw(bytes: Bytes): void {
    if (bytes.length === 0) return
    this.#seal()
    this.#chunks.push(bytes)
    this.#bytes += bytes.length
  }

  /** Chunks of at most `maxBytes` together. */
  take(maxBytes: number): Bytes[] {
    this.#seal()
    if (this.#bytes <= maxBytes) {
      const all = this.#chunks
      this.#chunks = []
      this.taken += this.#bytes
      this.#bytes = 0
      this.#slab = undefined
      return all
    }
    const most = wholeBytes(maxBytes)
    let left = most
    let n = 0
    while (n < this.#chunks.length && (this.#chunks[n] as Bytes).length <= left)
      left -= (this.#chunks[n++] as Bytes).length
    const taken = this.#chunks.splice(0, n)
    if (left > 0) {
      const cut = this.#chunks[0] as Bytes
      taken.push(cut.subarray(0, left))
      this.#chunks[0] = cut.subarray(left)
    }
    this.taken += most
    this.#bytes -= most
    return taken
  }

  /** n bytes behind what was written last; returns where in the slab. */
  #reserve(n: number): number {
    if (this.#slab !== slab || this.#to !== slabAt || slabAt + n > slab.length) this.#begin(n)
    const at = this.#to
    this.#to = slabAt = at + n
    this.#bytes += n
    return at
  }

  /** Another connection has written since, or the slab is full. */
  #begin(n: number): void {
    this.#seal()
    if (slabAt + n > slab.length) {
      slab = new Uint8Array(Math.max(SLAB_BYTES, n))
      slabAt = 0
    }
    this.#slab = slab
    this.#from = this.#to = slabAt
  }

  #seal(): void {
    if (this.#from < this.#to) this.#chunks.push((this.#slab as Bytes).subarray(this.#from, this.#to))
    this.#from = this.#to
  }
}

export function writeUint32(out: Uint8Array, at: number, value: number): void {
  out[at] = value >>> 24
  out[at + 1] = value >>> 16
  out[at + 2] = value >>> 8
  out[at + 3] = value
}
