// The worker: a byte pump between the rings and the sockets of the node network. It knows no HTTP, no pool, no deadline.
//
// It never waits. What finds no room in the facts ring is kept in order in `#waiting`, and the link that brought it is
// paused until the caller has made room: one read of each link at most, so that what is kept here is bounded however
// much the peers send. Commands are taken out as soon as it is woken, whatever the other ring is like; so the caller may
// wait for room without any danger of a deadlock.
import type { MessagePort } from 'node:worker_threads'
import type { Bytes } from '../../http/index.ts'
import type { LinkInfo, LinkSide, TlsTarget } from '../../pool/lean.ts'
import type { Link, Sink } from '../network.ts'
import { nodeNetwork } from '../networks/node.ts'
import { needed } from '../shared/builtin.ts'
import {
  CLEAN,
  COMMAND,
  FACT,
  keepOptions,
  RING_BYTES,
  sendableError,
  WORD,
  type SentTls,
  type ToCaller,
  type ToWorker,
  type WorkerStart,
} from './protocol.ts'
import { MAX_RECORD_BYTES, RingReader, RingWriter } from './ring.ts'

// Not imported: in dist/ this is one file without an import, which is loaded as a script or as a module, whatever the package
// calls its files into which a bundle's owner has copied it.
const { parentPort, receiveMessageOnPort, workerData } = needed('node:worker_threads')

/** The caller writes up to 256 KiB ahead: it never waits for so little. */
const DRAINED_UNTOLD = 16 * 1024
const RECEIVED_UNTOLD = RING_BYTES / 2
/** Milliseconds: deadlines are kept as exactly as that. */
const UNTOLD_FOR = 2

/** A record on its way: a number, or bytes; what it announces goes to the port with it. */
interface Fact {
  readonly what: number
  readonly whose: number
  /** 0 where it is left out. */
  readonly value?: number
  /** Of them, what found no room yet. */
  bytes?: Bytes
  readonly announces?: ToCaller
}

class Pump {
  readonly #commands: RingReader
  readonly #facts: RingWriter
  readonly #words: Int32Array
  readonly #port: MessagePort
  readonly #network = nodeNetwork()
  readonly #links = new Map<number, PumpLink>()
  readonly #options = new Map<number, unknown>()
  readonly #waiting: Fact[] = []
  /** Bytes of facts in the ring that the bell has not been rung for. */
  #untold = 0
  /** When it will be at the latest: at the end of this turn, or a little later. */
  #soon: NodeJS.Immediate | undefined
  #later: NodeJS.Timeout | undefined

  constructor(start: WorkerStart) {
    this.#commands = new RingReader(start.commands)
    this.#facts = new RingWriter(start.facts)
    this.#words = new Int32Array(start.words)
    this.#port = start.port
  }

