// One request on its way through the pool: what was asked, where it stands, and what is known of its fate.
//
// The stage says where its time is spent and what an error is called; content has a little state of its own, since it
// runs beside the response.
import {
  hasSome,
  IDEMPOTENT_METHODS,
  type BlockedOn,
  type ContentPlan,
  type Disposition,
  type ExchangeId,
  type Fields,
  type Ledger,
  type Millis,
  type RequestHead,
} from '../http/index.ts'
import type { PoolInput, RequestId, Timeouts } from './commands.ts'
import type { LiveConnection, PoolConnection, Site } from './connection.ts'
import { Waiter, type Need } from './scheduler.ts'
import { Deadline, type Timers } from './timers.ts'

export type RequestInput = Extract<PoolInput, { type: 'request' }>

/** queued: waits for a seat. sending: its request leaves. waiting: for the final head. receiving: content. */
export type Stage = 'queued' | 'sending' | 'waiting' | 'receiving' | 'tunnel' | 'over'
/**
 * none: there is none. held: until 100 (Continue). blocked: waits for the machine. pulled: the source owes a chunk.
 * dropped: what has not left by now never will.
 */
export type ContentState = 'none' | 'held' | 'blocked' | 'pulled' | 'ended' | 'dropped'
/** Of a moment that has not come. */
export const NEVER: Millis = -Infinity
/** What a trace calls the parts of an exchange, after httpcore. */
export type TraceStep =
  | 'send_request_headers'
  | 'send_request_body'
  | 'receive_response_headers'
  | 'receive_response_body'
  | 'response_closed'
export type ExchangeTimer = 'pool' | 'total' | 'io' | 'expect' | 'drain' | 'backoff'
type ExchangeDeadline = Deadline<Exchange, ExchangeTimer>

/** A request on a connection, from the seat it is given to the end; a request that is sent again has another. */
export class Attempt implements Ledger {
  /** undefined: it has left it. */
  connection: LiveConnection | undefined
  /** Its connection was used before, or stood idle. */
  readonly mayBeStale: boolean
  /** Its id there. */
  onConnection: ExchangeId = 0
  /** The step that a trace was told the start of. */
  step: TraceStep | undefined
  /** The response has come to its end. */
  ended = false
  /** A tunnel within HTTP/2: content goes both ways for as long as both sides want. */
  duplex = false
  /** What was delivered and not consumed. */
  unconsumed = 0
  /** Its last byte was handed over, and the machine has not let go of it. */
  leaving = false
  /** The network has to have accepted so much before the request counts as sent. */
  sentMark = 0
  bytesSent = 0
  bytesReceived = 0

  readonly assignedAt: Millis
  sentAt: Millis = NEVER
  headAt: Millis = NEVER
  /** Since when nothing has moved, in the direction that matters. */
  movedAt: Millis

  constructor(connection: LiveConnection | undefined, mayBeStale: boolean, now: Millis) {
    this.connection = connection
    this.mayBeStale = mayBeStale
    this.assignedAt = this.movedAt = now
  }
  /** Something of a response came, if only 1xx, or a part of a head. */
  get begun(): boolean {
    return this.bytesReceived > 0
  }
  /** What is known of it, unless the peer says more. */
  get disposition(): Disposition {
    if (this.headAt !== NEVER) return 'response-started'
    return this.bytesSent > 0 ? 'maybe-processed' : 'not-sent'
  }
}
/** Of whoever has no seat: a hundred thousand may wait, so that they share it. */
const NOWHERE: Attempt = Object.freeze(new Attempt(undefined, false, NEVER))

export class Exchange extends Waiter {
  readonly id: RequestId
  readonly head: RequestHead & { readonly headers: Fields }
  readonly plan: ContentPlan
  readonly replayable: boolean
  readonly timeouts: Timeouts
  readonly expectContinue: boolean
  readonly traced: boolean
  /** It may be sent again, whatever became of it. */
  readonly repeatable: boolean
  readonly queuedAt: Millis

  stage: Stage = 'queued'
  content: ContentState = 'none'
  opened = false
  attempt = NOWHERE
  /** The source was asked for a chunk, in this attempt or an earlier one. */
  pulled = false
  /** How much more of its response is read and dropped; undefined: it is delivered. */
  draining: number | undefined
  replays = 0
  staleRetries = 0
  /** An attempt before this one was lost with what had left of it: whatever becomes of this one does not undo that. */
  maybeProcessed = false
  #deadlines: Partial<Record<ExchangeTimer, ExchangeDeadline>> | undefined
  // Those that nearly every request has, or every one that waits, stand by themselves: a hundred thousand may wait.
  #io: ExchangeDeadline | undefined
  #pool: ExchangeDeadline | undefined

