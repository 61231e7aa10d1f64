// Numbers for things that come and go by the million: a slot of a dense array plus a generation, so that a look-up is
// one array read, the array is as long as the most that ever lived at once, and a number that is out of date finds
// nothing. (A Map keyed by running numbers keeps dead entries alive in old tables: it costs half again at concurrency
// 500.)
//
// The pool numbers its links with one; whoever drives the pool numbers its requests with another.

const SLOT_BITS = 21
const SLOT_MASK = 2 ** SLOT_BITS - 1
/** Ids stay below 2^31 for the sake of V8's small integers: 1,024 generations of 2,097,151 slots. */
const GENERATIONS = 2 ** 10

export class Slots<T extends { id: number }> {
  // Slot 0 stays empty: no id is 0, and the first is 1.
  readonly #items: (T | undefined)[] = [undefined]
  readonly #generations: number[] = [0]
  readonly #free: number[] = []

  /** Gives the thing its id, which is never 0. RangeError: two million live already. */
  add(item: T): void {
    let slot = this.#free.pop()
    if (slot === undefined) {
      slot = this.#items.length
      if (slot === SLOT_MASK) throw new RangeError('too many ids are in use at once')
      this.#items.push(undefined)
      this.#generations.push(0)
    }
    this.#items[slot] = item
    item.id = ((this.#generations[slot] as number) << SLOT_BITS) | slot
  }
  get(id: number): T | undefined {
    const item = this.#items[id & SLOT_MASK]
    return item !== undefined && item.id === id ? item : undefined
  }
  delete(id: number): void {
    if (this.get(id) === undefined) return
    const slot = id & SLOT_MASK
    this.#items[slot] = undefined
    this.#generations[slot] = ((this.#generations[slot] as number) + 1) % GENERATIONS
    this.#free.push(slot)
  }
  *[Symbol.iterator](): Generator<T, void, undefined> {
    for (const item of this.#items) if (item !== undefined) yield item
  }
}

/**
 * What the pool holds by ids that somebody else gave out with `Slots`. Foreign ids that share a slot (running numbers
 * do, two million apart) are kept aside.
 */
export class BySlot<T extends { readonly id: number }> {
  readonly #items: (T | undefined)[] = []
  readonly #aside = new Map<number, T>()
  size = 0

  get(id: number): T | undefined {
    const item = this.#items[id & SLOT_MASK]
    if (item !== undefined && item.id === id) return item
    return this.#aside.size === 0 ? undefined : this.#aside.get(id)
  }
  set(item: T): void {
    const slot = item.id & SLOT_MASK
    while (this.#items.length < slot) this.#items.push(undefined)
    if (this.#items[slot] === undefined) this.#items[slot] = item
    else this.#aside.set(item.id, item)
    this.size++
  }
  delete(item: T): void {
    const slot = item.id & SLOT_MASK
    if (this.#items[slot] === item) this.#items[slot] = undefined
    else if (!this.#aside.delete(item.id)) return
    this.size--
  }
  *[Symbol.iterator](): Generator<T, void, undefined> {
    for (const item of this.#items) if (item !== undefined) yield item
    yield* this.#aside.values()
  }
}
