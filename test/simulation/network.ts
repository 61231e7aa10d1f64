// The network in memory, watched: something looks after every step, what counts as a connection is counted, and one call
// of all that are made can fail.
import type { ConnectTarget, Link, Sink } from '../../src/index.ts'
import { SimNetwork } from '../../src/sim.ts'

/** What the call that was chosen fails with. */
export const BROKEN = new Error('broken')

export class WatchedNetwork extends SimNetwork {
  /** Links that count: what failed or was destroyed does not, though the network takes a step more to let go of it. */
  held = 0
  /** Calls to the network and to its links of clients. */
  calls = 0
  /** What links of clients were given and gave, and the most that one was given ahead of what it accepted. */
  bytes = 0
  mostAhead = 0
  /** Counted from 1. */
  failAt = 0
  check: () => void = () => undefined

  override step(): boolean {
    const stepped = super.step()
    if (stepped) this.check()
    return stepped
  }
  override resolve(host: string, done: (error: unknown, addresses: readonly string[]) => void): void {
    if (this.#fails()) this.later(0, () => done(BROKEN, []))
    else super.resolve(host, done)
  }
  override connect(target: ConnectTarget, sink: Sink): Link {
    let counts = true
    const gone = (): void => {
      if (counts) this.held--
      counts = false
    }
    const failed = sink.failed.bind(sink)
    sink.failed = (error, side) => {
      if (side !== 'write') gone()
      failed(error, side)
    }
    const closed = sink.closed.bind(sink)
    sink.closed = () => {
      gone()
      closed()
    }
    if (this.#fails()) this.fault({ at: 'connect', what: 'refuse', error: BROKEN })
    const link = super.connect(target, sink)
    const destroy = link.destroy.bind(link)
    link.destroy = () => {
      gone()
      destroy()
    }
    this.#watch(link, sink)
    this.held++
    return link
  }

  #fails(): boolean {
    return ++this.calls === this.failAt
  }
  /** A write that fails is told first, and the connection is lost when what came before was read. */
  #watch(link: Link, sink: Sink): void {
    const broken = (): void => {
      this.later(0, () => {
        sink.failed(BROKEN, 'write')
        this.later(5, () => {
          sink.failed(BROKEN, 'read')
          link.destroy()
        })
      })
    }
    const { write, end, startTls } = link
    const { received, drained } = sink
    let ahead = 0
    link.write = (chunks) => {
      for (const { length } of chunks) {
        this.bytes += length
        ahead += length
      }
      this.mostAhead = Math.max(this.mostAhead, ahead)
      if (this.#fails()) broken()
      else write.call(link, chunks)
    }
    sink.drained = (bytes) => {
      ahead -= bytes
      drained.call(sink, bytes)
    }
    sink.received = (data) => {
      this.bytes += data.length
      return received.call(sink, data)
    }
    link.end = () => (this.#fails() ? broken() : end.call(link))
    link.startTls = (tls) => {
      if (this.#fails()) throw BROKEN
      startTls.call(link, tls)
    }
  }
}
