// From a name to a machine: resolve → dial → (proxy handshake → TLS)* → ALPN → machine, under one connect deadline.
//
// A route is a list of hops; the first is dialled, each other is asked for through the one before it. Dialling races
// (RFC 8305 §5): the next address starts while earlier attempts go on; the first that connects wins, the others are
// destroyed, and if none does the error lists them all. Every step either leads to the next or ends the whole, once.
//
// The only file that knows which versions there are; HTTP/2 is lent to it, so that who never speaks it need not load it.
// It has no seat and no queue: who waits for it is the pool's affair.
import {
  ConnectError,
  ConnectTimeout,
  excerpt,
  type Fields,
  formatHost,
  formatOrigin,
  type HttpCoreError,
  isIPv4,
  isIPv6,
  isSecure,
  ProxyError,
  resolveLimits,
  type Attempt,
  type Bytes,
  type Connection,
  type ErrorDetails,
  type Limits,
  type Millis,
  type ProxyAnswer,
  type ResolvedLimits,
} from '../http/index.ts'
import { H11Connection } from '../h11/index.ts'
import type { H2Connection } from '../h2/index.ts'
import type { ConnectTarget, LinkId, LinkInfo, LinkSide, PoolCommand, TlsTarget } from './commands.ts'
import { Link, type PoolConnection, type Site } from './connection.ts'
import type { Exchange } from './exchange.ts'
import { factsOf, handshakeFault, misused, TLS_DISCONNECTED } from './failures.ts'
import { isHttpProxy, type HttpProxy, type PoolSettings, type ProxyTarget, type SocksProxy } from './settings.ts'
import type { Slots } from './slots.ts'
import { Socks5Handshake } from './socks5.ts'
import { Deadline, type Timers } from './timers.ts'

export type Version = 'h1' | 'h2'
/** The machine of HTTP/2, asked for when a connection turns out to speak it. */
export type Http2 = () => typeof H2Connection
/** What the pool lends to it. */
export interface Surroundings {
  readonly settings: PoolSettings
  readonly limits: ResolvedLimits
  readonly links: Slots<Link>
  readonly timers: Timers<Deadline<unknown, unknown>>
  /** What was dialled last. */
  last: ConnectTarget | undefined
  emit(command: PoolCommand): void
  /** Asks for addresses; `resolved` or `notResolved` follows. */
  resolve(host: string, asker: Establishing): void
  /** Nobody needs the answer any more. */
  unresolve(host: string, asker: Establishing): void
  established(connection: PoolConnection, result: Established, now: Millis): void
  notEstablished(connection: PoolConnection, error: unknown, now: Millis): void
  trace(
    opener: Exchange,
    connection: PoolConnection,
    name: string,
    info: Readonly<Record<string, unknown>>,
    link?: LinkId,
  ): void
}
export interface Established {
  readonly link: Link
  readonly info: LinkInfo
  readonly version: Version
  /** What came behind the last answer of a proxy, where no TLS follows: the connection's first bytes. */
  readonly surplus: Bytes
}

interface Hop {
  readonly host: string
  readonly port: number
  readonly tls: TlsTarget | undefined
}

type Step = 'idle' | 'resolving' | 'dialling' | 'securing' | 'proxying' | 'backoff' | 'over'
const PHASES = {
  idle: 'connect',
  resolving: 'dns',
  dialling: 'connect',
  securing: 'tls',
  proxying: 'proxy',
  backoff: 'connect',
  over: 'connect',
} as const satisfies Record<Step, string>

const EMPTY = new Uint8Array(0)
/** A second attempt would end the same way. */
const HOPELESS: ReadonlySet<string> = new Set(['tls-certificate', 'tls-alpn'])
/** Of further attempts to connect: 0, then this much, doubled each time. */
const FIRST_BACKOFF: Millis = 500
/** Nobody waits without a deadline of his own for what was dialled for who had none, and has gone. */
const UNWANTED: Millis = 10_000
/** HTTP/1.1 has no window of its own: reading stops when so much waits for the reader. */
const H11_WINDOW = 256 * 1024

export type EstablishTimer = 'connect' | 'attempt' | 'retry'

