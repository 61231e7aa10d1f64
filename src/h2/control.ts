// Frames about streams that are no part of a message: PRIORITY, RST_STREAM, WINDOW_UPDATE, PRIORITY_UPDATE, and what
// nobody knows (RFC 9113 §5.5, §6.3, §6.4, §6.9; RFC 9218).
import type { ExchangeId, PeerFault } from '../http/index.ts'
import { badIncrement, badPriorityUpdate } from './faults.ts'
import { grown } from './flow.ts'
import { errorName, H2_ERROR, wrongSize } from './frames.ts'
import type { Negotiation } from './negotiation.ts'
import { parsePriority } from './priority.ts'
import { readUint31, readUint32 } from './reader.ts'
import type { Session } from './session.ts'
import { isClosed } from './state.ts'
import type { Stream } from './stream.ts'

/** What is read of the value of PRIORITY_UPDATE: more cannot mean anything. */
const PRIORITY_BYTES = 64

export class Control {
  readonly #session: Session
  readonly #negotiation: Negotiation
  /** 'frame' events are wanted. */
  readonly #frameEvents: boolean
  /** What was said of streams that are not open yet. */
  readonly #priorities = new Map<ExchangeId, string>()

  constructor(session: Session, negotiation: Negotiation, frameEvents: boolean) {
    this.#session = session
    this.#negotiation = negotiation
    this.#frameEvents = frameEvents
  }

  onReset(): void {
    const session = this.#session
    const { stream: id, bytes, start, offset } = session.reader
    const h2Code = readUint32(bytes, start)
    const stream = session.streams.get(id)
    const state = session.streams.stateOf(id, stream)
    if (isClosed(state)) {
      // A server that asks to stop and the end of what it asks about pass each other: once that is no flood.
      if (state !== 'closed (by us)' && !session.streams.closed.resetByPeer(id)) session.glitch()
      return
    }
    if (session.refuses(id, stream, state, 'receive RST_STREAM') || stream === undefined) return
    if (session.role === 'server' && !session.floods.resets.take(session.now)) return void session.calm('limit-resets')
    const fault: PeerFault = {
      code: 'stream-reset',
      rule: 'RFC 9113 §6.4',
      message: `the peer reset the stream: ${errorName(h2Code)}`,
      scope: 'exchange',
      offset,
      h2Code,
    }
    session.fail(stream, fault, h2Code === H2_ERROR.REFUSED_STREAM)
    stream.move('receive RST_STREAM')
    session.drop(stream)
  }

  // ── windows ──

  onWindowUpdate(): void {
    const session = this.#session
    const { streams, sender } = session
    const { stream: id, bytes, start } = session.reader
    const increment = readUint31(bytes, start)
    const stream = streams.get(id)
    if (id !== 0) {
      const refused = session.refuses(id, stream, streams.stateOf(id, stream), 'receive WINDOW_UPDATE')
      if (refused || stream === undefined) return
    }
    const debtor: { sendWindow: number; owed: number } = stream ?? sender
    const window = increment === 0 ? undefined : grown(debtor.sendWindow, increment)
    if (window === undefined) {
      if (stream === undefined) session.break(badIncrement(increment))
      else session.streamFault(stream, badIncrement(increment))
      return
    }
    // Credit for nothing is legal, and useless when it does not end; for what was sent it may come in any portions.
    if (debtor.owed === 0 && !session.glitch()) return
    debtor.owed = Math.max(0, debtor.owed - increment)
    debtor.sendWindow = window
    if (stream !== undefined) sender.windowMoved(stream)
  }

  // ── priorities ──

  onPriority(): void {
    const session = this.#session
    const { stream: id, length } = session.reader
    if (length === 5) return this.onExtension()
    const stream = session.streams.get(id)
    const wrong = wrongSize('RFC 9113 §6.3', `PRIORITY of ${length} octets`)
    // RST_STREAM must not be sent on a stream that is idle or closed: there the connection breaks. RFC 9113 §6.4.
    if (stream === undefined || stream.state === 'idle' || isClosed(stream.state)) session.break(wrong)
    else session.streamFault(stream, wrong)
  }

  /** RFC 9218 §7.1. */
  onPriorityUpdate(): void {
    const session = this.#session
    const { bytes, start, end } = session.reader
    const id = readUint31(bytes, start)
    if (session.role === 'client') return session.break(badPriorityUpdate('PRIORITY_UPDATE from a server'))
    if ((id & 1) === 0) return session.break(badPriorityUpdate(`PRIORITY_UPDATE for stream ${id}`))
    if (!session.glitch()) return
    const value = String.fromCharCode(...bytes.subarray(start + 4, Math.min(end, start + 4 + PRIORITY_BYTES)))
    const stream = session.streams.get(id)
    if (stream !== undefined) this.#prioritize(stream, value)
    else if (id > session.streams.lastPeer && !this.#note(id, value)) {
      return session.break(badPriorityUpdate('more streams prioritized than may be open'))
    }
    this.#frameEvent()
  }

  /** false: too many. */
  #note(id: ExchangeId, value: string): boolean {
    const { lastPeer, active } = this.#session.streams
    const limit = this.#negotiation.said.maxConcurrentStreams - active
    this.#priorities.set(id, value)
    if (this.#priorities.size <= limit) return true
    // Streams that were passed over will not come.
    for (const key of this.#priorities.keys()) if (key <= lastPeer) this.#priorities.delete(key)
    if (this.#priorities.size <= limit) return true
    // Who may not know the limit yet has done nothing wrong; it is only not kept.
    return this.#negotiation.pending > 0 && this.#priorities.delete(id)
  }

  /** A request came, with this priority field. What PRIORITY_UPDATE said goes before it. RFC 9218 §7. */
  opened(stream: Stream, field: string | undefined): void {
    const noted = this.#priorities.size === 0 ? undefined : this.#priorities.get(stream.id)
    if (noted !== undefined) this.#priorities.delete(stream.id)
    const value = noted ?? field
    if (value !== undefined) this.#prioritize(stream, value)
  }

  #prioritize(stream: Stream, value: string): void {
    const { urgency, incremental } = parsePriority(value)
    stream.urgency = urgency
    stream.incremental = incremental
    this.#session.sender.reprioritized(stream)
  }

  // ── extensions ──

  /** ALTSVC, ORIGIN, and what nobody knows. RFC 9113 §5.5. */
  onExtension(): void {
    if (this.#session.glitch()) this.#frameEvent()
  }

  #frameEvent(): void {
    if (!this.#frameEvents) return
    const { type: frameType, flags, stream, bytes, start, end } = this.#session.reader
    this.#session.tell({ type: 'frame', frameType, flags, stream, payload: bytes.subarray(start, end) })
  }
}
