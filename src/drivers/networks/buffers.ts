// Where sockets read into. One buffer serves all sockets of a thread, so that an idle one costs nothing; what was read
// is lent to the receiver, who may keep it by answering true.
//
// Node is told where the next read goes when the last one is over, long before it happens. A buffer that a hundred idle
// sockets point to can therefore never be given away. So a small read is copied into a second buffer, which nobody
// points to and which can be; the copy costs 40 ns per KiB. A socket that reads much gets a buffer of its own, is read
// without a copy, and goes back to the shared one when its reads are small again.
//
// It knows no socket and no HTTP.
import type { Sink } from '../network.ts'

/** What one read takes at most: a receiver is fed no more at once, so that no peer starves the others. */
const READ_BYTES = 64 * 1024
/** A read of so much is a large download: a full TLS record, a quarter of the buffer. */
const MUCH = 16 * 1024
const LITTLE = 4 * 1024
/** Sockets with a buffer of their own, per thread: 1 MiB together. The others are copied for. */
const MAX_OWN = 16

// On Windows a read that waits for data holds its buffer: it can be shared by no two sockets.
const CAN_SHARE = (globalThis as { process?: NodeJS.Process }).process?.platform !== 'win32'

let shared: Uint8Array<ArrayBuffer> | undefined
let lent: Uint8Array<ArrayBuffer> | undefined
let owners = 0

/** The reading side of one socket. */
export class ReadBuffer {
  #own: Uint8Array<ArrayBuffer> | undefined = CAN_SHARE ? undefined : fresh()

  /** Where the next read goes. */
  readonly next = (): Uint8Array<ArrayBuffer> => this.#own ?? (shared ??= fresh())

  /** Gives the first `length` bytes of what `next` answered to the receiver, who answers whether it keeps them. */
  deliver(length: number, receiver: Pick<Sink, 'received'>): void {
    if (this.#own === undefined && length >= MUCH && owners < MAX_OWN) this.#takeOwn(length)
    if (this.#own !== undefined) {
      if (receiver.received(this.#own.subarray(0, length))) this.#own = fresh()
      if (length < LITTLE) this.release()
      return
    }
    const bytes = (shared ??= fresh()).subarray(0, length)
    const target = (lent ??= fresh())
    target.set(bytes)
    if (receiver.received(target.subarray(0, length))) lent = undefined
  }

  /** Back to the shared buffer; also when the socket is closed. */
  release(): void {
    if (this.#own === undefined || !CAN_SHARE) return
    this.#own = undefined
    owners--
  }

  #takeOwn(length: number): void {
    owners++
    this.#own = fresh()
    this.#own.set((shared ??= fresh()).subarray(0, length))
  }
}

/** Not zeroed: only what was read of it is ever shown. */
function fresh(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.allocUnsafeSlow(READ_BYTES).buffer)
}
