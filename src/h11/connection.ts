// One HTTP/1.1 connection in either role: bytes in, events out; verbs in, bytes out (RFC 9112).
//
// Both roles step through the same tables (state.ts): what one sends its mirror receives. Bytes are parsed only when
// an event is asked for. The first fault is final: the machine is deaf after it, and a server may still give the one
// response that it had not begun. A client's surplus bytes end the connection before its capacity is asked for again.
//
// It does not know what a pool is, nor when to give up: it has no timers of its own. It never emits 'slots': its
// capacity changes only with 'end', 'draining', 'closed', 'failed', 'error' and the caller's own verbs.
import type {
  Bytes,
  Connection,
  ContentPlan,
  Disposition,
  ExchangeId,
  FieldsInit,
  H11Event,
  Ledger,
  Limits,
  Millis,
  RequestHead,
  ResolvedLimits,
  ResponseHead,
  Role,
} from '../http/index.ts'
import {
  asciiLower,
  checkedBytes,
  excerpt,
  expectsContinue,
  Fields,
  isHost,
  listMembers,
  misuse,
  parseDecimal,
  plainBytes,
  planOf,
  requireString,
  resolveLimits,
  SECRET_FIELDS,
} from '../http/index.ts'
import type { Desk } from './desk.ts'
import { leaveDesk, RESTING, takeDesk } from './desk.ts'
import type { FaultCode } from './faults.ts'
import { byteDetail, peerFault } from './faults.ts'
import type { Decision } from './framing.ts'
import {
  closeReasonOf,
  foldsHide,
  hasContent,
  hasOption,
  isSwitch,
  Notes,
  requestFraming,
  responseFraming,
  rewritten,
  valueDetail,
} from './framing.ts'
import { CR, LF, targetForm } from './grammar.ts'
import { isOffered, writeInformationalHead, writeRequestHead, writeResponseHead, writeTrailers } from './heads.ts'
import type { Leniency, Lenient } from './lenient.ts'
import { resolveLenient } from './lenient.ts'
import type { Outcome, SectionRules } from './section.ts'
import { COMPLETE, FAULTY, INCOMPLETE, sectionRules } from './section.ts'
import type { Life, LifeInput, RequestState, ResponseState } from './state.ts'
import { live, REQUEST, RESPONSE } from './state.ts'
import { writeChunk } from './writer.ts'

export interface H11Options {
  readonly now: Millis
  /** By name: `LIMITS` says what each is, its default and its bounds. */
  readonly limits?: Limits | undefined
  /** What to let through that a strict reading refuses. All off. */
  readonly lenient?: Readonly<Partial<Record<Leniency, boolean | undefined>>> | undefined
  /** false: what is sent is written as it is given, and no Host made of `authority`. For harnesses. Default true. */
  readonly validateOutbound?: boolean | undefined
  /** true: a 'chunk' event tells of each chunk-size line. Default false. */
  readonly chunkDetails?: boolean | undefined
}

/** What the reading of the peer's message waits for. */
type Phase =
  | 'head'
  | 'length'
  | 'close-delimited'
  | 'chunk-line'
  | 'chunk-data'
  | 'trailers'
  /** The message is over, and what follows is not looked at before the exchange has turned. */
  | 'wait'

/** Where the reading of content begins. */
const FIRST_PHASE = {
  none: 'length',
  length: 'length',
  chunked: 'chunk-line',
  'close-delimited': 'close-delimited',
} as const satisfies Record<Decision['framing'], Phase>

// What the latest head said; the machines take turns, none keeps it.
const notes = new Notes()

/** What was asked of a connection: one object for all that were made alike, one after the other. */
interface Rules {
  readonly role: Role
  readonly limits: ResolvedLimits
  readonly lenient: Lenient
  readonly validate: boolean
  readonly chunkDetails: boolean
  readonly heads: SectionRules
  readonly trailers: SectionRules
}
let latest: Rules | undefined

function rulesOf(role: Role, options: H11Options): Rules {
  const limits = resolveLimits(options.limits, role)
  const lenient = resolveLenient(options.lenient)
  const { validateOutbound: validate = true, chunkDetails = false } = options
  if (
    latest?.role !== role ||
    latest.limits !== limits ||
    latest.lenient !== lenient ||
    latest.validate !== validate ||
    latest.chunkDetails !== chunkDetails
  ) {
    const heads = sectionRules(false, role, lenient, limits)
    const trailers = sectionRules(true, role, lenient, limits)
    latest = { role, limits, lenient, validate, chunkDetails, heads, trailers }
  }
  return latest
}

export class H11Connection implements Connection<H11Event> {
  readonly #rules: Rules

