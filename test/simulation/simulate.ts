// One world per seed: settings, origins, faults, requests and what becomes of them are drawn from it, and nothing else
// is; so a seed that fails can be played again. Servers are our own machines (peers.ts), time is virtual.
//
// After every step of the network the invariants are looked at (limits, seats, one settling each, prefixes, one execution
// of what is not idempotent, windows, what is held, what it costs); at the end nothing may be left: no request, connection,
// link or deadline, nor a step that a trace heard begin. Some worlds are played again, with their bytes in other pieces:
// nobody may tell the difference.
import { H11Connection } from '../../src/h11/index.ts'
import { H2Connection } from '../../src/h2/index.ts'
import { List, type Node } from '../../src/pool/list.ts'
import {
  ConnectionPool,
  type HttpCoreError,
  type PoolOptions,
  type RequestOptions,
  type Response,
  type TraceEvent,
} from '../../src/index.ts'
import { SimNetwork, type SimFault, type SimOptions } from '../../src/sim.ts'
import { WatchedNetwork } from './network.ts'
import {
  connectProxy,
  contentOf,
  peers,
  secureServer,
  server,
  socksProxy,
  type Behaviour,
  type Peers,
} from '../fixtures/peers.ts'

/** What became of the requests of one world, or of many. */
export interface Tally {
  ok: number
  failed: number
  cancelled: number
}

/** Plays one world; throws an error that names the seed. */
export async function simulate(seed: number): Promise<Tally> {
  const rejections: unknown[] = []
  const onRejection = (reason: unknown): void => void rejections.push(reason)
  process.on('unhandledRejection', onRejection)
  try {
    const tally = await played(new SimWorld(seed))
    if (seed % AGAIN_EVERY === 0) await playInPieces(seed)
    if (rejections.length > 0) throw new Error('I10: an unhandled rejection', { cause: rejections[0] })
    return tally
  } catch (error) {
    throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error })
  } finally {
    process.off('unhandledRejection', onRejection)
  }
}

async function played(world: SimWorld): Promise<Tally> {
  work = 0
  return world.play()
}
/** I11: nothing goes wrong, and reads are as large as may be, or tiny; nobody hears anything else. */
async function playInPieces(seed: number): Promise<void> {
  const worlds = [new SimWorld(seed, 65_536), new SimWorld(seed, 1 + (seed % 37))]
  for (const world of worlds) await played(world)
  const [whole, pieces] = worlds.map(({ told }) => told.sort().join('\n'))
  if (whole !== pieces) throw new Error(`I11: in pieces\n${pieces}\nas a whole\n${whole}`)
}

/** What a machine says of what it holds and allows; HTTP/1.1 has no windows. */
interface Snapshot {
  readonly held: Readonly<Record<string, number>>
  readonly windows?: Windows
  readonly streams?: readonly { readonly id: number; readonly unread: number; readonly windows: Windows }[]
}
/** As the pool's machine gives it; the interface does not promise the snapshot. */
interface Connected {
  info(): string
  snapshot(): Snapshot | undefined
}
interface Windows {
  readonly size: number
  readonly receive: number
  readonly credit: number
  readonly send: number
}
const LARGEST_CHUNK = 60_000
const LARGEST_FRAME = 16_384
/** What may be given to the network ahead of what it accepts, and what HTTP/1.1 then gives with it: all that it holds. */
const MOST_AHEAD = 256 * 1024 + 256 * 1024 + LARGEST_CHUNK
/** The most that one connection may hold of each kind: two reads, a window, the limits of heads and replies. */
const HELD: Readonly<Record<string, number>> = {
  input: 2 * 65_536,
  section: 131_072,
  output: 256 * 1024 + LARGEST_CHUNK,
  unread: 16 * 1024 * 1024,
  overhead: 8 * 1024 * 1024,
  headers: 4 * 1024 * 1024,
  replies: 1_000,
}
/** Looks at machines and lists for each byte and request; and for each world, what its connections cost by themselves. */
const COST = { perByte: 3, perRequest: 300, perWorld: 2_000 }
const AGAIN_EVERY = 40
/** Every so many steps: a snapshot is the dearest thing in a world. */
const SELDOM = 60

/** What is written through a tunnel. */
interface Said {
  readonly length: number
  readonly times: number
}
type How = 'read' | 'iterate' | 'leave' | 'drain' | 'close'
interface Stats {
  readonly requests: number
  readonly connections: number
  readonly idle: number
  readonly active: number
  readonly origins: Readonly<Record<string, { readonly connections: number; readonly waiting: number }>>
}

