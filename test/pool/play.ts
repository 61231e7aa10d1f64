// One pool played by hand: every input is a call, every command is kept until it is asked for. Peers are bytes, or one
// of our own machines in the server role. Nothing happens by itself, so a test reads as the script of what did.
import { H11Connection } from '../../src/h11/index.ts'
import { H2Connection, type H2Options } from '../../src/h2/index.ts'
import {
  Fields,
  formatAuthority,
  type Connection,
  type ContentPlan,
  type FieldsInit,
  type HttpCoreError,
  type Origin,
  type Bytes,
} from '../../src/http/index.ts'
import {
  PoolMachine,
  type ConnectTarget,
  type LinkInfo,
  type LinkSide,
  type PoolCommand,
  type PoolInput,
  type PoolSettings,
  type Timeouts,
  type TlsTarget,
} from '../../src/pool/index.ts'
import { SETTINGS } from './world.ts'

export type Command<T extends PoolCommand['type']> = Extract<PoolCommand, { type: T }>

export const TIMEOUTS: Timeouts = { pool: 30_000, connect: 10_000, write: 60_000, read: 300_000, total: Infinity }
/** Where a class has one in the pool. */
const CODES: Readonly<Record<string, string | undefined>> = {
  ConnectionNotAvailable: 'queue-full',
  PoolClosed: 'pool-closed',
  PoolTimeout: 'pool-timeout',
  ReadTimeout: 'read-timeout',
  UnsupportedProtocol: 'unsupported-protocol',
  WriteError: 'write-failed',
  WriteTimeout: 'write-timeout',
}
const TIMED: ReadonlySet<string> = new Set(['PoolTimeout', 'ReadTimeout', 'WriteTimeout'])

/** Prior knowledge: the shortest way to HTTP/2. */
export const H2: Partial<PoolSettings> = { http1: false, http2: true }

export interface Asked {
  readonly method?: string
  readonly origin?: Origin
  readonly target?: string
  readonly headers?: FieldsInit
  readonly protocol?: string
  readonly content?: ContentPlan
  readonly replayable?: boolean
  readonly timeouts?: Partial<Timeouts>
  readonly expectContinue?: boolean
  readonly trace?: boolean
  readonly sniHostname?: string | undefined
}

export function http(host: string, port = 80): Origin {
  return { scheme: 'http', host, port }
}
export function https(host: string, port = 443): Origin {
  return { scheme: 'https', host, port }
}
/** An IP literal, so that nothing has to be resolved. */
export const A = http('10.0.0.1')
export const B = http('10.0.0.2')

export function bytes(text: string): Bytes {
  return Uint8Array.from(text, (char) => char.charCodeAt(0))
}
export function text(chunks: readonly Bytes[]): string {
  return Buffer.concat(chunks).toString('latin1')
}

export class Play {
  readonly pool: PoolMachine
  now: number
  /** Commands that no test has looked at yet. */
  commands: PoolCommand[] = []
  readonly #undrained = new Map<number, number>()
  #ids = 0

  constructor(settings: Partial<PoolSettings> = {}, now = 0) {
    this.now = now
    this.pool = new PoolMachine({ ...SETTINGS, ...settings }, { now, seed: 7 })
  }

