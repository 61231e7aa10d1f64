// Deadlines: one FIFO per distinct duration, since what was set later for as long also ends later. To set and to clear
// is a list move; the earliest deadline is the earliest of a few heads. Deadlines that have no duration of their own (a
// machine's, a jittered one, one that is taken up again) stand in a sorted list of their kind, where they nearly always
// come last: two kinds in one list would look past each other, thousands past thousands.
//
// It does not know what a deadline is for: `kind` is the owner's word, a string, handed back when the time has come.
import type { Millis } from '../http/index.ts'
import { List, Node, remove } from './list.ts'

/** More lists than this, and unusual durations share one that is at most a sixteenth longer. */
const EXACT_LISTS = 48

export class Deadline<O = unknown, K = unknown> extends Node {
  readonly owner: O
  readonly kind: K
  at: Millis = Infinity
  constructor(owner: O, kind: K) {
    super()
    this.owner = owner
    this.kind = kind
  }
}

export class Timers {
  /** By duration, and by kind. */
  readonly #byKey = new Map<unknown, List<Deadline>>()
  readonly #lists: List<Deadline>[] = []
  /** Never later than the earliest deadline. */
  #earliest: Millis = Infinity
  #exact = true

  /** Due `duration` from now; Infinity: never. What the deadline was before is forgotten. */
  after(deadline: Deadline, duration: Millis, now: Millis): void {
    this.clear(deadline)
    if (duration === Infinity) return
    if (this.#lists.length > EXACT_LISTS && !this.#byKey.has(duration)) duration = roundUp(duration)
    deadline.at = now + duration
    this.#listFor(duration).push(deadline)
    if (deadline.at < this.#earliest) this.#earliest = deadline.at
  }
  /** Due at `at`, or now if that is past. */
  at(deadline: Deadline, at: Millis): void {
    this.clear(deadline)
    if (at === Infinity) return
    deadline.at = at
    this.#listFor(deadline.kind).insertFromBack(deadline, (other) => at < other.at)
    if (at < this.#earliest) this.#earliest = at
  }
  clear(deadline: Deadline): void {
    if (deadline.list === undefined) return
    if (deadline.at <= this.#earliest) this.#exact = false
    remove(deadline)
    deadline.at = Infinity
  }

  /** The earliest deadline; undefined: none. */
  next(): Millis | undefined {
    if (!this.#exact) this.#look()
    return this.#earliest === Infinity ? undefined : this.#earliest
  }
  /** Takes one out that is due, the earliest first: a thread that was busy finds them as if it had not been. */
  take(now: Millis): Deadline | undefined {
    const at = this.next()
    if (at === undefined || at > now) return undefined
    const first = this.#lists.find((list) => list.first?.at === at)?.first
    if (first !== undefined) this.clear(first)
    return first
  }

  #look(): void {
    let earliest = Infinity
    for (const list of this.#lists) {
      const first = list.first
      if (first !== undefined && first.at < earliest) earliest = first.at
    }
    this.#earliest = earliest
    this.#exact = true
  }
  #listFor(key: unknown): List<Deadline> {
    let list = this.#byKey.get(key)
    if (list === undefined) {
      list = new List<Deadline>()
      this.#byKey.set(key, list)
      this.#lists.push(list)
    }
    return list
  }
}

/** To five significant bits: a deadline may come late by a sixteenth, never early. */
function roundUp(duration: Millis): Millis {
  let unit = 1
  while (duration / unit > 32) unit *= 2
  return Math.ceil(duration / unit) * unit
}