  /** Woken: take every command, then see whether there is room for what waits. */
  run(): void {
    Atomics.store(this.#words, WORD.workerWoken, 0)
    Atomics.store(this.#words, WORD.pong, Atomics.load(this.#words, WORD.ping))
    if (this.#commands.next()) {
      do this.#perform()
      while (this.#commands.next())
      if (Atomics.exchange(this.#words, WORD.commandsWait, 0) === 1) this.ring()
    }
    if (this.#waiting.length > 0) this.#flush()
  }

  #perform(): void {
    const { what, whose } = this.#commands
    const link = this.#links.get(whose)
    const chunks = what === COMMAND.write ? this.#written(whose) : this.#commands.take()
    try {
      if (chunks !== undefined) link?.link?.write(chunks)
      else this.#order(what, whose, link)
    } catch (error) {
      // One link's trouble is not the others'.
      link?.failed(error, 'write')
      link?.link?.destroy()
    }
  }
  #order(what: number, whose: number, link: PumpLink | undefined): void {
    switch (what) {
      case COMMAND.connect:
        return this.#connect(whose)
      case COMMAND.startTls:
        return this.#startTls(link)
      case COMMAND.end:
        return link?.link?.end()
      case COMMAND.pause:
        return link?.pause()
      case COMMAND.resume:
        return link?.resume()
      case COMMAND.close:
        return link?.link?.close()
      case COMMAND.destroy:
        return link?.link?.destroy()
      case COMMAND.resolve:
        return this.#resolve(whose)
      case COMMAND.catchUp:
        return this.#network.caughtUp?.(this.#caughtUp)
    }
  }

  /** All that was written to one link in a row leaves together. */
  #written(whose: number): readonly Bytes[] {
    const chunks: Bytes[] = []
    do {
      const chunk = Buffer.allocUnsafe(this.#commands.value)
      this.#commands.copy(chunk)
      chunks.push(chunk)
    } while (this.#commands.next() && this.#commands.what === COMMAND.write && this.#commands.whose === whose)
    return chunks
  }

  #connect(id: number): void {
    const link = new PumpLink(this, id)
    this.#links.set(id, link)
    try {
      const { connect } = this.#announced() as Extract<ToWorker, { connect: unknown }>
      link.link = this.#network.connect({ ...connect, tls: connect.tls && this.#tls(connect.tls) }, link)
    } catch (error) {
      link.failed(error, 'connect')
      link.closed()
    }
  }
  #startTls(link: PumpLink | undefined): void {
    const { startTls } = this.#announced() as Extract<ToWorker, { startTls: unknown }>
    try {
      // Kept before the link is looked at, which may have closed: the caller takes them for known.
      const tls = this.#tls(startTls)
      link?.link?.startTls(tls)
    } catch (error) {
      link?.failed(error, 'tls')
      link?.link?.destroy()
    }
  }
  #resolve(id: number): void {
    const { resolve } = this.#announced() as Extract<ToWorker, { resolve: unknown }>
    const done = (error: unknown, addresses: readonly string[]): void => {
      const failure = error === undefined || error === null ? undefined : sendableError(error)
      this.tell({ what: FACT.resolved, whose: id, announces: { resolved: addresses, error: failure } })
    }
    try {
      this.#network.resolve(resolve, done)
    } catch (error) {
      done(error, [])
    }
  }

  #announced(): ToWorker {
    const message = receiveMessageOnPort(this.#port) as { message: ToWorker } | undefined
    if (message === undefined) throw new Error('a command came without what it announced')
    return message.message
  }
  /** Options that were sent once are the same object ever after: by it the network knows which sessions it may resume. */
  #tls({ serverName, alpn, options }: SentTls): TlsTarget {
    const { id } = options
    if ('value' in options) {
      if (id !== 0) keepOptions(this.#options, id, options.value)
      return { serverName, alpn, options: options.value }
    }
    // Never without: what is missing may be what says whom to trust.
    if (!this.#options.has(id)) throw new Error('TLS options were named that never came')
    return { serverName, alpn, options: this.#options.get(id) }
  }

  // ── facts ──

  /** In order: what comes while something waits, waits behind it. */
  tell(fact: Fact): void {
    if (this.#waiting.length === 0 && this.#put(fact)) this.ring()
    else this.#wait(fact)
  }
  readonly #caughtUp = (): void => this.tell({ what: FACT.caughtUp, whose: 0 })
  /** What was written has left: that can wait a little, mostly until the answer to it is there and one bell tells both. */
  drained(link: PumpLink, bytes: number): void {
    const fact = { what: FACT.drained, whose: link.id, value: bytes }
    if (this.#waiting.length > 0 || !this.#put(fact)) return this.#wait(fact)
    this.#untell(bytes, DRAINED_UNTOLD)
    if (this.#untold > 0 && this.#later === undefined) this.#later = setTimeout(this.#ringLater, UNTOLD_FOR)
  }
  received(link: PumpLink, data: Bytes): void {
    let sent = 0
    if (this.#waiting.length === 0) {
      sent = this.#putBytes(link.id, data)
      if (sent === data.byteLength) return this.#received(sent)
      this.ring()
    }
    link.hold(true)
    this.#wait({ what: FACT.received, whose: link.id, bytes: data.slice(sent) })
  }
  /** A full buffer has more behind it: on one core, telling of each would be a switch of threads for each. */
  #received(bytes: number): void {
    if (bytes < MAX_RECORD_BYTES) return this.ring()
    this.#untell(bytes, RECEIVED_UNTOLD)
    if (this.#untold > 0 && this.#soon === undefined) this.#soon = setImmediate(this.#ringSoon)
  }
  readonly #ringSoon = (): void => {
    this.#soon = undefined
    if (this.#untold > 0) this.ring()
  }
  readonly #ringLater = (): void => {
    this.#later = undefined
    if (this.#untold > 0) this.ring()
  }
  /** Rings when so much is untold. */
  #untell(bytes: number, most: number): void {
    this.#untold += bytes
    if (this.#untold >= most) this.ring()
  }
  forget(link: PumpLink): void {
    this.#links.delete(link.id)
  }

  /** false: there was no room for all of it; it holds what is left. */
  #put(fact: Fact): boolean {
    const { what, whose, value = 0, bytes, announces } = fact
    if (bytes !== undefined) {
      fact.bytes = bytes.subarray(this.#putBytes(whose, bytes))
      return fact.bytes.byteLength === 0
    }
    if (this.#facts.room < 0) return false
    if (announces !== undefined) this.#port.postMessage(announces)
    return this.#facts.put(what, whose, value)
  }
  /** Returns how many of them there was room for. */
  #putBytes(whose: number, bytes: Bytes): number {
    let sent = 0
    for (let n = -1; sent < bytes.byteLength && n !== 0; sent += n) {
      n = this.#facts.putBytes(FACT.received, whose, bytes, sent)
    }
    return sent
  }
  #wait(fact: Fact): void {
    this.#waiting.push(fact)
    Atomics.store(this.#words, WORD.factsWait, 1)
    // The caller may have emptied the ring, and gone to sleep, before it could see the word.
    this.#flush()
  }
  #flush(): void {
    const waiting = this.#waiting
    let gone = 0
    while (gone < waiting.length && this.#put(waiting[gone] as Fact)) gone++
    waiting.splice(0, gone)
    if (waiting.length === 0) {
      Atomics.store(this.#words, WORD.factsWait, 0)
      for (const link of this.#links.values()) link.hold(false)
    }
    this.ring()
  }

  /** Something has changed that the caller may be waiting for. */
  ring(): void {
    this.#untold = 0
    Atomics.add(this.#words, WORD.bell, 1)
    if (Atomics.load(this.#words, WORD.callerSleeps) === 1) Atomics.notify(this.#words, WORD.bell)
  }
  ended(error: unknown): void {
    if (Atomics.exchange(this.#words, WORD.ended, 1) === 0) this.#port.postMessage({ ended: sendableError(error) })
    this.ring()
  }
}

/** One link of the network: its facts become records. */
class PumpLink implements Sink {
  readonly id: number
  readonly #pump: Pump
  link: Link | undefined
  /** Two may want it to be quiet: the caller, and the ring that is full. */
  #paused = false
  #held = false

  constructor(pump: Pump, id: number) {
    this.#pump = pump
    this.id = id
  }

  pause(): void {
    this.#paused = true
    if (!this.#held) this.link?.pause()
  }
  resume(): void {
    this.#paused = false
    if (!this.#held) this.link?.resume()
  }
  hold(held: boolean): void {
    if (held === this.#held) return
    this.#held = held
    if (this.#paused) return
    if (held) this.link?.pause()
    else this.link?.resume()
  }

  connected(info: LinkInfo): void {
    this.#pump.tell({ what: FACT.connected, whose: this.id, announces: { info } })
  }
  secured(info: LinkInfo): void {
    this.#pump.tell({ what: FACT.secured, whose: this.id, announces: { info } })
  }
  received(data: Bytes): boolean {
    this.#pump.received(this, data)
    return false
  }
  drained(bytes: number): void {
    this.#pump.drained(this, bytes)
  }
  eof(clean?: boolean): void {
    this.#pump.tell({ what: FACT.eof, whose: this.id, value: CLEAN.indexOf(clean) })
  }
  failed(error: unknown, side: LinkSide): void {
    this.#pump.tell({ what: FACT.failed, whose: this.id, announces: { failed: sendableError(error), side } })
  }
  closed(): void {
    this.#pump.forget(this)
    this.#pump.tell({ what: FACT.closed, whose: this.id })
  }
}

const pump = new Pump(workerData as WorkerStart)
process.on('uncaughtException', (error) => {
  pump.ended(error)
  process.exit(1)
})
process.on('exit', (code) => pump.ended(new Error(`the worker has ended with ${code}`)))
parentPort?.on('message', () => pump.run())
pump.run()