  tell(input: PoolInput): void {
    this.pool.handle(input, this.now)
    for (let command = this.pool.poll(); command !== undefined; command = this.pool.poll()) {
      this.commands.push(command)
      if (command.type !== 'write') continue
      const bytes = command.chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0)
      this.#undrained.set(command.link, bytes + (this.#undrained.get(command.link) ?? 0))
    }
  }

  // ── from the interface ──

  request(asked: Asked = {}): number {
    const id = ++this.#ids
    const { method = 'GET', origin = A, target = '/', headers = [], protocol, content = 'none' } = asked
    this.tell({
      type: 'request',
      id,
      origin,
      head: {
        method,
        scheme: origin.scheme,
        authority: formatAuthority(origin),
        target,
        protocol,
        headers: Fields.from(headers),
        content,
      },
      content,
      replayable: asked.replayable ?? content === 'none',
      timeouts: { ...TIMEOUTS, ...asked.timeouts },
      expectContinue: asked.expectContinue ?? false,
      sniHostname: asked.sniHostname,
      trace: asked.trace ?? false,
    })
    return id
  }
  content(id: number, data: string, last = true): void {
    this.tell({ type: 'content', id, data: bytes(data) })
    if (last) this.tell({ type: 'contentEnd', id })
  }
  cancel(id: number, reason: unknown = 'cancelled'): void {
    this.tell({ type: 'cancel', id, reason })
  }

  // ── from the network ──

  connected(link: number, info: LinkInfo = {}): void {
    this.tell({ type: 'connected', link, info })
  }
  secured(link: number, alpn: string | undefined): void {
    this.tell({ type: 'secured', link, info: { alpn } })
  }
  received(link: number, data: string | Bytes): void {
    this.tell({ type: 'received', link, data: typeof data === 'string' ? bytes(data) : data })
  }
  /** The network has accepted everything that was written. */
  drained(link: number): void {
    const count = this.#undrained.get(link) ?? 0
    this.#undrained.delete(link)
    if (count > 0) this.tell({ type: 'drained', link, bytes: count })
  }
  /** It has accepted some of what was written: one byte of it, half, or all but one. */
  accepted(link: number, where: 'first' | 'middle' | 'last'): void {
    const count = this.#undrained.get(link) ?? 0
    const bytes = { first: 1, middle: count >> 1, last: count - 1 }[where]
    this.#undrained.set(link, count - bytes)
    this.tell({ type: 'drained', link, bytes })
  }
  eof(link: number, clean?: boolean): void {
    this.tell({ type: 'eof', link, clean })
  }
  failed(link: number, side: LinkSide = 'read', error: unknown = new Error(`${side} failed`)): void {
    this.tell({ type: 'failed', link, error, side })
    if (side !== 'write') this.tell({ type: 'closed', link })
  }
  closed(link: number): void {
    this.tell({ type: 'closed', link })
  }
  /** Lets time go by, stopping at each deadline. */
  pass(ms: number): void {
    const end = this.now + ms
    for (let at = this.pool.nextTimeout(); at !== undefined && at <= end; at = this.pool.nextTimeout()) {
      this.now = Math.max(this.now, at)
      this.tell({ type: 'timeout' })
    }
    this.now = end
  }

  // ── what the pool said ──

  /** Takes out all commands of that type. */
  take<T extends PoolCommand['type']>(type: T): Command<T>[] {
    const taken = this.commands.filter((command): command is Command<T> => command.type === type)
    this.commands = this.commands.filter((command) => command.type !== type)
    return taken
  }
  /** Links that were dialled since the last look. */
  dials(): number[] {
    return this.take('connect').map(({ link }) => link)
  }
  targets(): ConnectTarget[] {
    return this.take('connect').map(({ target }) => target)
  }
  tlsTargets(): TlsTarget[] {
    return this.take('startTls').map(({ tls }) => tls)
  }
  /** What was written to a link since the last look. */
  written(link: number): string {
    return text(this.takenBytes(link))
  }
  takenBytes(link: number): Bytes[] {
    const mine = this.commands.filter((c): c is Command<'write'> => c.type === 'write' && c.link === link)
    this.commands = this.commands.filter((c) => !(c.type === 'write' && c.link === link))
    return mine.flatMap(({ chunks }) => [...chunks])
  }
  /** How a request ended: 'ok', its error, or undefined while it runs. */
  outcome(id: number): unknown {
    const settled = this.commands.filter((c): c is Command<'settle'> => c.type === 'settle' && c.id === id)
    if (settled.length === 0) return undefined
    if (settled.length > 1) throw new Error(`request ${id} settled ${settled.length} times`)
    const result = settled[0]?.result
    return result?.ok === true ? 'ok' : (result as { error: unknown } | undefined)?.error
  }
  /** It says what all of its kind say. */
  error(id: number): HttpCoreError {
    const outcome = this.outcome(id)
    if (!(outcome instanceof Error)) throw new Error(`request ${id} did not fail: ${String(outcome)}`)
    const error = outcome as HttpCoreError
    const code = CODES[error.name]
    if (code !== undefined && code !== error.code) throw new Error(`${error.name} with the code ${error.code}`)
    if (TIMED.has(error.name) && error.blockedOn === undefined) throw new Error(`${error.name} of nothing`)
    return error
  }
  /** Types of what was delivered for a request, and its content joined. */
  delivered(id: number): { events: string[]; content: string } {
    const events = this.commands.filter((c): c is Command<'deliver'> => c.type === 'deliver' && c.id === id)
    const chunks = events.flatMap(({ event }) => (event.type === 'data' ? [event.data] : []))
    return { events: events.map(({ event }) => event.type), content: text(chunks) }
  }
  /** Commands that name a request or link, by type. */
  saidOf(id: number, ...types: PoolCommand['type'][]): string[] {
    return this.commands
      .filter((c) => types.includes(c.type) && (('id' in c && c.id === id) || ('link' in c && c.link === id)))
      .map(({ type }) => type)
  }
  has(type: PoolCommand['type'], link: number): boolean {
    return this.commands.some((c) => c.type === type && 'link' in c && c.link === link)
  }
  stats(): { connections: number; idle: number; active: number; queued: number; requests: number } {
    return this.pool.stats() as never
  }
  infos(): string[] {
    return this.pool.connections().map((connection) => connection.info())
  }

  // ── shortcuts ──

  /** Dials for the request are answered, and everything written is accepted. */
  connectAll(): number[] {
    const links = this.dials()
    for (const link of links) this.connected(link)
    return links
  }
  /** A connection that has answered one request and is idle; its link. */
  idle(asked: Asked = {}): number {
    const id = this.request(asked)
    const [link] = this.connectAll()
    if (link === undefined) throw new Error('nothing was dialled')
    this.drained(link)
    this.received(link, OK)
    if (this.outcome(id) !== 'ok') throw new Error('the first request did not end well')
    this.commands = []
    return link
  }
}