export class Establishing {
  readonly #pool: Surroundings
  readonly #connection: PoolConnection
  readonly #hops: readonly Hop[]
  /** For whom it was begun, whatever has become of it: a trace names it with every step. */
  readonly #opener: Exchange
  readonly #connectDeadline = new Deadline<Establishing, EstablishTimer>(this, 'connect')
  readonly #attemptDeadline = new Deadline<Establishing, EstablishTimer>(this, 'attempt')
  readonly #retryDeadline = new Deadline<Establishing, EstablishTimer>(this, 'retry')
  #step: Step = 'idle'
  /** The hop that is being made. */
  #hop = 0
  #host: string | undefined
  #addresses: readonly string[] = []
  #next = 0
  /** By hop: the addresses of a name, the first of which a SOCKS proxy is asked for. */
  #named: (readonly string[])[] = []
  readonly #racing = new Set<Link>()
  readonly #attempts: Attempt[] = []
  #link: Link | undefined
  #info: LinkInfo = {}
  #surplus: Bytes = EMPTY
  #proxy: H11Connection | Socks5Handshake | undefined
  #refusal: { status: number; headers: Fields; content: Uint8Array } | undefined
  /** How much of its content has come. */
  #said = 0
  /** Why nothing can be written to the proxy; what it has said may still be read. */
  #unheard: { readonly error: unknown } | undefined
  #failures = 0
  /** The step that a trace was told the beginning of. */
  #tracing: string | undefined
  #startedAt: Millis = 0

  constructor(pool: Surroundings, connection: PoolConnection, alpn: readonly string[], opener: Exchange) {
    this.#pool = pool
    this.#connection = connection
    this.#opener = opener
    this.#hops = hopsOf(pool.settings, connection.site, alpn)
  }

  /** Where an error says that it stood. */
  get phase(): string {
    // A SOCKS proxy waits for an address.
    return this.#host === undefined ? PHASES[this.#step] : 'dns'
  }

  start(now: Millis): void {
    this.#startedAt = now
    const { connect } = this.#opener.timeouts
    this.#pool.timers.after(this.#connectDeadline, connect === Infinity ? UNWANTED : connect, now)
    this.#begin(now)
  }

  /** Ends it without a word but to who listens; its sockets are destroyed. */
  abandon(reason: unknown): void {
    if (this.#step === 'over') return
    this.#stepEnds('failed', { exception: reason })
    this.#discard(reason)
    this.#end()
  }

  #begin(now: Millis): void {
    const { unixSocket } = this.#pool.settings
    const hop = this.#hops[0] as Hop
    this.#hop = 0
    if (unixSocket !== undefined) return this.#dialAll([unixSocket], now)
    if (isIPv4(hop.host) || isIPv6(hop.host)) return this.#dialAll([hop.host], now)
    this.#step = 'resolving'
    this.#resolve(hop.host)
  }