  constructor(input: RequestInput, head: Exchange['head'], site: Site, need: Need, now: Millis) {
    super(site, need)
    this.id = input.id
    this.head = head
    this.plan = input.content
    this.replayable = input.replayable
    this.timeouts = input.timeouts
    this.expectContinue = input.expectContinue && hasSome(input.content)
    this.traced = input.trace
    this.repeatable = input.replayable && this.idempotent
    this.queuedAt = now
  }

  /** It has a seat. */
  begin(connection: LiveConnection, mayBeStale: boolean, now: Millis): Attempt {
    this.stage = 'sending'
    return (this.attempt = new Attempt(connection, mayBeStale, now))
  }
  /**
   * It has none any more.
   * @param unprocessed as if it had never had one; else what has left stays known until it is sent again
   */
  sendBack(unprocessed: boolean): void {
    const { mayBeStale, bytesSent } = this.attempt
    this.attempt = unprocessed ? NOWHERE : new Attempt(undefined, mayBeStale, NEVER)
    if (!unprocessed) {
      this.attempt.bytesSent = bytesSent
      this.maybeProcessed = true
    }
    this.stage = 'queued'
    this.content = 'none'
  }
  /**
   * It is over. One that has waited long is in the old generation, and keeps alive what it points to until that is
   * collected: a sixth of all that survives where a hundred thousand wait.
   */
  shed(): void {
    this.attempt = NOWHERE
    this.#io = this.#pool = undefined
  }

  get site(): Site {
    return this.origin as Site
  }
  /** Of the network: how long nothing may move. */
  get ioDeadline(): ExchangeDeadline {
    return (this.#io ??= new Deadline(this, 'io'))
  }
  /** Of the wait for a seat. */
  get poolDeadline(): ExchangeDeadline {
    return (this.#pool ??= new Deadline(this, 'pool'))
  }
  deadline(timer: Exclude<ExchangeTimer, 'io' | 'pool'>): ExchangeDeadline {
    const deadlines = (this.#deadlines ??= {})
    return (deadlines[timer] ??= new Deadline(this, timer))
  }
  /** It has a seat, or a dial of its own. */
  clearPool(timers: Timers): void {
    if (this.#pool !== undefined) timers.clear(this.#pool)
  }
  /** None of its deadlines comes any more. */
  clearDeadlines(timers: Timers): void {
    this.clearPool(timers)
    if (this.#io !== undefined) timers.clear(this.#io)
    if (this.#deadlines !== undefined) for (const deadline of Object.values(this.#deadlines)) timers.clear(deadline)
  }

  /** A final response has begun. */
  get answered(): boolean {
    return this.attempt.headAt !== NEVER
  }
  /** Some of its content is still to come from the source. */
  get uploading(): boolean {
    return this.content === 'held' || this.content === 'blocked' || this.content === 'pulled'
  }
  get idempotent(): boolean {
    return IDEMPOTENT_METHODS.has(this.head.method)
  }
  /** Where an error says that it stood. */
  get phase(): string {
    switch (this.stage) {
      case 'queued':
        return this.dial === undefined ? 'pool' : ((this.dial as PoolConnection).establishing?.phase ?? 'connect')
      case 'sending':
        return this.content === 'none' || this.content === 'held' ? 'req_head' : 'req_body'
      case 'waiting':
        return this.attempt.begun ? 'resp_head' : 'waiting'
      default:
        return 'resp_body'
    }
  }
  get blockedOn(): BlockedOn {
    switch (this.stage) {
      case 'queued':
        return { want: this.dial === undefined ? 'slot' : 'dial', since: this.queuedAt }
      case 'sending': {
        const { connection, onConnection, movedAt } = this.attempt
        const credit = connection?.machine.sendWindow(onConnection) ?? Infinity
        const want = this.content !== 'none' && credit <= 0 ? 'stream-credit' : 'writable'
        return { want, since: Math.max(movedAt, connection?.lastDrained ?? NEVER) }
      }
      default:
        return { want: 'readable', since: this.attempt.movedAt }
    }
  }
  /** Milliseconds: queued, sent (from the assignment), waiting (from sent to the head), total. */
  timings(now: Millis): Readonly<Record<string, Millis>> {
    const { queuedAt } = this
    const { assignedAt, sentAt, headAt } = this.attempt
    return {
      queued: (assignedAt === NEVER ? now : assignedAt) - queuedAt,
      sent: sentAt === NEVER ? 0 : sentAt - assignedAt,
      // The head may come before the last byte of the request has left.
      waiting: headAt === NEVER ? 0 : Math.max(headAt - (sentAt === NEVER ? assignedAt : sentAt), 0),
      total: now - queuedAt,
    }
  }
}
