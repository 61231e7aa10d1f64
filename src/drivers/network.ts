// A network has sockets and the clock: link commands go in, one call per fact comes out. It knows no HTTP and makes no
// promise. Anything that carries bytes both ways can be one; `httpcore/conformance` says what it must hold to.
import type { Bytes, Millis } from '../http/index.ts'
import type { ConnectTarget, LinkInfo, LinkSide, TlsTarget } from '../pool/lean.ts'

/** What a network is able to do. What is missing is an explicit error, never a silent downgrade. */
export interface NetworkCapabilities {
  readonly alpn: boolean
  readonly sni: boolean
  readonly startTls: boolean
  readonly halfClose: boolean
  readonly unix: boolean
  /** Whether a TLS end with close_notify is told from one without. Node cannot. */
  readonly closeNotify: boolean
}

export interface Network {
  readonly can: NetworkCapabilities
  /** Milliseconds on a monotonic clock of any origin. */
  now(): Millis
  /**
   * Calls `fire` once at `at` (late, never early by more than a millisecond); returns the way to call it off.
   * @param keepAlive whether the process must stay for it
   */
  timer(at: Millis, fire: () => void, keepAlive: boolean): () => void
  resolve(host: string, done: (error: unknown, addresses: readonly string[]) => void): void
  connect(target: ConnectTarget, sink: Sink): Link
  /**
   * Calls `done` once when all that has come by now was told, not from inside the call. Left out: nothing comes that is
   * not told at once.
   */
  readonly caughtUp?: ((done: () => void) => void) | undefined
  /** Chance for the jitter of pools, from 0 to below 1. Left out: the platform's. */
  readonly random?: (() => number) | undefined
  /** Of a single connection: nothing is dialled in its place. @internal */
  readonly once?: boolean | undefined
}

/** One connection, as far as a network cares. Every call is answered by facts at its Sink, never from inside the call. */
export interface Link {
  /** Takes the chunks, in order; they are not changed until drained. */
  write(chunks: readonly Bytes[]): void
  /** Half-close after what was written. */
  end(): void
  /** Stop reading. What was read already may still come: one read buffer, 64 KiB, at most. */
  pause(): void
  resume(): void
  /** TLS over what is connected, after what was written; answered by secured or failed with side 'tls'. */
  startTls(tls: TlsTarget): void
  ref(): void
  unref(): void
  /** Finish writing, then close. Answered by closed. */
  close(): void
  /** Now. Answered by closed. */
  destroy(): void
}

/** One call per fact, in order, nothing after closed(), never from inside a call of Network, Link or another Sink. */
export interface Sink {
  connected(info: LinkInfo): void
  secured(info: LinkInfo): void
  /**
   * 1 to 65,536 bytes, lent until it returns; true: the receiver keeps the buffer, which no other piece shares.
   * @param turn the same number for what came together: one look at the clock is enough for it
   */
  received(data: Bytes, turn?: number): boolean
  /**
   * Bytes accepted since the last call; for a pending write at least once a second while there is progress.
   * @param atOnce they were accepted as they were written, so that the clock need not be looked at again
   */
  drained(bytes: number, atOnce?: boolean): void
  eof(clean?: boolean): void
  /**
   * After side 'write', received and eof may follow until closed; after any other, only closed. The error's `code` is
   * Node's where it has one: ECONNREFUSED, ECONNRESET.
   */
  failed(error: unknown, side: LinkSide): void
  closed(): void
}
