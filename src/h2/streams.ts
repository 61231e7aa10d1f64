// Which streams there are: those that live, by identifier, what is known of those that are gone, and which identifiers
// were never used (RFC 9113 §5.1.1). Who may open one, and when, is not decided here.
//
// Live streams are in a slot table with open addressing: as fast as an array, as large as what lived at once, and without
// the old tables that a Map keyed by running numbers leaves to the garbage collector. Closed streams take O(1) memory: two
// rings of the last identifiers that we reset and that ended otherwise. What has dropped out of the first counts as reset
// by us, the lenient answer; RFC 9113 §5.1 asks for proof before an error.
import type { ExchangeId, Role } from '../http/index.ts'
import { MAX_31 } from './frames.ts'
import type { StreamState } from './state.ts'
import type { Stream } from './stream.ts'

export class Streams {
  /** Streams that were opened and are not closed. */
  active = 0
  /** The next identifier of ours; the last one that the peer opened. Only a client opens streams. */
  next = 1
  lastPeer = 0
  /** What our last GOAWAY said; −1: none. */
  goawaySent = -1
  readonly closed: ClosedStreams
  readonly #role: Role
  #table = new StreamTable()

  constructor(role: Role, remembered: number) {
    this.#role = role
    this.closed = new ClosedStreams(remembered)
  }

  get(id: ExchangeId): Stream | undefined {
    return this.#table.get(id)
  }
  /** In the order of identifiers. */
  all(): Stream[] {
    return this.#table.all()
  }

  open(stream: Stream): void {
    this.#table.add(stream)
    this.active++
  }
  /** Its record stays while content of it is unread. */
  close(stream: Stream): void {
    this.active--
    // What was never written has left no trace: its identifier is passed over.
    if (stream.state !== 'idle') this.closed.add(stream.id, stream.state, stream.untold)
    this.letGo(stream)
  }
  /** Of a stream that is closed. */
  letGo(stream: Stream): void {
    if (stream.unread === 0) this.#table.delete(stream)
  }
  clear(): void {
    this.#table = new StreamTable()
    this.active = 0
  }

  /** How many identifiers are left for us. */
  get left(): number {
    return (MAX_31 + 2 - this.next) / 2
  }

  /** The state of a stream, whether it has a record or not. */
  stateOf(id: ExchangeId, stream: Stream | undefined): StreamState {
    if (stream !== undefined) return stream.state
    // A server opens none, so even identifiers are idle for ever.
    if ((id & 1) === 0) return 'idle'
    const opened = this.#role === 'client' ? this.next - 1 : this.lastPeer
    if (id > 0 && id <= opened) return this.closed.stateOf(id) ?? 'closed (ended)'
    // We said that we would not look at it. RFC 9113 §6.8.
    const ignored = this.#role === 'server' && this.goawaySent >= 0 && id > this.goawaySent
    return ignored ? 'closed (by us)' : 'idle'
  }

  /** A client passed it over when it opened a later one. RFC 9113 §5.1.1. */
  skipped(id: ExchangeId): boolean {
    return id <= this.lastPeer && this.closed.stateOf(id) === undefined
  }
}

const MIN_SLOT_BITS = 4
/** 2³² divided by the golden ratio: numbers in a row are spread evenly, so that no rows of full slots arise. */
const SPREAD = 0x9e37_79b1

/** Live streams by identifier: linear probing, never more than half full. */
export class StreamTable {
  #slots: (Stream | undefined)[] = new Array<Stream | undefined>(1 << MIN_SLOT_BITS).fill(undefined)
  #bits = MIN_SLOT_BITS
  #mask = (1 << MIN_SLOT_BITS) - 1
  #size = 0

  get(id: ExchangeId): Stream | undefined {
    const slots = this.#slots
    for (let i = this.#home(id); ; i = (i + 1) & this.#mask) {
      const stream = slots[i]
      if (stream === undefined || stream.id === id) return stream
    }
  }

  add(stream: Stream): void {
    if (2 * ++this.#size > this.#slots.length) this.#grow()
    this.#place(stream)
  }

  /** The stream is in it. */
  delete(stream: Stream): void {
    const slots = this.#slots
    const mask = this.#mask
    let hole = this.#home(stream.id)
    while (slots[hole] !== stream) hole = (hole + 1) & mask
    this.#size--
    // What was pushed beyond the hole moves back into it, so that no search ends too early.
    for (let i = (hole + 1) & mask; slots[i] !== undefined; i = (i + 1) & mask) {
      const home = this.#home((slots[i] as Stream).id)
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

  #home(id: ExchangeId): number {
    return Math.imul(id >>> 1, SPREAD) >>> (32 - this.#bits)
  }

  #place(stream: Stream): void {
    let i = this.#home(stream.id)
    while (this.#slots[i] !== undefined) i = (i + 1) & this.#mask
    this.#slots[i] = stream
  }

  #grow(): void {
    const old = this.#slots
    this.#slots = new Array<Stream | undefined>(2 * old.length).fill(undefined)
    this.#mask = this.#slots.length - 1
    this.#bits++
    for (const stream of old) if (stream !== undefined) this.#place(stream)
  }
}

/** What is remembered of streams that are gone. */
class ClosedStreams {
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

  add(id: ExchangeId, state: StreamState, untold = false): void {
    // The sign tells whether the caller knows.
    if (state === 'closed (by us)') this.#addReset(untold ? -id : id)
    else if (this.#others.length > 0) {
      // The sign tells how: nobody but the peer knows what it sent after its own reset.
      this.#others[this.#otherAt] = state === 'closed (by peer)' ? -id : id
      this.#otherAt = (this.#otherAt + 1) % this.#others.length
    }
  }

  /** undefined: it was skipped, or ended longer ago than is remembered; we did not reset it. */
  stateOf(id: ExchangeId): StreamState | undefined {
    if (this.#resets.includes(id) || this.#resets.includes(-id)) return 'closed (by us)'
    if (this.#others.includes(id)) return 'closed (ended)'
    if (this.#others.includes(-id)) return 'closed (by peer)'
    return id <= this.#forgotten ? 'closed (by us)' : undefined
  }

  /** We reset it and said so, or both sides ended it: nothing that a caller of ours has not heard of. */
  ended(id: ExchangeId): boolean {
    return this.#resets.includes(id) || this.#others.includes(id)
  }

  /** The peer resets what has ended. false: it is not remembered, or was reset before. */
  resetByPeer(id: ExchangeId): boolean {
    const at = this.#others.indexOf(id)
    if (at >= 0) this.#others[at] = -id
    return at >= 0
  }

  #addReset(id: ExchangeId): void {
    const dropped = this.#resets.length === 0 ? id : (this.#resets[this.#resetAt] as number)
    this.#forgotten = Math.max(this.#forgotten, Math.abs(dropped))
    if (this.#resets.length === 0) return
    this.#resets[this.#resetAt] = id
    this.#resetAt = (this.#resetAt + 1) % this.#resets.length
  }
}