  #resolve(host: string): void {
    this.#host = host
    this.#stepBegins('connection.resolve', { host })
    this.#pool.resolve(host, this)
  }
  resolved(addresses: readonly string[], now: Millis): void {
    if (this.#host === undefined) return
    const host = this.#host
    this.#host = undefined
    this.#stepEnds('complete', { addresses })
    const [first] = addresses
    if (this.#step === 'proxying' && first !== undefined) {
      this.#named[this.#hop] = interleaved(addresses)
      return this.#attempt(() => this.#askSocks(first), now)
    }
    const { localAddress } = this.#pool.settings
    // A socket that is bound to one family reaches no address of the other.
    const usable =
      localAddress === undefined ? addresses : addresses.filter((one) => isIPv6(one) === isIPv6(localAddress))
    if (usable.length === 0) return this.notResolved(new Error(`there is no address for '${host}'`), now, host)
    this.#dialAll(usable, now)
  }
  notResolved(cause: unknown, now: Millis, host = this.#host): void {
    this.#host = undefined
    this.#fail(this.#error(`the name '${host}' could not be resolved`, 'resolve', 'dns', cause), now)
  }

  // ── dialling ──

  #dialAll(addresses: readonly string[], now: Millis): void {
    this.#step = 'dialling'
    this.#addresses = interleaved(addresses)
    this.#next = 0
    this.#dialNext(now)
  }
  #dialNext(now: Millis): void {
    const address = this.#addresses[this.#next++] as string
    const { settings, limits, links, timers } = this.#pool
    const { port, tls } = this.#hops[0] as Hop
    const link = new Link(address, this)
    links.add(link)
    this.#racing.add(link)
    const { unixSocket, localAddress, socketOptions } = settings
    const place = unixSocket === undefined ? { address, port, localAddress } : { path: unixSocket }
    this.#traceDial('started', link, place)
    // Written out: an object that is spread into has a hidden class of its own each time, a quarter of a kilobyte.
    let target: ConnectTarget =
      unixSocket === undefined
        ? { address, port, localAddress, socketOptions, tls }
        : { path: unixSocket, socketOptions, tls }
    // A network may keep it for as long as the connection lives, and mostly the one before it led to the same place.
    const { last } = this.#pool
    const plain = tls === undefined && last !== undefined && last.tls === undefined
    if (plain && last.address === target.address && last.port === target.port) target = last
    this.#pool.last = target
    this.#pool.emit({ type: 'connect', link: link.id, target })
    if (this.#next < this.#addresses.length) timers.after(this.#attemptDeadline, limits.attemptDelay, now)
  }
  #destroy(link: Link): void {
    this.#racing.delete(link)
    if (link.destroyed) return
    link.destroyed = true
    this.#pool.emit({ type: 'destroy', link: link.id })
  }

  connected(link: Link, info: LinkInfo, now: Millis): void {
    if (this.#step !== 'dialling') return this.#destroy(link)
    this.#racing.delete(link)
    this.#discard(new Error('another was faster'))
    this.#link = link
    this.#info = info
    this.#traceDial('complete', link, { address: link.address })
    const tls = this.#hops[0]?.tls
    if (tls === undefined) return this.#afterHop(now)
    this.#step = 'securing'
    this.#stepBegins('connection.start_tls', { serverName: tls.serverName })
  }
  secured(link: Link, info: LinkInfo, now: Millis): void {
    if (this.#step !== 'securing' || link !== this.#link) return
    this.#info = { ...this.#info, ...info }
    this.#stepEnds('complete', { alpn: info.alpn })
    this.#afterHop(now)
  }

  /** A hop is there: on to the next, or the whole is done. */
  #afterHop(now: Millis): void {
    this.#hop++
    const next = this.#hops[this.#hop]
    if (next === undefined) return this.#done(now)
    const proxy = this.#pool.settings.proxies[this.#hop - 1] as ProxyTarget
    this.#step = 'proxying'
    if (isHttpProxy(proxy)) return this.#attempt(() => this.#askTunnel(proxy, next, now), now)
    const literal = isIPv4(next.host) || isIPv6(next.host)
    const asked = proxy.kind === 'socks5' && !literal ? this.#named[this.#hop]?.[0] : next.host
    if (asked === undefined) return this.#resolve(next.host)
    this.#attempt(() => this.#askSocks(asked), now)
  }
  /** What cannot be said to the proxy (a host of 256 octets) ends it: it is the caller's mistake, and not thrown here. */
  #attempt(ask: () => void, now: Millis): void {
    try {
      ask()
    } catch (error) {
      this.#give(misused(this.#opener, error) as HttpCoreError, now)
    }
  }

  #done(now: Millis): void {
    const version = this.#version(now)
    if (version === undefined) return
    const link = this.#link as Link
    this.#end()
    this.#pool.established(this.#connection, { link, info: this.#info, version, surplus: this.#surplus }, now)
  }
  /** By ALPN what the peer chose of what was offered; without TLS, or without its answer, what is known. */
  #version(now: Millis): Version | undefined {
    const { http1, http2 } = this.#pool.settings
    const { alpn } = this.#info
    const offered = this.#hops.at(-1)?.tls?.alpn
    if (offered === undefined) return http1 ? 'h1' : 'h2'
    if (alpn !== undefined && alpn !== '' && offered.includes(alpn)) return alpn === 'h2' ? 'h2' : 'h1'
    // A peer that knows no ALPN speaks HTTP/1.1, if that will do. RFC 9113 §3.2 asks for an answer for HTTP/2.
    if ((alpn === undefined || alpn === '') && http1) return 'h1'
    const said = alpn === undefined || alpn === '' ? 'no protocol' : excerpt(alpn)
    const message = `the peer chose ${said} where ${http2 ? 'HTTP/2' : 'HTTP/1.1'} was offered`
    this.#fail(this.#error(message, 'tls-alpn', 'tls', undefined), now)
    return undefined
  }

  // ── proxies ──

  #askSocks(host: string): void {
    const proxy = this.#pool.settings.proxies[this.#hop - 1] as SocksProxy
    const { port } = this.#hops[this.#hop] as Hop
    this.#stepBegins('socks.setup_socks5_connection', { host, port })
    const handshake = (this.#proxy = new Socks5Handshake(host, port, proxy.credentials))
    this.#write(handshake.takeOutput())
  }
  #askTunnel(proxy: HttpProxy, hop: Hop, now: Millis): void {
    const { limits } = this.#pool
    const machine = new H11Connection('client', { now, limits: { maxHeadBytes: limits.maxProxyHeadBytes } })
    const target = `${formatHost(hop.host)}:${hop.port}`
    this.#stepBegins('proxy.connect', { target })
    machine.sendRequest({ method: 'CONNECT', authority: target, target, headers: proxy.headers }, { end: true })
    this.#proxy = machine
    this.#write(machine.takeOutput())
  }
  #write(chunks: readonly Bytes[]): void {
    if (chunks.length === 0) return
    const link = this.#link as Link
    for (const chunk of chunks) link.ahead += chunk.byteLength
    this.#pool.emit({ type: 'write', link: link.id, chunks })
  }

  received(link: Link, data: Bytes, now: Millis): void {
    if (link !== this.#link) return
    const proxy = this.#proxy
    if (proxy instanceof Socks5Handshake) return this.#socksAnswer(proxy, data, now)
    if (proxy !== undefined) {
      proxy.receiveData(data, now)
      return this.#tunnelAnswer(proxy, now)
    }
    this.#early(this.#step === 'securing', now)
  }
  /** Bytes ahead of a handshake, or of the first word to the next hop, could be anybody's. */
  #early(beforeTls: boolean, now: Millis): void {
    const [what, code] = beforeTls
      ? ['before the TLS handshake', 'surplus-before-tls']
      : ['before the proxy was asked for anything', 'surplus-bytes']
    const message = `bytes came ${what}`
    if (this.#hop === 0) return this.#fail(this.#error(message, code, this.phase, undefined), now)
    this.#proxyFails(message, { code, rule: 'RFC 9110 §9.3.6' }, now)
  }

  #socksAnswer(handshake: Socks5Handshake, data: Bytes, now: Millis): void {
    const result = handshake.receive(data)
    // Also where the answer has come with the one before it: what it answers is asked for all the same.
    this.#write(handshake.takeOutput())
    if (result === 'more') return
    if ('fault' in result) {
      const { code, rule, message } = result.fault
      const named = this.#named[this.#hop]
      if (named !== undefined) this.#attempts.push({ address: named[0] as string, error: new Error(message) })
      const error = new ProxyError(message, { code, rule, ...this.#facts('proxy') })
      if (code !== 'socks-reply' || named === undefined || named.length === 1) return this.#fail(error, now)
      // A proxy that refuses closes: the next address is asked for over another connection. RFC 1928 §6.
      this.#named[this.#hop] = named.slice(1)
      this.#stepEnds('failed', { exception: error })
      this.#discard(error)
      return this.#begin(now)
    }
    this.#tunnelled(result.surplus, now)
  }

  #tunnelAnswer(machine: H11Connection, now: Millis): void {
    for (let event = machine.nextEvent(); event !== undefined; event = machine.nextEvent()) {
      switch (event.type) {
        case 'response':
          if (event.status >= 300) {
            const content = new Uint8Array(this.#pool.limits.maxProxyContentBytes)
            this.#refusal = { status: event.status, headers: event.headers, content }
          }
          break
        case 'data':
          machine.consume(event.exchange, event.data.length)
          if (this.#refuse(event.data)) return this.#refused(now)
          break
        case 'end':
          return this.#refused(now)
        case 'switched':
          return this.#tunnelled(event.leading.slice(), now)
        case 'failed':
        case 'error':
          if (this.#refusal !== undefined) return this.#refused(now)
          // That it has gone is said by whoever saw it go.
          if (event.fault.code === 'server-disconnected') return
          return this.#proxyFails(
            `the proxy: ${event.fault.message}`,
            { code: event.fault.code, fault: event.fault },
            now,
          )
        default:
          break
      }
    }
  }
  /** Keeps what the proxy says; true: it has said enough. */
  #refuse(data: Bytes): boolean {
    const content = this.#refusal?.content
    if (content === undefined) return false
    const part = data.subarray(0, content.length - this.#said)
    content.set(part, this.#said)
    this.#said += part.length
    return this.#said === content.length
  }
  #refused(now: Millis): void {
    const answer = this.#refusal
    if (answer !== undefined) answer.content = answer.content.slice(0, this.#said)
    const message = `the proxy refused the tunnel with status ${answer?.status}`
    this.#proxyFails(message, { code: 'proxy-refused', rule: 'RFC 9110 §9.3.6' }, now, answer)
  }

  /** There is a way through the proxy. */
  #tunnelled(surplus: Bytes, now: Millis): void {
    if (this.#unheard !== undefined) return this.#lost(undefined, now)
    const hop = this.#hops[this.#hop] as Hop
    this.#proxy = undefined
    this.#stepEnds('complete', {})
    const last = this.#hop === this.#hops.length - 1
    if (surplus.length > 0 && (hop.tls !== undefined || !last)) return this.#early(hop.tls !== undefined, now)
    if (hop.tls === undefined) {
      this.#surplus = surplus
      return this.#afterHop(now)
    }
    this.#step = 'securing'
    const socks = this.#pool.settings.proxies[this.#hop - 1]?.kind.startsWith('socks') === true
    this.#stepBegins(socks ? 'socks.start_tls' : 'proxy.start_tls', { serverName: hop.tls.serverName })
    this.#pool.emit({ type: 'startTls', link: (this.#link as Link).id, tls: hop.tls })
  }

  // ── the ways in which it ends ──

  eof(link: Link, now: Millis): void {
    if (link !== this.#link) return
    if (this.#proxy instanceof H11Connection) {
      this.#proxy.receiveEof(now)
      this.#tunnelAnswer(this.#proxy, now)
    }
    this.#lost(undefined, now)
  }
  failed(link: Link, error: unknown, side: LinkSide, now: Millis): void {
    const dialled = link === this.#link
    if (dialled && side === 'write' && this.#proxy !== undefined) {
      // A proxy may have refused before it stopped listening.
      this.#unheard = { error }
      return this.#pool.timers.after(this.#attemptDeadline, this.#pool.limits.earlyResponseGrace, now)
    }
    if (dialled && side !== 'tls') return this.#lost(error, now)
    if (!dialled && !this.#racing.delete(link)) return
    this.#attempts.push({ address: link.address, error })
    if (!dialled) this.#traceDial('failed', link, { address: link.address, exception: error })
    // Options that cannot be used are as wrong for the next address.
    if (side === 'tls') return this.#fail(this.#tlsError(error), now)
    if (this.#next < this.#addresses.length) return this.#dialNext(now)
    if (this.#racing.size > 0) return
    const place = this.#addresses.length === 1 ? link.address : `${this.#addresses.length} addresses`
    const what = this.#pool.settings.proxies.length > 0 ? `the proxy at ${place}` : place
    this.#fail(this.#error(`could not connect to ${what}`, 'connect', 'connect', error), now)
  }
  closed(link: Link, now: Millis): void {
    link.destroyed = true
    if (link === this.#link) this.#lost(undefined, now)
    else this.failed(link, new Error('the attempt was closed'), 'connect', now)
  }
  #lost(reason: unknown, now: Millis): void {
    if (this.#step === 'over') return
    const cause = this.#unheard?.error ?? reason
    if (this.#refusal !== undefined) return this.#refused(now)
    this.#attempts.push({ address: (this.#link as Link).address, error: cause ?? new Error('the connection ended') })
    const error =
      this.#step === 'proxying'
        ? new ProxyError('the proxy ended the connection', {
            code: 'proxy-disconnected',
            cause,
            ...this.#facts('proxy'),
          })
        : this.#error('the peer ended the connection before it was established', 'disconnected', this.phase, cause)
    this.#fail(error, now)
  }
  #tlsError(cause: unknown): HttpCoreError {
    const { code, message } = handshakeFault(cause)
    if (code !== TLS_DISCONNECTED && this.#hop < this.#pool.settings.proxies.length) {
      return new ProxyError(message, { code, cause, ...this.#facts('tls') })
    }
    return this.#error(message, code, 'tls', cause)
  }

  timeout(timer: EstablishTimer, now: Millis): void {
    if (timer === 'attempt') {
      if (this.#unheard !== undefined) return this.#lost(undefined, now)
      return this.#next < this.#addresses.length ? this.#dialNext(now) : undefined
    }
    if (timer === 'retry') {
      this.#named = []
      this.#stepEnds('complete', {})
      return this.#begin(now)
    }
    // It has refused already, and only does not come to an end.
    if (this.#refusal !== undefined) return this.#refused(now)
    const { connect } = this.#opener.timeouts
    if (connect === Infinity && this.#connection.opener !== undefined)
      return this.#pool.timers.after(this.#connectDeadline, UNWANTED, now)
    for (const { address } of this.#link === undefined ? this.#racing : [this.#link]) {
      this.#attempts.push({ address, error: new Error('there was no answer') })
    }
    const { phase } = this
    const blockedOn = { want: phase, since: this.#startedAt }
    const message = `no connection within ${connect} ms (${phase})`
    const error = new ConnectTimeout(message, { code: 'connect-timeout', blockedOn, ...this.#facts(phase) })
    this.#give(error, now)
  }

  /** Once more, if `retries` allows it and it may help; else it is over. */
  #fail(error: HttpCoreError, now: Millis): void {
    const helps = error instanceof ConnectError && !HOPELESS.has(error.code)
    if (!helps || this.#failures >= this.#pool.settings.retries) return this.#give(error, now)
    this.#stepEnds('failed', { exception: error })
    this.#discard(error)
    const delay = this.#failures === 0 ? 0 : FIRST_BACKOFF * 2 ** (this.#failures - 1)
    this.#failures++
    this.#step = 'backoff'
    this.#stepBegins('connection.retry', { exception: error, delay })
    this.#pool.timers.after(this.#retryDeadline, delay, now)
  }
  #proxyFails(message: string, details: ErrorDetails, now: Millis, answer?: ProxyAnswer): void {
    this.#fail(new ProxyError(message, { ...details, ...this.#facts('proxy') }, answer), now)
  }
  #give(error: HttpCoreError, now: Millis): void {
    this.abandon(error)
    this.#pool.notEstablished(this.#connection, error, now)
  }
  #discard(reason: unknown): void {
    for (const link of this.#racing) {
      this.#traceDial('failed', link, { address: link.address, exception: reason })
      this.#destroy(link)
    }
    if (this.#link !== undefined) this.#destroy(this.#link)
    this.#link = this.#proxy = this.#unheard = undefined
    this.#pool.timers.clear(this.#attemptDeadline)
  }
  #end(): void {
    this.#step = 'over'
    this.#pool.timers.clear(this.#connectDeadline)
    this.#pool.timers.clear(this.#retryDeadline)
    if (this.#host !== undefined) this.#pool.unresolve(this.#host, this)
    this.#host = undefined
  }

  // A trace hears of every step that it began, and that it ended, one way or the other.
  #stepBegins(step: string, info: Readonly<Record<string, unknown>>): void {
    this.#tracing = step
    this.#pool.trace(this.#opener, this.#connection, `${step}.started`, info, this.#link?.id)
  }
  #stepEnds(how: 'complete' | 'failed', info: Readonly<Record<string, unknown>>): void {
    if (this.#tracing === undefined) return
    this.#pool.trace(this.#opener, this.#connection, `${this.#tracing}.${how}`, info, this.#link?.id)
    this.#tracing = undefined
  }
  #traceDial(how: 'started' | 'complete' | 'failed', link: Link, info: Readonly<Record<string, unknown>>): void {
    this.#pool.trace(this.#opener, this.#connection, `${this.#dialling}.${how}`, info, link.id)
  }
  /** What a trace calls an attempt. */
  get #dialling(): string {
    const { unixSocket, proxies } = this.#pool.settings
    if (unixSocket !== undefined) return 'connection.connect_unix_socket'
    return proxies[0]?.kind.startsWith('socks') === true ? 'socks.connect_tcp' : 'connection.connect_tcp'
  }

  #facts(phase: string): Omit<ErrorDetails, 'code'> {
    const { site, opener } = this.#connection
    // It may have been sent before, on a connection that was lost.
    const before = opener === undefined ? undefined : factsOf(opener as Exchange)
    return { ...before, phase, origin: formatOrigin(site.origin), attempts: [...this.#attempts] }
  }
  #error(message: string, code: string, phase: string, cause: unknown): ConnectError {
    const facts = this.#facts(phase)
    return new ConnectError(`${message} (${facts.origin})`, { code, cause, ...facts })
  }
}

/** The families in turn, the first one's first: a family that leads nowhere costs one delay. RFC 8305 §4. */
function interleaved(addresses: readonly string[]): readonly string[] {
  const v6 = addresses.filter(isIPv6)
  const v4 = addresses.filter((address) => !isIPv6(address))
  const [first, other] = addresses[0] === v6[0] ? [v6, v4] : [v4, v6]
  return [...first.flatMap((address, i) => [address, ...other.slice(i, i + 1)]), ...other.slice(first.length)]
}

/** What is dialled and asked for, in order. A forwarding proxy is itself the end of the route. */
function hopsOf(settings: PoolSettings, site: Site, alpn: readonly string[]): readonly Hop[] {
  const { origin } = site
  const hops: Hop[] = settings.proxies.map((proxy) => ({
    host: proxy.host,
    port: proxy.port,
    tls: proxy.kind === 'https' ? tlsTarget(proxy.host, ['http/1.1'], proxy.tls) : undefined,
  }))
  if (forwardingProxy(settings, site) === undefined) {
    const tls = isSecure(origin) ? tlsTarget(site.serverName, alpn, settings.tls) : undefined
    hops.push({ host: origin.host, port: origin.port, tls })
  }
  return hops
}
function tlsTarget(host: string, alpn: readonly string[], options: unknown): TlsTarget {
  return { serverName: host, alpn, options }
}

/** The proxy that takes the request itself, in absolute-form; undefined: it goes to the origin. RFC 9112 §3.2.2. */
export function forwardingProxy(settings: PoolSettings, site: Site): HttpProxy | undefined {
  const last = settings.proxies.at(-1)
  if (last === undefined || !isHttpProxy(last)) return undefined
  // Prior knowledge of HTTP/2 is of the origin, not of the proxy.
  return isSecure(site.origin) || last.tunnel === 'always' || !settings.http1 ? undefined : last
}

/** What is offered by ALPN. h2 first: the order is the client's preference. RFC 7301 §3.1. */
export function alpnOf(settings: PoolSettings, site: Site, h1Only: boolean): readonly string[] {
  if (!isSecure(site.origin)) return []
  if (h1Only || !settings.http2) return ['http/1.1']
  return settings.http1 ? ['h2', 'http/1.1'] : ['h2']
}
/** Whether a dial may find that many requests can share it. */
export function mayShare(settings: PoolSettings, site: Site): boolean {
  return settings.http2 && (isSecure(site.origin) || !settings.http1)
}

/** What makes a connection's machine. Limits are the same for all: they are resolved once. */
export function machines(
  { limits, http2Options }: PoolSettings,
  http2: Http2,
): (version: Version, now: Millis, streams: number) => Connection {
  const own = {
    ...limits,
    streamWindow: http2Options?.streamWindow ?? limits?.streamWindow,
    connectionWindow: http2Options?.connectionWindow ?? limits?.connectionWindow,
  } as Limits
  const h1 = resolveLimits({ streamWindow: H11_WINDOW, ...limits }, 'client')
  const h2 = resolveLimits(own, 'client')
  return (version, now, streams) => {
    if (version === 'h1') return new H11Connection('client', { now, limits: h1 })
    const Machine = http2()
    // Whoever it has no room for would be refused by one connection after the other, until no replay is left.
    const few = streams < h2.assumedConcurrentStreams
    return new Machine('client', { now, limits: few ? { ...own, assumedConcurrentStreams: streams } : h2 })
  }
}