/** Looks of machines for an event, and of lists for a place, in this world. */
let work = 0
for (const machine of [H11Connection, H2Connection]) counts(machine.prototype, 'nextEvent')
for (const how of ['insertFromFront', 'insertFromBack'] as const) {
  const insert = Reflect.get(List.prototype, how)
  List.prototype[how] = function (this: List<Node>, node, beyond) {
    insert.call(this, node, (other: Node) => {
      work++
      return beyond(other)
    })
  }
}
function counts(prototype: { nextEvent(): unknown }, name: 'nextEvent'): void {
  const ask = prototype[name]
  prototype[name] = function (this: unknown) {
    work++
    return ask.call(this)
  }
}

const NONE: Tally = { ok: 0, failed: 0, cancelled: 0 }
const CANCELLED = new Error('cancelled')
/** More than any world needs, in milliseconds of its own time. */
const LONGEST = 3_600_000

class SimWorld {
  readonly #sim: WatchedNetwork
  readonly #chance: SimNetwork
  readonly #peers: Peers = peers()
  readonly #pool: ConnectionPool
  readonly #origins: string[] = []
  readonly #tally: Tally = { ...NONE }
  /** Nothing goes wrong but what the pool can make good: no request may fail. */
  readonly #calm: boolean
  #kind = ''
  readonly #maxConnections: number
  readonly #perOrigin: number
  /** Requests asked for and not settled. */
  #open = 0
  #asked = 0
  #steps = 0
  /** What became of each request. */
  readonly told: string[] = []
  readonly #maxRead: number | undefined
  /** Steps that a trace has heard begin, and how often since it heard one end. */
  readonly #begun = new Map<string, number>()

