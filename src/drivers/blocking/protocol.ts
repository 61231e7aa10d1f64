// What the two threads say to each other. Bytes and small facts travel as records in two rings; what has structure (an
// address to dial, TLS options, an error, a certificate) is posted on a port just before the record that announces it,
// and taken from there synchronously by whoever reads the record. So the order of the rings is the order of everything.
//
// A few shared words beside the rings say who sleeps and who has to be woken. The caller sleeps in Atomics.wait on BELL;
// the worker has sockets to listen to and sleeps in its event loop, from where a message wakes it: postMessage and
// Atomics.waitAsync cost the same (5.7 and 5.3 µs there and back), and every runtime has the former.
//
// Each end imports this file; it runs nothing by itself.
import type { MessagePort } from 'node:worker_threads'
import type { ConnectTarget, LinkInfo, LinkSide, TlsTarget } from '../../pool/lean.ts'

/** A record's `what`, caller to worker. */
export const COMMAND = {
  /** Announces a Connect. */
  connect: 1,
  /** Announces a StartTls. */
  startTls: 2,
  write: 3,
  end: 4,
  pause: 5,
  resume: 6,
  close: 7,
  destroy: 8,
  /** Announces a host. */
  resolve: 9,
  /** To be answered when all that has come was told. */
  catchUp: 10,
} as const

/** A record's `what`, worker to caller. */
export const FACT = {
  /** These two announce a LinkInfo. */
  connected: 1,
  secured: 2,
  received: 3,
  drained: 4,
  /** Its value is one of CLEAN. */
  eof: 5,
  /** Announces a Failure. */
  failed: 6,
  closed: 7,
  /** Announces an Answer. */
  resolved: 8,
  caughtUp: 9,
} as const

/** Whether the peer's end was known to be one. */
export const CLEAN: readonly (boolean | undefined)[] = [undefined, true, false]

/** The shared words. */
export const WORD = {
  /** Counts what happened on the worker's side; the caller sleeps on it. */
  bell: 0,
  /** 1: the caller sleeps, or is about to. */
  callerSleeps: 1,
  /** 1: the worker was woken and has not looked yet. */
  workerWoken: 2,
  /** 1: facts wait in the worker for room in the ring. */
  factsWait: 3,
  /** 1: the worker has ended. */
  ended: 4,
  /** Counts how often the worker was asked whether it lives: one that is gone cannot say so. */
  ping: 5,
  /** The last of them that was answered. */
  pong: 6,
  /** 1: the caller waits for room in its own ring. */
  commandsWait: 7,
} as const
export const WORDS = 16
/** Small enough to stay in a core's own cache on the way from one thread to the other: at 1 MiB a copy costs half more. */
export const RING_BYTES = 256 * 1024

/** TLS options that may come again have an id; `value` is left out once it was sent. 0: not to be kept. */
export interface SentOptions {
  readonly id: number
  readonly value?: unknown
}
/** So that sessions are resumed and certificates sent once. */
const MAX_KEPT_OPTIONS = 100
/** What was sent is kept by both ends alike, in its order: neither has to tell the other what it has forgotten. */
export function keepOptions<K, V>(kept: Map<K, V>, key: K, value: V): void {
  kept.set(key, value)
  const oldest = kept.keys().next()
  if (kept.size > MAX_KEPT_OPTIONS && oldest.done !== true) kept.delete(oldest.value)
}
export type SentTls = Omit<TlsTarget, 'options'> & { readonly options: SentOptions }
export type SentTarget = Omit<ConnectTarget, 'tls'> & { readonly tls: SentTls | undefined }
/** On the port to the worker, in the order of the records that announce them. */
export type ToWorker = { readonly connect: SentTarget } | { readonly startTls: SentTls } | { readonly resolve: string }
/** On the port to the caller, likewise. `ended` needs no record: the word of that name announces it. */
export type ToCaller =
  | { readonly info: LinkInfo }
  | { readonly failed: SentError; readonly side: LinkSide }
  | { readonly resolved: readonly string[]; readonly error: SentError | undefined }
  | { readonly ended: SentError }

/** What the worker is given to begin with. */
export interface WorkerStart {
  readonly name: typeof WORKER_NAME
  readonly commands: SharedArrayBuffer
  readonly facts: SharedArrayBuffer
  readonly words: SharedArrayBuffer
  readonly port: MessagePort
}

export const WORKER_NAME = 'httpcore'
/** Whether it is the worker's own thread that was started with this. */
export function isWorkerStart(data: unknown): data is WorkerStart {
  return typeof data === 'object' && data !== null && (data as Partial<WorkerStart>).name === WORKER_NAME
}

// ── errors ──

type Plain = string | number | boolean | null | undefined
/** Structured clones of errors lose `code`, `errno`, `syscall`: what a caller asks for first. */
export interface SentError {
  readonly name: string
  readonly message: string
  readonly stack: string | undefined
  readonly more: Readonly<Record<string, Plain>>
  readonly cause: SentError | undefined
}

export function sendableError(error: unknown): SentError {
  if (!(error instanceof Error)) {
    return { name: 'Error', message: String(error), stack: undefined, more: {}, cause: undefined }
  }
  const more = Object.fromEntries(Object.entries(error).filter(([, value]) => isPlain(value))) as Record<string, Plain>
  const cause = error.cause === undefined ? undefined : sendableError(error.cause)
  return { name: error.name, message: error.message, stack: error.stack, more, cause }
}

/** The error that was sent, as far as it can be told here. */
export function receivedError({ name, message, stack, more, cause }: SentError): Error {
  const options = cause === undefined ? undefined : { cause: receivedError(cause) }
  const error = new (CLASSES.get(name) ?? Error)(message, options)
  if (stack !== undefined) error.stack = stack
  return Object.assign(error, more)
}

const CLASSES: ReadonlyMap<string, ErrorConstructor> = new Map<string, ErrorConstructor>([
  ['TypeError', TypeError],
  ['RangeError', RangeError],
])

function isPlain(value: unknown): value is Plain {
  return value === null || (typeof value !== 'object' && typeof value !== 'function' && typeof value !== 'symbol')
}
