// A network in memory, on a clock that moves only when it is told to. Same seed, same steps, same bytes.
//
//   const sim = new SimNetwork({ seed: 7, latency: [1, 20], cut: true })
//   sim.listen('example.test', 80, (link) => {
//     const sink = pump(new H11Connection('server', { now: sim.now() }), () => sim.now(), …)
//     sink.attach(link)
//     return sink
//   })
//   sim.fault({ host: 'example.test', at: 'toClient', afterBytes: 100, what: 'reset' })
//   await sim.run(pool.request('GET', 'http://example.test/'))
//
// Everything that happens is an entry of one agenda, ordered by time and then by when it was entered; a step does the
// first. Bytes go: waiting (written) → accepted ('drained') → in transit → arrived → received. At most `sendBuffer` of
// them are accepted and not yet received, which is how a slow reader holds its sender back. TLS is played, not done:
// bytes stay as they are, what counts is who was asked for, what was offered and how the check came out. A lent buffer
// is overwritten as soon as it was not kept. It knows no HTTP.
import type { Bytes, Millis } from '../../http/index.ts'
import type { ConnectTarget, LinkInfo, LinkSide, TlsTarget } from '../../pool/lean.ts'
import type { Link, Network, NetworkCapabilities, Sink } from '../network.ts'
import { checkInteger, checkMillis } from '../shared/options.ts'
import { setImmediate } from '../shared/time.ts'

/** How bytes travel; what a listener says of its connections goes before what the network says of all. */
export interface SimConditions {
  /** One way; two numbers: drawn between them, order kept. Default 0. */
  readonly latency?: Millis | readonly [min: Millis, max: Millis] | undefined
  /** Bytes per millisecond and direction. Default: no limit. */
  readonly bandwidth?: number | undefined
  /** Reads are cut at random places. Default false. */
  readonly cut?: boolean | undefined
  /** The most that one read gives, 1 to 65,536. Default 65,536. */
  readonly maxRead?: number | undefined
  /** What arrives within so much time is read together. Default 0. */
  readonly coalesce?: Millis | undefined
  /** Bytes that are accepted before the peer has read them, 1 at least. Default 65,536. */
  readonly sendBuffer?: number | undefined
  /** Writes are accepted in pieces of random size. Default false. */
  readonly partialWrites?: boolean | undefined
}
export interface SimOptions extends SimConditions {
  /** Of everything that is drawn. Default 1. */
  readonly seed?: number | undefined
}
/** What the peer's side of a handshake is like. */
export interface SimTls {
  /** In its order of preference; the first that was offered is chosen. Default http/1.1, h2. */
  readonly alpn?: readonly string[] | undefined
  /** Chosen whatever was offered: a peer that breaks RFC 7301 §3.2. */
  readonly forceAlpn?: string | undefined
  /** Names of the certificate. Default: any. */
  readonly names?: readonly string[] | undefined
  /** The certificate is not trusted, for this reason. */
  readonly untrusted?: unknown
}
export interface SimListenOptions extends SimConditions {
  /** By the name that was asked for: what answers behind a proxy is not the proxy. */
  readonly tls?: SimTls | ((serverName: string | undefined) => SimTls) | undefined
}
/** What goes wrong, on connections to this host and port (left out: any), so many times (default 1). */
export type SimFault = {
  readonly host?: string | undefined
  readonly port?: number | undefined
  readonly times?: number | undefined
} & (
  | {
      readonly at: 'connect' | 'tls'
      /** refuse: with `error`, or with what a socket would say. never: no answer. late: after `delay`. */
      readonly what: 'refuse' | 'never' | 'late'
      readonly error?: unknown
      readonly delay?: Millis | undefined
    }
  | {
      readonly at: 'toClient' | 'toServer'
      /** So many bytes still get through. */
      readonly afterBytes: number
      /** reset: for both. stall: nothing more arrives. end: the receiver sees an end, over TLS without close_notify. */
      readonly what: 'reset' | 'stall' | 'end'
    }
)
type FaultAt<At> = At extends 'connect' | 'tls' ? DialFault : PipeFault
type DialFault = Extract<SimFault, { delay?: unknown }>
type PipeFault = Extract<SimFault, { afterBytes: number }>
/** One handshake that took place. */
export interface SimHandshake {
  readonly host: string
  readonly port: number
  readonly serverName: string | undefined
  readonly offered: readonly string[]
  readonly chosen: string | undefined
  readonly verified: boolean
}

