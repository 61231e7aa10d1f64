// One request on the interface's side: what has been delivered and not yet taken, and what became of it. Pure state;
// how somebody waits for it to change (a promise, a sleeping thread) is the subclass's business: `changed`.
//
// Content is owned from here on. Delivered bytes are lent, so they are copied; a large piece of the network's own
// buffer is kept instead, and the network takes a fresh one, unless that would pin more than four times its size.
import {
  ConnectError,
  formatOrigin,
  misuse,
  parseDecimal,
  RemoteProtocolError,
  type Bytes,
  type Fields,
  type FieldsInit,
  type Millis,
  type Origin,
  type OwnedBytes,
  type RequestHead,
} from '../../http/index.ts'
import type { DeliveredEvent, LinkInfo, PoolCommand, PoolInput, RequestId } from '../../pool/lean.ts'
import { ContentPump, discard } from './content.ts'
import { unwatchOwner, watchOwner } from './dropped.ts'
import type { Driver } from './driver.ts'
import { checkType, NO_CONTENT, type PreparedContent, type PreparedRequest } from './options.ts'
import { unwatch, watch } from './signals.ts'
import type { TraceCallback } from './trace.ts'

export interface ConnectionInfo extends LinkInfo {
  readonly id: number
  readonly reused: boolean
  readonly httpVersion: string
}
export type Assigned = Extract<PoolCommand, { type: 'assigned' }>
export type Settled = Extract<PoolCommand, { type: 'settle' }>
export type ResponseEvent = Extract<DeliveredEvent, { type: 'response' }>

/** What the interface does with content: collect it for `request()`, keep it to be taken, hand it on, or drop it. */
export type ContentMode = 'collect' | 'queue' | 'lend' | 'drop'

/** The options of a request but for its head, its content and its timeouts, checked and copied. */
export interface ExchangeHooks {
  readonly trailers: Fields | (() => FieldsInit) | undefined
  readonly expectContinue: boolean
  readonly sniHostname: string | undefined
  readonly signal: AbortSignal | undefined
  readonly maxContentBytes: number
  readonly onInformational: ((status: number, headers: Fields) => void) | undefined
  readonly trace: TraceCallback | undefined
}

/** The reason of our own closing, for whoever is told of the step that it ends; it settles the request without an error. */
export const CLOSED: Error = closedUnread()

/** Whoever asked for all of the content, and closed the response before it was there. */
function closedUnread(): Error {
  return misuse('response-closed', 'RFC 9110 §6.4', 'the response was closed before all of its content had come')
}
/** Of a stream after a switch. */
export function streamClosed(): Error {
  return misuse('stream-closed', 'RFC 9110 §7.8', 'the stream is closed')
}
export function streamEnded(): Error {
  return misuse('stream-ended', 'RFC 9110 §7.8', 'the stream was ended: nothing may be written to it any more')
}

/** Up to here a Content-Length is believed before the bytes are there: what a lying peer can make us allocate … */
const MAX_PREALLOCATED = 16 * 1024 * 1024
/** … and beyond, up to so many times what has come: 100 MiB in one piece take half the memory of pieces that are joined. */
const BELIEVED = 8

const { Buffer } = globalThis as { Buffer?: { allocUnsafeSlow(length: number): OwnedBytes } }

/** Zeroes are dear only where there are many. */
const FEW = 4096
/**
 * Memory that will be filled from end to end, and is nobody else's: its `buffer` is the content too, whoever keeps a small
 * piece keeps no more, and it can be transferred. Of Node's slabs 1 KiB would cost 0.3 µs less.
 */
function memory(length: number): OwnedBytes {
  if (Buffer === undefined || length < FEW) return new Uint8Array(length)
  return new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)
}

const UNSETTLED: Readonly<Record<string, Millis>> = {}

/** Below it a copy costs less than a fresh buffer for the network. */
const MIN_KEPT = 16 * 1024
/** The first so many pieces that wait are kept as they came; behind them small ones share memory. */
const APART = 16
const MAX_SHARED = 1024
const SHARED = 4 * MAX_SHARED
/** The last of small pieces may not have filled what they share. */
function trimmed(piece: OwnedBytes): OwnedBytes {
  return piece.length * 4 < piece.buffer.byteLength ? piece.slice() : piece
}