/** The frame: streams above `last` are not processed. RFC 9113 §6.8. */
export function goaway(last: number, h2Code = 0): Bytes {
  return Uint8Array.of(0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, last, 0, 0, 0, h2Code)
}
export const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** A server made of one of our machines, joined to one link. */
export class Peer {
  readonly machine: Connection
  readonly link: number
  readonly #play: Play
  /** Exchanges by target. */
  readonly exchanges = new Map<string, number>()
  readonly ended = new Set<number>()
  readonly failed = new Set<number>()
  /** It makes room for more content as it comes. */
  reads = true
  /** What came while it did not. */
  unread = 0

  constructor(play: Play, link: number, version: 'h1' | 'h2', options: Partial<H2Options> = {}) {
    this.#play = play
    this.link = link
    this.machine =
      version === 'h2'
        ? new H2Connection('server', { now: play.now, ...options })
        : new H11Connection('server', { now: play.now })
  }
  /** What the pool wrote arrives. */
  read(): this {
    for (const chunk of this.#play.takenBytes(this.link)) this.machine.receiveData(chunk, this.#play.now)
    for (let event = this.machine.nextEvent(); event !== undefined; event = this.machine.nextEvent()) {
      if (event.type === 'request') this.exchanges.set(event.target, event.exchange)
      if (event.type === 'end') this.ended.add(event.exchange)
      if (event.type === 'failed') this.failed.add(event.exchange)
      if (event.type !== 'data') continue
      if (this.reads) this.machine.consume(event.exchange, event.data.byteLength)
      else this.unread += event.data.byteLength
    }
    return this
  }
  /** What the server has to say arrives at the pool. */
  write(): this {
    for (const chunk of this.machine.takeOutput()) this.#play.received(this.link, chunk.slice())
    return this
  }
  /** Both ways, until nothing moves. */
  sync(): this {
    for (let i = 0; i < 20; i++) {
      this.read()
      if (this.machine.outputBytes === 0) break
      this.write()
    }
    return this
  }
  of(target: string): number {
    const exchange = this.exchanges.get(target)
    if (exchange === undefined) throw new Error(`no request for ${target} came`)
    return exchange
  }
  respond(target: string, content = 'ok', status = 200): this {
    const exchange = this.of(target)
    this.machine.sendResponse(exchange, { status, headers: [], content: { length: content.length } })
    this.machine.sendData(exchange, bytes(content), true)
    return this.write()
  }
}
