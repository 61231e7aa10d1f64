// One HTTP/2 connection in either role: bytes in, events out; verbs in, bytes out (RFC 9113).
//
// The reader cuts frames, the table in state.ts says what a frame may do to a stream, semantics.ts what a field section
// says, the sender what leaves. What is here joins them: whose fault is how far reaching, and every account that keeps a
// peer within bounds. A stream error resets one stream; a connection error ends all, once, with GOAWAY; then the machine
// is deaf. Credit of the connection is given back on receipt, of a stream when the application consumes.
//
// It does not know what a pool is, and has no timers but for SETTINGS that are not acknowledged and its own shutdown.
import { misuse, resolveLimits, SECRET_FIELDS } from '../http/index.ts'
import type {
  Bytes,
  Connection,
  Disposition,
  ExchangeId,
  Fields,
  FieldsInit,
  H2Event,
  H2Extras,
  Ledger,
  Limits,
  Millis,
  PeerFault,
  RequestHead,
  ResolvedLimits,
  ResponseHead,
  Role,
} from '../http/index.ts'
import { grown, ReceiveWindow, TokenBucket } from './flow.ts'
import {
  DEFAULT_WINDOW,
  errorName,
  FLAG,
  FRAME,
  FRAME_HEADER_BYTES,
  frameName,
  H2_ERROR,
  MAX_31,
  PREFACE,
  violation,
  type H2ErrorName,
  type Violation,
} from './frames.ts'
import { HpackDecoder } from './hpack/index.ts'
import { FieldBlock } from './block.ts'
import { parsePriority } from './priority.ts'
import { FrameReader } from './reader.ts'
import {
  informationalSection,
  isMalformed,
  listBytes,
  readRequest,
  readResponse,
  readTrailers,
  requestSection,
  responseSection,
  trailerSection,
  type Malformed,
  type RequestSection,
  type ResponseSection,
} from './semantics.ts'
import { Sender } from './sender.ts'
import {
  checkSettings,
  initialSettings,
  namedSettings,
  readSettings,
  settingEntries,
  settingName,
  SETTINGS,
  writeSettings,
  type SettingEntries,
  type Settings,
} from './settings.ts'
import { isClosed, LIFE_TRANSITIONS, transition, type Life, type StreamInput, type StreamState } from './state.ts'
import { ClosedStreams, Stream, StreamTable } from './stream.ts'

export interface H2Options {
  readonly now: Millis
  /** By name; see src/http/limits.ts. */
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

/** SETTINGS that were sent and are not acknowledged. */
interface SentSettings {
  readonly entries: SettingEntries
  readonly deadline: Millis
}

/** Data frames below this size cost more than their content while they are unread. */
const SMALL_DATA = 256
const EMPTY = new Uint8Array(0)
/** The payload of the PING that a shutdown waits for. RFC 9113 §6.8: one round trip. */
const SHUTDOWN_PING = new Uint8Array([0x68, 0x74, 0x74, 0x70, 0x63, 0x6f, 0x72, 0x65])

export class H2Connection implements Connection<H2Event>, H2Extras {
  readonly role: Role
  readonly #limits: ResolvedLimits
  readonly #validate: boolean
  readonly #frameEvents: boolean
  #now: Millis
  #life: Life = 'open'
  #closeReason: string | undefined
  readonly #events: H2Event[] = []
  #nextEvent = 0

  // Streams.
  readonly #streams = new StreamTable()
  readonly #closed: ClosedStreams
  #active = 0
  /** The next identifier of ours; the last one that the peer opened. */
  #nextId = 1
  #lastPeerStream = 0
  /** What the last GOAWAY said, each way; −1: none. */
  #goawaySent = -1
  #goawayReceived = -1
  #goaways = 0

  // Receiving.
  readonly #reader: FrameReader
  readonly #decoder: HpackDecoder
  readonly #block: FieldBlock
  readonly #window: ReceiveWindow
  /** The stream whose DATA frame is being read, while its content is wanted. */
  #dataStream: Stream | undefined
  #unread = 0
  #overhead = 0
  #heldHeaderBytes = 0
  #eof = false

  // Settings.
  readonly #local: Settings = initialSettings()
  readonly #peer: Settings = initialSettings()
  #peerSettingsSeen = false
  readonly #sentSettings: SentSettings[] = []
  #extendedConnect = false
  #concurrentStreams = Infinity
  /** Whose PINGs are under way, in order. */
  readonly #pings: ('caller' | 'shutdown')[] = []
  #shutdownAt: Millis | undefined

  // Sending.
  readonly #sender: Sender
  /** Replies that the peer has not been given yet. */
  #replies = 0
  readonly #priorities = new Map<ExchangeId, string>()

  // Floods.
  readonly #resets: TokenBucket
  readonly #provoked: TokenBucket
  readonly #emptyData: TokenBucket
  readonly #glitches: TokenBucket

  /** TypeError, RangeError, LocalProtocolError: an option is not what it should be. */
  constructor(role: Role, options: H2Options) {
    if (role !== 'client' && role !== 'server') throw new TypeError("the role is 'client' or 'server'")
    this.role = role
    const limits = resolveLimits(
      options.connectionWindow === undefined
        ? options.limits
        : { ...options.limits, connectionWindow: options.connectionWindow },
      role,
    )
    this.#limits = limits
    this.#validate = options.validateOutbound ?? true
    this.#frameEvents = options.frameEvents ?? false
    const now = (this.#now = options.now)
    this.#resets = new TokenBucket(limits.resetBurst, limits.resetRate, now)
    this.#provoked = new TokenBucket(limits.provokedResetBurst, limits.provokedResetRate, now)
    this.#emptyData = new TokenBucket(limits.emptyDataBurst, limits.emptyDataRate, now)
    this.#glitches = new TokenBucket(limits.glitchBurst, limits.glitchRate, now)
    this.#closed = new ClosedStreams(limits.rememberedResets)
    this.#reader = new FrameReader(SETTINGS.maxFrameSize.initial, role === 'server' ? PREFACE : '')
    const settings = { ...this.#ownSettings(), ...options.settings }
    const listLimit = settings['maxHeaderListSize'] ?? limits.maxHeaderListBytes
    this.#decoder = new HpackDecoder({ maxListBytes: listLimit, maxFields: limits.maxHeaderCount })
    this.#block = new FieldBlock(listLimit, limits.maxContinuations)
    this.#sender = new Sender(limits.maxEncoderTableBytes, limits.maxBufferedOut, limits.maxQueuedFrames)
    this.#window = new ReceiveWindow(limits.connectionWindow, DEFAULT_WINDOW)
    this.#begin(settings)
  }

  #ownSettings(): Record<string, number> {
    const { streamWindow, maxFrameSize, maxHeaderListBytes, maxConcurrentStreams, maxDecoderTableBytes } = this.#limits
    const settings: Record<string, number> = {}
    if (this.role === 'client') settings['enablePush'] = 0
    else settings['maxConcurrentStreams'] = maxConcurrentStreams
    settings['initialWindowSize'] = streamWindow
    settings['maxHeaderListSize'] = maxHeaderListBytes
    if (maxFrameSize !== SETTINGS.maxFrameSize.initial) settings['maxFrameSize'] = maxFrameSize
    if (maxDecoderTableBytes !== SETTINGS.headerTableSize.initial) settings['headerTableSize'] = maxDecoderTableBytes
    return settings
  }

  /** The connection preface: SETTINGS, and the window of the connection. RFC 9113 §3.4. */
  #begin(settings: Readonly<Record<string, number>>): void {
    const entries = this.#checkedSettings(settings)
    if (this.role === 'client') this.#sender.output.raw(PREFACE_BYTES)
    this.#sendSettings(entries)
    const increment = this.#window.size - this.#window.available
    if (increment > 0) this.#sender.output.number(FRAME.WINDOW_UPDATE, 0, increment)
    this.#window.available += increment
  }

