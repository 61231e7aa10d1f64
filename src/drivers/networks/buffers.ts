// Where sockets read into. One buffer serves all sockets of a thread, so that an idle one costs nothing.
//
// Node is told where the next read goes when the last one is over, long before it happens. A buffer that a hundred idle
// sockets point to can therefore never be given away. So a small read is copied into a second buffer, which nobody
// points to and which can be; the copy costs 40 ns per KiB. There the reads of one turn of the event loop meet, and are
// delivered one after the other at its end: with fifty connections a request costs a fifth less than where each read is
// followed at once by all that it leads to, since neither the kernel's code nor ours is thrown out of the caches by the
// other, and what the receivers then write leaves together.
//
// A socket that reads much gets a buffer of its own, no larger than one of its reads can be, is read without a copy, and
// goes back to the shared one when its reads are small again. It knows no socket and no HTTP.
import { setImmediate } from '../shared/time.ts'

/** What one read takes at most: a receiver is fed no more at once, so that no peer starves the others. */
export const READ_BYTES = 64 * 1024
/** A read of so much is a large download: a full TLS record, a quarter of the buffer. */
const MUCH = 16 * 1024
const LITTLE = 4 * 1024
/** Sockets with a buffer of their own, per thread: 1 MiB together. The others are copied for. */
const MAX_OWN = 16
/** Fewer reads in a turn are not worth a callback at its end: they are delivered at once … */
const MIN_TOGETHER = 3
/** … and so are as many after them. Then it is tried again: a turn that waits for nobody costs half a microsecond. */
const ALONE = 32

// On Windows a read that waits for data holds its buffer: it can be shared by no two sockets.
const CAN_SHARE = (globalThis as { process?: NodeJS.Process }).process?.platform !== 'win32'

/** The reading side of one socket: a socket and its link have nothing of their own for it but two fields. */
export interface Receiver {
  /** Takes what is lent; true: it keeps the buffer, from when it has answered. `turn` is of all that came together. */
  receive(data: Uint8Array, turn: number): boolean
  /** Its reads are large and go into a buffer of its own. Nobody else writes it. */
  readsAlone: boolean
  /** What one of its reads has at most: whoever keeps the bytes keeps a buffer of that size. */
  readonly readBytes: number
}

let shared: Uint8Array<ArrayBuffer> | undefined
let owners = 0
/** Counts what is delivered together. */
let turns = 0
/** Where the socket that was just delivered for reads next, if that is not the shared buffer. */
let following: Uint8Array<ArrayBuffer> | undefined

interface Read {
  readonly receiver: Receiver
  readonly start: number
  end: number
}

/** The small reads of a turn, in their order. */
class Turn {
  #buffer: Uint8Array<ArrayBuffer> | undefined
  #reads: Read[] = []
  #filled = 0
  #next = 0
  /** Reads since the turn's end was asked for. */
  #together = 0
  #waits = false
  /** How many are still delivered at once. */
  #alone = 0

  add(receiver: Receiver, data: Uint8Array): void {
    if (this.#alone > 0 && this.#filled === 0) {
      this.#alone--
      turns++
      this.#put(data)
      return this.#give(receiver, 0, data.length)
    }
    if (this.#filled + data.length > READ_BYTES) this.deliver()
    const start = this.#filled
    this.#put(data)
    this.#filled += data.length
    this.#together++
    const last = this.#reads[this.#reads.length - 1]
    if (last?.receiver === receiver) last.end = this.#filled
    else this.#reads.push({ receiver, start, end: this.#filled })
    this.#await()
  }
  #put(data: Uint8Array): void {
    ;(this.#buffer ??= fresh()).set(data, this.#filled)
  }
  #await(): void {
    if (this.#waits) return
    this.#waits = true
    setImmediate(this.#due)
  }
  readonly #due = (): void => {
    this.#waits = false
    if (this.#together < MIN_TOGETHER) this.#alone = ALONE
    this.#together = 0
    this.deliver()
  }

  /** All that came so far. */
  deliver(): void {
    if (this.#filled === 0) return
    turns++
    while (this.#next < this.#reads.length) {
      const { receiver, start, end } = this.#reads[this.#next++] as Read
      this.#give(receiver, start, end)
    }
    this.#reads = []
    this.#filled = this.#next = 0
  }
  #give(receiver: Receiver, start: number, end: number): void {
    const buffer = this.#buffer as Uint8Array<ArrayBuffer>
    if (!give(receiver, buffer.subarray(start, end))) return
    // It is the receiver's now: what comes after moves to another.
    this.#buffer = undefined
    if (end < this.#filled) (this.#buffer = fresh()).set(buffer.subarray(end, this.#filled), end)
  }
}
const turn = new Turn()

/** Where the next read goes: of a socket that connects, or of the one that was delivered for a moment ago. */
export function nextBuffer(): Uint8Array<ArrayBuffer> {
  const own = following
  following = undefined
  if (own !== undefined) return own
  return CAN_SHARE ? (shared ??= fresh()) : fresh()
}

/** Gives the first `length` bytes of what was read into to the receiver, now or at the end of this turn. */
export function deliver(receiver: Receiver, buffer: Uint8Array<ArrayBuffer>, length: number): void {
  let own = buffer
  if (buffer === shared) {
    if (length < MUCH || owners >= MAX_OWN) return turn.add(receiver, buffer.subarray(0, length))
    own = fresh(Math.max(receiver.readBytes, length))
    own.set(buffer.subarray(0, length))
    if (!receiver.readsAlone) owners++
    receiver.readsAlone = true
  }
  turn.deliver()
  turns++
  if (give(receiver, own.subarray(0, length))) own = fresh(receiver.readBytes)
  if (length < LITTLE) release(receiver)
  if (receiver.readsAlone || !CAN_SHARE) following = own
}

/** What a receiver throws is thrown by itself: whoever is under way here has the reads and the facts of others to tell. */
function give(receiver: Receiver, data: Uint8Array): boolean {
  try {
    return receiver.receive(data, turns)
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
    return false
  }
}

/** What was read is told before what came after it. */
export function flush(): void {
  turn.deliver()
}

/** Back to the shared buffer; also when the socket is closed. */
export function release(receiver: Receiver): void {
  if (!receiver.readsAlone) return
  receiver.readsAlone = false
  owners--
}

/** Not zeroed: only what was read of it is ever shown. */
function fresh(bytes = READ_BYTES): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer)
}
