// What every machine must hold to, for any bytes: it does not throw (C2), it says the same however the bytes are cut (C1),
// nothing that it delivered changes when the lent buffer does (C13), and after its end it says nothing more (C8).
import type { Connection, H11Event, H2Event } from '../../src/http/index.ts'

type Event = H11Event | H2Event

/** Runs the bytes whole, and in pieces whose sizes the input itself gives; both must tell the same. */
export function sameHoweverCut(input: Uint8Array, make: () => Connection<Event>): void {
  const whole = told(make(), [input])
  const size = 1 + ((input[0] ?? 0) % 7)
  const pieces: Uint8Array[] = []
  for (let at = 0; at < input.length; at += size) pieces.push(input.subarray(at, at + size))
  const cut = told(make(), pieces)
  if (whole !== cut) throw new Error(`cut in ${size}s it tells something else:\n${whole}\n${cut}`)
}

function told(machine: Connection<Event>, pieces: readonly Uint8Array[]): string {
  const events: unknown[] = []
  const drain = (): void => {
    let most = 100_000
    for (let event = machine.nextEvent(); event !== undefined; event = machine.nextEvent()) {
      if (most-- === 0) throw new Error('it tells without end')
      if (event.type === 'data') machine.consume(event.exchange, event.data.length)
      add(events, event)
    }
  }
  for (const piece of pieces) {
    const last = events.at(-1) as { type?: string; leading?: string } | undefined
    if (last?.type === 'switched') {
      // What comes after is no longer the machine's: it belongs behind the leading bytes.
      last.leading += Buffer.from(piece).toString('latin1')
      continue
    }
    const lent = piece.slice()
    machine.receiveData(lent, 0)
    drain()
    lent.fill(0x5a)
  }
  machine.receiveEof(0)
  drain()
  machine.takeOutput()
  const ended = events.length
  machine.receiveData(new Uint8Array([0x47, 0x45, 0x54]), 0)
  if (machine.closed) drain()
  if (machine.closed && events.length > ended) throw new Error('it speaks after its end')
  JSON.stringify(machine.snapshot())
  return JSON.stringify(events)
}

/** Adjacent content of one exchange is one piece of content. */
function add(events: unknown[], event: Event): void {
  if (event.type !== 'data') {
    events.push(copied(event))
    return
  }
  const text = Buffer.from(event.data).toString('latin1')
  const last = events.at(-1)
  if (Array.isArray(last) && last[0] === event.exchange) last[1] = String(last[1]) + text
  else events.push([event.exchange, text])
}
function copied(event: Event): unknown {
  return JSON.parse(
    JSON.stringify(event, (_, value: unknown) =>
      value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value,
    ),
  )
}

export const latin1 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'))
export const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'))
