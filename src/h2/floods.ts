// The accounts that keep a peer within bounds: rates of what is legal and useless, and sums of what is held for it. They
// only say no; what becomes of the connection then is the session's business.
//
// Rates are token buckets on the given time, so that a peer that is merely long-lived is never taken for a flood. Sums
// are given back: as content is consumed, as a stream closes, as output is taken.
import type { Millis, ResolvedLimits } from '../http/index.ts'
import { TokenBucket } from './flow.ts'
import type { Stream } from './stream.ts'

/** DATA frames below this size cost more than their content while they are unread. */
const SMALL_DATA = 256

export class Floods {
  /** What a client does to a server: streams that it opens and resets, and resets that it provokes. */
  readonly resets: TokenBucket
  readonly provoked: TokenBucket
  /** DATA without content that ends nothing. */
  readonly #emptyData: TokenBucket
  /** All else that is legal and useless. */
  readonly glitches: TokenBucket
  /** Content that was delivered and is not consumed, and what its small frames cost beyond it. */
  unread = 0
  overhead = 0
  /** Decoded heads of running streams. */
  heads = 0
  goaways = 0
  /**
   * Frames that the peer made us write and has not been given yet: those behind which the output was marked, and those
   * written since. When the mark is given the older ones are, so that output which is never empty forgets them too.
   */
  #olderReplies = 0
  #newerReplies = 0
  #mark = 0
  readonly #limits: ResolvedLimits
  readonly #smallDataBudget: number

  constructor(limits: ResolvedLimits, now: Millis) {
    this.#limits = limits
    this.#smallDataBudget = Math.max(limits.smallDataBudget, limits.connectionWindow / 2)
    this.resets = new TokenBucket(limits.resetBurst, limits.resetRate, now)
    this.provoked = new TokenBucket(limits.provokedResetBurst, limits.provokedResetRate, now)
    this.#emptyData = new TokenBucket(limits.emptyDataBurst, limits.emptyDataRate, now)
    this.glitches = new TokenBucket(limits.glitchBurst, limits.glitchRate, now)
  }

  // ── content ──

  deliver(stream: Stream, bytes: number): void {
    stream.unread += bytes
    this.unread += bytes
  }
  /** DATA without content that ends nothing; false: there is too much of it. */
  empty(stream: Stream, now: Millis): boolean {
    stream.hadEmptyData = true
    return this.#emptyData.take(now)
  }
  /** One of a stream that ends is not counted: servers close the content with it before trailers, of every response. */
  ended(stream: Stream): void {
    if (stream.hadEmptyData) this.#emptyData.give()
  }
  /** false: more small frames are unread than they may cost. */
  frame(stream: Stream, content: number): boolean {
    if (content === 0 || content >= SMALL_DATA) return true
    stream.overhead += SMALL_DATA - content
    this.overhead += SMALL_DATA - content
    return this.overhead <= this.#smallDataBudget
  }
  /** What small frames cost is given back in the same part as their content. */
  consume(stream: Stream, bytes: number): void {
    const overhead = bytes === stream.unread ? stream.overhead : Math.floor((stream.overhead * bytes) / stream.unread)
    stream.overhead -= overhead
    this.overhead -= overhead
    stream.unread -= bytes
    this.unread -= bytes
  }
  /** Nobody will consume what is left of it. */
  discard(stream: Stream): void {
    this.unread -= stream.unread
    this.overhead -= stream.overhead
    stream.unread = stream.overhead = 0
  }
  /** So much is unread that the peer gets no more credit for the connection. */
  get unreadTooMuch(): boolean {
    return this.unread > this.#limits.maxUnreadBytes
  }

  // ── heads ──

  headFits(bytes: number): boolean {
    return this.heads + bytes <= this.#limits.maxHeldHeaderBytes
  }
  holdHead(stream: Stream, bytes: number): void {
    stream.headBytes += bytes
    this.heads += bytes
  }
  releaseHead(stream: Stream): void {
    this.heads -= stream.headBytes
  }

  // ── frames ──

  /** false: the peer does not read what it makes us write. */
  reply(): boolean {
    this.#newerReplies++
    return this.replies <= this.#limits.maxQueuedReplies
  }
  get replies(): number {
    return this.#olderReplies + this.#newerReplies
  }
  /** So many octets of output were given to the peer, of so many that were written. */
  given(octets: number, written: number): void {
    if (octets < this.#mark) return
    this.#olderReplies = octets === written ? 0 : this.#newerReplies
    this.#newerReplies = 0
    this.#mark = written
  }
  goaway(): boolean {
    return ++this.goaways <= this.#limits.maxGoaways
  }

  /** All streams are gone. */
  clear(): void {
    this.unread = this.overhead = this.heads = 0
  }
}
