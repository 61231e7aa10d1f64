// What comes of messages: field sections in HEADERS and CONTINUATION, content in DATA (RFC 9113 §6.1, §6.2, §6.10, §8).
//
// Whatever becomes of its stream, a field block is decoded: the two ends must keep the same table. A DATA frame is judged
// and charged by its header, so that it does not matter how its bytes are cut; credit of the connection is given back on
// receipt, of a stream when the application consumes.
import { expectsContinue, misuse } from '../http/index.ts'
import type { Bytes, ExchangeId, Fields, H2Event } from '../http/index.ts'
import { FieldBlock } from './block.ts'
import type { Control } from './control.ts'
import {
  badStream,
  BLOCK_TOO_LARGE,
  calm,
  DATA_BEFORE_HEAD,
  ENDED_BY_INFORMATIONAL,
  HEADERS_TOO_SHORT,
  LONG_CONTENT,
  overrun,
  PADDING,
  SECOND_HEAD,
  SHORT_CONTENT,
  TOO_LARGE,
  TUNNEL_HEADERS,
} from './faults.ts'
import { FLAG, FRAME, FRAME_HEADER_BYTES, H2_ERROR, isViolation, violation } from './frames.ts'
import type { DecodedBlock } from './hpack/index.ts'
import type { Negotiation } from './negotiation.ts'
import {
  hasNoContent,
  opensTunnel,
  readRequest,
  readResponse,
  readTrailers,
  type RequestSection,
  type ResponseSection,
} from './semantics.ts'
import type { Session } from './session.ts'
import { isClosed } from './state.ts'
import type { Stream } from './stream.ts'

export class Receiving {
  readonly #session: Session
  readonly #control: Control
  readonly #negotiation: Negotiation
  readonly #block: FieldBlock
  /** The stream whose DATA frame is being read, while its content is wanted. */
  #dataStream: Stream | undefined
  /** What is known already to have come of the frame of a field block that is being read. */
  #counted = 0

  constructor(session: Session, control: Control, negotiation: Negotiation) {
    this.#session = session
    this.#control = control
    this.#negotiation = negotiation
    this.#block = new FieldBlock(session.limits.maxContinuations)
  }

  /** Whether a field block has begun and is not whole. */
  get amidBlock(): boolean {
    return this.#block.open
  }
  /** Whether this frame may come now: what a field block was cut into comes in a row. RFC 9113 §6.10. */
  continues(type: number, stream: ExchangeId): boolean {
    const { open, stream: begun } = this.#block
    return open === (type === FRAME.CONTINUATION) && (!open || stream === begun)
  }

