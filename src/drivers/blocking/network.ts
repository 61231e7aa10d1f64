// The network of a thread that sleeps: links whose sockets live in the worker. What the worker tells becomes calls of a
// Sink inside `turn`, and nowhere else; so does a timer that is due. Nothing happens between turns.
//
// A link that is paused may have bytes in the ring still, and behind them stand other links' facts. They are copied
// aside, as much as the ring held at most, and delivered when it goes on.
//
// When the worker is lost, its links fail and close, and the next connect or look-up starts another.
import type { Bytes, Millis } from '../../http/index.ts'
import type { ConnectTarget, LinkInfo, LinkSide, TlsTarget } from '../../pool/lean.ts'
import type { Link, Network, NetworkCapabilities, Sink } from '../network.ts'
import { now } from '../shared/time.ts'
import {
  CLEAN,
  COMMAND,
  FACT,
  keepOptions,
  receivedError,
  RING_BYTES,
  type SentTls,
  type ToCaller,
} from './protocol.ts'
import { MAX_RECORD_BYTES } from './ring.ts'
import { WorkerThread, type WorkerLost } from './thread.ts'

/** What the ring holds at most is what comes between two looks of a reader. */
const MAX_SPARE = RING_BYTES / MAX_RECORD_BYTES

interface Timer {
  readonly at: Millis
  readonly fire: () => void
}
type Resolved = (error: unknown, addresses: readonly string[]) => void

export class WorkerNetwork implements Network {
  readonly can: NetworkCapabilities = {
    alpn: true,
    sni: true,
    startTls: true,
    halfClose: true,
    unix: true,
    closeNotify: false,
  }
  #thread: WorkerThread | undefined
  #links = new Map<number, WorkerLink>()
  #lookups = new Map<number, Resolved>()
  /** Who waits for the worker to have told all; it answers in order. */
  #behind: (() => void)[] = []
  #lastId = 0
  readonly #timers = new Set<Timer>()
  /** Timers are due, and wait for the worker to have told all that came before. */
  held = false
  /** Links that go on reading, with something set aside. */
  readonly #resumed = new Set<WorkerLink>()
  /** What a lost worker left behind, to be told at the next turn. */
  #orphans: (() => void)[] = []
  /** TLS options that the worker keeps. */
  readonly #options = new Map<object, number>()
  /** Buffers to lend. */
  readonly #spare: ArrayBuffer[] = []

  // ── what every network does ──

  readonly now = now

