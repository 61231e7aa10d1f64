// What the halves of a connection share, and how things end: a stream, by its end, by a reset of ours, of the peer's, or
// by a fault; the connection, by its last stream, by a fault, or because somebody wants it to.
//
// A stream error resets one stream and harms no other; a connection error ends all, once, with GOAWAY; then the session is
// deaf. Whatever ends, what was held for it is given back here. It knows no frame but those that end something.
import { misuse } from '../http/index.ts'
import type { Disposition, ExchangeId, H2Event, Millis, PeerFault, ResolvedLimits, Role } from '../http/index.ts'
import { calm, TOO_MANY_STREAMS } from './faults.ts'
import { ReceiveWindow } from './flow.ts'
import { Floods } from './floods.ts'
import { FRAME, H2_ERROR, MAX_31, type Violation } from './frames.ts'
import { HpackDecoder } from './hpack/index.ts'
import { FrameReader } from './reader.ts'
import { Sender } from './sender.ts'
import { initialSettings, type Settings } from './settings.ts'
import { isClosed, LIFE_TRANSITIONS, transition, type Life, type StreamInput, type StreamState } from './state.ts'
import { Stream } from './stream.ts'
import { Streams } from './streams.ts'

export class Session {
  readonly role: Role
  readonly limits: ResolvedLimits
  readonly reader: FrameReader
  readonly decoder: HpackDecoder
  readonly sender: Sender
  readonly streams: Streams
  readonly floods: Floods
  /** What the peer may send on all streams together. */
  readonly window: ReceiveWindow
  now: Millis
  /** The peer sends no more. */
  eof = false
  closeReason: string | undefined
  /** Ours as far as they are acknowledged; the peer's, and whether it has sent any. */
  readonly local: Settings = initialSettings()
  readonly peer: Settings = initialSettings()
  peerSettingsSeen = false
  /** When a server that shuts down stops to wait for what is under way. */
  shutdownAt: Millis | undefined
  /** Something of a message was read since this was last cleared. */
  moved = false
  #life: Life = 'open'
  readonly #events: H2Event[] = []
  #nextEvent = 0

  constructor(role: Role, limits: ResolvedLimits, now: Millis, maxListBytes: number) {
    this.role = role
    this.limits = limits
    this.now = now
    this.reader = new FrameReader(role)
    this.decoder = new HpackDecoder({ maxListBytes, maxFields: limits.maxHeaderCount })
    this.sender = new Sender(limits)
    this.streams = new Streams(role, limits.rememberedResets)
    this.floods = new Floods(limits, now)
    this.window = new ReceiveWindow(limits.connectionWindow)
  }

  // ── events ──

  tell(event: H2Event): void {
    this.#events.push(event)
  }

