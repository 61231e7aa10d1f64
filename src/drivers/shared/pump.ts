// Joins a machine held by hand to a link, and does what is easily forgotten: everything is taken out after each read,
// what a verb left to be written is written as fast as the link takes it, reading stops while the machine is paused, a
// link that is lost, or never was, is told to the machine, and it is closed when the machine wants it. It has no timer:
// the machine's deadlines remain the owner's (`nextTimeout`, `handleTimeout`, then `flush`), and so does a client that
// never closes its half after the server has. After 'switched' the bytes are the owner's, past the pump.
import { MAX_AHEAD, type Bytes, type Connection, type H11Event, type H2Event, type Millis } from '../../http/index.ts'
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
  /** The link may be written to. */
  let open = false
  let paused = false
  let flushing = false
  /** Written, and not accepted yet. */
  let ahead = 0

  function flush(): void {
    if (flushing) return
    flushing = true
    try {
      for (let event = machine.nextEvent(); event !== undefined; event = machine.nextEvent()) {
        // What the owner writes from now on comes after all that the machine had to say, the 101 itself among it.
        if ((event as { type: string }).type === 'switched' && open && link !== undefined) give(link)
        onEvent(event)
      }
    } finally {
      flushing = false
    }
    if (open && link !== undefined) write(link)
  }

  function give(to: Link, most?: number): void {
    const output = machine.takeOutput(most)
    for (const { byteLength } of output) ahead += byteLength
    if (output.length > 0) to.write(output)
  }

  function write(to: Link): void {
    if (ahead < MAX_AHEAD) give(to, MAX_AHEAD - ahead)
    if ((machine.readState === 'paused') !== paused) {
      paused = !paused
      if (paused) to.pause()
      else to.resume()
    }
    if (machine.wantsClose === 'now') {
      open = false
      // A server lets its client read the last response (RFC 9112 §9.6): it ends its own half and waits for the other.
      // Neither loses what was written: a machine that says 'now' only has nothing to add.
      if (machine.role === 'server') to.end()
      else to.close()
    }
  }

  function ended(clean?: boolean): void {
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
    drained: (bytes) => {
      ahead -= bytes
      flush()
    },
    eof: (clean) => {
      ended(clean)
      if (machine.wantsClose === 'now') link?.close()
    },
    failed: (_, side) => {
      // What cannot be written any more may still be answered: it is given to the link, which drops it.
      if (side === 'write') ahead = -Infinity
      else ended(false)
    },
    closed: () => {
      open = false
      ended(false)
    },
  }
}
