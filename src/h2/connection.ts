// One HTTP/2 connection in either role: bytes in, events out; verbs in, bytes out (RFC 9113).
//
// What is here is the outside, and who does what: the reader cuts frames; receiving.ts, control.ts, negotiation.ts and
// shutdown.ts say what each frame means; sending.ts checks what we say, the sender writes it. What they share, and how a
// stream or the connection ends, is the session. State moves by the tables in state.ts.
//
// It does not know what a pool is, and has no timers but for SETTINGS that are not acknowledged and its own shutdown.
import { misuse, plainBytes, resolveLimits, SECRET_FIELDS } from '../http/index.ts'
import type {
  Bytes,
  Connection,
  ExchangeId,
  FieldsInit,
  H2Event,
  H2Extras,
  Ledger,
  Limits,
  Millis,
  RequestHead,
  ResolvedLimits,
  ResponseHead,
  Role,
} from '../http/index.ts'
import { Control } from './control.ts'
import { beforeSettings, outOfPlace, PUSHED, SETTINGS_OVERDUE } from './faults.ts'
import { DEFAULT_WINDOW, FLAG, FRAME, frameName, H2_ERROR, PREFACE, type Violation } from './frames.ts'
import { Negotiation } from './negotiation.ts'
import { Receiving } from './receiving.ts'
import { Sending } from './sending.ts'
import { Session } from './session.ts'
import { checkedSettings, SETTINGS } from './settings.ts'
import { Shutdown } from './shutdown.ts'
import { isClosed } from './state.ts'
import type { Output } from './writer.ts'

export interface H2Options {
  readonly now: Millis
  /** By name: `LIMITS` says what each is, its default and its bounds. */
  readonly limits?: Limits | undefined
  /** SETTINGS to send first, by name (`initialWindowSize` …), beyond and above those that follow from the limits. */
  readonly settings?: Readonly<Record<string, number>> | undefined
  /** What the peer may send on all streams together before it is read. Default: limits.connectionWindow, 16 MiB. */
  readonly connectionWindow?: number | undefined
  /** false: what is sent is written as it is given. For harnesses. Default true. */
  readonly validateOutbound?: boolean | undefined
  /** true: 'frame' events for unknown types, PRIORITY, ALTSVC, ORIGIN and PRIORITY_UPDATE. Default false. */
  readonly frameEvents?: boolean | undefined
}

export class H2Connection implements Connection<H2Event>, H2Extras {
  readonly role: Role
  readonly #validate: boolean
  readonly #session: Session
  readonly #negotiation: Negotiation
  readonly #control: Control
  readonly #receiving: Receiving
  readonly #shutdown: Shutdown
  readonly #sending: Sending

  /** TypeError, RangeError, LocalProtocolError: an option is not what it should be. */
  constructor(role: Role, options: H2Options) {
    if (role !== 'client' && role !== 'server') throw new TypeError("the role is 'client' or 'server'")
    this.role = role
    const { connectionWindow, now, frameEvents = false, validateOutbound = true } = options
    const given = connectionWindow === undefined ? options.limits : { ...options.limits, connectionWindow }
    const limits = resolveLimits(given, role)
    const settings = { ...settingsOf(limits, role), ...options.settings }
    const entries = checkedSettings(settings, validateOutbound)
    const session = new Session(role, limits, now, settings['maxHeaderListSize'] as number)
    this.#validate = validateOutbound
    this.#session = session
    this.#negotiation = new Negotiation(session)
    this.#control = new Control(session, this.#negotiation, frameEvents)
    this.#receiving = new Receiving(session, this.#control, this.#negotiation)
    this.#shutdown = new Shutdown(session)
    this.#sending = new Sending(session, validateOutbound)

    // The connection preface: SETTINGS, and the window of the connection. RFC 9113 §3.4.
    const { output } = session.sender
    if (role === 'client') output.raw(PREFACE_BYTES)
    this.#negotiation.send(entries)
    const increment = limits.connectionWindow - DEFAULT_WINDOW
    if (increment > 0) output.number(FRAME.WINDOW_UPDATE, 0, increment)
  }

  // ── what the peer did ──

  receiveData(data: Bytes, now: Millis): void {
    const session = this.#session
    const bytes = plainBytes(data)
    session.now = now
    if (session.deaf || session.eof || bytes.length === 0) return
    session.reader.receive(bytes)
  }