  // ── what the peer did ──

  receiveData(data: Bytes, now: Millis): void {
    this.#now = now
    if (this.#deaf || this.#eof || data.length === 0) return
    this.#reader.receive(data.constructor === Uint8Array ? data : plain(data))
  }

  receiveEof(now: Millis, _clean?: boolean): void {
    this.#now = now
    if (!this.#deaf) this.#eof = true
  }

  nextEvent(): H2Event | undefined {
    for (;;) {
      if (this.#nextEvent < this.#events.length) return this.#takeEvent()
      if (this.#deaf) return undefined
      switch (this.#reader.next()) {
        case 'need':
          if (!this.#eof) return undefined
          this.#endOfInput()
          break
        case 'data':
          this.#onData()
          break
        case 'frame':
          this.#onFrame()
          break
        case 'violation':
          this.#break(this.#reader.violation as Violation)
          break
      }
    }
  }

  #takeEvent(): H2Event {
    const event = this.#events[this.#nextEvent++] as H2Event
    if (this.#nextEvent === this.#events.length) {
      this.#events.length = 0
      this.#nextEvent = 0
    }
    return event
  }

  get readState(): 'need-data' | 'paused' | 'done' {
    return this.#deaf || this.#eof ? 'done' : 'need-data'
  }

  get #deaf(): boolean {
    return this.#life === 'failed' || this.#life === 'closed'
  }

  /** A field block that is cut short has begun its message all the same. */
  #countCut(): void {
    const { type, stream, begun } = this.#reader
    const { open } = this.#block
    const frame = type === FRAME.HEADERS || type === FRAME.CONTINUATION ? begun : 0
    const octets = frame + (open ? this.#block.octets : 0)
    const ledger = octets === 0 ? undefined : this.#streams.get(open ? this.#block.stream : stream)?.ledger
    if (ledger !== undefined) ledger.bytesReceived += octets
  }
  #endOfInput(): void {
    this.#countCut()
    const cut = this.#reader.partial
    if (this.#active === 0 && !cut && !this.#block.open) {
      this.#finish('eof')
      return
    }
    const refused = this.#goawayReceived >= 0
    const fault: PeerFault = {
      code: cut ? 'incomplete-message' : refused ? 'goaway' : 'server-disconnected',
      rule: 'RFC 9113 §6.8',
      message: 'the peer ended the connection',
      scope: 'connection',
      offset: this.#reader.consumed,
    }
    this.#failAll(this.role === 'server' ? { ...fault, code: 'incomplete-message' } : fault)
    this.#closeReason = fault.code
    this.#reader.drop()
  }

  // ── frames ──

  #onFrame(): void {
    const { type } = this.#reader
    if (!this.#peerSettingsSeen && (type !== FRAME.SETTINGS || (this.#reader.flags & FLAG.ACK) !== 0)) {
      this.#break(violation('preface', 'RFC 9113 §3.4', `${frameName(type)} before SETTINGS`, 'PROTOCOL_ERROR'))
    } else if (this.#block.open ? !this.#block.continues(type, this.#reader.stream) : type === FRAME.CONTINUATION) {
      this.#break(violation('continuation', 'RFC 9113 §6.10', `${frameName(type)} out of place`, 'PROTOCOL_ERROR'))
    } else this.#dispatch(type)
  }

  #dispatch(type: number): void {
    switch (type) {
      case FRAME.HEADERS:
        return this.#onHeaders()
      case FRAME.CONTINUATION:
        return this.#onContinuation()
      case FRAME.PRIORITY:
        return this.#onPriority()
      case FRAME.RST_STREAM:
        return this.#onReset()
      case FRAME.SETTINGS:
        return this.#onSettings()
      case FRAME.PUSH_PROMISE:
        return this.#break(violation('push', 'RFC 9113 §8.4', 'push was refused by our SETTINGS', 'PROTOCOL_ERROR'))
      case FRAME.PING:
        return this.#onPing()
      case FRAME.GOAWAY:
        return this.#onGoaway()
      case FRAME.WINDOW_UPDATE:
        return this.#onWindowUpdate()
      case FRAME.PRIORITY_UPDATE:
        return this.#onPriorityUpdate()
      default:
        return this.#onExtension()
    }
  }

  /** ALTSVC, ORIGIN, and what nobody knows. RFC 9113 §5.5. */
  #onExtension(): void {
    if (this.#glitch()) this.#frameEvent()
  }

  #frameEvent(): void {
    if (!this.#frameEvents) return
    const { type: frameType, flags, stream, bytes, start, end } = this.#reader
    this.#events.push({ type: 'frame', frameType, flags, stream, payload: bytes.subarray(start, end) })
  }

  // ── field sections ──

  #onHeaders(): void {
    const { stream, flags, length, bytes } = this.#reader
    let { start, end } = this.#reader
    let padding = 0
    if ((flags & FLAG.PADDED) !== 0) {
      if (start === end) return this.#break(tooShort('HEADERS'))
      padding = bytes[start++] as number
    }
    if ((flags & FLAG.PRIORITY) !== 0) {
      // What RFC 7540 said of priority is read over. RFC 9113 §5.3.2.
      start += 5
      if (start > end) return this.#break(tooShort('HEADERS'))
    }
    if (padding > end - start) {
      return this.#break(violation('padding', 'RFC 9113 §6.2', 'padding beyond the payload', 'PROTOCOL_ERROR'))
    }
    end -= padding
    const endStream = (flags & FLAG.END_STREAM) !== 0
    const octets = FRAME_HEADER_BYTES + length
    if ((flags & FLAG.END_HEADERS) !== 0) this.#onFieldBlock(stream, endStream, octets, bytes, start, end)
    else this.#block.begin(stream, endStream, octets, bytes, start, end)
  }