interface Entry {
  readonly at: Millis
  readonly order: number
  readonly happen: () => void
  /** Whether `run()` waits for it. */
  readonly keepAlive: boolean
  cancelled: boolean
}
/** Where a connection leads, and what it is like. */
interface Place extends SimListenOptions {
  readonly host: string
  readonly port: number
}
interface Listener extends Place {
  readonly peer: (link: Link) => Sink
}

const MAX_READ = 65_536
/** With others nothing would ever arrive, or at no time: the clock would stand there, and no deadline come. */
function checked<C extends SimConditions>(conditions: C): C {
  checkInteger('maxRead', conditions.maxRead, 1, 1, MAX_READ)
  checkInteger('sendBuffer', conditions.sendBuffer, 1, 1, Number.MAX_SAFE_INTEGER)
  const { latency = 0, coalesce = 0, bandwidth = 1 } = conditions
  for (const millis of [latency].flat()) checkTime('latency', millis)
  checkTime('coalesce', coalesce)
  if (!(bandwidth > 0)) throw new RangeError(`bandwidth must be above 0, not ${bandwidth}`)
  return conditions
}
function checkTime(name: string, millis: unknown): void {
  if (checkMillis(name, millis) === Infinity) throw new RangeError(`${name} must have an end`)
}
/** What a lent buffer holds after it was given back: nothing that a parser would take for bytes of a message. */
const OVERWRITTEN = 0xdb

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))
/** Turns that a promise gets to settle when nothing is left to happen. */
const LAST_TURNS = 10

export class SimNetwork implements Network {
  readonly can: NetworkCapabilities = {
    alpn: true,
    sni: true,
    startTls: true,
    halfClose: true,
    unix: true,
    closeNotify: true,
  }
  /** In their order; for assertions. */
  readonly handshakes: SimHandshake[] = []
  /** Links of clients that are neither refused nor closed. */
  openLinks = 0
  readonly #conditions: SimConditions
  /** A heap: none is before the one at half its place. Bytes that are read one by one are a hundred thousand entries. */
  readonly #agenda: Entry[] = []
  readonly #listeners = new Map<string, Listener>()
  readonly #names = new Map<string, { addresses: readonly string[]; error: unknown; delay: Millis }>()
  readonly #faults: { fault: SimFault; left: number }[] = []
  #lent: Uint8Array<ArrayBuffer> | undefined
  #now: Millis = 0
  #entered = 0
  #random: number

  constructor(options: SimOptions = {}) {
    this.#conditions = checked(options)
    this.#random = options.seed ?? 1
  }

  // ── the network ──

  now(): Millis {
    return this.#now
  }

  timer(at: Millis, fire: () => void, keepAlive: boolean): () => void {
    const entry = this.#enter(at, fire, keepAlive)
    return () => {
      entry.cancelled = true
    }
  }

  resolve(host: string, done: (error: unknown, addresses: readonly string[]) => void): void {
    const answer = this.#names.get(host)
    this.later(answer?.delay ?? 0, () => {
      if (answer === undefined) {
        if (isLiteral(host)) done(undefined, [host])
        else done(systemError('ENOTFOUND', 'getaddrinfo', { hostname: host }), [])
      } else if (answer.error !== undefined) done(answer.error, [])
      else done(undefined, answer.addresses)
    })
  }

