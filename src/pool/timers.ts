// Deadlines: one FIFO per distinct duration, since what was set later for as long also ends later. To set and to clear
// is a list move; the earliest deadline is the earliest of a few heads. Deadlines that have no duration of their own (a
// machine's, a jittered one, one that is taken up again) stand in one sorted list, where they nearly always come last.
//
// It does not know what a deadline is for: `kind` is the owner's word, handed back when the time has come.
import type { Millis } from '../http/index.ts'
import { List, Node, remove } from './list.ts'

/** More lists than this, and unusual durations share one that is at most a sixteenth longer. */
const EXACT_LISTS = 48

export class Deadline<O, K> extends Node {
  readonly owner: O
  kind: K
  at: Millis = Infinity
  constructor(owner: O, kind: K) {
    super()
    this.owner = owner
    this.kind = kind
  }
}

export class Timers<D extends Deadline<unknown, unknown>> {
  readonly #byDuration = new Map<Millis, List<D>>()
  readonly #lists: List<D>[] = []
  readonly #sorted = new List<D>()
  /** Never later than the earliest deadline. */
  #earliest: Millis = Infinity
  #exact = true

  constructor() {
    this.#lists.push(this.#sorted)
  }

  /** Due `duration` from now; Infinity: never. What the deadline was before is forgotten. */
  after(deadline: D, duration: Millis, now: Millis): void {
    this.clear(deadline)
    if (duration === Infinity) return
    let list = this.#byDuration.get(duration)
    if (list === undefined) {
      if (this.#lists.length > EXACT_LISTS) duration = roundUp(duration)
      list = this.#byDuration.get(duration) ?? this.#listFor(duration)
    }
    deadline.at = now + duration
    list.push(deadline)
    this.#sooner(deadline.at)
  }
  /** Due at `at`, or now if that is past. */
  at(deadline: D, at: Millis): void {
    this.clear(deadline)
    if (at === Infinity) return
    deadline.at = at
    this.#sorted.insertFromBack(deadline, (other) => at < other.at)
    this.#sooner(at)
  }
  clear(deadline: D): void {
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
  /** Takes one out that is due. */
  take(now: Millis): D | undefined {
    if (this.#earliest > now) return undefined
    for (const list of this.#lists) {
      const first = list.first
      if (first !== undefined && first.at <= now) {
        this.clear(first)
        return first
      }
    }
    this.#look()
    return undefined
  }

  #sooner(at: Millis): void {
    if (at >= this.#earliest) return
    this.#earliest = at
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
  #listFor(duration: Millis): List<D> {
    const list = new List<D>()
    this.#byDuration.set(duration, list)
    this.#lists.push(list)
    return list
  }
}

/** To five significant bits: a deadline may come late by a sixteenth, never early. */
function roundUp(duration: Millis): Millis {
  let unit = 1
  while (duration / unit > 32) unit *= 2
  return Math.ceil(duration / unit) * unit
}
