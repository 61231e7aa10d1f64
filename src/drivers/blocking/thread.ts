// The worker as the calling thread sees it: started, told, listened to, slept beside, and found dead when it is.
//
// A thread that sleeps in Atomics.wait hears no event of its worker. So every sleep has an end, a worker that ends says so
// in a shared word, and one that was silent for a second is asked; who does not answer for five is given up.
import type * as WorkerThreads from 'node:worker_threads'
import type { MessagePort, Worker } from 'node:worker_threads'
import { NetworkError, type Bytes, type Millis } from '../../http/index.ts'
import { builtin } from '../shared/builtin.ts'
import { now } from '../shared/time.ts'
import {
  COMMAND,
  isWorkerStart,
  receivedError,
  RING_BYTES,
  WORD,
  WORKER_NAME,
  WORDS,
  type ToCaller,
  type ToWorker,
  type WorkerStart,
} from './protocol.ts'
import { makeRing, RingReader, RingWriter } from './ring.ts'
import { WORKER_FILE } from './worker-file.ts'

/** How long one sleep lasts at most; also how long a worker may be silent before it is asked. */
const LONGEST_SLEEP: Millis = 1_000
/** How long it has for an answer. Starting takes a tenth of a second; a busy machine may take ten times as long. */
const PATIENCE: Millis = 5_000

type Threads = typeof WorkerThreads

/** The worker is gone: what was under way on its links is lost, the next request starts another. */
export class WorkerLost extends NetworkError {
  constructor(message: string, cause?: unknown) {
    super(message, { code: 'worker-lost', phase: 'connect', disposition: 'maybe-processed', cause })
  }
}

function unavailable(why: string, cause?: unknown): NetworkError {
  const message = `the blocking interface cannot work here: ${why}. Use the async interface, 'httpcore'`
  return new NetworkError(message, { code: 'blocking-unavailable', phase: 'connect', cause })
}

/** NetworkError 'blocking-unavailable' where there are no worker threads, no shared memory, or no right to sleep. */
function threads(): Threads {
  const found = builtin('node:worker_threads')
  if (found?.Worker === undefined) throw unavailable('it needs node:worker_threads')
  if (typeof SharedArrayBuffer === 'undefined') throw unavailable('it needs shared memory')
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1, 0)
  } catch (error) {
    throw unavailable('this thread may not sleep', error)
  }
  // It would fail to start later, where nobody hears of it.
  const there = WORKER_FILE.protocol !== 'file:' || builtin('node:fs')?.existsSync(WORKER_FILE) !== false
  if (!there) throw unavailable(`its worker is not at ${WORKER_FILE.href}; a bundler has to copy it there`)
  return found
}

// A worker is started with the flags of its process, so what those load (--import, --require) is loaded in it too, before
// its own file. That may make a blocking request: on this thread another worker serves it, which must load nothing.

function needsBareStart(workerData: unknown): boolean {
  // A flag for a script on the command line, which a worker's file is not.
  return isWorkerStart(workerData) || process.execArgv.some((flag) => flag.startsWith('--input-type'))
}

const WORDS_OF_OPTIONS = /(?:"(?:\\.|[^"])*"|[^\s"])+/g
const OF_SOCKETS = /^"?--(?:tls-(?:keylog|min|max)|dns-result-order|(?:no-)?(?:enable-)?network-family)/

/**
 * Only the flags that sockets heed, each with its value: a minimum of TLS holds however the worker is started. Those of the
 * whole process need not be given, and must not.
 */
