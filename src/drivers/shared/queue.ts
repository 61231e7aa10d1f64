// First in, first out, at a cost that does not depend on how many wait: Array#shift moves all of them, once they are many.
// Here each is moved once, when all before it have gone.

export class Queue<T> {
  #come: T[] = []
  /** The last one is the next. */
  #going: T[] = []

  get length(): number {
    return this.#come.length + this.#going.length
  }
  push(item: T): void {
    this.#come.push(item)
  }
  shift(): T | undefined {
    if (this.#going.length === 0) {
      this.#going = this.#come.reverse()
      this.#come = []
    }
    return this.#going.pop()
  }
}