  /** @param maxRead nothing goes wrong, nobody gives up, and this is the most that is read at a time */
  constructor(seed: number, maxRead?: number) {
    this.#chance = new SimNetwork({ seed })
    this.#maxRead = maxRead
    this.#calm = this.#oneIn(4) || maxRead !== undefined
    this.#sim = new WatchedNetwork(maxRead === undefined ? this.#conditions() : { seed, latency: 1, maxRead })
    this.#maxConnections = this.#from(1, 4)
    this.#perOrigin = this.#from(1, this.#maxConnections)
    this.#pool = new ConnectionPool(this.#listen())
    for (let left = !this.#calm && this.#oneIn(2) ? this.#from(1, 3) : 0; left > 0; left--)
      this.#sim.fault(this.#fault())
  }

  /** 0 ≤ n < below. */
  draw(below: number): number {
    return this.#chance.draw(below)
  }
  #from(least: number, most: number): number {
    return least + this.draw(most - least + 1)
  }
  #oneIn(many: number): boolean {
    return this.draw(many) === 0
  }
  #pick<T>(...choices: readonly T[]): T {
    return choices[this.draw(choices.length)] as T
  }

  // ── what the world is like ──

  #conditions(): SimOptions {
    return {
      seed: this.draw(2 ** 31),
      latency: this.#pick<SimOptions['latency']>(0, 1, [0, 5], [1, 50]),
      cut: this.#oneIn(4),
      partialWrites: this.#oneIn(8),
      coalesce: this.#pick(0, 0, 5),
      sendBuffer: this.#pick(65_536, 65_536, 2_000),
    }
  }
  #listen(): PoolOptions {
    const kind = this.#pick('h1', 'h1', 'h2', 'h2', 'tls', 'tls', 'connect', 'socks5')
    this.#kind = kind
    const http2 = kind !== 'h1' && (kind === 'h2' || this.#oneIn(2))
    for (let n = 0; n < this.#from(1, 3); n++) {
      const host = `origin${n}.test`
      const secure = kind !== 'h1' && kind !== 'h2'
      this.#origins.push(`${secure ? 'https' : 'http'}://${host}`)
      if (kind === 'h1' || kind === 'h2') this.#sim.listen(host, 80, server(this.#sim, kind, this.#peers))
      if (kind !== 'tls') continue
      this.#sim.listen(host, 443, secureServer(this.#sim, this.#peers), {
        tls: { alpn: this.#oneIn(2) ? ['http/1.1'] : ['h2', 'http/1.1'] },
      })
    }
    const behind = secureServer(this.#sim, this.#peers)
    if (kind === 'connect') this.#sim.listen('proxy.test', 8080, connectProxy(behind))
    if (kind === 'socks5') this.#sim.listen('proxy.test', 8080, socksProxy(behind))
    const scheme = kind === 'connect' ? 'http' : kind === 'socks5' ? 'socks5h' : undefined
    return {
      networkBackend: this.#sim,
      maxConnections: this.#maxConnections,
      maxConnectionsPerOrigin: this.#perOrigin,
      maxIdleConnections: this.#from(0, this.#maxConnections),
      maxQueuedRequests: this.#calm ? 10_000 : this.#pick(10_000, 10_000, 2),
      keepAliveExpiry: this.#pick<number | undefined>(undefined, undefined, 0, 20),
      maxConnectionAge: this.#pick<number | undefined>(undefined, undefined, 100),
      maxRequestsPerConnection: this.#pick<number | undefined>(undefined, undefined, 1, 2),
      retries: this.#pick(0, 0, 2),
      http1: kind !== 'h2',
      http2,
      proxy: scheme === undefined ? undefined : `${scheme}://proxy.test:8080`,
      trace: this.#oneIn(8) ? (event) => this.#heard(event) : undefined,
    }
  }
  /** I13: what begins ends once, and nothing else does. */
  #heard({ name, request, connection }: TraceEvent): void {
    const [, step, how] = /^(.*)\.(started|complete|failed)$/.exec(name) ?? []
    if (step === undefined) return
    const key = `${step} of request ${request}, connection ${connection}`
    const count = (this.#begun.get(key) ?? 0) + (how === 'started' ? 1 : -1)
    if (count < 0) throw new Error(`I13: ${key} ended twice`)
    if (count === 0) this.#begun.delete(key)
    else this.#begun.set(key, count)
  }
  #fault(): SimFault {
    const times = this.#from(1, 2)
    if (this.#oneIn(3)) {
      return { at: this.#pick('connect', 'tls'), what: this.#pick('refuse', 'never', 'late'), delay: 300, times }
    }
    const at = this.#pick('toClient', 'toServer')
    return { at, afterBytes: this.draw(this.#pick(1, 100, 5_000)), what: this.#pick('reset', 'stall', 'end'), times }
  }
  #behaviour(): Behaviour {
    const size = this.#pick<number | undefined>(undefined, undefined, 0, 300, 20_000)
    return {
      ...(size === undefined ? {} : { size }),
      wait: this.#pick(0, 0, 10, 200),
      gap: this.#pick(0, 0, 20),
      pieces: this.#pick(1, 1, 3),
      early: this.#oneIn(6),
      informational: this.#oneIn(6),
      trailers: this.#oneIn(6),
      headers: this.#oneIn(8) ? [['keep-alive', 'timeout=3']] : [],
      ...(!this.#calm && this.#oneIn(12) ? { instead: this.#pick('silence', 'reset', 'refuse') } : {}),
      ...(!this.#calm && this.#oneIn(12) ? { midway: this.#pick('reset', 'cancel') } : {}),
      // Over HTTP/1.1 the next request may already be on its way, and nobody can tell whether it was processed.
      ...((!this.#calm || this.#kind === 'h2') && this.#oneIn(8) ? { after: 'goaway' } : {}),
    }
  }

  // ── what happens in it ──

  async play(): Promise<Tally> {
    this.#sim.check = () => this.#check()
    const all: Promise<void>[] = []
    for (let count = this.#from(1, 8); count > 0; count--) {
      const at = this.#pick(0, 0, 10, 100, 5_000)
      all.push(this.#at(at, () => this.#request()))
    }
    if (this.#oneIn(4)) all.push(this.#at(this.draw(200), () => this.#pool.closeIdle()))
    const end = this.#pick('settled', 'settled', 'settled', 'settled', 'close', 'destroy')
    if (!this.#calm && end !== 'settled') all.push(this.#at(this.draw(300), () => this.#end(end)))
    const everything = Promise.all(all)
    await this.#sim.run(everything)
    await everything
    if (this.#open > 0) throw new Error(`I4: ${this.#open} requests have not settled`)
    // An upload of several chunks may be on its way for long, a little with each round trip.
    await this.#sim.advance(30_000)
    this.#checkPairs()
    await this.#sim.run(this.#end(this.#oneIn(2) ? 'close' : 'destroy'))
    await this.#sim.run()
    this.#check()
    this.#checkCost()
    if (this.#sim.openLinks > 0) throw new Error(`I10: ${this.#sim.openLinks} links are left`)
    if (this.#pool.connections.length > 0) throw new Error('I10: a connection is left')
    for (const key of this.#begun.keys()) throw new Error(`I13: ${key} never ended`)
    return this.#tally
  }
  #end(how: 'close' | 'destroy'): Promise<void> {
    return how === 'close' ? this.#pool.close({ grace: this.#pick(0, 1_000) }) : this.#pool.destroy()
  }
  #at(delay: number, act: () => Promise<void> | void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#sim.timer(this.#sim.now() + delay, () => void Promise.resolve(act()).then(resolve, reject), true)
    })
  }

  async #request(): Promise<void> {
    const upload = this.#oneIn(3)
    const method = upload ? 'POST' : this.#pick('GET', 'GET', 'HEAD', 'DELETE')
    const target = `/${this.#asked}.${this.#sim.now()}.${this.draw(2 ** 31)}`
    const upgrade = this.#kind !== 'h2' && this.#oneIn(8)
    const behaviour = { ...this.#behaviour(), ...(upgrade ? { echo: true, early: this.#oneIn(2) } : {}) }
    this.#peers.behaviours.set(target, behaviour)
    const controller = new AbortController()
    const how = this.#pick<How>('read', 'read', 'iterate', 'iterate', 'leave', 'drain', 'close')
    if (this.#oneIn(4) && this.#maxRead === undefined) {
      const abort = (): void => controller.abort(CANCELLED)
      this.#sim.timer(this.#sim.now() + this.draw(this.#pick(1, 20, 400)), abort, false)
    }
    const options: RequestOptions = {
      signal: controller.signal,
      timeout: {
        pool: 20_000,
        connect: this.#calm ? 10_000 : this.#pick(10_000, 100),
        read: 5_000,
        write: 5_000,
        // A tunnel has no other deadline.
        total: this.#calm ? null : this.#pick(upgrade ? 1_000 : null, 500),
      },
      expectContinue: upload && this.#oneIn(4),
      headers: upgrade ? { connection: 'upgrade', upgrade: 'echo' } : {},
      ...(upload ? { content: this.#content(upgrade && this.#oneIn(3)) } : {}),
    }
    const url = `${this.#pick(...this.#origins)}${target}`
    // Chosen by now: which of two responses of one moment is told first depends on how they were cut.
    const says: Said | undefined = upgrade
      ? { length: this.#pick(0, 3, 30_000, LARGEST_CHUNK), times: this.#pick(1, 1, 5) }
      : undefined
    this.#open++
    this.#asked++
    try {
      const expected = method === 'HEAD' ? '' : contentOf(target, behaviour.size)
      const response = await this.#pool.stream(method, url, options)
      const got = says ? await this.#converse(response, says) : await this.#read(response, expected, how)
      this.told.push(`${target} ${response.status} ${got}`)
      this.#tally.ok++
    } catch (error) {
      // A wrong prefix, or whatever else is ours, is not what a request may fail with.
      if (error !== CANCELLED && !(error instanceof Error && 'disposition' in error)) throw error
      // Content that comes once may be gone when the server says that it did not look at it.
      const oneTime = typeof options.content === 'object' && 'next' in options.content
      const reason = error === CANCELLED || (oneTime && (error as HttpCoreError).disposition === 'refused')
      if (this.#calm && !reason) throw new Error('I7: a request failed without a reason', { cause: error })
      this.#tally[error === CANCELLED ? 'cancelled' : 'failed']++
    } finally {
      this.#open--
    }
  }
  #content(long: boolean): RequestOptions['content'] {
    const chunk = new Uint8Array(this.#pick(1, 500, 500, 30_000, 30_000, LARGEST_CHUNK))
    const times = long || this.#oneIn(30) ? 10 : 2
    const several = function* (): Iterable<Uint8Array> {
      for (let n = 0; n < times; n++) yield chunk
    }
    return this.#pick<RequestOptions['content']>(chunk, several(), several)
  }
  /** What was written through a tunnel comes back, and nothing else: neither what was said before it, nor less. */
  async #converse(response: Response, { length, times }: Said): Promise<number> {
    const tunnel = response.networkStream
    if (tunnel === undefined) throw new Error('I5: nothing was switched')
    const piece = Uint8Array.from({ length }, (_, i) => i % 251)
    const written = Array.from({ length: times }, () => tunnel.write(piece))
    const said = Promise.all([...written, tunnel.end()])
    let got = 0
    const reading = async (): Promise<void> => {
      for (let bytes = await tunnel.read(); bytes !== null; bytes = await tunnel.read())
        for (const byte of bytes) if (byte !== (got++ % length) % 251) throw new Error('I5: another byte came back')
    }
    await Promise.all([said, reading()])
    // Where it is cut off, nobody can tell.
    if (this.#calm && got !== length * written.length)
      throw new Error(`I5: ${got} bytes of ${length * written.length} came back`)
    return got
  }
  /** How much of it was read, where that is the reader's to say. */
  async #read(response: Response, expected: string, how: How): Promise<number> {
    let got = ''
    if (how === 'close') await response.close()
    if (how === 'drain') await response.drain(1_000)
    if (how === 'close' || how === 'drain') return 0
    const take = (bytes: Uint8Array): void => {
      got += new TextDecoder('latin1').decode(bytes)
      if (!expected.startsWith(got)) throw new Error('I5: what was delivered is not what was sent for it')
    }
    if (how === 'read') take(await response.read())
    else {
      for await (const chunk of response) {
        take(chunk)
        if (how === 'leave') return 0
      }
    }
    if (got.length !== expected.length) throw new Error(`I5: ${got.length} bytes of ${expected.length} are no success`)
    return got.length
  }

  // ── what always holds ──

  /** I8 from within, and I9. */
  #checkHeld(): void {
    for (const connection of this.#pool.connections as readonly Connected[]) {
      const snapshot = connection.snapshot()
      if (snapshot === undefined) continue
      for (const [what, held] of Object.entries(snapshot.held)) {
        if (held > (HELD[what] ?? 0)) throw new Error(`I9: ${held} of ${what} are held`)
      }
      const { windows, streams = [] } = snapshot
      if (windows !== undefined && windows.receive + windows.credit !== windows.size) {
        throw new Error(`I8: ${JSON.stringify(windows)} of a connection that withholds nothing`)
      }
      for (const { id, unread, windows: own } of streams) {
        // A frame is charged by its header, and delivered as it comes.
        const coming = own.size - own.receive - own.credit - unread
        if (coming < 0 || coming > LARGEST_FRAME) {
          throw new Error(`I8: ${JSON.stringify(own)} and ${unread} unread of stream ${id}`)
        }
      }
    }
    if (this.#sim.mostAhead > MOST_AHEAD) throw new Error(`I9: ${this.#sim.mostAhead} bytes are ahead`)
  }
  /** I8 from both ends, when nothing is on its way: what one may send is what the other allows. */
  #checkPairs(): void {
    // What a fault holds back is on its way for ever.
    if (this.#open > 0 || !this.#calm) return
    const ends = (all: Iterable<{ snapshot(): unknown }>, way: 'send' | 'receive'): string =>
      [...all]
        .flatMap((one) => (one.snapshot() as Snapshot | undefined)?.windows?.[way] ?? [])
        .sort((a, b) => a - b)
        .join()
    const ours = this.#pool.connections as readonly Connected[]
    // Whoever goes away says nothing more of windows.
    if (ours.some((connection) => !connection.info().includes('IDLE')) || ours.length !== this.#peers.machines.size)
      return
    const all = [ends(ours, 'send'), ends(ours, 'receive')]
    const theirs = [ends(this.#peers.machines, 'receive'), ends(this.#peers.machines, 'send')]
    if (all.join(';') !== theirs.join(';')) throw new Error(`I8: ${all.join(';')} here, ${theirs.join(';')} there`)
  }
  /** I12: the work is linear in the bytes and the requests. */
  #checkCost(): void {
    const most = COST.perByte * this.#sim.bytes + COST.perRequest * this.#asked + COST.perWorld
    if (work > most) throw new Error(`I12: ${work} looks for ${this.#sim.bytes} bytes and ${this.#asked} requests`)
  }

  #check(): void {
    const { requests, connections, idle, active, origins } = this.#pool.stats as unknown as Stats
    if (this.#sim.now() > LONGEST) throw new Error('it never ends')
    if (connections > this.#maxConnections) throw new Error(`I1: ${connections} connections`)
    if (this.#sim.held > this.#maxConnections) throw new Error(`I1: ${this.#sim.held} links`)
    if (++this.#steps % SELDOM === 0) this.#checkHeld()
    if (idle > connections) throw new Error(`I2: ${idle} of ${connections} connections are idle`)
    let waiting = 0
    for (const origin of Object.values(origins)) {
      waiting += origin.waiting
      if (origin.connections > this.#perOrigin) throw new Error(`I1: ${origin.connections} connections to one origin`)
    }
    if (active + waiting !== requests) throw new Error(`I3: ${active} run and ${waiting} wait of ${requests}`)
    const seen = new Set<string>()
    for (const { method, target, whole, refused } of this.#peers.served) {
      if (method !== 'POST' || !whole || refused) continue
      if (seen.has(target)) throw new Error(`I6: ${target} was executed twice`)
      seen.add(target)
    }
  }
}