  receiveEof(now: Millis, _clean?: boolean): void {
    this.#session.now = now
    if (!this.#session.deaf) this.#session.eof = true
  }

  nextEvent(): H2Event | undefined {
    const session = this.#session
    for (;;) {
      const event = session.takeEvent()
      if (event !== undefined) return event
      if (session.deaf) return undefined
      switch (session.reader.next()) {
        case 'need':
          this.#receiving.countPart()
          if (!session.eof) return undefined
          this.#shutdown.onEof(session.reader.partial || this.#receiving.amidBlock)
          break
        case 'data':
          if (!session.reader.first || this.#inPlace()) this.#receiving.onData()
          break
        case 'frame':
          if (this.#inPlace()) this.#onFrame()
          break
        case 'violation':
          session.break(session.reader.violation as Violation)
          break
      }
    }
  }

  /** Whether this frame may come now; false: it is a fault. RFC 9113 §3.4, §6.10. */
  #inPlace(): boolean {
    const session = this.#session
    const { type, flags, stream } = session.reader
    if (!session.peerSettingsSeen && (type !== FRAME.SETTINGS || (flags & FLAG.ACK) !== 0)) {
      session.break(beforeSettings(frameName(type)))
    } else if (!this.#receiving.continues(type, stream)) session.break(outOfPlace(frameName(type)))
    return !session.deaf
  }

  #onFrame(): void {
    switch (this.#session.reader.type) {
      case FRAME.HEADERS:
        return this.#receiving.onHeaders()
      case FRAME.CONTINUATION:
        return this.#receiving.onContinuation()
      case FRAME.PRIORITY:
        return this.#control.onPriority()
      case FRAME.RST_STREAM:
        return this.#control.onReset()
      case FRAME.SETTINGS:
        return this.#negotiation.onSettings()
      case FRAME.PUSH_PROMISE:
        return this.#session.break(PUSHED)
      case FRAME.PING:
        return this.#shutdown.onPing()
      case FRAME.GOAWAY:
        return this.#shutdown.onGoaway()
      case FRAME.WINDOW_UPDATE:
        return this.#control.onWindowUpdate()
      case FRAME.PRIORITY_UPDATE:
        return this.#control.onPriorityUpdate()
      default:
        return this.#control.onExtension()
    }
  }

  get readState(): 'need-data' | 'paused' | 'done' {
    return this.#session.deaf || this.#session.eof ? 'done' : 'need-data'
  }

  // ── what we do ──

  sendRequest(
    head: RequestHead,
    options?: { readonly end?: boolean; readonly ledger?: Ledger | undefined },
  ): ExchangeId {
    return this.#sending.request(head, options?.end === true, options?.ledger)
  }
  sendInformational(exchange: ExchangeId, status: number, headers?: FieldsInit): void {
    this.#sending.informational(exchange, status, headers)
  }
  sendResponse(exchange: ExchangeId, head: ResponseHead, options?: { readonly end?: boolean }): void {
    this.#sending.response(exchange, head, options?.end === true)
  }
  sendData(exchange: ExchangeId, data: Bytes, end = false): boolean {
    return this.#sending.data(exchange, plainBytes(data), end)
  }
  end(exchange: ExchangeId, trailers?: FieldsInit): void {
    this.#sending.end(exchange, trailers)
  }
  consume(exchange: ExchangeId, n: number): void {
    this.#receiving.consume(exchange, n)
  }
  nextExchange(): void {
    // In HTTP/2 every exchange is let through as it comes.
  }
  cancel(exchange: ExchangeId, h2Code: number = H2_ERROR.CANCEL): void {
    this.#sending.cancel(exchange, checkedCode(h2Code))
  }

  close(now: Millis): void {
    this.#session.now = now
    this.#shutdown.close(now)
  }
  abort(h2Code: number = H2_ERROR.CANCEL): void {
    this.#shutdown.abort(checkedCode(h2Code))
  }

  ping(payload: Bytes, now: Millis): void {
    this.#session.now = now
    if (payload.length !== 8) throw misuse('ping', 'RFC 9113 §6.7', 'a PING has eight octets')
    this.#begun()
    this.#shutdown.ping(plainBytes(payload))
  }
  updateSettings(settings: Readonly<Record<string, number>>, now: Millis): void {
    this.#session.now = now
    const entries = checkedSettings(settings, this.#validate)
    if (this.#validate) this.#negotiation.checkChange(entries)
    this.#begun()
    this.#negotiation.send(entries)
  }
  sendFrame(frameType: number, flags: number, stream: number, payload: Bytes): void {
    const fits = frameType === (frameType & 0xff) && flags === (flags & 0xff) && stream === stream >>> 0
    if (!fits || payload.length >= 2 ** 24)
      throw misuse('frame-size', 'RFC 9113 §4.1', 'it does not fit a frame header')
    const octets = plainBytes(payload)
    this.#behindAll().copied(frameType, flags, stream, octets)
  }
  sendRaw(bytes: Bytes): void {
    const octets = plainBytes(bytes)
    this.#behindAll().raw(octets)
  }

  /** Where a harness writes. */
  #behindAll(): Output {
    this.#begun()
    this.#fill(Infinity)
    return this.#session.sender.output
  }

  #begun(): void {
    if (this.#session.deaf) throw misuse('closed', 'RFC 9113 §5.4.1', 'the connection is closed')
  }

  // ── output ──

  takeOutput(maxBytes = Infinity): Bytes[] {
    this.#fill(maxBytes)
    const { sender } = this.#session
    const { output } = sender
    const chunks = sender.take(maxBytes)
    this.#session.floods.given(output.taken, output.taken + output.bytes)
    return chunks
  }

  #fill(maxBytes: number): void {
    const { sender } = this.#session
    const { ended, relieved } = sender
    sender.fill(maxBytes)
    for (const stream of relieved) {
      this.#session.tell({ type: 'writable', exchange: stream.id, room: sender.room(stream) })
    }
    relieved.length = 0
    for (const stream of ended) if (isClosed(stream.state)) this.#session.release(stream, true)
    ended.length = 0
    if (this.#session.closeReason === 'close') this.#shutdown.goaway()
  }

  get taken(): readonly ExchangeId[] {
    return this.#session.sender.taken
  }
  get outputBytes(): number {
    return this.#session.sender.ready
  }
  get wantsClose(): 'no' | 'after-output' | 'now' {
    if (!this.#session.deaf) return 'no'
    return this.#session.sender.output.bytes > 0 ? 'after-output' : 'now'
  }

  // ── time ──

  nextTimeout(): Millis | undefined {
    if (this.#session.deaf) return undefined
    const next = Math.min(this.#negotiation.deadline, this.#session.shutdownAt ?? Infinity)
    return next === Infinity ? undefined : next
  }

  handleTimeout(now: Millis): void {
    const session = this.#session
    session.now = now
    if (this.#negotiation.deadline <= now) session.break(SETTINGS_OVERDUE)
    else if (session.shutdownAt !== undefined && session.shutdownAt <= now) session.lastGoaway()
  }

  // ── questions ──

  get capacity(): number {
    return this.#session.capacity
  }
  get active(): number {
    return this.#session.streams.active
  }
  get draining(): boolean {
    return this.#session.life !== 'open'
  }
  get closed(): boolean {
    return this.#session.deaf
  }
  get closeReason(): string | undefined {
    return this.#session.closeReason
  }

  unsent(exchange: ExchangeId): number {
    const { streams, sender } = this.#session
    return sender.unsent(streams.get(exchange) ?? sender.leaving(exchange))
  }
  sendWindow(exchange: ExchangeId): number {
    const { streams, sender } = this.#session
    const stream = streams.get(exchange)
    if (stream === undefined || isClosed(stream.state)) return 0
    return Math.max(0, Math.min(stream.sendWindow, sender.sendWindow))
  }

  snapshot(): unknown {
    const { life, closeReason, capacity, streams, local, peer, window, sender, floods } = this.#session
    const { unread, overhead, heads, replies } = floods
    return {
      role: this.role,
      life,
      closeReason,
      capacity,
      active: streams.active,
      goaway: { sent: streams.goawaySent, received: this.#shutdown.goawayReceived },
      lastStream: { ours: streams.next - 2, peer: streams.lastPeer },
      settings: { local: { ...local }, peer: { ...peer }, unacknowledged: this.#negotiation.pending },
      windows: { ...window.state, send: sender.sendWindow },
      held: { unread, overhead, headers: heads, replies },
      output: sender.output.bytes,
      streams: streams.all().map((stream) => ({
        id: stream.id,
        state: stream.state,
        method: stream.method,
        receiving: stream.receiving,
        sending: stream.sending,
        windows: { ...stream.window.state, send: stream.sendWindow },
        unread: stream.unread,
        buffered: stream.buffered,
        urgency: stream.urgency,
        waiting: stream.head?.fields.toJSON().map(([name, value]) => [name, SECRET_FIELDS.has(name) ? '…' : value]),
      })),
    }
  }
}

const PREFACE_BYTES = Uint8Array.from(PREFACE, (c) => c.charCodeAt(0))

function checkedCode(h2Code: number): number {
  if (h2Code >>> 0 !== h2Code) throw misuse('h2-code', 'RFC 9113 §7', 'an error code has 32 bits')
  return h2Code
}

/** What the peer has to know of the limits. */
function settingsOf(limits: ResolvedLimits, role: Role): Record<string, number> {
  const { streamWindow, maxFrameSize, maxHeaderListBytes, maxConcurrentStreams, maxDecoderTableBytes } = limits
  const settings: Record<string, number> = {}
  if (role === 'client') settings['enablePush'] = 0
  else settings['maxConcurrentStreams'] = maxConcurrentStreams
  settings['initialWindowSize'] = streamWindow
  settings['maxHeaderListSize'] = maxHeaderListBytes
  if (maxFrameSize !== SETTINGS.maxFrameSize.initial) settings['maxFrameSize'] = maxFrameSize
  if (maxDecoderTableBytes !== SETTINGS.headerTableSize.initial) settings['headerTableSize'] = maxDecoderTableBytes
  return settings
}
