// Joins a machine held by hand to a link, and does what is easily forgotten: everything is taken out after each read,
// what a verb left to be written is written, reading stops while the machine is paused, and the link is closed when
// the machine wants it. It has no timer: the machine's deadlines remain the owner's (`nextTimeout`, `handleTimeout`, then
// `flush`), and so does a client that never closes its half after the server has.
import type { Bytes, Connection, H11Event, H2Event, Millis } from '../../http/index.ts'
import type { Link, Sink } from '../network.ts'

/** A Sink for `Network.connect`; `attach` it to the link that answers, and call `flush` after every verb. */
export interface Pump extends Sink {
  attach(link: Link): void
  flush(): void
}

/**
 * Calls `onEvent` for every event, in order; data in it is lent until it returns. Verbs may be called from inside: they
 * are flushed when it returns.
 */
export function pump<E = H11Event | H2Event>(
  machine: Connection<E>,
  now: () => Millis,
  onEvent: (event: E) => void,
): Pump {
  let link: Link | undefined
  let open = false
  let paused = false
  let closing = false
  let flushing = false

  function flush(): void {
    if (flushing) return
    flushing = true
    try {
      for (let event = machine.nextEvent(); event !== undefined; event = machine.nextEvent()) onEvent(event)
    } finally {
      flushing = false
    }
    if (open && link !== undefined && !closing) write(link)
  }

  function write(to: Link): void {
    const output = machine.takeOutput()
    if (output.length > 0) to.write(output)
    if ((machine.readState === 'paused') !== paused) {
      paused = !paused
      if (paused) to.pause()
      else to.resume()
    }
    if (machine.wantsClose !== 'no') {
      closing = true
      // A server lets its client read the last response (RFC 9112 §9.6): it ends its own half and waits for the other.
      // Neither loses what was written: a machine that says 'now' only has nothing to add.
      if (machine.role === 'server') to.end()
      else to.close()
    }
  }

  function ended(clean?: boolean): void {
    if (!open) return
    machine.receiveEof(now(), clean)
    flush()
  }

  return {
    attach: (to) => {
      link = to
    },
    flush,
    connected: () => {
      open = true
      flush()
    },
    secured: flush,
    received: (data: Bytes) => {
      machine.receiveData(data, now())
      flush()
      return false
    },
    drained: flush,
    eof: (clean) => {
      ended(clean)
      if (closing) link?.close()
    },
    failed: (_, side) => {
      // What cannot be written any more may still be answered.
      if (side !== 'write') ended(false)
    },
    closed: () => {
      ended(false)
      open = false
    },
  }
}
