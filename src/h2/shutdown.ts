// The way to the end of a connection: GOAWAY of either side, and PING, which measures the round trip that a server's
// shutdown waits for (RFC 9113 §6.7, §6.8).
import { misuse } from '../http/index.ts'
import type { Bytes, Millis, PeerFault } from '../http/index.ts'
import { errorName, FLAG, FRAME, H2_ERROR, MAX_31 } from './frames.ts'
import { readUint31, readUint32 } from './reader.ts'
import type { Session } from './session.ts'
import { isClosed } from './state.ts'

const SHUTDOWN_PING = new Uint8Array([0x68, 0x74, 0x74, 0x70, 0x63, 0x6f, 0x72, 0x65])

export class Shutdown {
  /** What the peer's last GOAWAY said; −1: none. */
  goawayReceived = -1
  /** What it gave as the reason, where that was an error. */
  #why: number | undefined
  readonly #session: Session
  /** PINGs that are under way, in order. */
  readonly #pings: Bytes[] = []

  constructor(session: Session) {
    this.#session = session
  }

  // ── PING ──

  onPing(): void {
    const session = this.#session
    const { flags, bytes, start, end } = session.reader
    const payload = bytes.subarray(start, end)
    if ((flags & FLAG.ACK) === 0) {
      if ((!this.#afterTraffic() && !session.glitch()) || !session.reply()) return
      session.sender.output.copied(FRAME.PING, FLAG.ACK, 0, payload)
      return session.tell({ type: 'ping', payload, ack: false })
    }
    const at = this.#pings.findIndex((ping) => ping.every((octet, i) => octet === payload[i]))
    if (at < 0) session.glitch()
    else if (this.#pings.splice(at, 1)[0] === SHUTDOWN_PING) session.lastGoaway()
    else session.tell({ type: 'ping', payload, ack: true })
  }

  /** A peer that measures the path pings once for what moved on it, on a fast network thousands of times a second. */
  #afterTraffic(): boolean {
    const session = this.#session
    const moved = session.moved || session.sender.moved
    session.moved = session.sender.moved = false
    return moved
  }

  ping(payload: Bytes): void {
    if (this.#pings.length >= this.#session.limits.maxQueuedReplies) {
      throw misuse('ping', 'RFC 9113 §6.7', 'too many PINGs are under way')
    }
    this.#pings.push(payload.slice())
    this.#session.sender.output.copied(FRAME.PING, 0, 0, payload)
  }

  // ── GOAWAY ──

  onGoaway(): void {
    const session = this.#session
    const { bytes, start, end } = session.reader
    const lastStream = readUint31(bytes, start)
    const h2Code = readUint32(bytes, start + 4)
    if (!session.floods.goaway()) return void session.calm('limit-goaways')
    const debug = bytes.subarray(start + 8, Math.min(end, start + 8 + session.limits.maxDebugBytes))
    session.tell({ type: 'goaway', lastStream, h2Code, debug })
    // A client's GOAWAY is about pushes, of which there are none.
    if (session.role === 'server') return
    const first = this.goawayReceived < 0
    this.goawayReceived = first ? lastStream : Math.min(lastStream, this.goawayReceived)
    this.#why = h2Code === H2_ERROR.NO_ERROR ? undefined : h2Code
    session.closeReason ??= 'goaway'
    session.drain()
    this.#failUnprocessed(h2Code, first)
    session.finishIfDone()
  }

  /** What is above the last stream, or was not even written, can be sent again elsewhere. */
  #failUnprocessed(h2Code: number, first: boolean): void {
    const session = this.#session
    const gone = session.streams
      .all()
      .filter((stream) => !isClosed(stream.state) && (stream.id > this.goawayReceived || stream.state === 'idle'))
    const unprocessed = gone.filter((stream) => stream.receiving === 'head').map((stream) => stream.id)
    if (first || gone.length > 0) session.tell({ type: 'draining', reason: 'goaway', unprocessed })
    const fault: PeerFault = {
      code: 'goaway',
      rule: 'RFC 9113 §6.8',
      message: `the peer is going away: ${errorName(h2Code)}`,
      scope: 'exchange',
      offset: session.reader.offset,
      h2Code,
    }
    for (const stream of gone) {
      session.fail(stream, fault, true)
      if (stream.state !== 'idle') stream.state = 'closed (by peer)'
      session.drop(stream)
    }
  }

  // ── what we want ──

  close(now: Millis): void {
    const session = this.#session
    if (session.deaf) return
    if (session.life === 'open') {
      session.closeReason = 'close'
      session.tell({ type: 'draining', reason: 'close', unprocessed: [] })
    }
    session.drain()
    if (session.role === 'client') this.goaway()
    else if (session.streams.goawaySent < 0) {
      // What is under way still comes in: the real last stream is told one round trip later.
      session.sendGoaway(MAX_31, H2_ERROR.NO_ERROR)
      session.sender.output.copied(FRAME.PING, 0, 0, SHUTDOWN_PING)
      this.#pings.push(SHUTDOWN_PING)
      session.shutdownAt = now + session.limits.closeTimeout
    } else if (session.shutdownAt !== undefined) {
      // Asked twice: it does not wait for what is under way.
      return session.lastGoaway()
    }
    session.finishIfDone()
  }

  /** A client's, once none of its requests waits: a server may ignore one that comes behind it. */
  goaway(): void {
    const { streams } = this.#session
    if (streams.goawaySent >= 0 || streams.all().some(({ state }) => state === 'idle')) return
    this.#session.sendGoaway(0, H2_ERROR.NO_ERROR)
  }

  abort(h2Code: number): void {
    const session = this.#session
    if (session.deaf) return
    session.closeReason = 'abort'
    session.over('end')
    session.leave(h2Code)
  }

  // ── the peer's end ──

  /** @param cut it stopped in the middle of something */
  onEof(cut: boolean): void {
    const session = this.#session
    if (session.streams.active === 0 && !cut) return session.finish()
    // Not 'goaway': that is the code of who is above its last stream. What GOAWAY gave as its reason is told all the same.
    const fault: PeerFault = {
      code: cut ? 'incomplete-message' : 'server-disconnected',
      rule: 'RFC 9113 §6.8',
      message: `the peer ended the connection${this.#why === undefined ? '' : `: ${errorName(this.#why)}`}`,
      scope: 'connection',
      offset: session.reader.consumed,
      h2Code: this.#why,
    }
    const within = { ...fault, code: 'incomplete-message' }
    session.failAll(session.role === 'server' ? within : fault, within)
    session.closeReason = fault.code
  }
}
