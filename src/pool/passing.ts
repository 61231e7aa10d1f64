// A Map for what comes and goes by the million while few are there at once. A Map of the engine's links each table that
// it outgrew or emptied to the next one; once one of them is in the old generation, every entry of all that follow
// survives until a full collection. So the map is made anew now and then, and no chain grows: with a connection for each
// of ten thousand origins 0.3 MB survive a scavenge instead of 2.2, and a request costs a tenth less.
//
// It does not know what it holds. What is asked for by number stands in slots.ts.

/** So many deletions beyond the size, and it is made anew: the copy costs a few nanoseconds for each. */
const MIN_GONE = 16

export class Passing<K, V> {
  #map = new Map<K, V>()
  #gone = 0

  get size(): number {
    return this.#map.size
  }
  get(key: K): V | undefined {
    return this.#map.get(key)
  }
  set(key: K, value: V): void {
    this.#map.set(key, value)
  }
  delete(key: K): void {
    if (!this.#map.delete(key) || ++this.#gone <= MIN_GONE + this.#map.size) return
    this.#map = new Map(this.#map)
    this.#gone = 0
  }
  keys(): IterableIterator<K> {
    return this.#map.keys()
  }
  values(): IterableIterator<V> {
    return this.#map.values()
  }
}
