// The bytes that have come and were not read yet: data[pos … end).
//
// They are lent, and what is read in the call that brought them is never copied. What waits longer is, into memory of
// our own with room for what follows it.
import { plainBytes, type Bytes } from '../http/index.ts'

const EMPTY = new Uint8Array(0)

export class Input {
  data: Bytes = EMPTY
  pos = 0
  end = 0
  /** Where data[0] stands among all bytes of the connection. */
  #base = 0
  /** Not lent. */
  #owned = false

  get empty(): boolean {
    return this.pos === this.end
  }
  /** How many bytes wait. */
  get length(): number {
    return this.end - this.pos
  }
  /** Where the next byte stands among all bytes of the connection. */
  get offset(): number {
    return this.#base + this.pos
  }

  /** Goes on where another left off; nothing waits. */
  startAt(offset: number): void {
    this.#base = offset
  }
  lend(chunk: Bytes): void {
    if (!this.empty) {
      this.#append(chunk)
      return
    }
    this.#base += this.end
    this.data = chunk
    this.pos = 0
    this.end = chunk.length
    this.#owned = false
  }
  /** What waits is lent only until now. */
  keep(): void {
    if (!this.#owned && !this.empty) this.#append(EMPTY)
  }
  #append(chunk: Bytes): void {
    const held = this.length
    const length = held + chunk.length
    if (!this.#owned || this.end + chunk.length > this.data.length) {
      const room = new Uint8Array(this.#owned ? Math.max(2 * length, 256) : length)
      room.set(this.data.subarray(this.pos, this.end))
      this.#base += this.pos
      this.data = room
      this.pos = 0
      this.end = held
      this.#owned = true
    }
    this.data.set(chunk, this.end)
    this.end += chunk.length
  }

  /** At most so many bytes, as a view. */
  take(most: number): Bytes {
    const data = (this.data = plainBytes(this.data))
    const from = this.pos
    const to = Math.min(this.end, from + most)
    this.pos = to
    return from === 0 && to === data.length ? data : data.subarray(from, to)
  }
  clear(): void {
    this.#base += this.end
    this.data = EMPTY
    this.pos = this.end = 0
  }
}
