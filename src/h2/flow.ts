// Flow control of what we receive (RFC 9113 §5.2, §6.9), and the rates that tell a flood from a peer that is merely
// long-lived. Numbers only: who writes the WINDOW_UPDATE and who breaks the connection is the connection's business.
//
// A window holds three numbers whose sum stays its size: what the peer may still send, what came and was not given back,
// and what was given back but is not announced yet. It is announced when it has grown to half of the size: after every
// frame costs 1.4 times as much, and small increments invite small frames.
import type { Millis } from '../http/index.ts'
import { MAX_31 } from './frames.ts'

export class ReceiveWindow {
  size: number
  /** What the peer may send. Negative after a SETTINGS that reduced it. */
  available: number
  /** Given back, not announced yet. */
  credit = 0

  constructor(size: number) {
    this.size = this.available = size
  }

  /** false: the peer sent more than it might. Nothing needs no room, not even in a window below 0. RFC 9113 §6.9.1. */
  take(n: number): boolean {
    if (n > Math.max(0, this.available)) return false
    this.available -= n
    return true
  }

  /** Gives n octets back. */
  give(n: number): void {
    this.credit += n
  }

  /** The increment to announce now; 0: none. */
  announce(): number {
    const increment = this.credit
    if (increment === 0 || 2 * increment < this.size) return 0
    this.credit = 0
    this.available += increment
    return increment
  }

  /** For a snapshot; what is in none of the two has come and was not given back. */
  get state(): { readonly size: number; readonly receive: number; readonly credit: number } {
    return { size: this.size, receive: this.available, credit: this.credit }
  }

  /** SETTINGS_INITIAL_WINDOW_SIZE has changed. */
  resize(size: number): void {
    this.available += size - this.size
    this.size = size
  }
}

/** A sender's window after an increment; undefined: it would pass 2^31−1. RFC 9113 §6.9.1. */
export function grown(window: number, increment: number): number | undefined {
  const sum = window + increment
  return sum > MAX_31 ? undefined : sum
}

/** `burst` tokens, refilled `rate` a second on the given time. */
export class TokenBucket {
  readonly #burst: number
  readonly #rate: number
  #tokens: number
  #at: Millis

  constructor(burst: number, rate: number, now: Millis) {
    this.#burst = burst
    this.#rate = rate
    this.#tokens = burst
    this.#at = now
  }

  /** false: too many in too little time. */
  take(now: Millis): boolean {
    if (now > this.#at) {
      this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#at) * this.#rate) / 1000)
      this.#at = now
    }
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }
  /** One that was taken is given back. */
  give(): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + 1)
  }
}