export abstract class Exchange {
  /** Given by the driver. */
  id: RequestId = 0
  readonly driver: Driver
  readonly origin: Origin
  readonly head: RequestHead
  /** None once it has settled: whoever keeps the response does not keep what was sent for it. */
  source: PreparedContent
  mode: ContentMode
  /** To which connection, the last time. */
  #assigned: Assigned | undefined
  response: ResponseEvent | undefined
  trailers: Fields | undefined
  /** Of a request that has settled. */
  #timings: Readonly<Record<string, Millis>> | undefined
  bytesSent = 0
  bytesReceived = 0
  /** The end of the content has been delivered. */
  ended = false
  /** After 101, or 2xx to CONNECT: the bytes are no longer HTTP. */
  switched = false
  /** Of what we write after it, only what waits already still leaves. */
  protected endsWriting = false
  /** The last handshake that was asked for after the switch. */
  secured: LinkInfo | undefined
  /** Why it failed; undefined: it has not. */
  failure: { readonly error: unknown } | undefined
  #traced = false
  #content: ContentPump | undefined
  #hooks: ExchangeHooks
  #received = 0
  #target: OwnedBytes | undefined
  /** Made when something waits: what is collected at its full length never does. */
  #queue: OwnedBytes[] | undefined
  #next = 0

  constructor(driver: Driver, { origin, head, source }: PreparedRequest, mode: ContentMode, hooks: ExchangeHooks) {
    this.driver = driver
    this.origin = origin
    this.head = head
    this.source = source
    this.mode = mode
    this.#hooks = hooks
    driver.enter(this)
    if (hooks.signal !== undefined) watch(hooks.signal, this)
  }

  /** Something of the above is different now. */
  protected abstract changed(): void
  /** Whether the content's source may answer with promises. */
  protected abstract get mayWait(): boolean
  abstract openContent(): void
  abstract pullContent(): void
  abstract stopContent(): void
  /** Mode 'lend', which only who has this sets: the bytes are taken before it returns, or their buffer is kept. */
  protected lend?(data: Bytes): void

