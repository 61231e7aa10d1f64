// What a blocked thread does: turns of the network, and between them the user's callbacks.
//
// No user code runs inside the pool's loop. What the pool wants of a user (a chunk, an answer, an ear for a trace) is
// noted, and called when the loop has come to rest; so a callback may make a request of its own, which blocks in its turn.
// Only a trace may not: it tells of one request, and would tell of its own.
//
// A source of content takes the time it likes for each chunk, and may never end. So it is asked for one at a time, and
// between two of them what has come is heard, deadlines are looked at, and whoever waits is told.
//
// One for each thread: while one pool waits, the others' links are served and their deadlines kept.
import { LocalProtocolError } from '../../http/index.ts'
import { WorkerNetwork } from './network.ts'

export class Loop {
  readonly network: WorkerNetwork = new WorkerNetwork()
  #callbacks: (() => void)[] = []
  #pulls: (() => void)[] = []
  #tracing = false

  /** To be called when the pool's loop has come to rest; it must not throw. */
  later(callback: () => void): void {
    this.#callbacks.push(callback)
  }
  /** As `later`, when nobody need be told of anything before. */
  pull(callback: () => void): void {
    this.#pulls.push(callback)
  }
  /** From inside `later`: nothing of this interface may be called until it returns. */
  trace(tell: () => void): void {
    this.#tracing = true
    try {
      tell()
    } finally {
      this.#tracing = false
    }
  }

  /** Each call begins with what came since the last: ends, GOAWAY, deadlines. */
  enter(): void {
    if (this.#tracing) {
      throw new LocalProtocolError('a trace must not call what it traces', { code: 'nested-call' })
    }
    this.catchUp()
  }
  catchUp(): void {
    if (this.#tracing) return
    while (this.network.look());
    this.#awaitHeld()
    this.#callBack()
    // Whoever always finds something to read gets no further here, and the source is to get on as well.
    if (this.#pull()) this.#callBack()
  }
  #awaitHeld(): void {
    while (this.network.held) this.network.turn()
  }

  /** Blocks until it is so. */
  until(done: () => boolean): void {
    for (;;) {
      this.#callBack()
      if (done()) return
      if (!this.#pull()) this.network.turn()
    }
  }

  /** In order; a callback that blocks lets those after it be called from inside. */
  #callBack(): void {
    for (let next = this.#callbacks.shift(); next !== undefined; next = this.#callbacks.shift()) next()
  }
  /** false: no source is to be asked. */
  #pull(): boolean {
    const next = this.#pulls.shift()
    if (next === undefined) return false
    next()
    this.network.look()
    this.#awaitHeld()
    return true
  }
}

let loop: Loop | undefined

/** The loop of this thread. */
export function threadLoop(): Loop {
  return (loop ??= new Loop())
}