  takeEvent(): H2Event | undefined {
    if (this.#nextEvent === this.#events.length) return undefined
    const event = this.#events[this.#nextEvent++]
    if (this.#nextEvent === this.#events.length) {
      this.#events.length = 0
      this.#nextEvent = 0
    }
    return event
  }

  /** The connection is over, and its caller has heard of it. */
  get heard(): boolean {
    return this.deaf && this.#events.length === 0
  }

  /** Nothing more is said of a cancelled exchange, nor of what was already noted. */
  silence(exchange: ExchangeId): void {
    for (let i = this.#events.length - 1; i >= this.#nextEvent; i--) {
      const event = this.#events[i] as H2Event
      if ('exchange' in event && event.exchange === exchange) this.#events.splice(i, 1)
    }
  }

  // ── life ──

  get life(): Life {
    return this.#life
  }
  get deaf(): boolean {
    return this.#life === 'failed' || this.#life === 'closed'
  }
  /** We begin nothing more, or the peer said so. */
  drain(): void {
    this.#life = LIFE_TRANSITIONS[this.#life].close
  }
  /** Nothing is read or sent any more but what is already output, and a GOAWAY. */
  over(input: 'fail' | 'end'): void {
    this.#life = LIFE_TRANSITIONS[this.#life][input]
    for (const stream of this.streams.all()) this.sender.forget(stream)
    this.streams.clear()
    this.floods.clear()
    this.reader.drop()
    this.shutdownAt = undefined
  }

  /** How many streams we could open now. */
  get capacity(): number {
    if (this.role === 'server' || this.#life !== 'open' || this.eof) return 0
    const limit = this.peerSettingsSeen ? this.peer.maxConcurrentStreams : this.limits.assumedConcurrentStreams
    return Math.max(0, Math.min(limit - this.streams.active, this.streams.left))
  }

  // ── streams ──

  addStream(id: ExchangeId, state: StreamState): Stream {
    const stream = new Stream(id, new ReceiveWindow(this.local.initialWindowSize))
    stream.state = state
    stream.sendWindow = this.peer.initialWindowSize
    this.streams.open(stream)
    return stream
  }

  /** A verb on an exchange without a record says nothing. LocalProtocolError: there never was one. */
  gone(exchange: ExchangeId): void {
    if (this.deaf || this.streams.stateOf(exchange, undefined) !== 'idle') return
    throw misuse('exchange', 'RFC 9113 §5.1', `there is no exchange ${exchange}`)
  }

  /** Judges a frame by the state of its stream; true: it is answered, or comes too late to mean anything. */
  refuses(id: ExchangeId, stream: Stream | undefined, state: StreamState, input: StreamInput): boolean {
    const outcome = transition(state, input)
    if (typeof outcome === 'string') return isClosed(state)
    const wrong = { ...outcome, message: `${input.slice(8)} on stream ${id}, ${state}` }
    if (outcome.scope === 'connection') this.break(wrong)
    else if (stream !== undefined && !isClosed(state)) this.streamFault(stream, wrong)
    else {
      // Once: what comes on it from here on is not looked at, as after any reset of ours.
      if (stream !== undefined) stream.state = 'closed (by us)'
      this.resetUnknown(id, wrong.h2Code)
      this.provokedReset()
    }
    return true
  }

  /** RST_STREAM from us. */
  reset(stream: Stream, h2Code: number): void {
    this.sender.reset(stream, h2Code)
    this.drop(stream)
  }

  /** The stream is closed, and nothing of it is of use any more. */
  drop(stream: Stream): void {
    this.floods.discard(stream)
    this.release(stream)
    this.creditConnection()
  }

  /**
   * The stream is closed; what is unread of it may still be read.
   * @param unheard by what was written, of which the caller hears nothing else
   */
  release(stream: Stream, unheard = false): void {
    const full = unheard || this.capacity === 0
    this.sender.forget(stream)
    this.floods.releaseHead(stream)
    this.streams.close(stream)
    if (full && this.capacity > 0) this.tell({ type: 'slots', capacity: this.capacity })
    this.finishIfDone()
  }

  /** Whether the application still waits for something of it. */
  #isRunning(stream: Stream): boolean {
    if (isClosed(stream.state) || stream.silent) return false
    // Each side of a tunnel ends for itself.
    return stream.receiving !== 'over' || stream.tunnel || this.role === 'server'
  }

  /** @param refused the peer says that it did not look at it; what it answered it has looked at, whatever it says */
  #dispositionOf(stream: Stream, refused: boolean): Disposition {
    if (stream.state === 'idle') return 'not-sent'
    if (stream.receiving !== 'head') return 'response-started'
    return refused ? 'refused' : 'maybe-processed'
  }