  timer(at: Millis, fire: () => void): () => void {
    const timer = { at, fire }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  resolve(host: string, done: Resolved): void {
    const thread = this.start()
    const id = ++this.#lastId
    this.#lookups.set(id, done)
    thread.tell(COMMAND.resolve, id, { resolve: host })
  }

  connect(target: ConnectTarget, sink: Sink): Link {
    const thread = this.start()
    const { tls, ...place } = target
    const link = new WorkerLink(this, thread, ++this.#lastId, sink)
    this.#withTls(thread, tls, (sent) => thread.tell(COMMAND.connect, link.id, { connect: { ...place, tls: sent } }))
    this.#links.set(link.id, link)
    return link
  }
  caughtUp(done: () => void, thread: WorkerThread = this.start()): void {
    this.#behind.push(done)
    thread.tell(COMMAND.catchUp, 0)
  }
  startTls(thread: WorkerThread, link: number, tls: TlsTarget): void {
    this.#withTls(thread, tls, (sent) => thread.tell(COMMAND.startTls, link, { startTls: sent as SentTls }))
  }

  /** The worker; started if there is none. NetworkError 'blocking-unavailable' where there can be none. */
  start(): WorkerThread {
    if (this.#thread?.lost !== undefined) this.#abandon(this.#thread.lost)
    return (this.#thread ??= new WorkerThread())
  }

  // ── turns ──

  /** Delivers what has come and fires what is due. Where that is nothing, sleeps for it. */
  turn(): void {
    for (;;) {
      const seen = this.#thread?.bell ?? 0
      if (this.look()) return
      const millis = this.#nextTimer() - this.now()
      if (this.#thread !== undefined) this.#thread.sleep(seen, millis)
      else Atomics.wait(NOBODY, 0, 0, Math.min(millis, 1_000))
    }
  }

  /** As `turn`, without sleeping; false: there was nothing. One read of one link at most is delivered. */
  look(): boolean {
    const told = this.#tellOrphans()
    const resumed = this.#deliverAside()
    // Before the timers: a deadline may have been met by what has come and was not told of.
    const delivered = this.#deliver()
    return this.#fireTimers() || told || resumed || delivered
  }

  #deliver(): boolean {
    const thread = this.#thread
    if (thread === undefined) return false
    let told = false
    let bytes = 0
    while (bytes < MAX_RECORD_BYTES && thread.facts.next()) {
      told = true
      if (thread.facts.what === FACT.received) bytes += this.#receive(thread)
      else this.#tell(thread)
    }
    if (told) thread.taken()
    else if (thread.lost !== undefined) {
      this.#abandon(thread.lost)
      return this.#tellOrphans()
    }
    return told
  }

  /** Copied out of the ring: what a receiver sees is never shared, and what it keeps is its own. */
  #receive(thread: WorkerThread): number {
    const { whose, value } = thread.facts
    const buffer = this.#spare.pop() ?? Buffer.allocUnsafeSlow(MAX_RECORD_BYTES).buffer
    const data = new Uint8Array(buffer, 0, value)
    thread.facts.copy(data)
    if (this.#links.get(whose)?.received(data) !== true) this.giveBack(buffer)
    return value
  }

  /** A buffer that a receiver kept and needs no more: the next read finds it warm, and nothing has to be collected. */
  giveBack(buffer: ArrayBuffer): void {
    if (buffer.byteLength === MAX_RECORD_BYTES && this.#spare.length < MAX_SPARE) this.#spare.push(buffer)
  }

  #tell(thread: WorkerThread): void {
    const { what, whose, value } = thread.facts
    thread.facts.take()
    const link = this.#links.get(whose)
    switch (what) {
      case FACT.connected:
        return link?.connected(infoOf(thread.announced()))
      case FACT.secured:
        return link?.secured(infoOf(thread.announced()))
      case FACT.drained:
        return link?.drained(value)
      case FACT.eof:
        return link?.eof(CLEAN[value])
      case FACT.failed: {
        const { failed, side } = thread.announced() as Extract<ToCaller, { failed: unknown }>
        return link?.failed(receivedError(failed), side)
      }
      case FACT.closed:
        this.#links.delete(whose)
        return link?.closed()
      case FACT.resolved: {
        const { error, resolved } = thread.announced() as Extract<ToCaller, { resolved: unknown }>
        const done = this.#lookups.get(whose)
        this.#lookups.delete(whose)
        return done?.(error && receivedError(error), resolved)
      }
      case FACT.caughtUp:
        return this.#behind.shift()?.()
    }
  }

  // ── timers ──

  #nextTimer(): Millis {
    let first = Infinity
    if (this.held) return first
    for (const { at } of this.#timers) if (at < first) first = at
    return first
  }
  #fireTimers(): boolean {
    if (this.#timers.size === 0) return false
    const now = this.now()
    if (this.#nextTimer() > now) return false
    // What meets a deadline may stand behind other links' facts, or with the system still: a caller who was away for long
    // finds many, and a process that was stopped had nobody to fetch them.
    const thread = this.#thread
    if (thread === undefined) this.#fireDue(now)
    else {
      this.held = true
      this.caughtUp(() => {
        this.held = false
        this.#fireDue(now)
      }, thread)
    }
    return true
  }
  #fireDue(now: Millis): void {
    const due = [...this.#timers].filter(({ at }) => at <= now).sort((a, b) => a.at - b.at)
    for (const timer of due) if (this.#timers.delete(timer)) timer.fire()
  }

  // ── what was set aside ──

  resumed(link: WorkerLink): void {
    this.#resumed.add(link)
  }
  #deliverAside(): boolean {
    if (this.#resumed.size === 0) return false
    const links = [...this.#resumed]
    this.#resumed.clear()
    for (const link of links) link.deliverAside()
    return true
  }

  // ── a worker that is lost ──

  #abandon(lost: WorkerLost): void {
    const links = this.#links
    const lookups = this.#lookups
    this.#thread = undefined
    this.#links = new Map()
    this.#lookups = new Map()
    this.#options.clear()
    for (const link of links.values()) this.#orphans.push(() => link.lost(lost))
    for (const done of lookups.values()) this.#orphans.push(() => done(lost, []))
    this.#orphans.push(...this.#behind)
    this.#behind = []
  }
  #tellOrphans(): boolean {
    if (this.#orphans.length === 0) return false
    const orphans = this.#orphans
    this.#orphans = []
    for (const tell of orphans) tell()
    return true
  }

  // ── TLS options ──

  /** Only what nobody can change any more is known again by its identity. What could not be sent is not known. */
  #withTls(thread: WorkerThread, tls: TlsTarget | undefined, send: (sent: SentTls | undefined) => void): void {
    const options = tls?.options
    const keepable = typeof options === 'object' && options !== null && Object.isFrozen(options)
    const known = keepable ? this.#options.get(options) : undefined
    const id = known ?? (keepable ? ++this.#lastId : 0)
    send(tls && { ...tls, options: known === undefined ? { id, value: options } : { id } })
    // A link may be of a worker that is lost, whose successor knows nothing.
    if (keepable && known === undefined && thread === this.#thread) keepOptions(this.#options, options, id)
  }
}

/** Where a thread sleeps that has no worker. */
const NOBODY = typeof SharedArrayBuffer === 'undefined' ? new Int32Array(1) : new Int32Array(new SharedArrayBuffer(4))

function infoOf(said: ToCaller | undefined): LinkInfo {
  return (said as Extract<ToCaller, { info: unknown }>).info
}

type Aside = { readonly data: Bytes } | { readonly clean: boolean | undefined }

class WorkerLink implements Link, Sink {
  readonly id: number
  readonly #network: WorkerNetwork
  readonly #thread: WorkerThread
  readonly #sink: Sink
  /** Only closed() is left to say. */
  #over = false
  #side: LinkSide = 'connect'
  #paused = false
  /** The worker was told: only when bytes come that have to be set aside. Most pauses are over before that. */
  #quiet = false
  #aside: Aside[] = []

  constructor(network: WorkerNetwork, thread: WorkerThread, id: number, sink: Sink) {
    this.#network = network
    this.#thread = thread
    this.id = id
    this.#sink = sink
  }

  // ── Link ──

  write(chunks: readonly Bytes[]): void {
    if (!this.#over) this.#thread.write(this.id, chunks)
  }
  end(): void {
    this.#order(COMMAND.end)
  }
  pause(): void {
    this.#paused = true
  }
  resume(): void {
    this.#paused = false
    if (this.#aside.length > 0) this.#network.resumed(this)
    else this.#askForMore()
  }
  /** Nothing is set aside any more: asked for sooner, it would grow by what the ring holds for each piece that is read. */
  #askForMore(): void {
    if (this.#quiet) this.#order(COMMAND.resume)
    this.#quiet = false
  }
  startTls(tls: TlsTarget): void {
    if (!this.#over) this.#network.startTls(this.#thread, this.id, tls)
  }
  /** The worker holds no process. */
  ref(): void {}
  unref(): void {}
  close(): void {
    this.#order(COMMAND.close)
  }
  destroy(): void {
    this.#order(COMMAND.destroy)
    this.#over = true
    this.#aside = []
  }
  #order(what: number): void {
    if (!this.#over) this.#thread.tell(what, this.id)
  }

  // ── what the worker says ──

  connected(info: LinkInfo): void {
    if (this.#over) return
    this.#side = 'read'
    this.#sink.connected(info)
  }
  secured(info: LinkInfo): void {
    if (!this.#over) this.#sink.secured(info)
  }
  received(data: Bytes): boolean {
    if (this.#over) return false
    if (!this.#paused && this.#aside.length === 0) return this.#sink.received(data)
    // Most of the buffer is in use: it is kept rather than copied.
    const kept = data.byteLength * 4 >= data.buffer.byteLength
    this.#aside.push({ data: kept ? data : data.slice() })
    if (this.#paused && !this.#quiet) {
      this.#quiet = true
      this.#order(COMMAND.pause)
    }
    return kept
  }
  drained(bytes: number): void {
    if (!this.#over) this.#sink.drained(bytes)
  }
  eof(clean: boolean | undefined): void {
    if (this.#over) return
    if (!this.#paused && this.#aside.length === 0) this.#sink.eof(clean)
    else this.#aside.push({ clean })
  }
  failed(error: unknown, side: LinkSide): void {
    if (this.#over) return
    if (side !== 'write') {
      this.#deliverAll()
      if (this.#over) return
      this.#over = true
    }
    this.#sink.failed(error, side)
  }
  closed(): void {
    this.#deliverAll()
    this.#over = true
    this.#sink.closed()
  }
  lost(error: WorkerLost): void {
    this.failed(error, this.#side)
    this.closed()
  }

  // ── what came while it was paused ──

  deliverAside(): void {
    while (!this.#paused) {
      const next = this.#aside.shift()
      if (next === undefined) return this.#askForMore()
      this.#deliver(next)
    }
  }
  /** Bytes come before the failure that came after them, paused or not. */
  #deliverAll(): void {
    for (let next = this.#aside.shift(); next !== undefined; next = this.#aside.shift()) this.#deliver(next)
  }
  #deliver(next: Aside): void {
    if ('clean' in next) this.#sink.eof(next.clean)
    else this.#sink.received(next.data)
  }
}
