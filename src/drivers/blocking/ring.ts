// A ring in shared memory with one writer and one reader, each on its own thread: records of three words (what, whose, a
// number) and, where the number counts bytes, the bytes. Both ends move one position each, by Atomics and never back, so
// no lock is needed; a position is the count of bytes so far, modulo 2^32, and the ring's size a power of two.
//
// Nothing waits here: a writer is told how much went in, a reader whether there is anything. Bytes are copied in and
// copied out; no view of shared memory leaves this file. It knows no network, no worker and no clock.

/** What one record carries at most: one read of a socket. */
export const MAX_RECORD_BYTES = 64 * 1024

/** The positions, a cache line apart, so that the two threads do not fight for one. */
const WRITTEN = 0
const READ = 16
const HEAD_BYTES = 128
/** V8 copies shared memory byte by byte, a seventh as fast, where one side is not aligned to a machine word. */
const ALIGNMENT = 8
/** Three words, and one that keeps what follows aligned. */
const RECORD_HEAD = 16
const MIN_BYTES = 2 * RECORD_HEAD

export function makeRing(size: number): SharedArrayBuffer {
  return new SharedArrayBuffer(HEAD_BYTES + size)
}

/** What both ends see. */
class RingEnd {
  protected readonly positions: Int32Array
  protected readonly words: Uint32Array
  protected readonly bytes: Uint8Array
  protected readonly size: number

  constructor(shared: SharedArrayBuffer) {
    this.size = shared.byteLength - HEAD_BYTES
    if (this.size < MIN_BYTES || (this.size & (this.size - 1)) !== 0) {
      throw new RangeError(`a ring's size must be a power of two of at least ${MIN_BYTES}, not ${this.size}`)
    }
    this.positions = new Int32Array(shared, 0, HEAD_BYTES / 4)
    this.words = new Uint32Array(shared, HEAD_BYTES)
    this.bytes = new Uint8Array(shared, HEAD_BYTES)
  }
  protected indexOf(position: number): number {
    return position & (this.size - 1)
  }
}

export class RingWriter extends RingEnd {
  #written: number = Atomics.load(this.positions, WRITTEN)

  /** Bytes that a record of bytes could carry now; −1: not even a record without. */
  get room(): number {
    const used = (this.#written - Atomics.load(this.positions, READ)) >>> 0
    const room = this.size - used - RECORD_HEAD
    return room < 0 ? -1 : room
  }

  /** A record without bytes; false: there is no room. */
  put(what: number, whose: number, value: number): boolean {
    if (this.room < 0) return false
    this.#begin(what, whose, value)
    this.#publish(RECORD_HEAD)
    return true
  }

  /** A record with as many of the bytes, from `offset` on, as there is room for; returns how many. */
  putBytes(what: number, whose: number, bytes: Uint8Array, offset: number): number {
    const left = bytes.byteLength - offset
    const room = Math.min(this.room, MAX_RECORD_BYTES)
    const length = left <= room ? left : room & -ALIGNMENT
    if (length <= 0) return 0
    this.#begin(what, whose, length)
    const start = this.indexOf(this.#written + RECORD_HEAD)
    const first = Math.min(length, this.size - start)
    this.bytes.set(bytes.subarray(offset, offset + first), start)
    if (first < length) this.bytes.set(bytes.subarray(offset + first, offset + length), 0)
    this.#publish(RECORD_HEAD + padded(length))
    return length
  }

  #begin(what: number, whose: number, value: number): void {
    this.words[this.indexOf(this.#written) >> 2] = what
    this.words[this.indexOf(this.#written + 4) >> 2] = whose
    this.words[this.indexOf(this.#written + 8) >> 2] = value
  }
  #publish(length: number): void {
    this.#written = (this.#written + length) | 0
    Atomics.store(this.positions, WRITTEN, this.#written)
  }
}

export class RingReader extends RingEnd {
  what = 0
  whose = 0
  /** A number; of a record with bytes, how many. */
  value = 0
  #read: number = Atomics.load(this.positions, READ)

  get empty(): boolean {
    return Atomics.load(this.positions, WRITTEN) === this.#read
  }
  /** Whether at least half of it is free again: time to tell a writer that waits. */
  get halfFree(): boolean {
    return ((Atomics.load(this.positions, WRITTEN) - this.#read) >>> 0) * 2 <= this.size
  }

  /** Steps to the next record; false: there is none. A record of bytes must then be taken with `copy`, others with `take`. */
  next(): boolean {
    if (this.empty) return false
    this.what = this.words[this.indexOf(this.#read) >> 2] as number
    this.whose = this.words[this.indexOf(this.#read + 4) >> 2] as number
    this.value = this.words[this.indexOf(this.#read + 8) >> 2] as number
    return true
  }
  take(): void {
    this.#release(RECORD_HEAD)
  }
  /** Takes the record's bytes, all of them, into a place that is long enough. */
  copy(target: Uint8Array): void {
    const length = this.value
    const start = this.indexOf(this.#read + RECORD_HEAD)
    const first = Math.min(length, this.size - start)
    target.set(this.bytes.subarray(start, start + first))
    if (first < length) target.set(this.bytes.subarray(0, length - first), first)
    this.#release(RECORD_HEAD + padded(length))
  }
  #release(length: number): void {
    this.#read = (this.#read + length) | 0
    Atomics.store(this.positions, READ, this.#read)
  }
}

function padded(length: number): number {
  return (length + ALIGNMENT - 1) & -ALIGNMENT
}