  /** What the request's content is pulled from; nobody asks where there is none. */
  protected get content(): ContentPump {
    return (this.#content ??= new ContentPump(this, this.#hooks.trailers, this.mayWait))
  }
  get trace(): TraceCallback | undefined {
    return this.#hooks.trace
  }

  start({ plan, timeouts }: PreparedRequest, trace: boolean): void {
    const { expectContinue, sniHostname } = this.#hooks
    this.#traced = trace
    this.driver.begin({
      type: 'request',
      id: this.id,
      origin: this.origin,
      head: this.head,
      content: plan,
      replayable: this.source.replayable,
      timeouts,
      expectContinue,
      sniHostname,
      trace,
    })
    // It may have been aborted since it was looked at: by an option that was read after it, or while HTTP/2 was loaded.
    this.heedSignal()
  }

  deliver(event: DeliveredEvent): void {
    switch (event.type) {
      case 'data':
        return this.#data(event.data)
      case 'response':
        this.response = event
        if (this.duplex && this.mode === 'collect') this.mode = 'queue'
        return this.changed()
      case 'end':
        this.trailers = event.trailers
        this.ended = true
        return this.changed()
      case 'informational':
        return this.#informational(event.status, event.headers)
      case 'switched':
        this.switched = true
        if (this.mode === 'collect') this.mode = 'queue'
        if (event.leading.byteLength > 0) this.#keep(event.leading)
        return this.changed()
      case 'secured':
        if (this.queued) return this.giveUp(this.#forged())
        this.secured = event.info
        return this.changed()
    }
  }

  #informational(status: number, headers: Fields): void {
    const { onInformational } = this.#hooks
    if (onInformational === undefined) return
    this.callBack(() => {
      onInformational(status, headers)
      this.driver.look()
      this.heedSignal()
    })
  }
  /** After a callback: all of the response may have come by now, and nobody listen to the signal any more. */
  heedSignal(): void {
    const { signal } = this.#hooks
    if (signal?.aborted === true) this.giveUp(signal.reason)
  }

  assign(assigned: Assigned): void {
    this.#assigned = assigned
  }
  settle(settled: Settled): void {
    if (this.#hooks.signal !== undefined) unwatch(this.#hooks.signal, this)
    if (!this.source.replayable) discard(this.source.open?.())
    this.source = NO_CONTENT
    this.#content = undefined
    const { result, timings, bytesSent, bytesReceived } = settled
    this.#timings = timings
    this.bytesSent = bytesSent
    this.bytesReceived = bytesReceived
    if (this.#received > this.#hooks.maxContentBytes) this.failure ??= { error: this.#tooLarge() }
    if (!result.ok && result.error !== CLOSED && this.failure === undefined) this.failure = { error: result.error }
    this.changed()
  }

  /** Whoever has this may read on, and nobody else may. */
  ownedBy(owner: object): void {
    if (this.#traced && !this.settled) watchOwner(this, owner)
  }
  /** Nobody has to read on. */
  disowned(): void {
    if (this.#traced) unwatchOwner(this)
  }
  dropped(): void {
    if (this.settled) return
    const { origin, head } = this
    const info = { warning: 'a response was dropped unread', method: head.method, origin: formatOrigin(origin) }
    this.driver.report({ name: 'response.dropped', request: this.id, connection: this.#assigned?.link, info }, this)
  }

  /** Made when somebody asks: most never do, and a connection that kept it would have a twentieth more of heap. */
  get connection(): ConnectionInfo | undefined {
    if (this.#assigned === undefined) return undefined
    const { link, reused, httpVersion, info } = this.#assigned
    const ours = { id: link, reused, httpVersion }
    // What is spread stands last: V8 gives an object that grows after a spread a hidden class of its own, 300 bytes more.
    // Ours are set once more since a network within another may pass on all that the other's response told.
    return Object.freeze(Object.assign({ id: link, reused, httpVersion, ...info }, ours))
  }
  get settled(): boolean {
    return this.#timings !== undefined
  }
  get timings(): Readonly<Record<string, Millis>> {
    return this.#timings ?? UNSETTLED
  }

  #data(data: Bytes): void {
    switch (this.mode) {
      case 'collect':
        return this.#collect(data)
      case 'queue':
        this.#keep(data)
        return this.changed()
      case 'lend':
        return this.lend?.(data)
      case 'drop':
        return this.consumed(data.byteLength)
    }
  }

  /** There is something to return to whoever began it: the head, all of the content where it is collected, or a failure. */
  get answered(): boolean {
    return this.failure !== undefined || (this.mode === 'collect' ? this.settled : this.headed)
  }
  /** A 101 that came before all of the content had left is one when it has. */
  protected get headed(): boolean {
    return this.response !== undefined && (this.switched || this.response.status !== 101)
  }

  /** Calls the user: at once, or when the interface lets users in. */
  protected callBack(callback: () => void): void {
    this.guard(callback)
  }
  /** The driver's own bookkeeping goes on when a user's callback throws: its request fails with what was thrown. */
  guard(callback: () => void): void {
    try {
      callback()
    } catch (error) {
      this.giveUp(error)
    }
  }
  /** What the request fails with, even when all its bytes are there already: what the user's own code threw, or its signal's reason. */
  giveUp(error: unknown): void {
    this.failure ??= { error }
    this.cancel(error)
    this.changed()
  }

  /** Gives the request up; it settles with the reason, or without an error where that is CLOSED. */
  cancel(reason: unknown): void {
    this.ask({ type: 'cancel', id: this.id, reason })
  }
  /** The owner has no more use for it; what was written after a switch still leaves. */
  protected abandon(): void {
    this.dropContent()
    if (this.duplex) this.ask({ type: 'contentEnd', id: this.id })
    this.cancel(CLOSED)
  }
  consumed(bytes: number): void {
    if (!this.settled) this.driver.consumed(this.id, bytes)
  }
  /** About this request; after it has settled nobody would hear it. */
  ask(input: PoolInput): void {
    if (!this.settled) this.driver.ask(input)
  }

  /** Owned from now on: copied, or kept together with the network's buffer. */
  own(data: Bytes): OwnedBytes {
    const { buffer, byteOffset, byteLength } = data
    const large = byteLength >= MIN_KEPT && byteLength * 4 >= buffer.byteLength
    if (!large || !(buffer instanceof ArrayBuffer) || !this.driver.keep(buffer)) return new Uint8Array(data)
    return new Uint8Array(buffer, byteOffset, byteLength)
  }
  #keep(data: Bytes): void {
    const queue = this.#queue
    const { length } = data
    if (queue === undefined || length >= MAX_SHARED || queue.length - this.#next < APART) {
      return void (this.#queue ??= []).push(this.own(data))
    }
    // Each object takes a hundred bytes: a small piece goes behind the last one, where nobody has that yet.
    const last = queue.at(-1) as OwnedBytes
    const used = last.buffer.byteLength === SHARED ? last.length : SHARED
    const fits = used + length <= SHARED
    const piece = fits ? new Uint8Array(last.buffer, 0, used + length) : new Uint8Array(SHARED).subarray(0, length)
    piece.set(data, piece.length - length)
    if (fits) queue[queue.length - 1] = piece
    else queue.push(piece)
  }

  get queued(): boolean {
    return this.#queue !== undefined && this.#next < this.#queue.length
  }
  /** The next piece of content, and with it the room for more, unless it is lent. */
  take(lent = false): OwnedBytes | undefined {
    const queue = this.#queue
    const chunk = queue?.[this.#next]
    if (queue === undefined || chunk === undefined) return undefined
    this.#next++
    // Not only at the end of it: a reader who is behind may never come there.
    if (this.#next * 2 >= queue.length) this.#forgetTaken()
    if (!lent) this.consumed(chunk.byteLength)
    return trimmed(chunk)
  }

  #forgetTaken(): void {
    this.#queue?.splice(0, this.#next)
    this.#next = 0
  }

  #collect(data: Bytes): void {
    const from = this.#received
    this.#received = from + data.byteLength
    if (this.#received > this.#hooks.maxContentBytes) return this.cancel(this.#tooLarge())
    this.#target ??= this.#preallocated(from)
    if (this.#target !== undefined) this.#target.set(data, from)
    else this.#keep(data)
    this.consumed(data.byteLength)
  }
  /** Memory for all of the content, and in it what came before. */
  #preallocated(from: number): OwnedBytes | undefined {
    const { framing, headers } = this.response as ResponseEvent
    const said = framing === 'length' || framing === 'frames' ? headers.get('content-length') : undefined
    const length = said === undefined ? -1 : parseDecimal(said)
    if (length < this.#received || length > Math.max(MAX_PREALLOCATED, from * BELIEVED)) return undefined
    try {
      return this.#joined(memory(length))
    } catch (error) {
      // There is no memory for it in one piece: then there will be none when all of it has come.
      this.giveUp(error)
      return undefined
    }
  }
  #joined(content: OwnedBytes): OwnedBytes {
    let offset = 0
    for (const chunk of this.#queue ?? []) {
      content.set(chunk, offset)
      offset += chunk.byteLength
    }
    this.#queue = undefined
    return content
  }
  /** What was sent and received is known when it has settled. */
  #tooLarge(): RemoteProtocolError {
    const message = `the content is longer than the ${this.#hooks.maxContentBytes} bytes of maxContentBytes`
    return new RemoteProtocolError(message, {
      code: 'limit-content',
      phase: 'resp_body',
      origin: formatOrigin(this.origin),
      bytesSent: this.bytesSent,
      bytesReceived: this.bytesReceived,
      disposition: 'response-started',
    })
  }

  /** From now on everything is collected, what is queued first; whoever asks has seen the head, and no limit is kept. */
  collectRest(): void {
    if (this.mode === 'drop') return
    this.mode = 'collect'
    this.#hooks = { ...this.#hooks, maxContentBytes: Infinity }
    this.#forgetTaken()
    for (const chunk of this.#queue ?? []) {
      this.#received += chunk.byteLength
      this.consumed(chunk.byteLength)
    }
  }
  /** All content of a response that was read to its end; LocalProtocolError: it was closed, or dropped meanwhile. */
  whole(): OwnedBytes {
    if (!this.ended || this.mode === 'drop') throw closedUnread()
    return this.collected()
  }
  /** All content that was collected. */
  collected(): OwnedBytes {
    if (this.#target !== undefined) return this.#target
    const chunks = this.#queue ?? []
    if (chunks.length === 1) return trimmed(chunks[0] as OwnedBytes)
    return this.#joined(memory(this.#received))
  }

  /** From now on nobody reads. */
  dropContent(): void {
    this.mode = 'drop'
    while (this.take() !== undefined);
  }

  /** After 101, or 2xx to CONNECT: bytes go both ways under the caller's control. */
  get duplex(): boolean {
    const status = this.response?.status ?? 0
    return this.switched || (this.head.method === 'CONNECT' && status >= 200 && status < 300)
  }

  /** Throws where a handshake may not begin, or not with that. */
  checkTls({ serverName, alpn = [] }: { readonly serverName?: unknown; readonly alpn?: unknown }): void {
    checkType('serverName', serverName, 'string')
    if (!Array.isArray(alpn) || alpn.some((one) => typeof one !== 'string'))
      throw new TypeError('alpn must be an array of strings')
    if (this.endsWriting && !this.settled) throw streamEnded()
    if (this.response?.framing === 'frames')
      throw misuse('start-tls', 'RFC 9113 §9.2', 'a stream of HTTP/2 cannot be secured: its connection is shared')
    if (this.queued)
      throw misuse(
        'surplus-before-tls',
        'RFC 8446 §4',
        'bytes came before the handshake; they would be lost, or forged',
      )
  }

  /** Whoever reads on would take for secured what came before the handshake that was asked for. */
  #forged(): ConnectError {
    return new ConnectError('bytes came before the TLS handshake', {
      code: 'surplus-before-tls',
      rule: 'RFC 8446 §4',
      phase: 'tls',
      origin: formatOrigin(this.origin),
      disposition: 'response-started',
    })
  }
}