  /** What has come of a frame that is not whole has begun its message all the same: who gives up now says so. */
  countPart(): void {
    const { type, stream, begun } = this.#session.reader
    if (begun === 0 || (type !== FRAME.HEADERS && type !== FRAME.CONTINUATION)) return
    if (this.continues(type, stream)) this.#count(begun)
  }
  /** Of this frame of a field block so many octets are here by now. */
  #count(octets: number): void {
    const { reader, streams } = this.#session
    const ledger = streams.get(reader.stream)?.ledger
    if (ledger !== undefined) ledger.bytesReceived += octets - this.#counted
    this.#counted = octets
  }
  #countWhole(): void {
    this.#count(FRAME_HEADER_BYTES + this.#session.reader.length)
    this.#counted = 0
  }

  // ── field sections ──

  onHeaders(): void {
    const { stream, flags, bytes } = this.#session.reader
    let { start, end } = this.#session.reader
    let padding = 0
    this.#countWhole()
    if ((flags & FLAG.PADDED) !== 0) {
      if (start === end) return this.#session.break(HEADERS_TOO_SHORT)
      padding = bytes[start++] as number
    }
    if ((flags & FLAG.PRIORITY) !== 0) {
      // What RFC 7540 said of priority is read over. RFC 9113 §5.3.2.
      start += 5
      if (start > end) return this.#session.break(HEADERS_TOO_SHORT)
    }
    if (padding > end - start) return this.#session.break(PADDING)
    end -= padding
    const endStream = (flags & FLAG.END_STREAM) !== 0
    if ((flags & FLAG.END_HEADERS) !== 0) return this.#onFieldBlock(stream, endStream, bytes, start, end)
    this.#block.begin(stream, endStream, this.#session.decoder.maxListBytes)
    this.#block.append(bytes, start, end)
  }

  onContinuation(): void {
    const { flags, bytes, start, end } = this.#session.reader
    const block = this.#block
    this.#countWhole()
    if (!block.add(bytes, start, end)) return this.#session.break(BLOCK_TOO_LARGE)
    if ((flags & FLAG.END_HEADERS) === 0) return
    const { stream, endStream } = block
    const whole = block.take()
    this.#onFieldBlock(stream, endStream, whole, 0, whole.length)
  }

  #onFieldBlock(id: ExchangeId, endStream: boolean, bytes: Bytes, start: number, end: number): void {
    const session = this.#session
    const block = session.decoder.decodeBlock(bytes, start, end)
    const { fault } = block
    session.moved = true
    if (fault !== undefined && fault.scope === 'connection') {
      const { code, rule, message } = fault
      const h2 = code.startsWith('limit') ? 'ENHANCE_YOUR_CALM' : 'COMPRESSION_ERROR'
      return session.break(violation(code, rule, message, h2))
    }
    const stream = session.streams.get(id)
    const state = session.streams.stateOf(id, stream)
    if (state === 'idle') {
      if (session.role === 'client' || (id & 1) === 0) return session.break(badStream('HEADERS', id))
      return this.#onRequest(id, endStream, block)
    }
    if (stream === undefined && session.streams.skipped(id)) return session.break(badStream('HEADERS', id))
    if (session.refuses(id, stream, state, 'receive HEADERS') || stream === undefined) return
    if (fault !== undefined) return session.tooMuch(stream, fault)
    if (session.role === 'client' && stream.receiving === 'head') this.#onResponse(stream, endStream, block)
    else this.#onTrailers(stream, endStream, block)
  }

  #onRequest(id: ExchangeId, endStream: boolean, { flat, sensitive, listBytes, fault }: DecodedBlock): void {
    const { streams, floods } = this.#session
    streams.lastPeer = id
    if (streams.active >= this.#negotiation.said.maxConcurrentStreams || !floods.headFits(listBytes))
      return this.#refuse(id)
    const stream = this.#session.addStream(id, 'open')
    if (fault !== undefined) return this.#session.tooMuch(stream, fault)
    const request = readRequest(flat, sensitive, this.#negotiation.said.enableConnectProtocol === 1)
    if (isViolation(request)) return void this.#session.streamFault(stream, request)
    floods.holdHead(stream, listBytes)
    stream.method = request.method
    stream.tunnel = request.method === 'CONNECT'
    // What goes through a tunnel is not content. RFC 9110 §9.3.6.
    stream.expected = stream.tunnel ? -1 : request.contentLength
    stream.receiving = 'content'
    if (!this.#admits(stream, endStream)) return
    this.#control.opened(stream, request.priority)
    this.#session.tell(requestEvent(id, request, endStream))
    if (endStream) this.#onEnd(stream, undefined)
  }

  /** The stream limit, or the bytes that the heads of running streams hold. RFC 9113 §5.1.2, §8.7. */
  #refuse(id: ExchangeId): void {
    this.#session.resetUnknown(id, H2_ERROR.REFUSED_STREAM)
    // A peer that has not seen our SETTINGS yet does not know the limit; what is written for it must be read all the same.
    if (this.#negotiation.pending === 0) this.#session.provokedReset()
    else this.#session.reply()
  }

  #onResponse(stream: Stream, endStream: boolean, { flat, sensitive, listBytes }: DecodedBlock): void {
    const { floods } = this.#session
    const response = readResponse(flat, sensitive)
    if (isViolation(response)) return void this.#session.streamFault(stream, response)
    if (!floods.headFits(listBytes)) return this.#session.tooMuch(stream, calm('limit-held-headers'))
    floods.holdHead(stream, listBytes)
    const { status } = response
    if (status < 200) return this.#onInformational(stream, endStream, response)
    stream.tunnel = opensTunnel(stream.method, status)
    const empty = !stream.tunnel && hasNoContent(stream.method, status)
    stream.expected = stream.tunnel ? -1 : empty ? 0 : response.contentLength
    stream.receiving = 'content'
    if (!this.#admits(stream, endStream)) return
    this.#session.tell({
      type: 'response',
      exchange: stream.id,
      status,
      reasonPhrase: '',
      httpVersion: 'HTTP/2',
      headers: response.headers,
      framing: empty || endStream ? 'none' : 'frames',
    })
    if (endStream) this.#onEnd(stream, undefined)
  }

  #onInformational(stream: Stream, endStream: boolean, response: ResponseSection): void {
    const { limits, decoder } = this.#session
    if (endStream) return void this.#session.streamFault(stream, ENDED_BY_INFORMATIONAL)
    if (++stream.informational > limits.maxInformational)
      return this.#session.tooMuch(stream, calm('limit-informational'))
    if (stream.headBytes > decoder.maxListBytes) return this.#session.tooMuch(stream, calm('limit-header-list'))
    const { status, headers } = response
    this.#session.tell({ type: 'informational', exchange: stream.id, status, headers })
  }

  #onTrailers(stream: Stream, endStream: boolean, { flat, sensitive }: DecodedBlock): void {
    if (stream.tunnel) return void this.#session.streamFault(stream, TUNNEL_HEADERS)
    if (!endStream) return void this.#session.streamFault(stream, SECOND_HEAD)
    const trailers = readTrailers(flat, sensitive)
    if (isViolation(trailers)) return void this.#session.streamFault(stream, trailers)
    this.#onEnd(stream, trailers)
  }

  /** What a head says of the content behind it; false: it is a fault. */
  #admits(stream: Stream, endStream: boolean): boolean {
    const session = this.#session
    if (stream.expected > session.limits.maxContentLength) return session.streamFault(stream, TOO_LARGE)
    return !endStream || stream.expected <= 0 || session.streamFault(stream, SHORT_CONTENT[session.role])
  }

  /** END_STREAM. */
  #onEnd(stream: Stream, trailers: Fields | undefined): void {
    const session = this.#session
    if (stream.expected >= 0 && stream.received !== stream.expected)
      return void session.streamFault(stream, SHORT_CONTENT[session.role])
    stream.receiving = 'over'
    session.floods.ended(stream)
    stream.move('receive END_STREAM')
    if (!stream.silent) session.tell({ type: 'end', exchange: stream.id, trailers })
    if (isClosed(stream.state)) session.release(stream)
  }

  // ── content ──

  onData(): void {
    const session = this.#session
    const { first, last, flags, bytes, start, end } = session.reader
    if (first) this.#beginData()
    const stream = this.#dataStream
    if (last) this.#dataStream = undefined
    if (stream === undefined || isClosed(stream.state)) return
    if (stream.ledger !== undefined) {
      stream.ledger.bytesReceived += end - start + (first ? FRAME_HEADER_BYTES + session.reader.padding : 0)
    }
    if (start < end && !stream.silent) {
      session.floods.deliver(stream, end - start)
      const whole = start === 0 && end === bytes.length
      session.tell({ type: 'data', exchange: stream.id, data: whole ? bytes : bytes.subarray(start, end) })
    }
    if (last && (flags & FLAG.END_STREAM) !== 0) this.#onEnd(stream, undefined)
  }

  #beginData(): void {
    const session = this.#session
    const { stream: id, length, padding, flags } = session.reader
    this.#dataStream = undefined
    session.moved = true
    const stream = session.streams.get(id)
    const state = session.streams.stateOf(id, stream)
    if (!session.window.take(length)) return session.break(overrun('connection'))
    session.window.give(length)
    session.creditConnection()
    const input = length === padding && (flags & FLAG.END_STREAM) !== 0 ? 'receive END_STREAM' : 'receive DATA'
    if (session.refuses(id, stream, state, input) || stream === undefined) return
    if (this.#charge(stream)) this.#dataStream = stream
  }

  /** false: it is a fault. */
  #charge(stream: Stream): boolean {
    const session = this.#session
    const { floods } = session
    const { length, padding, flags } = session.reader
    const content = length - padding
    if (!stream.window.take(length)) return session.streamFault(stream, overrun('stream'))
    if (content === 0 && (flags & FLAG.END_STREAM) === 0 && !floods.empty(stream, session.now)) {
      return session.calm('limit-empty-data')
    }
    if (stream.receiving === 'head') return session.streamFault(stream, DATA_BEFORE_HEAD)
    stream.received += content
    if (stream.expected >= 0 && stream.received > stream.expected) return session.streamFault(stream, LONG_CONTENT)
    const tooLarge = stream.received > session.limits.maxContentLength && !stream.tunnel
    if (tooLarge) return session.streamFault(stream, TOO_LARGE)
    if (padding > 0) session.credit(stream, padding)
    return stream.silent || floods.frame(stream, content) || session.calm('limit-small-data')
  }

  consume(exchange: ExchangeId, n: number): void {
    const session = this.#session
    const stream = session.streams.get(exchange)
    if (!Number.isSafeInteger(n) || n < 0) throw misuse('consume', 'RFC 9113 §5.2.2', `${n} is not a number of bytes`)
    if (stream === undefined) return session.gone(exchange)
    if (stream.silent) return
    if (n > stream.unread) {
      throw misuse('consume', 'RFC 9113 §5.2.2', `${n} bytes consumed, of ${stream.unread} that were delivered`)
    }
    session.floods.consume(stream, n)
    session.creditConnection()
    if (isClosed(stream.state)) session.streams.letGo(stream)
    else session.credit(stream, n)
  }
}

function requestEvent(exchange: ExchangeId, request: RequestSection, endStream: boolean): H2Event {
  const { method, scheme, authority, target, protocol, headers } = request
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
    expectContinue: !endStream && expectsContinue(headers),
    upgrade: undefined,
  }
}