  connect(target: ConnectTarget, sink: Sink): Link {
    const listener = this.#listenerFor(target)
    const { path, address, port = 0 } = target
    const place: Place = listener ?? { ...this.#conditions, host: path ?? address ?? '', port }
    const client = new SimLink(this, place, sink, 'client')
    const fault = this.takeFault(client, 'connect')
    const wait = fault?.what === 'late' ? (fault.delay ?? 0) : 0
    this.openLinks++
    if (fault?.what === 'never') return client
    const there = this.latencyOf(place) + wait
    this.later(there, () => {
      if (client.over) return
      if (listener === undefined || fault?.what === 'refuse') {
        const refused = systemError('ECONNREFUSED', 'connect', { address: target.address, port: target.port })
        this.later(this.latencyOf(place), () => client.fail(fault?.error ?? refused, 'connect'))
        return
      }
      const server: SimLink = new SimLink(this, place, undefined, 'server')
      join(client, server)
      server.sink = listener.peer(server)
      server.opened(() => server.sink?.connected({ localAddress: target.address, remoteAddress: '192.0.2.1' }))
      const back = this.latencyOf(place)
      server.outgoing.lastArrival = this.#now + back
      this.later(back, () => {
        const info: LinkInfo = { localAddress: '192.0.2.1', remoteAddress: target.address }
        if (client.over) server.peerGone()
        else if (target.tls === undefined) client.opened(() => client.sink?.connected(info))
        else {
          client.sink?.connected(info)
          client.secure(target.tls, info)
        }
      })
    })
    return client
  }

  // ── what a test says ──

  /** Connections to the host (or its addresses, or this Unix path with port 0) are given to `peer`: one call each. */
  listen(host: string, port: number, peer: (link: Link) => Sink, options: SimListenOptions = {}): void {
    this.#listeners.set(`${host} ${port}`, { ...this.#conditions, ...checked(options), host, port, peer })
    if (!this.#names.has(host) && !isLiteral(host)) this.resolveTo(host, [`198.51.100.${this.#names.size + 1}`])
  }

  /** What looking the host up answers: addresses, or an error (anything that is no array), after `delay`. */
  resolveTo(host: string, answer: readonly string[] | Error, delay: Millis = 0): void {
    const found = Array.isArray(answer)
    checkTime('delay', delay)
    this.#names.set(host, { addresses: found ? answer : [], error: found ? undefined : answer, delay })
  }

  /** Something will go wrong; faults for the same place apply in the order in which they were told. */
  fault(fault: SimFault): void {
    if ('delay' in fault) checkTime('delay', fault.delay ?? 0)
    this.#faults.push({ fault, left: fault.times ?? 1 })
  }

  /** Lets so much time pass, with everything that happens in it. */
  async advance(ms: Millis): Promise<void> {
    checkTime('ms', ms)
    const end = this.#now + ms
    for (;;) {
      await turn()
      const next = this.#next()
      if (next === undefined || next.at > end) break
      this.step()
    }
    // Somebody else may have let more time pass meanwhile.
    this.#now = Math.max(this.#now, end)
  }

  /** For a peer: its end of the connection goes away with a reset, where `destroy` would say goodbye. */
  reset(link: Link): void {
    if (link instanceof SimLink) link.reset()
  }

  /**
   * Lets time pass until the promise settles (how, the caller asks it), or until nothing is left to happen but timers
   * that nobody waits for. Rejects where the promise cannot settle any more because nothing is left to happen.
   */
  async run(until?: Promise<unknown>): Promise<void> {
    let settled = false
    const settle = (): void => {
      settled = true
    }
    until?.then(settle, settle)
    for (let idle = 0; ; ) {
      await turn()
      if (settled) return
      if (until === undefined && !this.#agenda.some((entry) => entry.keepAlive && !entry.cancelled)) return
      if (this.step()) idle = 0
      else if (until === undefined) return
      else if (++idle > LAST_TURNS) throw new Error(`nothing is left to happen at ${this.#now} ms, and it is pending`)
    }
  }

  /** The next thing that is to happen, without a turn for promises: for tests of pure machines. false: there is none. */
  step(): boolean {
    const next = this.#next()
    if (next === undefined) return false
    this.#dropNext()
    this.#now = Math.max(this.#now, next.at)
    next.happen()
    return true
  }

  /** Of the seed, as all else. */
  random(): number {
    return this.draw(2 ** 32) / 2 ** 32
  }

  // ── for its links ──

  /** @internal */
  later(delay: Millis, happen: () => void): void {
    this.#enter(this.#now + delay, happen, true)
  }

  /** 0 ≤ n < below. @internal */
  draw(below: number): number {
    // Mulberry32: 32 bits of state are enough for a schedule, and every runtime computes the same.
    this.#random = (this.#random + 0x6d2b79f5) | 0
    let t = Math.imul(this.#random ^ (this.#random >>> 15), 1 | this.#random)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4_294_967_296) * below)
  }

  /** @internal */
  latencyOf(conditions: SimConditions): Millis {
    const latency = conditions.latency ?? 0
    return typeof latency === 'number' ? latency : latency[0] + this.draw(latency[1] - latency[0] + 1)
  }

  /** The first fault for this link and place, which then has one time less. @internal */
  takeFault<At extends SimFault['at']>(link: SimLink, at: At): FaultAt<At> | undefined {
    const { host, port } = link.place
    const found = this.#faults.find(
      ({ fault, left }) =>
        left > 0 && fault.at === at && (fault.host ?? host) === host && (fault.port ?? port) === port,
    )
    if (found !== undefined) found.left--
    return found?.fault as FaultAt<At> | undefined
  }

  /** Lends the bytes, and spoils them afterwards unless they are kept. @internal */
  lend(bytes: Bytes, sink: Sink): void {
    const buffer = (this.#lent ??= new Uint8Array(MAX_READ))
    buffer.set(bytes)
    // Not lent twice, should a step be taken from within.
    this.#lent = undefined
    if (sink.received(buffer.subarray(0, bytes.length))) return
    buffer.fill(OVERWRITTEN, 0, bytes.length)
    this.#lent = buffer
  }

  #listenerFor(target: ConnectTarget): Listener | undefined {
    if (target.path !== undefined) return this.#listeners.get(`${target.path} 0`)
    const exact = this.#listeners.get(`${target.address} ${target.port}`)
    if (exact !== undefined) return exact
    for (const [host, answer] of this.#names) {
      const named = this.#listeners.get(`${host} ${target.port}`)
      if (named !== undefined && answer.addresses.includes(target.address ?? '')) return named
    }
    return undefined
  }

  #enter(at: Millis, happen: () => void, keepAlive: boolean): Entry {
    const entry: Entry = { at: Math.max(at, this.#now), order: this.#entered++, happen, keepAlive, cancelled: false }
    const agenda = this.#agenda
    let place = agenda.length
    for (let parent; place > 0; place = parent) {
      parent = (place - 1) >> 1
      if (isBefore(agenda[parent] as Entry, entry)) break
      agenda[place] = agenda[parent] as Entry
    }
    agenda[place] = entry
    return entry
  }

  #next(): Entry | undefined {
    while (this.#agenda[0]?.cancelled === true) this.#dropNext()
    return this.#agenda[0]
  }
  #dropNext(): void {
    const agenda = this.#agenda
    const last = agenda.at(-1) as Entry
    const length = agenda.length - 1
    let place = 0
    for (let child = 1; child < length; child = 2 * place + 1) {
      if (child + 1 < length && isBefore(agenda[child + 1] as Entry, agenda[child] as Entry)) child++
      if (isBefore(last, agenda[child] as Entry)) break
      agenda[place] = agenda[child] as Entry
      place = child
    }
    agenda[place] = last
    agenda.pop()
  }
}

/** By time; what is to happen at the same time in the order in which it was said. */
function isBefore(one: Entry, other: Entry): boolean {
  return (one.at - other.at || one.order - other.order) < 0
}

/** One direction of a connection. */
class Pipe {
  readonly waiting: Bytes[] = []
  waitingBytes = 0
  /** Accepted and not yet received: what the peer's slowness costs the sender. */
  outstanding = 0
  readonly arrived: Bytes[] = []
  arrivedBytes = 0
  /** Nothing arrives before what left earlier. */
  lastArrival: Millis = 0
  /** What the sender, and what the receiver knows of its end. */
  ending: 'no' | 'asked' | 'sent' = 'no'
  ended: 'no' | 'arrived' | 'received' = 'no'
  endedClean = true
  stalled = false
  fault: PipeFault | undefined
  left = Infinity
  accepting = false
  delivering = false
}

/** One end of a connection. */
class SimLink implements Link {
  readonly place: Place
  sink: Sink | undefined
  outgoing = new Pipe()
  incoming = new Pipe()
  other: SimLink | undefined
  /** Only closed() is left to say, or nothing. */
  over = false
  readonly #net: SimNetwork
  readonly #side: 'client' | 'server'
  #phase: 'connecting' | 'securing' | 'open' = 'connecting'
  #overTls = false
  #paused = false
  #closing = false
  #writeFailed = false
  /** The peer is gone and has said so; the next write, or the end of what arrived, shows it. */
  #broken = false
  #info: LinkInfo = {}
  /** A handshake that waits until so many bytes, written before it, were accepted. */
  #tls: TlsTarget | undefined
  #plainBytes = Infinity

  constructor(net: SimNetwork, place: Place, sink: Sink | undefined, side: 'client' | 'server') {
    this.#net = net
    this.place = place
    this.sink = sink
    this.#side = side
  }

  // ── the owner's verbs ──

  write(chunks: readonly Bytes[]): void {
    const out = this.outgoing
    if (this.over || this.#writeFailed || out.ending !== 'no') return
    for (const chunk of chunks) {
      if (chunk.length === 0) continue
      out.waiting.push(chunk)
      out.waitingBytes += chunk.length
    }
    this.#accept()
  }
  end(): void {
    if (this.over || this.outgoing.ending !== 'no') return
    this.outgoing.ending = 'asked'
    this.#accept()
  }
  close(): void {
    if (this.over) return
    if (this.#writeFailed || (this.#phase !== 'open' && this.outgoing.waitingBytes === 0)) return this.destroy()
    this.#closing = true
    if (this.outgoing.ending === 'no') this.outgoing.ending = 'asked'
    this.#accept()
  }
  destroy(): void {
    if (this.over) return
    this.#leave(this.incoming.arrivedBytes > 0)
  }
  reset(): void {
    this.#leave(true)
  }
  pause(): void {
    this.#paused = true
  }
  resume(): void {
    this.#paused = false
    this.#deliver()
  }
  /** On the server's side nothing is to be done: the handshake is the client's, and is told to both. */
  startTls(tls: TlsTarget): void {
    if (this.over || this.#side === 'server') return
    this.#tls = tls
    this.#plainBytes = this.outgoing.waitingBytes
    this.#accept()
  }
  // There is no process that could end.
  ref(): void {}
  unref(): void {}

  // ── being opened ──

  opened(tell: () => void): void {
    this.#phase = 'open'
    this.outgoing.fault ??= this.#net.takeFault(this, this.#side === 'client' ? 'toServer' : 'toClient')
    this.outgoing.left = this.outgoing.fault?.afterBytes ?? Infinity
    tell()
    this.#accept()
    this.#deliver()
  }

  /** A played handshake of one round trip. */
  secure(tls: TlsTarget, info: LinkInfo): void {
    this.#phase = 'securing'
    this.#info = info
    const fault = this.#net.takeFault(this, 'tls')
    if (fault?.what === 'never') return
    const late = fault?.what === 'late' ? (fault.delay ?? 0) : 0
    const wait = this.#net.latencyOf(this.place) + this.#net.latencyOf(this.place) + late
    this.#net.later(wait, () => {
      if (this.over) return
      if (fault?.what === 'refuse' || this.incoming.ended !== 'no') {
        this.fail(fault?.error ?? systemError('ECONNRESET', 'read', {}), 'tls')
        this.other?.peerGone()
      } else this.#shakeHands(tls)
    })
  }

  #shakeHands(tls: TlsTarget): void {
    const told = this.place.tls
    const peer: SimTls = (typeof told === 'function' ? told(tls.serverName) : told) ?? {}
    const chosen = peer.forceAlpn ?? (peer.alpn ?? ['http/1.1', 'h2']).find((name) => tls.alpn.includes(name))
    const error = tlsError(tls, peer, chosen)
    const { host, port } = this.place
    const verified = error === undefined
    this.#net.handshakes.push({ host, port, serverName: tls.serverName, offered: tls.alpn, chosen, verified })
    if (error !== undefined) {
      this.fail(error, 'tls')
      this.other?.peerGone()
      return
    }
    const secured = { tlsVersion: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256', alpn: chosen }
    this.#overTls = true
    const other = this.other
    if (other !== undefined && !other.over) {
      other.#overTls = true
      other.sink?.secured({ ...other.#info, ...secured })
    }
    this.opened(() => this.sink?.secured({ ...this.#info, ...secured }))
  }

  // ── writing ──

  /** One entry of the agenda at a time accepts what there is room for. */
  #accept(): void {
    const out = this.outgoing
    if (out.accepting || this.#phase !== 'open' || this.over) return
    out.accepting = true
    this.#net.later(0, () => {
      out.accepting = false
      if (this.#phase !== 'open' || this.over) return
      const tls = this.#tls
      if (tls !== undefined && this.#plainBytes === 0) {
        this.#tls = undefined
        this.#plainBytes = Infinity
        this.secure(tls, this.#info)
      } else if (out.waitingBytes > 0) this.#acceptBytes(out)
      else if (out.ending === 'asked') this.#sendFin(out)
      else if (out.left === 0) this.#strike(out)
      else if (out.ending === 'sent' && this.#closing) this.#leave(false)
    })
  }

  #acceptBytes(out: Pipe): void {
    if (this.#broken) return this.#cannotWrite()
    if (out.left === 0 && !out.stalled) return this.#strike(out)
    const capacity = this.place.sendBuffer ?? 65_536
    const room = capacity - out.outstanding
    const wanted = Math.min(out.waitingBytes, this.#plainBytes, out.stalled ? Infinity : out.left, MAX_READ)
    // Not for crumbs of room (RFC 9293 §3.8.6.2). Received bytes make more of it, and come back here.
    if (room < Math.min(wanted, capacity / 2)) return
    const most = Math.min(room, wanted)
    const size = this.place.partialWrites === true ? 1 + this.#net.draw(most) : most
    const bytes = take(out.waiting, size)
    out.waitingBytes -= size
    out.outstanding += size
    out.left -= size
    this.#plainBytes -= size
    if (!out.stalled) this.#send(size, (to) => to.#arrive(bytes))
    this.sink?.drained(size)
    this.#accept()
  }

  #sendFin(out: Pipe): void {
    out.ending = 'sent'
    if (!out.stalled) this.#send(0, (to) => to.#arriveFin(true))
    if (this.#closing) this.#leave(false)
    else this.#closeIfBothEnded()
  }

  /** Puts something on its way to the other end. */
  #send(size: number, arrive: (to: SimLink) => void): void {
    const out = this.outgoing
    const to = this.other
    if (to === undefined) return
    const now = this.#net.now()
    const carrying = this.place.bandwidth === undefined ? 0 : size / this.place.bandwidth
    out.lastArrival = Math.max(out.lastArrival, now + this.#net.latencyOf(this.place)) + carrying
    this.#net.later(out.lastArrival - now, () => arrive(to))
  }

  /** The fault that was promised for this direction. */
  #strike(out: Pipe): void {
    const what = out.fault?.what
    out.left = Infinity
    if (what === 'stall' || what === 'end') {
      out.stalled = true
      if (what === 'end') this.#send(0, (to) => to.#arriveFin(false))
      this.#accept()
    } else {
      this.#send(0, (to) => to.#arriveReset())
      this.#arriveReset()
    }
  }

  #cannotWrite(): void {
    this.#writeFailed = true
    this.outgoing.waiting.length = 0
    this.outgoing.waitingBytes = 0
    this.sink?.failed(systemError('EPIPE', 'write', {}), 'write')
    if (this.over) return
    if (this.incoming.ended === 'received') return this.#leave(false)
    // The peer is gone: what it said before is all there will be.
    this.incoming.ended = 'arrived'
    this.incoming.endedClean = false
    this.#broken = false
    this.#deliver()
  }

  // ── reading ──

  #arrive(bytes: Bytes): void {
    if (this.over) {
      // Nobody reads it: the sender learns so.
      const sender = this.other
      if (sender !== undefined) this.#net.later(this.#net.latencyOf(this.place), () => sender.#arriveReset())
      return
    }
    this.incoming.arrived.push(bytes)
    this.incoming.arrivedBytes += bytes.length
    const wait = this.place.coalesce ?? 0
    if (wait === 0) this.#deliver()
    else this.#net.later(this.#net.draw(wait + 1), () => this.#deliver())
  }

  #arriveFin(clean: boolean): void {
    if (this.over || this.#broken || this.incoming.ended === 'received') return
    this.incoming.ended = 'arrived'
    this.incoming.endedClean = clean
    this.#deliver()
  }

  #arriveReset(): void {
    if (this.over || this.#writeFailed) return
    this.#broken = true
    if (this.outgoing.waitingBytes > 0) this.#accept()
    if (this.#phase === 'open') this.#deliver()
    else this.fail(systemError('ECONNRESET', 'read', {}), this.#phase === 'securing' ? 'tls' : 'connect')
  }

  /** One entry of the agenda at a time reads what has arrived; then the end shows, or the reset. */
  #deliver(): void {
    const pipe = this.incoming
    if (pipe.delivering || this.over) return
    pipe.delivering = true
    this.#net.later(0, () => {
      pipe.delivering = false
      if (this.over || this.#paused || this.#phase !== 'open') return
      if (pipe.arrivedBytes > 0) this.#read(pipe)
      else if (pipe.ended === 'arrived') {
        pipe.ended = 'received'
        if (this.#overTls) this.sink?.eof(pipe.endedClean)
        else this.sink?.eof()
        if (this.#writeFailed) this.#leave(false)
        else this.#closeIfBothEnded()
      } else if (this.#broken && pipe.ended !== 'received' && this.outgoing.waitingBytes === 0) {
        this.fail(systemError('ECONNRESET', 'read', {}), 'read')
      }
    })
  }

  #read(pipe: Pipe): void {
    const most = Math.min(pipe.arrivedBytes, this.place.maxRead ?? MAX_READ)
    const size = this.place.cut === true ? 1 + this.#net.draw(most) : most
    const bytes = take(pipe.arrived, size)
    pipe.arrivedBytes -= size
    pipe.outstanding -= size
    if (this.other !== undefined) this.other.#accept()
    if (this.sink !== undefined) this.#net.lend(bytes, this.sink)
    this.#deliver()
  }

  // ── the end ──

  fail(error: unknown, side: LinkSide): void {
    if (this.over) return
    if (!this.#writeFailed) this.sink?.failed(error, side)
    this.#leave(false)
  }

  /** The other end was never heard of again, or refused the handshake. */
  peerGone(): void {
    this.#arriveFin(false)
  }

  #closeIfBothEnded(): void {
    if (this.outgoing.ending === 'sent' && this.incoming.ended === 'received') this.#leave(false)
  }

  /** Off the network. What was accepted still arrives; then an end, or a reset where something was left unread. */
  #leave(reset: boolean): void {
    if (this.over) return
    this.over = true
    this.outgoing.waiting.length = 0
    this.outgoing.waitingBytes = 0
    const sent = this.outgoing.ending === 'sent'
    if (reset) this.#send(0, (to) => to.#arriveReset())
    else if (!sent && !this.outgoing.stalled && !this.#broken) this.#send(0, (to) => to.#arriveFin(false))
    this.#net.later(0, () => {
      if (this.#side === 'client') this.#net.openLinks--
      this.sink?.closed()
    })
  }
}

function join(client: SimLink, server: SimLink): void {
  client.other = server
  server.other = client
  server.incoming = client.outgoing
  client.incoming = server.outgoing
}

/** The first `size` bytes of the chunks, in a copy, taken out of them. */
function take(chunks: Bytes[], size: number): Bytes {
  const bytes = new Uint8Array(size)
  let filled = 0
  let used = 0
  while (filled < size) {
    const chunk = chunks[used] as Bytes
    const part = chunk.subarray(0, size - filled)
    bytes.set(part, filled)
    filled += part.length
    if (part.length < chunk.length) chunks[used] = chunk.subarray(part.length)
    else used++
  }
  chunks.splice(0, used)
  return bytes
}

function tlsError(tls: TlsTarget, peer: SimTls, chosen: string | undefined): unknown {
  if (chosen !== undefined && !tls.alpn.includes(chosen)) {
    return Object.assign(new Error(`the peer chose the protocol '${chosen}', which was not offered`), {
      code: 'ERR_TLS_ALPN_NOT_OFFERED',
    })
  }
  const options = tls.options as { rejectUnauthorized?: unknown } | null | undefined
  if (options?.rejectUnauthorized === false) return undefined
  if (peer.untrusted !== undefined) return peer.untrusted
  if (peer.names === undefined || peer.names.includes(tls.serverName ?? '')) return undefined
  return Object.assign(new Error(`the certificate is not for '${tls.serverName ?? ''}'`), {
    code: 'ERR_TLS_CERT_ALTNAME_INVALID',
  })
}

/** In the shape of Node's. */
function systemError(code: string, syscall: string, details: object): Error {
  return Object.assign(new Error(`${syscall} ${code}`), { code, syscall, ...details })
}

function isLiteral(host: string): boolean {
  return host.includes(':') || /^[0-9.]+$/.test(host)
}