  #onContinuation(): void {
    const { flags, bytes, start, end } = this.#reader
    const block = this.#block
    if (!block.add(bytes, start, end)) {
      return this.#break(
        violation('limit-continuation', 'RFC 9113 §10.5.1', 'a field block too large', 'ENHANCE_YOUR_CALM'),
      )
    }
    if ((flags & FLAG.END_HEADERS) === 0) return
    const { stream, endStream, octets } = block
    const whole = block.take()
    this.#onFieldBlock(stream, endStream, octets, whole, 0, whole.length)
  }

  /** Whatever becomes of its stream, a block is decoded: the two ends must keep the same table. RFC 9113 §4.3. */
  #onFieldBlock(id: ExchangeId, endStream: boolean, octets: number, bytes: Bytes, start: number, end: number): void {
    const { flat, sensitive, fault } = this.#decoder.decodeBlock(bytes, start, end)
    if (fault !== undefined && fault.scope === 'connection') {
      const h2: H2ErrorName = fault.code.startsWith('limit') ? 'ENHANCE_YOUR_CALM' : 'COMPRESSION_ERROR'
      return this.#break(violation(fault.code, fault.rule, fault.message, h2))
    }
    const stream = this.#streams.get(id)
    const state = stream === undefined ? this.#stateOf(id) : stream.state
    if (state === 'idle') {
      if (this.role === 'client' || (id & 1) === 0) return this.#break(badStream('HEADERS', id))
      return this.#openStream(id, endStream, flat, sensitive, fault)
    }
    if (stream === undefined && this.role === 'server' && this.#skipped(id))
      return this.#break(badStream('HEADERS', id))
    if (this.#refused(id, stream, state, 'receive HEADERS') || stream === undefined || isClosed(state)) return
    if (stream.ledger !== undefined) stream.ledger.bytesReceived += octets
    if (fault !== undefined) return this.#limitError(stream, fault)
    if (this.role === 'client' && stream.receiving === 'head') this.#onResponse(stream, endStream, flat, sensitive)
    else this.#onTrailers(stream, endStream, flat, sensitive)
  }

  #openStream(
    id: ExchangeId,
    endStream: boolean,
    flat: readonly string[],
    sensitive: ReadonlySet<number> | undefined,
    fault: PeerFault | undefined,
  ): void {
    this.#lastPeerStream = id
    const headBytes = listBytes(flat)
    const full =
      this.#active >= this.#concurrentStreams || this.#heldHeaderBytes + headBytes > this.#limits.maxHeldHeaderBytes
    if (full) return this.#refuseStream(id)
    const stream = this.#addStream(id, 'open')
    if (fault !== undefined) return this.#limitError(stream, fault)
    const request = readRequest(flat, sensitive, this.#extendedConnect)
    if (isMalformed(request)) return this.#malformed(stream, request)
    this.#holdHeaders(stream, headBytes)
    stream.method = request.method
    stream.tunnel = request.method === 'CONNECT'
    stream.expected = request.contentLength
    stream.receiving = 'content'
    if (endStream && request.contentLength > 0) return this.#shortContent(stream)
    this.#prioritize(stream, this.#priorities.get(id) ?? request.priority)
    this.#priorities.delete(id)
    this.#events.push(requestEvent(id, request, endStream))
    if (endStream) this.#endReceived(stream, undefined)
  }

  /** The stream limit, or the bytes that the heads of running streams hold. RFC 9113 §5.1.2, §8.7. */
  #refuseStream(id: ExchangeId): void {
    this.#closed.add(id, 'closed (by us)')
    this.#sender.output.number(FRAME.RST_STREAM, id, H2_ERROR.REFUSED_STREAM)
    // A peer that has not seen our SETTINGS yet does not know the limit.
    if (this.#sentSettings.length === 0) this.#provokedReset()
  }

  #onResponse(
    stream: Stream,
    endStream: boolean,
    flat: readonly string[],
    sensitive: ReadonlySet<number> | undefined,
  ): void {
    const response = readResponse(flat, sensitive)
    if (isMalformed(response)) return this.#malformed(stream, response)
    const headBytes = listBytes(flat)
    if (response.status < 200) return this.#onInformational(stream, endStream, response, headBytes)
    if (this.#heldHeaderBytes + headBytes > this.#limits.maxHeldHeaderBytes)
      return this.#tooMuch(stream, 'limit-held-headers')
    this.#holdHeaders(stream, headBytes)
    const { status } = response
    stream.tunnel = stream.method === 'CONNECT' && status < 300
    stream.empty = !stream.tunnel && (stream.method === 'HEAD' || status === 204 || status === 304)
    stream.expected = stream.tunnel ? -1 : response.contentLength
    stream.receiving = 'content'
    if (endStream && !stream.empty && stream.expected > 0) return this.#shortContent(stream)
    this.#events.push({
      type: 'response',
      exchange: stream.id,
      status,
      reasonPhrase: '',
      httpVersion: 'HTTP/2',
      headers: response.headers,
      framing: stream.empty || endStream ? 'none' : 'frames',
    })
    if (endStream) this.#endReceived(stream, undefined)
  }

  #onInformational(stream: Stream, endStream: boolean, response: ResponseSection, headBytes: number): void {
    if (endStream) return this.#malformed(stream, ENDED_BY_INFORMATIONAL)
    if (++stream.informational > this.#limits.maxInformational) return this.#tooMuch(stream, 'limit-informational')
    stream.headBytes += headBytes
    this.#heldHeaderBytes += headBytes
    if (stream.headBytes > this.#limits.maxHeaderListBytes) return this.#tooMuch(stream, 'limit-header-list')
    const { status, headers } = response
    this.#events.push({ type: 'informational', exchange: stream.id, status, headers })
  }

  #onTrailers(
    stream: Stream,
    endStream: boolean,
    flat: readonly string[],
    sensitive: ReadonlySet<number> | undefined,
  ): void {
    if (stream.tunnel) return this.#malformed(stream, TUNNEL_HEADERS)
    if (!endStream) return this.#malformed(stream, SECOND_HEAD)
    const trailers = readTrailers(flat, sensitive)
    if (isMalformed(trailers)) return this.#malformed(stream, trailers)
    if (this.#lengthIsWrong(stream)) return this.#shortContent(stream)
    this.#endReceived(stream, trailers)
  }

  #holdHeaders(stream: Stream, bytes: number): void {
    stream.headBytes += bytes
    this.#heldHeaderBytes += bytes
  }

  /** END_STREAM came, and all that precedes it was in order. */
  #endReceived(stream: Stream, trailers: Fields | undefined): void {
    stream.receiving = 'over'
    stream.state = transition(stream.state, 'receive END_STREAM') as StreamState
    if (!stream.silent) this.#events.push({ type: 'end', exchange: stream.id, trailers })
    if (isClosed(stream.state)) this.#release(stream)
  }

  #lengthIsWrong(stream: Stream): boolean {
    return stream.expected >= 0 && !stream.empty && stream.received !== stream.expected
  }

  // ── content ──

  #onData(): void {
    const { first, last, flags } = this.#reader
    if (first) this.#beginData()
    const stream = this.#dataStream
    if (stream === undefined || this.#deaf) return
    const { bytes, start, end } = this.#reader
    if (stream.ledger !== undefined) {
      stream.ledger.bytesReceived += end - start + (first ? FRAME_HEADER_BYTES + this.#reader.padding : 0)
    }
    if (start < end && !stream.silent) {
      stream.unread += end - start
      this.#unread += end - start
      const whole = start === 0 && end === bytes.length
      this.#events.push({ type: 'data', exchange: stream.id, data: whole ? bytes : bytes.subarray(start, end) })
    }
    if (!last) return
    this.#dataStream = undefined
    if ((flags & FLAG.END_STREAM) === 0) return
    if (this.#lengthIsWrong(stream)) this.#shortContent(stream)
    else this.#endReceived(stream, undefined)
  }

  /** The whole frame is judged and charged by its header, so that it does not matter how its bytes are cut. */
  #beginData(): void {
    const { stream: id, length, padding, flags } = this.#reader
    this.#dataStream = undefined
    if (!this.#peerSettingsSeen)
      return this.#break(violation('preface', 'RFC 9113 §3.4', 'DATA before SETTINGS', 'PROTOCOL_ERROR'))
    if (this.#block.open) {
      return this.#break(violation('continuation', 'RFC 9113 §6.10', 'DATA inside a field block', 'PROTOCOL_ERROR'))
    }
    const stream = this.#streams.get(id)
    const state = stream === undefined ? this.#stateOf(id) : stream.state
    if (!this.#window.take(length)) return this.#break(overrun('connection'))
    this.#window.give(length)
    this.#announceConnection()
    if (this.#refused(id, stream, state, 'receive DATA') || stream === undefined || isClosed(state)) return
    const content = length - padding
    const endStream = (flags & FLAG.END_STREAM) !== 0
    if (!this.#chargeData(stream, length, content, padding, endStream)) return
    this.#dataStream = stream
  }

  #chargeData(stream: Stream, length: number, content: number, padding: number, endStream: boolean): boolean {
    if (!stream.window.take(length)) return this.#streamFault(stream, overrun('stream'))
    if (content === 0 && !endStream && !this.#emptyData.take(this.#now)) return this.#calm('limit-empty-data')
    if (stream.receiving === 'head') return this.#streamFault(stream, DATA_BEFORE_HEAD)
    stream.received += content
    if (stream.empty && content > 0) return this.#streamFault(stream, CONTENT_WHERE_NONE)
    if (stream.expected >= 0 && stream.received > stream.expected) return this.#streamFault(stream, LONG_CONTENT)
    if (padding > 0) this.#credit(stream, padding)
    if (content === 0 || content >= SMALL_DATA) return true
    stream.overhead += SMALL_DATA - content
    this.#overhead += SMALL_DATA - content
    const budget = Math.max(this.#limits.smallDataBudget, this.#window.size / 2)
    return this.#overhead <= budget || this.#calm('limit-small-data')
  }

  #announceConnection(): void {
    if (this.#unread > this.#limits.maxUnreadBytes) return
    const increment = this.#window.announce()
    if (increment > 0) this.#sender.output.number(FRAME.WINDOW_UPDATE, 0, increment)
  }

  #credit(stream: Stream, n: number): void {
    stream.window.give(n)
    if (stream.receiving === 'over' || isClosed(stream.state)) return
    const increment = stream.window.announce()
    if (increment > 0) this.#sender.output.number(FRAME.WINDOW_UPDATE, stream.id, increment)
  }

  consume(exchange: ExchangeId, n: number): void {
    const stream = this.#streams.get(exchange)
    if (!Number.isSafeInteger(n) || n < 0) throw misuse('consume', 'RFC 9113 §5.2.2', `${n} is not a number of bytes`)
    if (stream === undefined) return
    if (n > stream.unread) {
      throw misuse('consume', 'RFC 9113 §5.2.2', `${n} bytes consumed, of ${stream.unread} that were delivered`)
    }
    // What small frames cost is given back in the same part as their content.
    const overhead = n === stream.unread ? stream.overhead : Math.floor((stream.overhead * n) / stream.unread)
    stream.overhead -= overhead
    this.#overhead -= overhead
    stream.unread -= n
    this.#unread -= n
    this.#announceConnection()
    if (isClosed(stream.state)) this.#letGo(stream)
    else this.#credit(stream, n)
  }

  // ── the other frames ──

  #onPriority(): void {
    const { stream: id, length } = this.#reader
    if (length !== 5) {
      const stream = this.#streams.get(id)
      const wrong = violation('frame-size', 'RFC 9113 §6.3', `PRIORITY of ${length} octets`, 'FRAME_SIZE_ERROR')
      // RST_STREAM must not be sent on a stream that is idle or closed: there the connection breaks. RFC 9113 §6.4.
      if (stream === undefined || stream.state === 'idle' || isClosed(stream.state)) this.#break(wrong)
      else this.#streamFault(stream, wrong)
      return
    }
    this.#onExtension()
  }

  #onReset(): void {
    const { stream: id, bytes, start } = this.#reader
    const h2Code = readUint32(bytes, start)
    const stream = this.#streams.get(id)
    const state = stream === undefined ? this.#stateOf(id) : stream.state
    if (this.#refused(id, stream, state, 'receive RST_STREAM')) return
    if (stream === undefined || isClosed(state)) {
      if (state !== 'closed (by us)') this.#glitch()
      return
    }
    if (this.role === 'server' && !this.#resets.take(this.#now)) return void this.#calm('limit-resets')
    const fault: PeerFault = {
      code: 'stream-reset',
      rule: 'RFC 9113 §6.4',
      message: `the peer reset the stream: ${errorName(h2Code)}`,
      scope: 'exchange',
      offset: this.#reader.offset,
      h2Code,
    }
    const disposition = h2Code === H2_ERROR.REFUSED_STREAM ? 'refused' : this.#dispositionOf(stream)
    const tells = this.#isRunning(stream)
    stream.state = transition(state, 'receive RST_STREAM') as StreamState
    if (tells) this.#events.push({ type: 'failed', exchange: id, fault, disposition })
    this.#drop(stream)
  }

  #onPing(): void {
    const { flags, bytes, start, end } = this.#reader
    if ((flags & FLAG.ACK) === 0) {
      if (!this.#glitch() || !this.#reply()) return
      this.#sender.output.copied(FRAME.PING, FLAG.ACK, 0, bytes.subarray(start, end))
      this.#events.push({ type: 'ping', payload: bytes.subarray(start, end), ack: false })
      return
    }
    const whose = this.#pings.shift()
    if (whose === undefined) this.#glitch()
    else if (whose === 'shutdown') this.#lastGoaway()
    else this.#events.push({ type: 'ping', payload: bytes.subarray(start, end), ack: true })
  }

  #onWindowUpdate(): void {
    const { stream: id, bytes, start } = this.#reader
    const increment = readUint32(bytes, start) % 2 ** 31
    if (id === 0) return this.#widenConnection(increment)
    const stream = this.#streams.get(id)
    const state = stream === undefined ? this.#stateOf(id) : stream.state
    if (this.#refused(id, stream, state, 'receive WINDOW_UPDATE') || stream === undefined || isClosed(state)) return
    const window = increment === 0 ? undefined : grown(stream.sendWindow, increment)
    if (window === undefined) this.#streamFault(stream, badIncrement(increment))
    else {
      stream.sendWindow = window
      this.#sender.windowMoved(stream)
    }
  }

  #widenConnection(increment: number): void {
    const window = increment === 0 ? undefined : grown(this.#sender.window, increment)
    if (window === undefined) return this.#break(badIncrement(increment))
    // Credit for nothing is legal, and useless when it does not end.
    if (!this.#sender.spent && !this.#glitch()) return
    this.#sender.spent = false
    this.#sender.window = window
  }

  /** RFC 9218 §7.1. */
  #onPriorityUpdate(): void {
    const { bytes, start, end } = this.#reader
    const id = readUint32(bytes, start) % 2 ** 31
    const wrong = (message: string): void =>
      this.#break(violation('priority-update', 'RFC 9218 §7.1', message, 'PROTOCOL_ERROR'))
    if (this.role === 'client') return wrong('PRIORITY_UPDATE from a server')
    if (id === 0 || (id & 1) === 0) return wrong(`PRIORITY_UPDATE for stream ${id}`)
    if (!this.#glitch()) return
    const value = String.fromCharCode(...bytes.subarray(start + 4, Math.min(end, start + 68)))
    const stream = this.#streams.get(id)
    if (stream !== undefined) this.#prioritize(stream, value)
    else if (id > this.#lastPeerStream) {
      this.#priorities.set(id, value)
      for (const key of this.#priorities.keys()) if (key <= this.#lastPeerStream) this.#priorities.delete(key)
      if (this.#priorities.size + this.#active > this.#concurrentStreams) {
        return wrong('more streams prioritized than may be open')
      }
    }
    this.#frameEvent()
  }

  #prioritize(stream: Stream, value: string | undefined): void {
    if (value === undefined) return
    const { urgency, incremental } = parsePriority(value)
    stream.urgency = urgency
    stream.incremental = incremental
    this.#sender.reprioritized(stream)
  }

  // ── settings ──

  #onSettings(): void {
    const { flags, length, bytes, start, end } = this.#reader
    if ((flags & FLAG.ACK) !== 0) {
      if (length === 0) return this.#onSettingsAck()
      return this.#break(
        violation('frame-size', 'RFC 9113 §6.5', 'SETTINGS with ACK and a payload', 'FRAME_SIZE_ERROR'),
      )
    }
    const entries = readSettings(bytes, start, end)
    const wrong = checkSettings(entries) ?? this.#wrongSettings(entries)
    if (wrong !== undefined) return this.#break(wrong)
    if (entries.length > this.#limits.maxSettingsEntries) return void this.#calm('limit-settings')
    if (!this.#glitch() || !this.#reply()) return
    if (!this.#applyPeerSettings(entries)) return
    const first = !this.#peerSettingsSeen
    this.#peerSettingsSeen = true
    this.#sender.output.copied(FRAME.SETTINGS, FLAG.ACK, 0, EMPTY)
    this.#events.push({ type: 'settings', settings: namedSettings(entries), first })
    if (this.role === 'client' && this.#life === 'open') this.#events.push({ type: 'slots', capacity: this.capacity })
  }

  /** What is wrong only from this peer, or only now. */
  #wrongSettings(entries: SettingEntries): Violation | undefined {
    for (const [id, value] of entries) {
      const name = settingName(id)
      if (name === undefined) {
        if (!this.#glitches.take(this.#now)) return calm('limit-glitches')
      } else if (name === 'enablePush' && this.role === 'client' && value !== 0) {
        return violation('settings', 'RFC 9113 §6.5.2', 'a server may not enable push', 'PROTOCOL_ERROR')
      } else if (name === 'enableConnectProtocol' && this.#peer[name] === 1 && value === 0) {
        return violation('settings', 'RFC 8441 §3', 'extended CONNECT cannot be taken back', 'PROTOCOL_ERROR')
      } else if (name === 'noRfc7540Priorities' && this.#peerSettingsSeen && this.#peer[name] !== value) {
        return violation('settings', 'RFC 9218 §2.1', `${name} has changed`, 'PROTOCOL_ERROR')
      }
    }
    return undefined
  }

  #applyPeerSettings(entries: SettingEntries): boolean {
    for (const [id, value] of entries) {
      const name = settingName(id)
      if (name === undefined) continue
      if (name === 'initialWindowSize' && !this.#shiftSendWindows(value - this.#peer.initialWindowSize)) {
        this.#break(violation('flow-control', 'RFC 9113 §6.9.2', 'a window above 2^31−1', 'FLOW_CONTROL_ERROR'))
        return false
      }
      this.#peer[name] = value
      if (name === 'headerTableSize') this.#sender.encoder.setPeerMaxTableSize(value)
      else if (name === 'maxFrameSize') this.#sender.peerMaxFrameSize = value
    }
    return true
  }

  #shiftSendWindows(by: number): boolean {
    if (by === 0) return true
    for (const stream of this.#streams.all()) {
      const window = grown(stream.sendWindow, by)
      if (window === undefined) return false
      stream.sendWindow = window
      this.#sender.windowMoved(stream)
    }
    return true
  }

  #onSettingsAck(): void {
    const sent = this.#sentSettings.shift()
    if (sent === undefined) return void this.#glitch()
    for (const [id, value] of sent.entries) {
      const name = settingName(id)
      if (name === undefined) continue
      this.#local[name] = value
      if (name === 'headerTableSize') this.#decoder.setMaxTableSize(value)
      else if (name === 'maxFrameSize') this.#reader.maxFrameSize = value
      else if (name === 'initialWindowSize') for (const stream of this.#streams.all()) this.#resize(stream, value)
    }
    this.#events.push({ type: 'settings-ack' })
  }

  /** Credit that was too little to announce under the old size may be much under the new one. */
  #resize(stream: Stream, size: number): void {
    stream.window.resize(size)
    this.#credit(stream, 0)
  }

  #checkedSettings(settings: Readonly<Record<string, number>>): SettingEntries {
    const entries = settingEntries(settings, this.#validate)
    if (this.#validate && settings['enablePush'] === 1) {
      throw misuse('settings', 'RFC 9113 §6.5.2', 'push is not supported')
    }
    return entries
  }

  #sendSettings(entries: SettingEntries): void {
    this.#sender.output.copied(FRAME.SETTINGS, 0, 0, writeSettings(entries))
    this.#sentSettings.push({ entries, deadline: this.#now + this.#limits.settingsTimeout })
    for (const [id, value] of entries) {
      const name = settingName(id)
      // More streams are refused at once, and :protocol is understood, whatever the peer knows of it.
      if (name === 'maxConcurrentStreams') this.#concurrentStreams = value
      else if (name === 'enableConnectProtocol') this.#extendedConnect = value === 1
    }
  }

  updateSettings(settings: Readonly<Record<string, number>>, now: Millis): void {
    this.#now = now
    const entries = this.#checkedSettings(settings)
    this.#begun()
    this.#sendSettings(entries)
  }

  // ── the end of the connection ──

  #onGoaway(): void {
    const { bytes, start, end } = this.#reader
    const lastStream = readUint32(bytes, start) % 2 ** 31
    const h2Code = readUint32(bytes, start + 4)
    if (++this.#goaways > this.#limits.maxGoaways) return void this.#calm('limit-goaways')
    const debug = bytes.subarray(start + 8, Math.min(end, start + 8 + this.#limits.maxDebugBytes))
    this.#events.push({ type: 'goaway', lastStream, h2Code, debug })
    // A client's GOAWAY is about pushes, of which there are none.
    if (this.role === 'server') return
    const first = this.#goawayReceived < 0
    this.#goawayReceived = first ? lastStream : Math.min(lastStream, this.#goawayReceived)
    this.#closeReason ??= 'goaway'
    this.#live('close')
    this.#failUnprocessed(h2Code, first)
    this.#finishIfDone()
  }

  /** What is above the last stream, or was not even written, can be sent again elsewhere. RFC 9113 §6.8. */
  #failUnprocessed(h2Code: number, first: boolean): void {
    const gone = this.#streams
      .all()
      .filter((stream) => !isClosed(stream.state) && (stream.id > this.#goawayReceived || stream.state === 'idle'))
    const unprocessed = gone.map((stream) => stream.id)
    if (first || gone.length > 0) this.#events.push({ type: 'draining', reason: 'goaway', unprocessed })
    const fault: PeerFault = {
      code: 'goaway',
      rule: 'RFC 9113 §6.8',
      message: `the peer is going away: ${errorName(h2Code)}`,
      scope: 'exchange',
      offset: this.#reader.offset,
      h2Code,
    }
    for (const stream of gone) {
      const disposition: Disposition = stream.state === 'idle' ? 'not-sent' : 'refused'
      if (this.#isRunning(stream)) this.#events.push({ type: 'failed', exchange: stream.id, fault, disposition })
      if (stream.state !== 'idle') stream.state = 'closed (by peer)'
      this.#drop(stream)
    }
  }

  close(now: Millis): void {
    this.#now = now
    if (this.#deaf) return
    const began = this.#goawaySent < 0
    if (this.#life === 'open') {
      this.#closeReason = 'close'
      this.#events.push({ type: 'draining', reason: 'close', unprocessed: [] })
    }
    this.#live('close')
    if (this.role === 'client') {
      if (began) this.#sendGoaway(0, H2_ERROR.NO_ERROR)
    } else if (began) {
      // What is under way still comes in: the real last stream is told one round trip later. RFC 9113 §6.8.
      this.#sendGoaway(MAX_31, H2_ERROR.NO_ERROR)
      this.#sender.output.copied(FRAME.PING, 0, 0, SHUTDOWN_PING)
      this.#pings.push('shutdown')
      this.#shutdownAt = now + this.#limits.closeTimeout
    } else if (this.#shutdownAt !== undefined) {
      // Asked twice: it does not wait for what is under way.
      return this.#lastGoaway()
    }
    this.#finishIfDone()
  }

  #lastGoaway(): void {
    this.#shutdownAt = undefined
    if (this.#goawaySent === MAX_31) this.#sendGoaway(this.#lastPeerStream, H2_ERROR.NO_ERROR)
    this.#finishIfDone()
  }

  abort(h2Code: number = H2_ERROR.CANCEL): void {
    if (this.#deaf) return
    this.#countCut()
    this.#closeReason = 'abort'
    this.#live('end')
    this.#leave(h2Code)
  }

  #sendGoaway(lastStream: number, h2Code: number, debug: Bytes = EMPTY): void {
    this.#goawaySent = lastStream
    this.#sender.output.goaway(lastStream, h2Code, debug)
  }

  /** Draining, and nothing is left to wait for. */
  #finishIfDone(): void {
    if (this.#life !== 'draining' || this.#active > 0 || this.#shutdownAt !== undefined) return
    if (this.#goawaySent < 0) this.#sendGoaway(this.#lastPeerStream, H2_ERROR.NO_ERROR)
    this.#finish(this.#closeReason as string)
  }

  #finish(reason: string): void {
    this.#closeReason ??= reason
    this.#live('end')
    this.#events.push({ type: 'closed', reason: this.#closeReason })
    this.#forgetAll()
  }

  #live(input: keyof (typeof LIFE_TRANSITIONS)['open']): void {
    this.#life = LIFE_TRANSITIONS[this.#life][input]
  }

  // ── faults ──

  #faultOf(wrong: Violation, scope: PeerFault['scope']): PeerFault {
    const { code, rule, message, h2Code } = wrong
    return { code, rule, message, scope, offset: this.#reader.offset, h2Code, status: 400 }
  }

  /** A connection error: everything ends, and GOAWAY says why. RFC 9113 §5.4.1. */
  #break(wrong: Violation): void {
    if (this.#deaf) return
    this.#closeReason = wrong.code
    this.#failAll(this.#faultOf(wrong, 'connection'))
    this.#leave(wrong.h2Code)
  }

  /** A flood. Always false, for the callers' convenience. */
  #calm(code: string): false {
    this.#break(calm(code))
    return false
  }

  #failAll(fault: PeerFault): void {
    this.#live('fail')
    for (const stream of this.#streams.all()) {
      if (!this.#isRunning(stream)) continue
      this.#events.push({ type: 'failed', exchange: stream.id, fault, disposition: this.#dispositionOf(stream) })
    }
    this.#events.push({ type: 'error', fault })
    this.#forgetAll()
  }

  /** What is already output still leaves, and GOAWAY behind it; nothing else. */
  #leave(h2Code: number): void {
    this.#forgetAll()
    this.#sendGoaway(
      this.#goawaySent < 0 ? this.#lastPeerStream : Math.min(this.#goawaySent, this.#lastPeerStream),
      h2Code,
    )
    this.#reader.drop()
  }

  #forgetAll(): void {
    for (const stream of this.#streams.all()) {
      this.#sender.forget(stream)
      this.#streams.delete(stream.id)
    }
    this.#active = this.#unread = this.#overhead = this.#heldHeaderBytes = 0
    this.#sentSettings.length = 0
    this.#shutdownAt = undefined
  }

  /** Judges a frame by the state of its stream; true: it is answered. */
  #refused(id: ExchangeId, stream: Stream | undefined, state: StreamState, input: StreamInput): boolean {
    const outcome = transition(state, input)
    if (typeof outcome === 'string') return false
    const { scope, h2Code, rule } = outcome
    const wrong = { code: 'stream-closed', rule, message: `${input.slice(8)} on stream ${id}, ${state}`, h2Code }
    if (scope === 'connection') this.#break(state === 'idle' ? { ...wrong, code: 'stream-id' } : wrong)
    else if (stream !== undefined) this.#streamFault(stream, wrong)
    else this.#resetUnknown(id, h2Code)
    return true
  }

  /** A stream error on a stream that is gone: nothing is left to fail. */
  #resetUnknown(id: ExchangeId, h2Code: number): void {
    this.#sender.output.number(FRAME.RST_STREAM, id, h2Code)
    this.#closed.add(id, 'closed (by us)')
    this.#provokedReset()
  }

  /** A stream error: one stream is reset, no other is harmed. RFC 9113 §5.4.2. Always false. */
  #streamFault(stream: Stream, wrong: Violation, status = 400): false {
    const fault = { ...this.#faultOf(wrong, 'exchange'), status }
    if (this.#isRunning(stream)) {
      this.#events.push({ type: 'failed', exchange: stream.id, fault, disposition: this.#dispositionOf(stream) })
    }
    this.#reset(stream, wrong.h2Code)
    this.#provokedReset()
    return false
  }

  #malformed(stream: Stream, { malformed, rule, message }: Malformed): void {
    this.#streamFault(stream, { code: malformed, rule, message, h2Code: H2_ERROR.PROTOCOL_ERROR })
  }

  #shortContent(stream: Stream): void {
    this.#streamFault(stream, SHORT_CONTENT)
  }

  #limitError(stream: Stream, fault: PeerFault): void {
    this.#streamFault(stream, { ...fault, h2Code: H2_ERROR.ENHANCE_YOUR_CALM }, 431)
  }

  #tooMuch(stream: Stream, code: string): void {
    this.#streamFault(stream, calm(code), 431)
  }

  /** We were made to reset a stream. */
  #provokedReset(): void {
    if (!this.#provoked.take(this.#now)) this.#calm('limit-provoked-resets')
    else this.#reply()
  }

  /** Something legal and useless. false: too much of it. */
  #glitch(): boolean {
    return this.#glitches.take(this.#now) || this.#calm('limit-glitches')
  }

  /** A frame that the peer made us send. false: it does not read them. */
  #reply(): boolean {
    return ++this.#replies <= this.#limits.maxQueuedReplies || this.#calm('limit-queued-replies')
  }

  #dispositionOf(stream: Stream): Disposition {
    if (stream.state === 'idle') return 'not-sent'
    return stream.receiving === 'head' ? 'maybe-processed' : 'response-started'
  }

  /** Whether the application still waits for something of it. */
  #isRunning(stream: Stream): boolean {
    if (isClosed(stream.state) || stream.silent) return false
    return stream.receiving !== 'over' || this.role === 'server'
  }

  // ── streams ──

  #addStream(id: ExchangeId, state: StreamState): Stream {
    const { initialWindowSize } = this.#local
    const stream = new Stream(id, new ReceiveWindow(initialWindowSize, initialWindowSize))
    stream.state = state
    stream.sendWindow = this.#peer.initialWindowSize
    this.#streams.add(stream)
    this.#active++
    return stream
  }

  /** The state of a stream that has no record. */
  #stateOf(id: ExchangeId): StreamState {
    const ours = (id & 1) === (this.role === 'client' ? 1 : 0)
    const opened = ours
      ? this.role === 'client'
        ? this.#nextId - 1
        : 0
      : this.role === 'client'
        ? 0
        : this.#lastPeerStream
    if (id > opened) return ours || !this.#isBeyondGoaway(id) ? 'idle' : 'closed (by us)'
    return this.#closed.stateOf(id) ?? 'closed (ended)'
  }

  /** We said that we would not look at it. RFC 9113 §6.8. */
  #isBeyondGoaway(id: ExchangeId): boolean {
    return this.role === 'server' && this.#goawaySent >= 0 && id > this.#goawaySent && (id & 1) === 1
  }

  /** A client passed it over when it opened a later one. RFC 9113 §5.1.1. */
  #skipped(id: ExchangeId): boolean {
    return id <= this.#lastPeerStream && this.#closed.stateOf(id) === undefined
  }

  /** RST_STREAM from us. */
  #reset(stream: Stream, h2Code: number): void {
    this.#sender.reset(stream, h2Code)
    stream.state = 'closed (by us)'
    this.#drop(stream)
  }

  /** The stream is closed, and nothing of it is of use any more. */
  #drop(stream: Stream): void {
    this.#unread -= stream.unread
    this.#overhead -= stream.overhead
    stream.unread = stream.overhead = 0
    if (this.#dataStream === stream) this.#dataStream = undefined
    this.#release(stream)
    this.#announceConnection()
  }

  /** The stream is closed. Its record stays while content of it is unread. */
  #release(stream: Stream): void {
    const full = this.capacity === 0
    this.#sender.forget(stream)
    this.#active--
    this.#heldHeaderBytes -= stream.headBytes
    if (stream.state !== 'idle') this.#closed.add(stream.id, stream.state)
    this.#letGo(stream)
    if (full && this.capacity > 0) this.#events.push({ type: 'slots', capacity: this.capacity })
    this.#finishIfDone()
  }

  #letGo(stream: Stream): void {
    if (stream.unread === 0) this.#streams.delete(stream.id)
  }

  // ── what we do ──

  get capacity(): number {
    if (this.role === 'server' || this.#life !== 'open' || this.#eof) return 0
    const limit = this.#peerSettingsSeen ? this.#peer.maxConcurrentStreams : this.#limits.assumedConcurrentStreams
    const identifiers = this.#nextId > MAX_31 ? 0 : (MAX_31 - this.#nextId) / 2 + 1
    return Math.max(0, Math.min(limit - this.#active, identifiers))
  }

  sendRequest(
    head: RequestHead,
    options?: { readonly end?: boolean; readonly ledger?: Ledger | undefined },
  ): ExchangeId {
    if (this.role === 'server') throw misuse('role', 'RFC 9113 §8.1', 'a server sends no requests')
    if (this.capacity === 0) throw misuse('capacity', 'RFC 9113 §5.1.2', 'no stream may be opened now')
    if (head.protocol !== undefined && this.#validate && this.#peer.enableConnectProtocol === 0) {
      throw misuse('protocol', 'RFC 8441 §3', 'the server does not take extended CONNECT')
    }
    const { section, plan } = requestSection(head, this.#validate)
    const bytes = listBytes(section.control) + listBytes(section.fields.flat)
    if (this.#validate && bytes > this.#peer.maxHeaderListSize) {
      throw misuse('limit-header-list', 'RFC 9113 §6.5.2', `${bytes} bytes of fields, above the peer's limit`)
    }
    const end = options?.end === true
    // What goes through a tunnel is not content of the request. RFC 9110 §9.3.6.
    const promised = head.method === 'CONNECT' ? Infinity : promisedBy(plan)
    if (end && this.#validate && promised > 0 && promised !== Infinity) throw endsShort(promised)
    const stream = this.#addStream(this.#nextId, 'idle')
    this.#nextId += 2
    stream.method = head.method
    stream.promised = promised
    stream.ledger = options?.ledger
    stream.sending = 'content'
    if (head.priority !== undefined) {
      stream.urgency = head.priority.urgency ?? stream.urgency
      stream.incremental = head.priority.incremental ?? false
    }
    if (end) this.#sender.end(stream, undefined)
    this.#sender.section(stream, section)
    return stream.id
  }

  sendInformational(exchange: ExchangeId, status: number, headers?: FieldsInit): void {
    const stream = this.#answering(exchange)
    if (stream === undefined) return
    this.#sender.section(stream, informationalSection(status, headers, this.#validate))
  }

  sendResponse(exchange: ExchangeId, head: ResponseHead, options?: { readonly end?: boolean }): void {
    const stream = this.#answering(exchange)
    if (stream === undefined) return
    const { section, plan } = responseSection(head, this.#validate, stream.method)
    const bare = stream.method === 'HEAD' || head.status === 204 || head.status === 304
    const tunnel = stream.method === 'CONNECT' && head.status < 300
    const promised = tunnel || !this.#validate ? Infinity : bare ? 0 : promisedBy(plan)
    const end = options?.end === true
    if (end && promised > 0 && promised !== Infinity) throw endsShort(promised)
    stream.sending = 'content'
    stream.promised = promised
    if (end) this.#sender.end(stream, undefined)
    this.#sender.section(stream, section)
  }

  /** The stream of a request that has no final response yet; undefined: the peer has closed it. */
  #answering(exchange: ExchangeId): Stream | undefined {
    if (this.role === 'client') throw misuse('role', 'RFC 9113 §8.1', 'a client sends no responses')
    const stream = this.#sendable(exchange)
    if (stream !== undefined && stream.sending !== 'head') {
      throw misuse('sequence', 'RFC 9113 §8.1', 'the exchange has its final response')
    }
    return stream
  }

  /** A stream that we may send on; undefined: the peer has reset it, which the caller may not know yet. */
  #sendable(exchange: ExchangeId): Stream | undefined {
    const stream = this.#streams.get(exchange)
    const state = stream === undefined ? this.#stateOf(exchange) : stream.state
    if (stream !== undefined && !isClosed(state)) return stream
    if (state === 'closed (by peer)' && !this.#deaf) return undefined
    throw misuse('exchange', 'RFC 9113 §5.1', `there is no running exchange ${exchange}`)
  }

  sendData(exchange: ExchangeId, data: Bytes, end = false): boolean {
    const stream = this.#sending(exchange)
    if (stream === undefined) return true
    if (stream.blocked) throw misuse('not-writable', 'RFC 9113 §5.2', "wait for 'writable' before the next chunk")
    if (this.#validate) this.#checkPromise(stream, data.length, end)
    if (stream.promised !== Infinity) stream.promised -= data.length
    const more = this.#sender.content(stream, data)
    if (end) this.#sender.end(stream, undefined)
    return more
  }

  end(exchange: ExchangeId, trailers?: FieldsInit): void {
    const stream = this.#sending(exchange)
    if (stream === undefined) return
    if (this.#validate) this.#checkPromise(stream, 0, true)
    if (trailers !== undefined && stream.tunnel && this.#validate) {
      throw misuse('trailer', 'RFC 9113 §8.5', 'a tunnel has no trailers')
    }
    const section = trailers === undefined ? undefined : trailerSection(trailers, this.#validate)
    this.#sender.end(stream, section === undefined || section.fields.length === 0 ? undefined : section)
  }

  #sending(exchange: ExchangeId): Stream | undefined {
    const stream = this.#sendable(exchange)
    if (stream === undefined || stream.sending === 'content') return stream
    const message = stream.sending === 'head' ? 'the final response comes first' : 'the message has ended'
    throw misuse('sequence', 'RFC 9113 §8.1', message)
  }

  #checkPromise(stream: Stream, bytes: number, end: boolean): void {
    if (stream.promised === Infinity) return
    if (bytes > stream.promised) {
      throw misuse(
        'content-length',
        'RFC 9113 §8.1.1',
        `${bytes} bytes of content, of which ${stream.promised} were promised`,
      )
    }
    if (end && bytes < stream.promised) throw endsShort(stream.promised - bytes)
  }

  nextExchange(): void {
    // In HTTP/2 every exchange is let through as it comes.
  }

  cancel(exchange: ExchangeId, h2Code: number = H2_ERROR.CANCEL): void {
    const stream = this.#streams.get(exchange)
    this.#silence(exchange)
    if (stream === undefined) {
      if (this.#deaf || this.#stateOf(exchange) !== 'idle') return
      throw misuse('exchange', 'RFC 9113 §5.1', `there is no exchange ${exchange}`)
    }
    if (isClosed(stream.state)) {
      this.#unread -= stream.unread
      this.#overhead -= stream.overhead
      stream.unread = stream.overhead = 0
      this.#letGo(stream)
      this.#announceConnection()
    } else if (stream.state === 'idle') this.#drop(stream)
    else if (h2Code === H2_ERROR.NO_ERROR && stream.sending === 'ending') {
      // The message is complete: it leaves, and only then the peer is asked to stop. RFC 9113 §8.1.
      stream.resetAfterEnd = h2Code
      stream.silent = true
    } else this.#reset(stream, h2Code)
  }

  /** Nothing more is said of a cancelled exchange, nor of what was already noted. */
  #silence(exchange: ExchangeId): void {
    for (let i = this.#events.length - 1; i >= this.#nextEvent; i--) {
      const event = this.#events[i] as H2Event
      if ('exchange' in event && event.exchange === exchange) this.#events.splice(i, 1)
    }
  }

  ping(payload: Bytes, now: Millis): void {
    this.#now = now
    if (payload.length !== 8) throw misuse('ping', 'RFC 9113 §6.7', 'a PING has eight octets')
    this.#begun()
    if (this.#pings.length >= this.#limits.maxQueuedReplies)
      throw misuse('ping', 'RFC 9113 §6.7', 'too many PINGs are under way')
    this.#pings.push('caller')
    this.#sender.output.copied(FRAME.PING, 0, 0, payload)
  }

  sendFrame(frameType: number, flags: number, stream: number, payload: Bytes): void {
    if (payload.length >= 2 ** 24) throw misuse('frame-size', 'RFC 9113 §4.1', 'a length has 24 bits')
    this.#begun()
    this.#fill(Infinity)
    this.#sender.output.copied(frameType, flags, stream, payload)
  }

  sendRaw(bytes: Bytes): void {
    this.#begun()
    this.#fill(Infinity)
    this.#sender.output.raw(bytes)
  }

  #begun(): void {
    if (this.#deaf) throw misuse('closed', 'RFC 9113 §5.4.1', 'the connection is closed')
  }

  // ── output ──

  takeOutput(maxBytes = Infinity): Bytes[] {
    this.#fill(maxBytes)
    const chunks = this.#sender.take(maxBytes)
    if (this.#sender.output.bytes === 0) this.#replies = 0
    return chunks
  }

  #fill(maxBytes: number): void {
    const { ended, relieved } = this.#sender
    this.#sender.fill(maxBytes)
    for (const stream of relieved) {
      if (stream.sending === 'content') {
        this.#events.push({ type: 'writable', exchange: stream.id, room: this.#sender.room(stream) })
      }
    }
    relieved.length = 0
    for (const stream of ended) if (isClosed(stream.state)) this.#release(stream)
    ended.length = 0
  }

  get taken(): readonly ExchangeId[] {
    return this.#sender.taken
  }
  get outputBytes(): number {
    return this.#sender.ready
  }

  get wantsClose(): 'no' | 'after-output' | 'now' {
    if (!this.#deaf) return 'no'
    return this.#sender.output.bytes > 0 ? 'after-output' : 'now'
  }

  nextTimeout(): Millis | undefined {
    const settings = this.#sentSettings[0]?.deadline ?? Infinity
    const next = Math.min(settings, this.#shutdownAt ?? Infinity)
    return next === Infinity ? undefined : next
  }

  handleTimeout(now: Millis): void {
    this.#now = now
    const settings = this.#sentSettings[0]
    if (settings !== undefined && settings.deadline <= now) {
      this.#break(
        violation('settings-timeout', 'RFC 9113 §6.5.3', 'SETTINGS were not acknowledged', 'SETTINGS_TIMEOUT'),
      )
    } else if (this.#shutdownAt !== undefined && this.#shutdownAt <= now) this.#lastGoaway()
  }

  get active(): number {
    return this.#active
  }
  get draining(): boolean {
    return this.#life !== 'open'
  }
  get closed(): boolean {
    return this.#deaf
  }
  get closeReason(): string | undefined {
    return this.#closeReason
  }

  unsent(exchange: ExchangeId): number {
    const stream = this.#streams.get(exchange)
    return stream === undefined ? 0 : this.#sender.unsent(stream)
  }
  sendWindow(exchange: ExchangeId): number {
    const stream = this.#streams.get(exchange)
    if (stream === undefined || isClosed(stream.state)) return 0
    return Math.max(0, Math.min(stream.sendWindow, this.#sender.window))
  }

  snapshot(): unknown {
    return {
      role: this.role,
      life: this.#life,
      closeReason: this.#closeReason,
      capacity: this.capacity,
      active: this.#active,
      goaway: { sent: this.#goawaySent, received: this.#goawayReceived },
      lastStream: { ours: this.#nextId - 2, peer: this.#lastPeerStream },
      settings: { local: { ...this.#local }, peer: { ...this.#peer }, unacknowledged: this.#sentSettings.length },
      windows: { ...this.#window.state, send: this.#sender.window },
      held: { unread: this.#unread, overhead: this.#overhead, headers: this.#heldHeaderBytes, replies: this.#replies },
      output: this.#sender.output.bytes,
      streams: this.#streams.all().map((stream) => ({
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

const DATA_BEFORE_HEAD = violation('data-before-head', 'RFC 9113 §8.1', 'DATA before HEADERS', 'PROTOCOL_ERROR')
const SHORT_CONTENT = violation('content-length', 'RFC 9113 §8.1.1', 'less content than promised', 'PROTOCOL_ERROR')
const CONTENT_WHERE_NONE = violation(
  'content-length',
  'RFC 9113 §8.1.1',
  'content in a response that has none',
  'PROTOCOL_ERROR',
)
const LONG_CONTENT = violation('content-length', 'RFC 9113 §8.1.1', 'more content than promised', 'PROTOCOL_ERROR')

function wrongSequence(message: string, rule = 'RFC 9113 §8.1'): Malformed {
  return { malformed: 'sequence', rule, message }
}
const SECOND_HEAD = wrongSequence('HEADERS after the head without END_STREAM')
const ENDED_BY_INFORMATIONAL = wrongSequence('END_STREAM with an informational response')
const TUNNEL_HEADERS = wrongSequence('HEADERS in a tunnel', 'RFC 9113 §8.5')

function calm(code: string): Violation {
  return violation(code, 'RFC 9113 §10.5', 'the peer does too much of it', 'ENHANCE_YOUR_CALM')
}
function tooShort(frame: string): Violation {
  return violation('frame-size', 'RFC 9113 §4.2', `${frame} without its own fields`, 'FRAME_SIZE_ERROR')
}
function badStream(frame: string, id: number): Violation {
  return violation('stream-id', 'RFC 9113 §5.1.1', `${frame} on stream ${id}`, 'PROTOCOL_ERROR')
}
function overrun(of: string): Violation {
  return violation('flow-control', 'RFC 9113 §6.9.1', `more DATA than the window of the ${of}`, 'FLOW_CONTROL_ERROR')
}
function badIncrement(increment: number): Violation {
  return increment === 0
    ? violation('window-update', 'RFC 9113 §6.9', 'an increment of 0', 'PROTOCOL_ERROR')
    : violation('flow-control', 'RFC 9113 §6.9.1', 'a window above 2^31−1', 'FLOW_CONTROL_ERROR')
}
function endsShort(missing: number): Error {
  return misuse('content-length', 'RFC 9113 §8.1.1', `the content ends ${missing} bytes short of what was promised`)
}

/** Content that the plan allows; Infinity: any. */
function promisedBy(plan: RequestHead['content']): number {
  if (plan === undefined || plan === 'unknown') return Infinity
  return plan === 'none' ? 0 : plan.length
}

function requestEvent(exchange: ExchangeId, request: RequestSection, endStream: boolean): H2Event {
  const { method, scheme, authority, target, protocol, headers, expectContinue } = request
  return {
    type: 'request',
    exchange,
    method,
    scheme,
    authority,
    target,
    protocol,
    httpVersion: 'HTTP/2',
    headers,
    framing: endStream ? 'none' : 'frames',
    expectContinue: expectContinue && !endStream,
    upgrade: undefined,
  }
}

function readUint32(bytes: Bytes, at: number): number {
  const high = ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
  return high * 0x1_00_00 + (((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number))
}

/** A plain view: subarray of a Buffer costs half as much again. */
function plain(data: Bytes): Bytes {
  return new Uint8Array(data.buffer, data.byteOffset, data.length)
}
