// What we say of an exchange: the verbs of the contract, each checked before it changes anything. What is said is handed
// to the sender, which writes it when its turn comes.
import { Fields, misuse, refuseExpect, requireString } from '../http/index.ts'
import type { Bytes, ExchangeId, FieldsInit, Ledger, RequestHead, ResponseHead } from '../http/index.ts'
import { H2_ERROR } from './frames.ts'
import {
  informationalSection,
  listBytes,
  opensTunnel,
  requestSection,
  responseSection,
  trailerSection,
} from './semantics.ts'
import type { Session } from './session.ts'
import { isClosed } from './state.ts'
import type { Section, Stream } from './stream.ts'

export class Sending {
  readonly #session: Session
  /** false: what is sent is written as it is given. */
  readonly #validate: boolean

  constructor(session: Session, validate: boolean) {
    this.#session = session
    this.#validate = validate
  }

  // ── heads ──

  request(given: RequestHead, end: boolean, ledger: Ledger | undefined): ExchangeId {
    const session = this.#session
    if (session.role === 'server') throw misuse('role', 'RFC 9113 §8.1', 'a server sends no requests')
    const head = readOnce(given)
    if (head.protocol !== undefined && this.#validate && session.peer.enableConnectProtocol === 0) {
      throw misuse('protocol', 'RFC 8441 §3', 'the server does not take extended CONNECT')
    }
    const { section, promised } = requestSection(head, this.#validate)
    // Nothing of the caller's runs from here on.
    if (session.capacity === 0) throw misuse('capacity', 'RFC 9113 §5.1.2', 'no stream may be opened now')
    this.#checkSize(section)
    checkPromise(promised, 0, end)
    const tunnel = head.method === 'CONNECT'
    if ((end || tunnel || promised === 0) && this.#validate) refuseExpect(section.fields)
    const stream = session.addStream(session.streams.next, 'idle')
    session.streams.next += 2
    stream.method = head.method
    stream.tunnel = tunnel
    stream.promised = promised
    stream.ledger = ledger
    stream.sending = 'content'
    if (head.priority !== undefined) {
      stream.urgency = head.priority.urgency ?? stream.urgency
      stream.incremental = head.priority.incremental ?? false
    }
    if (end) session.sender.end(stream, undefined)
    session.sender.section(stream, section)
    return stream.id
  }

  informational(exchange: ExchangeId, status: number, headers: FieldsInit | undefined): void {
    const fields = Fields.from(headers)
    const stream = this.#answering(exchange)
    if (stream === undefined) return
    const section = informationalSection(status, fields, this.#validate)
    this.#checkSize(section)
    this.#session.sender.section(stream, section)
  }

  response(exchange: ExchangeId, { status, headers, content }: ResponseHead, end: boolean): void {
    const fields = Fields.from(headers)
    const stream = this.#answering(exchange)
    if (stream === undefined) return
    const { section, promised } = responseSection(status, fields, content, this.#validate, stream.method)
    checkPromise(promised, 0, end)
    this.#checkSize(section)
    stream.sending = 'content'
    stream.promised = promised
    stream.tunnel = opensTunnel(stream.method, status)
    if (end) this.#session.sender.end(stream, undefined)
    this.#session.sender.section(stream, section)
  }

  // ── content and end ──

  data(exchange: ExchangeId, data: Bytes, end: boolean): boolean {
    const stream = this.#inContent(exchange)
    if (stream === undefined) return true
    if (stream.blocked) throw misuse('not-writable', 'RFC 9113 §5.2', "wait for 'writable' before the next chunk")
    checkPromise(stream.promised, data.length, end)
    stream.promised -= data.length
    const more = this.#session.sender.content(stream, data)
    if (end) this.#session.sender.end(stream, undefined)
    return more
  }

  end(exchange: ExchangeId, trailers: FieldsInit | undefined): void {
    const fields = trailers === undefined ? undefined : Fields.from(trailers)
    const stream = this.#inContent(exchange)
    if (stream === undefined) return
    checkPromise(stream.promised, 0, true)
    if (fields !== undefined && stream.tunnel && this.#validate) {
      throw misuse('trailer', 'RFC 9113 §8.5', 'a tunnel has no trailers')
    }
    const section = fields && trailerSection(fields, this.#validate)
    if (section !== undefined) this.#checkSize(section)
    this.#session.sender.end(stream, section === undefined || section.fields.length === 0 ? undefined : section)
  }

  cancel(exchange: ExchangeId, h2Code: number): void {
    const session = this.#session
    const stream = session.streams.get(exchange)
    session.silence(exchange)
    if (stream === undefined) return session.gone(exchange)
    session.floods.discard(stream)
    if (isClosed(stream.state)) session.streams.letGo(stream)
    else if (stream.state === 'idle') session.drop(stream)
    else if (h2Code === H2_ERROR.NO_ERROR && stream.sending === 'ending' && session.role === 'server') {
      // The response is complete: it leaves, and only then the peer is asked to stop. RFC 9113 §8.1.
      stream.silent = true
    } else session.reset(stream, h2Code)
    session.creditConnection()
  }

  // ── checks ──

  /** A stream that we may send on; undefined: as far as is known the peer has stopped it, which the caller may not know. */
  #sendable(exchange: ExchangeId): Stream | undefined {
    const session = this.#session
    const stream = session.streams.get(exchange)
    const state = session.streams.stateOf(exchange, stream)
    if (stream !== undefined && !isClosed(state)) return stream
    if (state !== 'idle' && !session.heard && !session.streams.closed.ended(exchange)) return undefined
    throw misuse('exchange', 'RFC 9113 §5.1', `there is no running exchange ${exchange}`)
  }

  /** The stream of a request that has no final response yet. */
  #answering(exchange: ExchangeId): Stream | undefined {
    if (this.#session.role === 'client') throw misuse('role', 'RFC 9113 §8.1', 'a client sends no responses')
    const stream = this.#sendable(exchange)
    if (stream === undefined || stream.sending === 'head') return stream
    throw misuse('sequence', 'RFC 9113 §8.1', 'the exchange has its final response')
  }

  /** The stream of a message whose head was given and whose end was not. */
  #inContent(exchange: ExchangeId): Stream | undefined {
    const stream = this.#sendable(exchange)
    if (stream === undefined || stream.sending === 'content') return stream
    const message = stream.sending === 'head' ? 'the final response comes first' : 'the message has ended'
    throw misuse('sequence', 'RFC 9113 §8.1', message)
  }

  /** What the peer says that it takes of a field section. RFC 9113 §6.5.2. */
  #checkSize({ control, fields }: Section): void {
    const limit = this.#session.peer.maxHeaderListSize
    if (limit === Infinity || !this.#validate) return
    const bytes = listBytes(control) + listBytes(fields.flat)
    if (bytes > limit) {
      throw misuse('limit-header-list', 'RFC 9113 §6.5.2', `${bytes} bytes of fields, above the peer's limit`)
    }
  }
}

/** Content keeps to what was promised; Infinity: nothing was. */
function checkPromise(promised: number, bytes: number, end: boolean): void {
  const left = promised - bytes
  if (left === Infinity || (end ? left === 0 : left >= 0)) return
  const message =
    left < 0
      ? `${bytes} bytes of content, of which ${promised} were promised`
      : `the content ends ${left} bytes short of what was promised`
  throw misuse('content-length', 'RFC 9113 §8.1.1', message)
}

/** What is checked is what is sent, whatever the caller's object says when it is asked again. TypeError: no string. */
function readOnce(given: RequestHead): RequestHead {
  const { method, scheme, authority, target, headers, content, protocol, priority } = given
  const { urgency, incremental } = priority ?? {}
  requireString('method', method)
  requireString('request-target', target)
  requireString('scheme', scheme ?? '')
  requireString('authority', authority ?? '')
  requireString('protocol', protocol ?? '')
  const ranked = priority && { urgency, incremental }
  return { method, scheme, authority, target, headers, content, protocol, priority: ranked }
}