  // Where it stands between two exchanges.
  #desk: Desk = RESTING
  /** How many bytes were read when it came to rest. */
  #offset = 0
  #phase: Phase = 'head'
  #eof = false
  #clean = true
  #unread = 0
  #pending: H11Event[] | undefined
  #exchange: ExchangeId = 0
  #request: RequestState = 'idle'
  #response: ResponseState = 'idle'
  #life: Life = 'open'
  #closeReason: string | undefined
  #minor = 1

  /** TypeError, RangeError: an option is not what it should be. */
  constructor(role: Role, options: H11Options) {
    if (role !== 'client' && role !== 'server') throw new TypeError("the role is 'client' or 'server'")
    this.#rules = rulesOf(role, options)
  }

  get role(): Role {
    return this.#rules.role
  }

  // ── what the peer did ──

  receiveData(data: Bytes, _now: Millis): void {
    const chunk = checkedBytes(data)
    // Whoever reads on where nothing will be looked at fills no memory with it.
    if (this.#eof || chunk.length === 0 || this.readState === 'done') return
    const { ledger, input } = this.#seated
    if (ledger !== undefined) ledger.bytesReceived += chunk.length
    input.lend(chunk)
  }

  receiveEof(_now: Millis, clean = true): void {
    if (this.#deaf || this.#eof) return
    this.#eof = true
    this.#clean = clean
  }

  nextEvent(): H11Event | undefined {
    if (this.#pending !== undefined) {
      const event = this.#pending.shift()
      if (this.#pending.length === 0) this.#pending = undefined
      return event
    }
    const desk = this.#desk
    if (desk.blocked && desk.output.bytes < this.#rules.limits.maxBufferedOut) {
      desk.blocked = false
      return { type: 'writable', exchange: this.#exchange, room: this.#rules.limits.maxBufferedOut - desk.output.bytes }
    }
    const event = this.#read()
    if (event === undefined) this.#desk.input.keep()
    return event
  }

  get readState(): 'need-data' | 'paused' | 'done' {
    if (this.#deaf) return 'done'
    const waits = this.#phase === 'wait'
    // What lies there belongs to no exchange, whether the peer has ended or not.
    if (waits && this.#life === 'draining' && !this.#maySwitch) return 'done'
    const { empty } = this.#desk.input
    if (this.#eof) return empty ? 'done' : 'paused'
    if (waits) return empty ? 'need-data' : 'paused'
    // What was delivered of a message that is over holds up no other.
    return this.#phase !== 'head' && this.#unread >= this.#rules.limits.streamWindow ? 'paused' : 'need-data'
  }

  /** No byte will be looked at any more. */
  get #deaf(): boolean {
    return this.#life !== 'open' && this.#life !== 'draining'
  }
  /** The response turns the connection into something else, or may still do. */
  get #maySwitch(): boolean {
    if (this.#response !== 'awaited') return this.#response === 'switching'
    return this.#desk.upgrade !== undefined || this.#desk.method === 'CONNECT'
  }
  /** An exchange has begun, and it is not over. */
  get #running(): boolean {
    return !this.#deaf && this.#request !== 'idle' && (this.#request !== 'done' || this.#response !== 'done')
  }

  #read(): H11Event | undefined {
    if (this.#deaf) return undefined
    const desk = this.#desk
    const { input } = desk
    for (;;) {
      switch (this.#phase) {
        case 'head':
          return this.role === 'client' ? this.#readResponse() : this.#readRequest()
        case 'length':
          return desk.left === 0 ? this.#endReceived() : this.#content(desk.left)
        case 'close-delimited':
          if (desk.left === 0 && !input.empty) return this.#fail('limit-content')
          return this.#content(desk.left)
        case 'chunk-line': {
          if (input.empty) return this.#dry()
          const event = this.#readChunkLine()
          if (event !== undefined) return event
          break
        }
        case 'chunk-data':
          if (desk.left > 2) return this.#content(desk.left - 2)
          for (; desk.left > 0; desk.left--) {
            if (input.empty) return this.#dry()
            if (input.data[input.pos] !== (desk.left === 2 ? CR : LF)) return this.#failByte('chunk-terminator')
            input.pos++
          }
          this.#phase = 'chunk-line'
          break
        case 'trailers':
          return this.#readTrailers()
        case 'wait':
          return this.#waiting()
      }
    }
  }

  /** There are no more bytes. */
  #dry(): H11Event | undefined {
    if (!this.#eof) return undefined
    if (this.#phase === 'close-delimited' && this.#clean) return this.#endReceived()
    if (this.#phase === 'head' && !this.#desk.reader.partial) {
      if (this.role === 'server' || this.#response !== 'awaited') return this.#close('eof')
      if (this.#desk.informational === 0) return this.#fail('server-disconnected')
    }
    return this.#fail('incomplete-message')
  }

  /** The peer's message is over: what follows waits for ours. */
  #waiting(): H11Event | undefined {
    if (this.#response === 'switching') return this.#request === 'done' ? this.#switch() : undefined
    if (!this.#desk.input.empty || !this.#eof) return undefined
    if (!this.#running) return this.#close('eof')
    return this.#life === 'open' ? this.#drain('eof') : undefined
  }

  #readRequest(): H11Event | undefined {
    const desk = this.#desk
    const { output, reader } = desk
    // Whoever has not said which version it speaks is answered as if it were the older one, and what it asks as a GET.
    this.#minor = 0
    desk.method = ''
    if (!reader.partial) {
      const broken = this.#skipEmptyLines()
      if (broken !== undefined) return broken
    }
    const outcome = this.#readSection(this.#rules.limits.maxHeadBytes, this.#rules.heads)
    if (outcome !== COMPLETE) return this.#noSection(outcome)
    const { method, target, minor } = reader
    this.#minor = minor
    desk.method = method
    const headers = reader.fields(notes)
    const form = targetForm(method, target)
    if (form === undefined) return this.#failHead('target', `: ${excerpt(target)}`)
    const decision = this.#judgeRequest(minor)
    if (typeof decision === 'string') return this.#failHead(decision)
    this.#request = REQUEST.idle.head
    // What is said in this exchange may be taken back.
    output.seal()
    this.#begin(method, output.bytes)
    desk.emptyBytes = 0
    const { connection } = notes
    desk.upgrade = minor === 1 && hasOption(connection, 'upgrade') ? notes.upgrade : undefined
    const closes = closeReasonOf(connection, minor, this.#rules.lenient)
    desk.keepAlive = minor === 0 && closes === undefined
    this.#beginContent(decision)
    this.#announce(closes)
    desk.requestHeaders = rewritten(headers, decision)
    const hasSome = decision.framing === 'chunked' || decision.length > 0
    desk.expects = minor === 1 && hasSome && notes.expect !== undefined && expectsContinue(headers)
    return {
      type: 'request',
      exchange: this.#exchange,
      method,
      scheme: form.scheme,
      authority: form.authority ?? notes.host,
      target,
      protocol: undefined,
      httpVersion: minor === 1 ? 'HTTP/1.1' : 'HTTP/1.0',
      headers: desk.requestHeaders,
      framing: decision.framing,
      expectContinue: desk.expects,
      upgrade: desk.upgrade,
    }
  }

  /** What is wrong with a request whose grammar is right, or how it is framed. */
  #judgeRequest(minor: number): Decision | FaultCode {
    if (foldsHide(notes, 'server')) return 'obs-fold'
    const { host, expect = '' } = notes
    if (notes.hosts > 1) return 'repeated-host'
    if (host === undefined) {
      if (minor === 1 && !this.#rules.lenient.missingHost) return 'missing-host'
    } else if (!isHost(host)) return 'invalid-host'
    const decision = requestFraming(notes, minor, this.#rules.lenient)
    if (typeof decision === 'string') return decision
    if (decision.length > this.#rules.limits.maxContentLength) return 'limit-content'
    // HTTP/1.0 knows no expectations. RFC 9110 §10.1.1.
    const known = minor === 0 || expect === '' || listMembers(asciiLower(expect)).every((one) => one === '100-continue')
    return known ? decision : 'expectation'
  }

  /** Empty lines before a request-line, up to the limit. RFC 9112 §2.2. */
  #skipEmptyLines(): H11Event | undefined {
    const desk = this.#desk
    const { input } = desk
    const { lenient, limits } = this.#rules
    for (; !input.empty; input.pos++) {
      const c = input.data[input.pos]
      if (c === CR && !desk.halfEmptyLine) desk.halfEmptyLine = true
      else if (c === LF && (desk.halfEmptyLine || lenient.bareLf)) desk.halfEmptyLine = false
      else return desk.halfEmptyLine ? this.#fail('bare-cr', input.offset - 1) : undefined
      if (++desk.emptyBytes > limits.maxLeadingEmptyBytes) return this.#fail('limit-empty-lines')
    }
    return undefined
  }

  #readResponse(): H11Event | undefined {
    const desk = this.#desk
    const { input, reader } = desk
    const { limits, lenient } = this.#rules
    // Bytes that nobody asked for. RFC 9112 §9.2.
    if (this.#response !== 'awaited') return input.empty ? this.#dry() : this.#failByte('surplus-bytes')
    const outcome = this.#readSection(limits.maxHeadBytes - desk.headBytes, this.#rules.heads)
    if (outcome !== COMPLETE) return this.#noSection(outcome)
    const { status, minor, reasonPhrase } = reader
    const headers = reader.fields(notes)
    if (foldsHide(notes, 'client')) return this.#failHead('obs-fold')
    const decision = responseFraming(notes, desk.method, status, minor, lenient)
    if (typeof decision === 'string') return this.#failHead(decision)
    const exchange = this.#exchange
    if (status < 200 && status !== 101) {
      desk.headBytes += reader.size
      if (++desk.informational > limits.maxInformational) return this.#failHead('limit-informational')
      this.#response = RESPONSE.awaited.informational
      this.#announce(hasOption(notes.connection, 'close') ? 'connection-close' : decision.closes)
      return { type: 'informational', exchange, status, headers }
    }
    if (status === 101 && !isOffered(notes.upgrade, desk.upgrade)) return this.#failHead('unexpected-upgrade')
    if (decision.length > limits.maxContentLength) return this.#failHead('limit-content')
    this.#minor = minor
    desk.responseHeaders = rewritten(headers, decision)
    if (isSwitch(desk.method, status)) {
      this.#response = RESPONSE.awaited.switch
      this.#phase = 'wait'
    } else {
      this.#response = RESPONSE.awaited.head
      this.#beginContent(decision)
      // What the peer says goes before what follows from its framing, and that before what follows from its version.
      const reason = closeReasonOf(notes.connection, minor, lenient)
      this.#announce(reason === 'connection-close' ? reason : (decision.closes ?? reason))
    }
    return {
      type: 'response',
      exchange,
      status,
      reasonPhrase,
      httpVersion: minor === 1 ? 'HTTP/1.1' : 'HTTP/1.0',
      headers: desk.responseHeaders,
      framing: decision.framing,
    }
  }

  #readSection(maxBytes: number, rules: SectionRules): Outcome {
    const desk = this.#desk
    const { input, reader } = desk
    if (input.empty) return INCOMPLETE
    const outcome = reader.read(input.data, input.pos, input.end, maxBytes, rules)
    input.pos = reader.next
    return outcome
  }
  #noSection(outcome: Outcome): H11Event | undefined {
    if (outcome === INCOMPLETE) return this.#dry()
    const { input, reader } = this.#desk
    return this.#fail(reader.fault, input.offset, reader.detail)
  }
  /** The grammar of a head is right, and what it says is wrong. */
  #failHead(code: FaultCode, detail = valueDetail(notes, code)): H11Event {
    const { input, reader } = this.#desk
    return this.#fail(code, input.offset - reader.size, detail)
  }

  /** The next byte may not stand here. */
  #failByte(code: FaultCode): H11Event {
    const { data, offset, pos } = this.#desk.input
    return this.#fail(code, offset, byteDetail(data[pos] as number))
  }

  #beginContent({ framing, length }: Decision): void {
    const desk = this.#desk
    desk.left = framing === 'close-delimited' ? this.#rules.limits.maxContentLength : length
    if (framing === 'chunked') desk.chunks.begin()
    this.#phase = FIRST_PHASE[framing]
  }

  /** At most `most` bytes of content, as a view. */
  #content(most: number): H11Event | undefined {
    const desk = this.#desk
    if (desk.input.empty) return this.#dry()
    const data = desk.input.take(most)
    desk.left -= data.length
    this.#unread += data.length
    return { type: 'data', exchange: this.#exchange, data }
  }

  #readChunkLine(): H11Event | undefined {
    const desk = this.#desk
    const { chunks, input } = desk
    const outcome = chunks.readLine(input.data, input.pos, input.end, this.#rules.limits, this.#rules.chunkDetails)
    input.pos = chunks.next
    if (outcome === INCOMPLETE) return undefined
    // A limit is no byte's fault, and the CR that lacks its LF may be gone.
    const { fault } = chunks
    if (outcome === FAULTY) return fault.startsWith('chunk-') ? this.#failByte(fault) : this.#fail(fault)
    const { size } = chunks
    if (size > 0) desk.left = size + 2
    this.#phase = size === 0 ? 'trailers' : 'chunk-data'
    if (!this.#rules.chunkDetails) return undefined
    return { type: 'chunk', exchange: this.#exchange, size, extensions: chunks.extensions }
  }

  #readTrailers(): H11Event | undefined {
    const { limits, trailers: rules } = this.#rules
    // The empty line that ends every one is within any limit.
    const outcome = this.#readSection(Math.max(2, limits.maxTrailerBytes), rules)
    if (outcome !== COMPLETE) return this.#noSection(outcome)
    const trailers = this.#desk.reader.fields(notes)
    return this.#endReceived(trailers.length === 0 ? undefined : trailers)
  }

  #endReceived(trailers?: Fields): H11Event {
    if (this.role === 'client') {
      this.#response = RESPONSE.content.end
      this.#phase = 'head'
    } else {
      this.#request = REQUEST.content.end
      this.#phase = 'wait'
    }
    const exchange = this.#exchange
    this.#settle()
    return { type: 'end', exchange, trailers }
  }

  // ── what moves state ──

  #live(input: LifeInput, reason: string): void {
    const next = live(this.#life, input)
    if (next === undefined) return
    this.#life = next
    if (this.#closeReason === undefined || input === 'fail') this.#closeReason = reason
  }

  /** The next exchange: its response is awaited. @param before bytes that wait, of exchanges before it */
  #begin(method: string, before: number): void {
    this.#response = RESPONSE.idle.request
    const desk = this.#desk
    desk.begin(this.#exchange++, before)
    desk.method = method
    desk.headBytes = desk.informational = this.#unread = 0
    desk.responseHeaders = undefined
  }

  /** Whether the exchange is over, and what comes after it. A response that ends a draining connection ends it all. */
  #settle(): void {
    if (this.#response !== 'done' || (this.#request !== 'done' && this.#life === 'open')) return
    const desk = this.#desk
    desk.requestHeaders = desk.responseHeaders = desk.ledger = undefined
    if (this.#life === 'draining') {
      this.#push(this.#close(this.#closeReason as string))
      this.#leave()
    } else if (this.#life === 'failed') this.#live('close', this.#closeReason as string)
    else if (this.role === 'client') this.#turn()
  }
  /** To the next exchange. */
  #turn(): void {
    this.#request = REQUEST.done.next
    this.#response = RESPONSE.done.next
    this.#phase = 'head'
    this.#leave()
  }
  /** Nothing runs: the desk is free, unless something lies on it. */
  #leave(): void {
    const desk = this.#desk
    const { input } = desk
    desk.reader.rest()
    if (!input.empty) return
    // An idle connection does not hold what it has read.
    input.clear()
    if (desk.output.bytes > 0) return
    this.#offset = input.offset
    this.#desk = RESTING
    leaveDesk(desk)
  }
  /** Its own desk. */
  get #seated(): Desk {
    if (this.#desk === RESTING) this.#desk = takeDesk(this.#offset)
    return this.#desk
  }

  #push(event: H11Event): void {
    ;(this.#pending ??= []).push(event)
  }
  /** The peer's message says that no exchange will follow: after the event that tells of the message. */
  #announce(reason: string | undefined): void {
    if (reason !== undefined && this.#life === 'open') this.#push(this.#drain(reason))
  }
  #drain(reason: string): H11Event {
    this.#live('drain', reason)
    return { type: 'draining', reason, unprocessed: [] }
  }
  #close(reason: string): H11Event {
    this.#live('close', reason)
    this.#forget()
    return { type: 'closed', reason }
  }
  #switch(): H11Event {
    const desk = this.#desk
    const leading = desk.input.take(Infinity)
    const exchange = this.#exchange
    const { ledger } = desk
    this.#live('switch', 'switched')
    this.#forget()
    // What was said before may still wait to be taken.
    desk.ledger = ledger
    return { type: 'switched', exchange, leading }
  }
  /** The peer broke the connection: the exchange fails where it runs, then the connection. */
  #fail(code: FaultCode, offset = this.#desk.input.offset, detail = ''): H11Event {
    const fault = peerFault(code, offset, detail)
    // Of an exchange whose message has ended nothing more is said.
    const told = this.#running && (this.role === 'server' || this.#response !== 'done')
    const disposition = this.#disposition
    this.#live('fail', code)
    this.#forget()
    if (this.role === 'client') this.#desk.output.clear()
    // A server that has begun no response may still give one.
    if (this.role === 'client' || (this.#response !== 'idle' && this.#response !== 'awaited')) this.#live('close', code)
    if (!told) return { type: 'error', fault }
    this.#push({ type: 'error', fault })
    return { type: 'failed', exchange: this.#exchange, fault, disposition }
  }
  get #disposition(): Disposition {
    if (this.#response === 'content' || this.#response === 'done') return 'response-started'
    return this.role === 'client' && this.#desk.untouched ? 'not-sent' : 'maybe-processed'
  }
  #forget(): void {
    const desk = this.#desk
    desk.input.clear()
    desk.reader.rest()
    desk.blocked = false
    desk.ledger = undefined
  }

  // ── what we do ──

  /** Without framing fields and a content plan, a request has no content. */
  sendRequest(
    head: RequestHead,
    options?: { readonly end?: boolean; readonly ledger?: Ledger | undefined },
  ): ExchangeId {
    if (this.role !== 'client') throw misuse('role', 'RFC 9112 §2.1', 'a server does not send requests')
    const { method, target, authority, protocol } = head
    requireString('method', method)
    requireString('request-target', target)
    if (authority !== undefined) requireString('authority', authority)
    const fields = Fields.from(head.headers)
    const plan = this.#plan(fields, head.content) ?? 'none'
    const end = options?.end === true
    const ledger = options?.ledger
    // Nothing of the caller's runs from here on.
    if (this.capacity === 0) throw this.#refusal()
    if (protocol !== undefined && this.#rules.validate) {
      // Left out, it would make an extended CONNECT a plain tunnel.
      throw misuse('protocol', 'RFC 8441 §4', 'HTTP/1.1 has no extended CONNECT')
    }
    if (end && this.#rules.validate) refuseUnsent(plan)
    if (plan === 'unknown' && this.#minor === 0 && this.#rules.validate) {
      throw misuse('transfer-encoding', 'RFC 9112 §6.1', 'the server speaks HTTP/1.0, which has no chunked')
    }
    const desk = this.#seated
    const { output } = desk
    output.seal()
    const before = output.bytes
    const sent = writeRequestHead(output, method, target, authority, fields, plan, this.#rules.validate)
    this.#request = REQUEST.idle.head
    this.#begin(method, before)
    desk.ledger = ledger
    desk.upgrade = sent.upgrade
    desk.requestHeaders = fields
    if (sent.closes) this.#live('drain', 'local-close')
    desk.sending = sent.framing
    desk.sendLeft = sent.length
    if (end) this.#finishSending()
    return this.#exchange
  }

  /** 100, or 102 to 199. 101 is a response: HTTP is over with it. */
  sendInformational(exchange: ExchangeId, status: number, headers?: FieldsInit): void {
    const fields = Fields.from(headers)
    this.#mayRespond(exchange)
    if (this.#life === 'failed')
      throw misuse('state', 'RFC 9110 §15.2', 'after a fault only a final response may be sent')
    if (!Number.isInteger(status) || status < 100 || status > 199 || status === 101) {
      throw misuse('status', 'RFC 9110 §15.2', `${status} is not the status of an informational response`)
    }
    if (this.#minor === 0 && this.#rules.validate) {
      throw misuse('informational', 'RFC 9110 §15.2', 'an HTTP/1.0 client does not know informational responses')
    }
    const desk = this.#desk
    const closes = writeInformationalHead(desk.output, status, fields, this.#rules.validate)
    if (closes) this.#live('drain', 'local-close')
    if (status === 100) desk.expects = false
    this.#response = RESPONSE.awaited.informational
  }

  /**
   * Without framing fields, a content plan or `end` the length is unknown. After a fault: one, if none was begun;
   * `exchange` is the id that the request has, or would have had. `Connection: close` is added wherever the connection
   * will not be used again.
   */
  sendResponse(exchange: ExchangeId, head: ResponseHead, options?: { readonly end?: boolean }): void {
    const { status, reasonPhrase } = head
    if (reasonPhrase !== undefined) requireString('reason-phrase', reasonPhrase)
    const fields = Fields.from(head.headers)
    const given = this.#plan(fields, head.content)
    const end = options?.end === true
    this.#mayRespond(exchange)
    if (!Number.isInteger(status) || (status < 200 && status !== 101) || status > 999) {
      throw misuse('status', 'RFC 9110 §15', `${status} is not the status of a final response`)
    }
    const desk = this.#desk
    const { output, method, upgrade, keepAlive } = desk
    const switches = isSwitch(method, status)
    if (switches) this.#checkSwitch(status)
    const bare = !hasContent(method, status)
    const plan = given ?? (end || bare || status === 205 ? 'none' : 'unknown')
    if (end && !bare && this.#rules.validate) refuseUnsent(plan)
    const before = output.bytes
    const closing = this.#life !== 'open'
    const asked = { method, minor: this.#minor, upgrade, keepAlive }
    const sent = writeResponseHead(output, status, reasonPhrase, fields, plan, asked, closing, this.#rules.validate)
    if (this.#response === 'idle') this.#begin(method, before)
    desk.responseHeaders = fields
    if (switches) {
      this.#response = RESPONSE.awaited.switch
      return
    }
    this.#response = RESPONSE.awaited.head
    if (sent.closes) this.#live('drain', 'local-close')
    desk.sending = sent.framing
    desk.sendLeft = sent.length
    if (end) this.#finishSending()
  }

  sendData(exchange: ExchangeId, data: Bytes, end = false): boolean {
    this.#maySend(exchange)
    const bytes = plainBytes(data)
    const desk = this.#desk
    const { output } = desk
    const { length } = bytes
    const limit = this.#rules.limits.maxBufferedOut
    if (length > 0 && desk.blocked && output.bytes >= limit) {
      throw misuse(
        'backpressure',
        'DESIGN §4',
        `${limit} bytes wait to be taken: the next chunk has to wait for 'writable'`,
      )
    }
    if (this.#rules.validate) this.#checkLength(length, end)
    if (length > 0) {
      if (desk.sending === 'chunked') writeChunk(output, bytes)
      else output.append(bytes)
      desk.sendLeft -= length
    }
    if (end) {
      this.#finishSending()
      return true
    }
    desk.blocked = output.bytes >= limit
    return !desk.blocked
  }

  end(exchange: ExchangeId, trailers?: FieldsInit): void {
    const fields = Fields.from(trailers)
    this.#maySend(exchange)
    if (fields.length > 0 && this.#desk.sending !== 'chunked') {
      throw misuse('trailers', 'RFC 9110 §6.5.1', 'only chunked content can be followed by trailers')
    }
    if (this.#rules.validate) this.#checkLength(0, true)
    this.#finishSending(fields)
  }

  consume(exchange: ExchangeId, n: number): void {
    if (!this.#known(exchange)) throw unknown(exchange)
    if (!Number.isInteger(n) || n < 0) throw misuse('consume', 'DESIGN §4', `${n} is not a number of bytes`)
    if (exchange !== this.#exchange) return
    if (n > this.#unread) throw misuse('consume', 'DESIGN §4', `${n} bytes are more than were delivered`)
    this.#unread -= n
  }

  /** Throws while the exchange runs; does nothing where there is none to leave, or none to come. */
  nextExchange(): void {
    if (this.role !== 'server') throw misuse('role', 'RFC 9112 §9.3.2', 'a client turns to the next exchange by itself')
    if (this.#running) throw this.#refusal()
    if (this.#life === 'open' && this.#phase === 'wait') this.#turn()
  }

  cancel(exchange: ExchangeId): void {
    if (!this.#known(exchange)) throw unknown(exchange)
    if (exchange !== this.#exchange || !this.#running) return
    const desk = this.#desk
    const unanswered = this.#response === 'awaited' && desk.informational === 0 && !desk.reader.partial
    const vanishes = this.role === 'client' && this.#life === 'open' && desk.untouched && unanswered
    desk.output.drop(desk.unsent)
    desk.blocked = false
    desk.requestHeaders = desk.responseHeaders = desk.ledger = undefined
    if (vanishes) {
      this.#request = REQUEST.done.vanish
      this.#response = RESPONSE.awaited.vanish
      this.#leave()
    } else {
      this.#pending = undefined
      this.#live('close', 'cancelled')
      this.#forget()
    }
  }

  close(_now: Millis): void {
    if (this.#life === 'failed' && this.#response !== 'content') this.#live('close', 'local-close')
    if (this.#deaf) return
    this.#live('drain', 'local-close')
    if (!this.#running) this.#push(this.#close('local-close'))
  }

  abort(): void {
    this.#live('close', 'aborted')
    this.#pending = undefined
    this.#desk.output.clear()
    this.#forget()
  }

  sendRaw(bytes: Bytes): void {
    if (this.#life === 'closed' || this.#life === 'switched') throw this.#refusal()
    this.#seated.output.append(plainBytes(bytes))
  }

  #plan(fields: Fields, content: ContentPlan | undefined): ContentPlan | undefined {
    return this.#rules.validate ? planOf(fields, content) : (content ?? givenPlan(fields))
  }

  #checkLength(length: number, end: boolean): void {
    const { sending, sendLeft } = this.#desk
    if (sending === 'none' && length > 0) {
      throw misuse('content', 'RFC 9110 §6.4.1', 'this message has no content')
    }
    if (sending !== 'length') return
    if (length > sendLeft || (end && length < sendLeft)) {
      const much = length > sendLeft ? 'more' : 'less'
      throw misuse('content-length', 'RFC 9110 §8.6', `the content is ${much} than its Content-Length says`)
    }
  }
  #finishSending(trailers = Fields.empty): void {
    const desk = this.#desk
    if (desk.sending === 'chunked') writeTrailers(desk.output, trailers, this.#rules.validate)
    desk.blocked = false
    if (this.role === 'client') this.#request = REQUEST.content.end
    else this.#response = RESPONSE.content.end
    this.#settle()
  }

  /** Throws unless a response to this exchange may begin. */
  #mayRespond(exchange: ExchangeId): void {
    if (this.role !== 'server') throw misuse('role', 'RFC 9112 §2.1', 'a client does not send responses')
    if (this.#life === 'closed' || this.#life === 'switched') throw this.#refusal()
    // A request whose head could not be read is owed an answer too.
    if (this.#life === 'failed' && this.#response === 'idle' && exchange === this.#exchange + 1) return
    if (exchange !== this.#exchange || exchange === 0) throw unknown(exchange)
    if (this.#response !== 'awaited') throw misuse('state', 'RFC 9112 §9.2', 'this exchange has its response')
  }
  #checkSwitch(status: number): void {
    if (this.#life === 'failed') {
      throw misuse('state', 'DESIGN §4', 'after a fault the connection ends: it does not become another')
    }
    if (status === 101 && this.#desk.expects && this.#request !== 'done' && this.#rules.validate) {
      throw misuse('expect', 'RFC 9110 §7.8', 'the request expects 100 (Continue) before 101')
    }
  }
  #maySend(exchange: ExchangeId): void {
    if (this.#life === 'closed' || this.#life === 'switched') throw this.#refusal()
    if (exchange !== this.#exchange || exchange === 0) throw unknown(exchange)
    const state = this.role === 'client' ? this.#request : this.#response
    if (state !== 'content') throw misuse('state', 'RFC 9112 §6', 'this message has not begun, or has ended')
  }
  #known(exchange: ExchangeId): boolean {
    return Number.isInteger(exchange) && exchange > 0 && exchange <= this.#exchange
  }
  /** Why nothing can begin, or go on. */
  #refusal(): Error {
    if (this.#life === 'open' && this.#running) {
      return misuse('capacity', 'RFC 9112 §9.3.2', 'an exchange is running: there is one at a time')
    }
    return misuse('closed', 'RFC 9112 §9.6', `the connection will not carry it: ${this.#closeReason ?? 'bytes wait'}`)
  }

  takeOutput(maxBytes?: number): Bytes[] {
    return this.#desk.take(this.#exchange, maxBytes)
  }
  get taken(): readonly ExchangeId[] {
    return this.#desk.taken
  }
  get outputBytes(): number {
    return this.#desk.output.bytes
  }
  get wantsClose(): 'no' | 'after-output' | 'now' {
    if (this.#life !== 'closed') return 'no'
    return this.#desk.output.bytes > 0 ? 'after-output' : 'now'
  }
  nextTimeout(): undefined {
    return undefined
  }
  handleTimeout(_now: Millis): void {
    // HTTP/1.1 has no timers of its own.
  }

  get capacity(): number {
    const free = this.#life === 'open' && this.#request === 'idle' && this.#desk.input.empty && !this.#eof
    return free && this.role === 'client' ? 1 : 0
  }
  get active(): number {
    return this.#running ? 1 : 0
  }
  get draining(): boolean {
    return this.#life !== 'open'
  }
  get closed(): boolean {
    return this.#life === 'closed'
  }
  /** The first reason for which it will not be used again; a fault's code before any other. */
  get closeReason(): string | undefined {
    return this.#closeReason
  }
  unsent(exchange: ExchangeId): number {
    return exchange === this.#exchange ? this.#desk.unsent : this.#desk.unsentBefore(exchange)
  }
  sendWindow(_exchange: ExchangeId): number {
    return Infinity
  }

  snapshot(): unknown {
    const desk = this.#desk
    return {
      protocol: 'HTTP/1.1',
      role: this.role,
      life: this.#life,
      closeReason: this.#closeReason,
      exchange: this.#exchange,
      running: this.#running,
      request: this.#request,
      response: this.#response,
      method: desk.method,
      requestHeaders: redacted(desk.requestHeaders),
      responseHeaders: redacted(desk.responseHeaders),
      reading: {
        phase: this.#phase,
        left: desk.left,
        unread: this.#unread,
        offset: desk === RESTING ? this.#offset : desk.input.offset,
        eof: this.#eof,
      },
      sending: { framing: desk.sending, left: desk.sendLeft, blocked: desk.blocked },
      held: { input: desk.input.length, section: desk.reader.held, output: desk.output.bytes },
    }
  }
}

/** `end` with the head says that no content follows. */
function refuseUnsent(plan: ContentPlan): void {
  if (typeof plan === 'object' && plan.length > 0) {
    throw misuse('content-length', 'RFC 9110 §8.6', 'the message is said to have content, and to end with its head')
  }
}

/** What unchecked framing fields say. */
function givenPlan(fields: Fields): ContentPlan | undefined {
  if (fields.has('transfer-encoding')) return 'unknown'
  const length = parseDecimal(fields.get('content-length') ?? '')
  return length < 0 ? undefined : { length }
}

function unknown(exchange: ExchangeId): Error {
  return misuse('exchange', 'DESIGN §4', `there is no exchange ${exchange} to act on`)
}

function redacted(fields: Fields | undefined): (readonly [string, string])[] | undefined {
  return fields?.toJSON().map(([name, value]) => [name, SECRET_FIELDS.has(name) ? '(redacted)' : value])
}