function bareStart(): Pick<WorkerThreads.WorkerOptions, 'execArgv' | 'env'> {
  const flags = [
    ...(process.env['NODE_OPTIONS']?.match(WORDS_OF_OPTIONS) ?? []),
    ...process.execArgv.map((flag) => JSON.stringify(flag)),
  ]
  let heeded = false
  const kept = flags.filter((flag) => (heeded = OF_SOCKETS.test(flag) || (heeded && !/^"?-/.test(flag))))
  return { execArgv: [], env: { ...process.env, NODE_OPTIONS: kept.join(' ') } }
}

export class WorkerThread {
  readonly facts: RingReader
  readonly #threads: Threads
  readonly #worker: Worker
  readonly #commands: RingWriter
  readonly #words: Int32Array
  readonly #port: MessagePort
  #lost: WorkerLost | undefined
  #pings = 0
  #askedAt: Millis = 0
  #heardAt: Millis = now()

  constructor() {
    this.#threads = threads()
    const words = new SharedArrayBuffer(4 * WORDS)
    const { port1, port2 } = new this.#threads.MessageChannel()
    const start: WorkerStart = {
      name: WORKER_NAME,
      commands: makeRing(RING_BYTES),
      facts: makeRing(RING_BYTES),
      words,
      port: port2,
    }
    this.#words = new Int32Array(words)
    this.#commands = new RingWriter(start.commands)
    this.facts = new RingReader(start.facts)
    this.#port = port1
    this.#worker = this.#start(start)
    this.#worker.unref()
    // Heard only between calls, while the event loop runs.
    this.#worker.on('error', (error) => this.#giveUp('has failed', error))
    this.#worker.on('exit', () => this.#giveUp('has ended'))
  }
  #start(workerData: WorkerStart): Worker {
    // It begins by looking at the ring: until then nobody has to wake it.
    Atomics.store(this.#words, WORD.workerWoken, 1)
    try {
      return new this.#threads.Worker(WORKER_FILE, {
        name: WORKER_NAME,
        workerData,
        transferList: [workerData.port],
        ...(needsBareStart(this.#threads.workerData) ? bareStart() : undefined),
      })
    } catch (error) {
      throw unavailable('the worker cannot be started', error)
    }
  }

  // ── to the worker ──

  /** Announces what has structure, then gives the command; waits for room. */
  tell(what: number, whose: number, announces?: ToWorker): void {
    if (announces !== undefined) this.#port.postMessage(announces)
    while (!this.#commands.put(what, whose, 0)) if (!this.#awaitRoom()) return
    this.wake()
  }
  /** Bytes, copied before it returns; waits for room as often as it has to. */
  write(whose: number, chunks: readonly Bytes[]): void {
    for (const chunk of chunks) {
      for (let sent = 0; sent < chunk.byteLength; ) {
        const n = this.#commands.putBytes(COMMAND.write, whose, chunk, sent)
        sent += n
        if (n === 0 && !this.#awaitRoom()) return
      }
    }
    this.wake()
  }
  /** The worker takes commands whatever else it has to do, so this ends. false: it is gone. */
  #awaitRoom(): boolean {
    Atomics.store(this.#words, WORD.commandsWait, 1)
    const seen = this.bell
    this.wake()
    if (this.#commands.room <= 0) this.sleep(seen, Infinity)
    return this.lost === undefined
  }
  /** It looks once, however often it was woken. */
  wake(): void {
    if (Atomics.exchange(this.#words, WORD.workerWoken, 1) === 0) this.#worker.postMessage(null)
  }

  // ── from the worker ──

  /** What the record that was read last has announced. */
  announced(): ToCaller | undefined {
    return (this.#threads.receiveMessageOnPort(this.#port) as { message: ToCaller } | undefined)?.message
  }
  /** After records were taken: a worker whose facts found no room goes on when half of it is free. */
  taken(): void {
    if (Atomics.load(this.#words, WORD.factsWait) === 1 && this.facts.halfFree) this.wake()
  }

  /** Changes with everything that the worker does: look at it, see that nothing is there, sleep until it is another. */
  get bell(): number {
    return Atomics.load(this.#words, WORD.bell)
  }
  /** Sleeps until the bell is not `seen` any more, for `millis` at most, or for a second. */
  sleep(seen: number, millis: Millis): void {
    Atomics.store(this.#words, WORD.callerSleeps, 1)
    const woken = Atomics.wait(this.#words, WORD.bell, seen, Math.min(millis, LONGEST_SLEEP))
    Atomics.store(this.#words, WORD.callerSleeps, 0)
    if (woken === 'timed-out') this.#askWhetherItLives(now())
    else this.#heardAt = now()
  }
  #askWhetherItLives(now: Millis): void {
    if (Atomics.load(this.#words, WORD.pong) !== this.#pings) {
      if (now - this.#askedAt > PATIENCE) this.#giveUp('does not answer')
    } else if (now - this.#heardAt >= LONGEST_SLEEP) {
      // In a word of its own: the ring of one that is gone may be full.
      Atomics.store(this.#words, WORD.ping, ++this.#pings)
      this.#askedAt = now
      this.wake()
    }
  }

  // ── its end ──

  /** Why it will never be heard of again, once its facts are taken; undefined: it lives, as far as is known. */
  get lost(): WorkerLost | undefined {
    if (this.#lost === undefined && Atomics.load(this.#words, WORD.ended) === 1) this.#giveUp('has ended')
    return this.#lost
  }
  #giveUp(how: string, cause?: unknown): void {
    this.#lost ??= new WorkerLost(`the worker of the blocking interface ${how}`, cause ?? this.#lastWords())
    void this.#worker.terminate()
  }
  #lastWords(): unknown {
    if (!this.facts.empty) return undefined
    for (let said = this.announced(); said !== undefined; said = this.announced()) {
      if ('ended' in said) return receivedError(said.ended)
    }
    return undefined
  }
}
