// One world per seed: settings, origins, faults, requests and what becomes of them are drawn from it, and nothing else
// is; so a seed that fails can be played again. Servers are our own machines (peers.ts), time is virtual.
//
// After every step of the network the invariants are looked at (limits, seats, one settling each, prefixes, one execution
// of what is not idempotent); at the end nothing may be left: no request, connection, link or deadline.
import { ConnectionPool, type PoolOptions, type RequestOptions, type Response } from '../../src/index.ts'
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
  const { random } = Math
  process.on('unhandledRejection', onRejection)
  try {
    const world = new SimWorld(seed)
    // The pool's jitter is the only other chance there is.
    Math.random = () => world.draw(2 ** 31) / 2 ** 31
    const tally = await world.play()
    if (rejections.length > 0) throw new Error('I10: an unhandled rejection', { cause: rejections[0] })
    return tally
  } catch (error) {
    throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error })
  } finally {
    Math.random = random
    process.off('unhandledRejection', onRejection)
  }
}

interface Stats {
  readonly requests: number
  readonly connections: number
  readonly idle: number
  readonly active: number
  readonly origins: Readonly<Record<string, { readonly connections: number; readonly waiting: number }>>
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

  constructor(seed: number) {
    this.#chance = new SimNetwork({ seed })
    this.#calm = this.#oneIn(4)
    this.#sim = new WatchedNetwork(this.#conditions())
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
    }
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
    await this.#sim.run(Promise.all(all))
    if (this.#open > 0) throw new Error(`I4: ${this.#open} requests have not settled`)
    await this.#sim.run(this.#end(this.#oneIn(2) ? 'close' : 'destroy'))
    await this.#sim.run()
    this.#check()
    if (this.#sim.openLinks > 0) throw new Error(`I10: ${this.#sim.openLinks} links are left`)
    if (this.#pool.connections.length > 0) throw new Error('I10: a connection is left')
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
    const target = `/${this.#open}.${this.#sim.now()}.${this.draw(2 ** 31)}`
    const behaviour = this.#behaviour()
    this.#peers.behaviours.set(target, behaviour)
    const controller = new AbortController()
    if (this.#oneIn(4)) {
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
        total: this.#calm ? null : this.#pick(null, 500),
      },
      expectContinue: upload && this.#oneIn(4),
      ...(upload ? { content: this.#content() } : {}),
    }
    this.#open++
    try {
      const expected = method === 'HEAD' ? '' : contentOf(target, behaviour.size)
      await this.#read(await this.#pool.stream(method, `${this.#pick(...this.#origins)}${target}`, options), expected)
      this.#tally.ok++
    } catch (error) {
      // A wrong prefix, or whatever else is ours, is not what a request may fail with.
      if (error !== CANCELLED && !(error instanceof Error && 'disposition' in error)) throw error
      if (this.#calm && error !== CANCELLED) throw new Error('I7: a request failed without a reason', { cause: error })
      this.#tally[error === CANCELLED ? 'cancelled' : 'failed']++
    } finally {
      this.#open--
    }
  }
  #content(): RequestOptions['content'] {
    const chunk = new Uint8Array(this.#pick(1, 500, 30_000))
    const several = function* (): Iterable<Uint8Array> {
      yield chunk
      yield chunk
    }
    return this.#pick<RequestOptions['content']>(chunk, several(), several)
  }
  async #read(response: Response, expected: string): Promise<void> {
    const how = this.#pick('read', 'read', 'iterate', 'iterate', 'leave', 'drain', 'close')
    if (how === 'close') return response.close()
    if (how === 'drain') return response.drain(this.#pick(0, 1_000, 100_000))
    let got = ''
    const take = (bytes: Uint8Array): void => {
      got += new TextDecoder('latin1').decode(bytes)
      if (!expected.startsWith(got)) throw new Error('I5: what was delivered is not what was sent for it')
    }
    if (how === 'read') take(await response.read())
    else {
      for await (const chunk of response) {
        take(chunk)
        if (how === 'leave') return
      }
    }
    if (got.length !== expected.length) throw new Error(`I5: ${got.length} bytes of ${expected.length} are no success`)
  }

  // ── what always holds ──

  #check(): void {
    const { requests, connections, idle, active, origins } = this.#pool.stats as unknown as Stats
    if (this.#sim.now() > LONGEST) throw new Error('it never ends')
    if (connections > this.#maxConnections) throw new Error(`I1: ${connections} connections`)
    if (this.#sim.held > this.#maxConnections) throw new Error(`I1: ${this.#sim.held} links`)
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