  /** @param refused as above */
  fail(stream: Stream, fault: PeerFault, refused = false): void {
    const exchange = stream.id
    if (this.#isRunning(stream)) {
      this.tell({ type: 'failed', exchange, fault, disposition: this.#dispositionOf(stream, refused) })
    } else {
      stream.untold = true
      // Its response is whole: nothing has failed, and nobody need wait any more to send the rest of the request.
      if (stream.blocked && !this.deaf) this.tell({ type: 'writable', exchange, room: this.limits.maxBufferedOut })
    }
  }

  /** What was asked for last and not written yet is not sent, as far as more streams would be open than the peer takes. */
  holdBack(): void {
    const excess = this.streams.active - this.peer.maxConcurrentStreams
    if (this.role === 'server' || excess <= 0) return
    const waiting = this.streams.all().filter((stream) => stream.state === 'idle')
    for (const stream of waiting.slice(-excess)) {
      this.fail(stream, this.#faultOf(TOO_MANY_STREAMS, 'exchange'))
      this.drop(stream)
    }
  }

  // ── credit for the peer ──

  creditConnection(): void {
    if (this.floods.unreadTooMuch) return
    const increment = this.window.announce()
    if (increment > 0) this.sender.output.number(FRAME.WINDOW_UPDATE, 0, increment)
  }

  credit(stream: Stream, bytes: number): void {
    stream.window.give(bytes)
    if (stream.receiving === 'over' || isClosed(stream.state)) return
    const increment = stream.window.announce()
    if (increment > 0) this.sender.output.number(FRAME.WINDOW_UPDATE, stream.id, increment)
  }

  // ── stream errors ──

  /** One stream is reset, no other is harmed. RFC 9113 §5.4.2. Always false, for the callers' convenience. */
  streamFault(stream: Stream, wrong: Violation): false {
    this.fail(stream, this.#faultOf(wrong, 'exchange'))
    this.reset(stream, wrong.h2Code)
    this.provokedReset()
    return false
  }
  /** One message above a limit is not wanted; ENHANCE_YOUR_CALM is for a peer that does too much, and ends the connection. */
  tooMuch(stream: Stream, limit: Pick<Violation, 'code' | 'rule' | 'message'>): void {
    this.streamFault(stream, { ...limit, h2Code: H2_ERROR.CANCEL, status: 431 })
  }

  /** RST_STREAM for a stream that is over: nothing is left to fail, and what is unread of it may still be read. */
  resetUnknown(id: ExchangeId, h2Code: number): void {
    this.sender.output.number(FRAME.RST_STREAM, id, h2Code)
    this.streams.closed.add(id, 'closed (by us)')
  }

  // ── connection errors ──

  /** Everything ends, and GOAWAY says why. RFC 9113 §5.4.1. */
  break(wrong: Violation): void {
    if (this.deaf) return
    this.closeReason = wrong.code
    this.failAll(this.#faultOf(wrong, 'connection'))
    this.leave(wrong.h2Code)
  }

  /** A flood. Always false, for the callers' convenience. */
  calm(code: string): false {
    this.break(calm(code))
    return false
  }
  /** Something legal and useless. false: too much of it. */
  glitch(): boolean {
    return this.floods.glitches.take(this.now) || this.calm('limit-glitches')
  }
  /** A frame that the peer made us send. false: it does not read them. */
  reply(): boolean {
    return this.floods.reply() || this.calm('limit-queued-replies')
  }
  /**
   * We were made to reset a stream. What that is bounded for is work that goes on behind it, a server's: of a client each
   * takes a request of its own, and gateways that answer some of many wrongly are not to cost it the others.
   */
  provokedReset(): void {
    if (this.role === 'client' || this.floods.provoked.take(this.now)) this.reply()
    else this.calm('limit-provoked-resets')
  }

  /** @param within of an exchange whose message has begun to come */
  failAll(fault: PeerFault, within = fault): void {
    const streams = this.streams.all()
    this.over('fail')
    for (const stream of streams) this.fail(stream, stream.receiving === 'content' ? within : fault)
    this.tell({ type: 'error', fault })
  }

  #faultOf(wrong: Violation, scope: PeerFault['scope']): PeerFault {
    const { code, rule, message, h2Code, status = 400 } = wrong
    return { code, rule, message, scope, offset: this.reader.offset, h2Code, status }
  }

  // ── the end ──

  /** GOAWAY that says why it is over. */
  leave(h2Code: number): void {
    const { goawaySent, lastPeer } = this.streams
    this.sendGoaway(goawaySent < 0 ? lastPeer : Math.min(goawaySent, lastPeer), h2Code)
  }

  /** Draining, and nothing is left to wait for. */
  finishIfDone(): void {
    if (this.#life !== 'draining' || this.streams.active > 0 || this.shutdownAt !== undefined) return
    if (this.streams.goawaySent < 0) this.sendGoaway(this.streams.lastPeer, H2_ERROR.NO_ERROR)
    this.finish()
  }

  finish(): void {
    this.closeReason ??= 'eof'
    this.over('end')
    this.tell({ type: 'closed', reason: this.closeReason })
  }

  /** The real last stream, where a shutdown has not told it yet. */
  lastGoaway(): void {
    this.shutdownAt = undefined
    if (this.streams.goawaySent === MAX_31) this.sendGoaway(this.streams.lastPeer, H2_ERROR.NO_ERROR)
    this.finishIfDone()
  }

  sendGoaway(lastStream: number, h2Code: number): void {
    this.streams.goawaySent = lastStream
    this.sender.output.goaway(lastStream, h2Code)
  }
}
