// An intrusive list: whoever waits in it is its own node, so that to come, to go and to move costs a few pointers at any
// length. One node stands in one list at a time; who has to stand in several owns several nodes.
//
// It knows nothing of what its nodes are for.

export class Node {
  /** @internal */
  previous: Node | undefined = undefined
  /** @internal */
  next: Node | undefined = undefined
  /** Where it stands; undefined: nowhere. @internal */
  list: List<Node> | undefined = undefined
}

/** A node that stands for something else, for what must wait in more than one list. */
export class Ticket<T> extends Node {
  readonly owner: T
  constructor(owner: T) {
    super()
    this.owner = owner
  }
}

export class List<N extends Node> {
  #first: Node | undefined = undefined
  #last: Node | undefined = undefined
  /** What returned last. */
  #returned: Node | undefined = undefined
  /** Read it, never write it. */
  length = 0

  get first(): N | undefined {
    return this.#first as N | undefined
  }
  get last(): N | undefined {
    return this.#last as N | undefined
  }

  // What stands somewhere leaves first: it may be the very neighbour that it would be put beside.
  push(node: N): void {
    remove(node)
    this.#insert(node, this.#last, undefined)
  }
  unshift(node: N): void {
    remove(node)
    this.#insert(node, undefined, this.#first)
  }
  /**
   * Before the first node that it does not come after; the list is in order. For what returns to its old place, near the
   * front or behind what returned before it: thousands may, one after the other, when their connection ends.
   */
  insertFromFront(node: N, comesAfter: (other: N) => boolean): void {
    remove(node)
    const near = this.#returned
    this.#returned = node
    let next = near !== undefined && comesAfter(near as N) ? near.next : this.#first
    while (next !== undefined && comesAfter(next as N)) next = next.next
    this.#insert(node, next === undefined ? this.#last : next.previous, next)
  }
  /** After the last node that it does not come before. For what is nearly always the last. */
  insertFromBack(node: N, comesBefore: (other: N) => boolean): void {
    remove(node)
    let previous = this.#last
    while (previous !== undefined && comesBefore(previous as N)) previous = previous.previous
    this.#insert(node, previous, previous === undefined ? this.#first : previous.next)
  }
  #insert(node: Node, previous: Node | undefined, next: Node | undefined): void {
    node.list = this as unknown as List<Node>
    node.previous = previous
    node.next = next
    if (previous === undefined) this.#first = node
    else previous.next = node
    if (next === undefined) this.#last = node
    else next.previous = node
    this.length++
  }
  /** @internal */
  unlink(node: Node): void {
    if (node.previous === undefined) this.#first = node.next
    else node.previous.next = node.next
    if (node.next === undefined) this.#last = node.previous
    else node.next.previous = node.previous
    node.previous = undefined
    node.next = undefined
    node.list = undefined
    if (node === this.#returned) this.#returned = undefined
    this.length--
  }
}

/** Takes the node out of its list, if it stands in one. */
export function remove(node: Node): void {
  node.list?.unlink(node)
}
