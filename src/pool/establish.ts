// From a name to a machine: resolve → dial → (proxy handshake → TLS)* → ALPN → machine, under one connect deadline.
//
// A route is a list of hops; the first is dialled, each other is asked for through the one before it. Dialling races
// (RFC 8305 §5): the next address starts while earlier attempts go on; the first that connects wins, the others are
// destroyed, and if none does the error lists them all. Every step either leads to the next or ends the whole, once.
//
// The only file that knows which versions there are; HTTP/2 is lent to it, so that who never speaks it need not load it.
// It looks at no seat and no queue: who waits for it is told by decisions.ts.
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
} from '../http/index.ts'
import { H11Connection } from '../h11/index.ts'
import type { H2Connection } from '../h2/index.ts'
import type { ConnectTarget, LinkInfo, LinkSide, TlsTarget } from './commands.ts'
import { Link, type PoolConnection, type Site } from './connection.ts'
import type { Exchange } from './exchange.ts'
import { factsOf, handshakeFault, misused, TLS_DISCONNECTED } from './failures.ts'
import { isHttpProxy, type HttpProxy, type PoolSettings, type ProxyTarget, type SocksProxy } from './settings.ts'
import { Socks5Handshake } from './socks5.ts'
import type { PoolState } from './state.ts'
import { Deadline } from './timers.ts'
import { trace } from './tracing.ts'

export type Version = 'h1' | 'h2'
/** The machine of HTTP/2, asked for when a connection turns out to speak it. */
export type Http2 = () => typeof H2Connection
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

export type EstablishTimer = 'connect' | 'step'

export class Establishing {
  readonly #pool: PoolState
  readonly #connection: PoolConnection
  readonly #hops: readonly Hop[]
  /** For whom it was begun, whatever has become of it: a trace names it with every step. */
  readonly #opener: Exchange
  readonly #connectDeadline = new Deadline<Establishing, EstablishTimer>(this, 'connect')
  /** Of the step: the next address is dialled, the next attempt begins, what a proxy still said is not waited for. */
  readonly #stepDeadline = new Deadline<Establishing, EstablishTimer>(this, 'step')
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
  /** With a proxy. */
  #handshake: H11Connection | Socks5Handshake | undefined
  #refusal: { status: number; headers: Fields; content: Uint8Array } | undefined
  /** How much of its content has come. */
  #said = 0
  /** Why nothing can be written to the proxy; what it has said may still be read. */
  #unheard: { readonly error: unknown } | undefined
  #failures = 0
  /** The step that a trace was told the beginning of. */
  #tracing: string | undefined
  #startedAt: Millis = 0

  constructor(pool: PoolState, connection: PoolConnection, opener: Exchange) {
    this.#pool = pool
    this.#connection = connection
    this.#opener = opener
    this.#hops = hopsOf(pool.settings, connection.site, opener.need === 'h1')
  }

  /** Who fails if it fails; where nobody does any more, for whom it was begun. */
  get #awaiting(): Exchange {
    return (this.#connection.opener as Exchange | undefined) ?? this.#opener
  }
  /** Where an error says that it stood. */
  get phase(): string {
    // A SOCKS proxy waits for an address.
    return this.#host === undefined ? PHASES[this.#step] : 'dns'
  }

  start(): void {
    this.awaitedBy(this.#opener)
    this.#begin()
  }
  /** Who fails if it fails, from now on: each has his own time for it. */
  awaitedBy({ timeouts: { connect } }: Exchange): void {
    this.#startedAt = this.#pool.now
    this.#after(this.#connectDeadline, connect === Infinity ? UNWANTED : connect)
  }

  /** Ends it without a word but to who listens; its sockets are destroyed. */
  abandon(reason: unknown): void {
    if (this.#step === 'over') return
    this.#stepEnds('failed', { exception: reason })
    this.#discard(reason)
    this.#end()
  }

  #begin(): void {
    const { unixSocket } = this.#pool.settings
    const hop = this.#hops[0] as Hop
    this.#hop = 0
    if (unixSocket !== undefined) return this.#dialAll([unixSocket])
    if (isLiteral(hop.host)) return this.#dialAll([hop.host])
    this.#step = 'resolving'
    this.#resolve(hop.host)
  }

  #resolve(host: string): void {
    this.#host = host
    this.#stepBegins('connection.resolve', { host })
    const { resolving, commands } = this.#pool
    const others = resolving.get(host)
    if (others !== undefined) return void others.add(this)
    resolving.set(host, new Set([this]))
    commands.push({ type: 'resolve', host })
  }
  resolved(addresses: readonly string[]): void {
    if (this.#host === undefined) return
    const host = this.#host
    this.#host = undefined
    this.#stepEnds('complete', { addresses })
    const [first] = addresses
    if (this.#step === 'proxying' && first !== undefined) {
      this.#named[this.#hop] = interleaved(addresses)
      return this.#ask(first)
    }
    const { localAddress } = this.#pool.settings
    // A socket that is bound to one family reaches no address of the other.
    const usable =
      localAddress === undefined ? addresses : addresses.filter((one) => isIPv6(one) === isIPv6(localAddress))
    if (usable.length === 0) return this.notResolved(new Error(`there is no address for '${host}'`), host)
    this.#dialAll(usable)
  }
  notResolved(cause: unknown, host = this.#host): void {
    this.#host = undefined
    this.#connectFails(`the name '${host}' could not be resolved`, 'resolve', cause, 'dns')
  }

  // ── dialling ──

  #dialAll(addresses: readonly string[]): void {
    this.#step = 'dialling'
    this.#addresses = interleaved(addresses)
    this.#next = 0
    this.#dialNext()
  }
  #dialNext(): void {
    const address = this.#addresses[this.#next++] as string
    const { settings, limits, links, lastTarget: last } = this.#pool
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
    const plain = tls === undefined && last !== undefined && last.tls === undefined
    if (plain && last.address === target.address && last.port === target.port) target = last
    this.#pool.lastTarget = target
    this.#pool.commands.push({ type: 'connect', link: link.id, target })
    if (this.#next < this.#addresses.length) this.#after(this.#stepDeadline, limits.attemptDelay)
  }
  #destroy(link: Link): void {
    this.#racing.delete(link)
    if (link.destroyed) return
    link.destroyed = true
    this.#pool.commands.push({ type: 'destroy', link: link.id })
  }

  connected(link: Link, info: LinkInfo): void {
    if (this.#step !== 'dialling') return this.#destroy(link)
    this.#racing.delete(link)
    this.#discard(new Error('another was faster'))
    this.#link = link
    this.#info = info
    this.#traceDial('complete', link, { address: link.address })
    const tls = this.#hops[0]?.tls
    if (tls === undefined) return this.#afterHop()
    this.#step = 'securing'
    this.#stepBegins('connection.start_tls', { serverName: tls.serverName })
  }
  secured(link: Link, info: LinkInfo): void {
    if (this.#step !== 'securing' || link !== this.#link) return
    if (this.#alpnRefused(info.alpn)) return
    // What an outer handshake chose is not the choice of this one.
    this.#info = { ...this.#info, ...info, alpn: info.alpn }
    this.#stepEnds('complete', { alpn: info.alpn })
    this.#afterHop()
  }
  /** An answer that was not offered is somebody else's protocol, be it a proxy's or the origin's. RFC 7301 §3.2. */
  #alpnRefused(chosen: string | undefined): boolean {
    const { alpn: offered = [] } = this.#hops[this.#hop]?.tls ?? {}
    // A peer that knows no ALPN speaks HTTP/1.1, if that will do. RFC 9113 §3.2 asks for an answer for HTTP/2.
    if (offered.includes(chosen || 'http/1.1')) return false
    const said = chosen ? excerpt(chosen) : 'no protocol'
    const what = offered.includes('h2') ? 'HTTP/2' : 'HTTP/1.1'
    const message = `the peer chose ${said} where ${what} was offered`
    this.#cameOf(new Error(message))
    this.#handshakeFails('tls-alpn', message)
    return true
  }

  /** A hop is there: on to the next, or the whole is done. */
  #afterHop(): void {
    this.#hop++
    const next = this.#hops[this.#hop]
    if (next === undefined) return this.#done()
    this.#step = 'proxying'
    const asked = this.#proxy.kind === 'socks5' && !isLiteral(next.host) ? this.#named[this.#hop]?.[0] : next.host
    if (asked === undefined) return this.#resolve(next.host)
    this.#ask(asked)
  }

  #done(): void {
    const link = this.#link as Link
    const version = this.#version()
    this.#end()
    this.#pool.established(this.#pool, this.#connection, { link, info: this.#info, version, surplus: this.#surplus })
  }
  /** By ALPN what the peer chose of what was offered; without TLS what is known. */
  #version(): Version {
    const http2 = this.#hops.at(-1)?.tls === undefined ? !this.#pool.settings.http1 : this.#info.alpn === 'h2'
    return http2 ? 'h2' : 'h1'
  }

  // ── proxies ──

  /** That the hop leads to; undefined: it leads to the origin. */
  get #proxyAhead(): ProxyTarget | undefined {
    return this.#pool.settings.proxies[this.#hop]
  }
  /** That the hop is asked for through. */
  get #proxy(): ProxyTarget {
    return this.#pool.settings.proxies[this.#hop - 1] as ProxyTarget
  }
  /** What cannot be said to the proxy (a host of 256 octets) ends it: it is the caller's mistake, and not thrown here. */
  #ask(host: string): void {
    const { port } = this.#hops[this.#hop] as Hop
    const proxy = this.#proxy
    try {
      if (isHttpProxy(proxy)) this.#askTunnel(proxy, `${formatHost(host)}:${port}`)
      else this.#askSocks(proxy, host, port)
    } catch (error) {
      this.#give(misused(this.#awaiting, error) as HttpCoreError)
    }
  }
  #askSocks({ credentials }: SocksProxy, host: string, port: number): void {
    this.#stepBegins('socks.setup_socks5_connection', { host, port })
    const handshake = (this.#handshake = new Socks5Handshake(host, port, credentials))
    this.#write(handshake.takeOutput())
  }
  #askTunnel({ headers }: HttpProxy, target: string): void {
    const { limits, now } = this.#pool
    const machine = new H11Connection('client', { now, limits: { maxHeadBytes: limits.maxProxyHeadBytes } })
    this.#stepBegins('proxy.connect', { target })
    machine.sendRequest({ method: 'CONNECT', authority: target, target, headers }, { end: true })
    this.#handshake = machine
    this.#write(machine.takeOutput())
  }
  #write(chunks: readonly Bytes[]): void {
    if (chunks.length === 0) return
    const link = this.#link as Link
    for (const chunk of chunks) link.ahead += chunk.byteLength
    this.#pool.commands.push({ type: 'write', link: link.id, chunks })
  }

  received(link: Link, data: Bytes): void {
    if (link !== this.#link) return
    const handshake = this.#handshake
    if (handshake === undefined) return this.#early(this.#step === 'securing')
    if (handshake instanceof Socks5Handshake) return this.#socksAnswer(handshake, data)
    handshake.receiveData(data, this.#pool.now)
    this.#tunnelAnswer(handshake)
  }
  /** Bytes ahead of a handshake, or of the first word to the next hop, could be anybody's. */
  #early(beforeTls: boolean): void {
    const [what, code] = beforeTls
      ? ['before the TLS handshake', 'surplus-before-tls']
      : ['before the proxy was asked for anything', 'surplus-bytes']
    const message = `bytes came ${what}`
    if (this.#hop > 0) return this.#proxyFails(message, { code, rule: 'RFC 9110 §9.3.6' })
    this.#cameOf(new Error(message))
    this.#connectFails(message, code)
  }

  #socksAnswer(handshake: Socks5Handshake, data: Bytes): void {
    const result = handshake.receive(data)
    // Also where the answer has come with the one before it: what it answers is asked for all the same.
    this.#write(handshake.takeOutput())
    if (result === 'more') return
    if ('fault' in result) {
      const { code, rule, message } = result.fault
      const named = this.#named[this.#hop]
      this.#cameOf(new Error(message), named?.[0])
      const error = new ProxyError(this.#says(this.#proxy, message), { code, rule, ...this.#facts('proxy') })
      if (code !== 'socks-reply' || named === undefined || named.length === 1) return this.#fail(error)
      // A proxy that refuses closes: the next address is asked for over another connection. RFC 1928 §6.
      this.#named[this.#hop] = named.slice(1)
      this.#stepEnds('failed', { exception: error })
      this.#discard(error)
      return this.#begin()
    }
    this.#tunnelled(result.surplus)
  }

  #tunnelAnswer(machine: H11Connection): void {
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
          if (this.#refuse(event.data)) return this.#refused()
          break
        case 'end':
          return this.#refused()
        case 'switched':
          return this.#tunnelled(event.leading.slice())
        case 'failed':
        case 'error':
          if (this.#refusal !== undefined) return this.#refused()
          // That it has gone is said by whoever saw it go.
          if (event.fault.code === 'server-disconnected') return
          return this.#proxyFails(`the proxy: ${event.fault.message}`, { code: event.fault.code, fault: event.fault })
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
  #refused(): void {
    const answer = this.#refusal
    if (answer !== undefined) answer.content = answer.content.slice(0, this.#said)
    const message = `the proxy refused the tunnel with status ${answer?.status}`
    this.#proxyFails(message, { code: 'proxy-refused', rule: 'RFC 9110 §9.3.6' }, answer)
  }

  /** There is a way through the proxy. */
  #tunnelled(surplus: Bytes): void {
    if (this.#unheard !== undefined) return this.#lost()
    const hop = this.#hops[this.#hop] as Hop
    this.#handshake = undefined
    this.#stepEnds('complete')
    const last = this.#hop === this.#hops.length - 1
    if (surplus.length > 0 && (hop.tls !== undefined || !last)) return this.#early(hop.tls !== undefined)
    if (hop.tls === undefined) {
      this.#surplus = surplus
      return this.#afterHop()
    }
    this.#step = 'securing'
    const step = isHttpProxy(this.#proxy) ? 'proxy.start_tls' : 'socks.start_tls'
    this.#stepBegins(step, { serverName: hop.tls.serverName })
    this.#pool.commands.push({ type: 'startTls', link: (this.#link as Link).id, tls: hop.tls })
  }

  // ── the ways in which it ends ──

  eof(link: Link): void {
    if (link !== this.#link) return
    const handshake = this.#handshake
    if (handshake instanceof H11Connection) {
      handshake.receiveEof(this.#pool.now)
      this.#tunnelAnswer(handshake)
    }
    this.#lost()
  }
  failed(link: Link, error: unknown, side: LinkSide): void {
    const dialled = link === this.#link
    if (dialled && side === 'write' && this.#handshake !== undefined) {
      // A proxy may have refused before it stopped listening.
      this.#unheard = { error }
      return this.#after(this.#stepDeadline, this.#pool.limits.earlyResponseGrace)
    }
    if (dialled && side !== 'tls') return this.#lost(error)
    if (!dialled && !this.#racing.delete(link)) return
    this.#attempts.push({ address: link.address, error })
    if (!dialled) this.#traceDial('failed', link, { address: link.address, exception: error })
    // Options that cannot be used are as wrong for the next address.
    if (side === 'tls') return this.#tlsFails(error)
    if (this.#next < this.#addresses.length) return this.#dialNext()
    if (this.#racing.size > 0) return
    const place = this.#addresses.length === 1 ? link.address : `${this.#addresses.length} addresses`
    const what = this.#pool.settings.proxies.length > 0 ? `the proxy at ${place}` : place
    this.#connectFails(`could not connect to ${what}`, 'connect', error)
  }
  closed(link: Link): void {
    link.destroyed = true
    if (link === this.#link) this.#lost()
    else this.failed(link, new Error('the attempt was closed'), 'connect')
  }
  #lost(reason?: unknown): void {
    if (this.#step === 'over') return
    const cause = this.#unheard?.error ?? reason
    if (this.#refusal !== undefined) return this.#refused()
    if (this.#step === 'proxying')
      return this.#proxyFails('the proxy ended the connection', { code: 'proxy-disconnected', cause })
    this.#cameOf(cause ?? new Error('the connection ended'))
    this.#tlsFails(cause)
  }
  #tlsFails(cause: unknown): void {
    const { code, message } = handshakeFault(cause, this.#proxyAhead && 'the proxy')
    this.#handshakeFails(code, message, cause)
  }
  #handshakeFails(code: string, message: string, cause?: unknown): void {
    const proxy = this.#proxyAhead
    const said = proxy === undefined ? message : this.#says(proxy, message)
    if (proxy !== undefined && code !== TLS_DISCONNECTED)
      this.#fail(new ProxyError(said, { code, cause, ...this.#facts('tls') }))
    else this.#connectFails(said, code, cause, 'tls')
  }

  timeout(timer: EstablishTimer): void {
    if (timer === 'connect') return this.#tooLate()
    if (this.#step === 'backoff') {
      this.#named = []
      this.#stepEnds('complete')
      return this.#begin()
    }
    if (this.#unheard !== undefined) return this.#lost()
    if (this.#next < this.#addresses.length) this.#dialNext()
  }
  #tooLate(): void {
    // It has refused already, and only does not come to an end.
    if (this.#refusal !== undefined) return this.#refused()
    // Why it came to nothing is known, and was only not told yet.
    if (this.#unheard !== undefined) return this.#lost()
    const { connect } = this.#awaiting.timeouts
    if (connect === Infinity && this.#connection.opener !== undefined)
      return this.#after(this.#connectDeadline, UNWANTED)
    for (const { address } of this.#link === undefined ? this.#racing : [this.#link]) {
      this.#attempts.push({ address, error: new Error('there was no answer') })
    }
    const { phase } = this
    const blockedOn = { want: phase, since: this.#startedAt }
    const message = `no connection within ${connect} ms (${phase})`
    const error = new ConnectTimeout(message, { code: 'connect-timeout', blockedOn, ...this.#facts(phase) })
    this.#give(error)
  }

  /** Once more, if `retries` allows it and it may help; else it is over. */
  #fail(error: HttpCoreError): void {
    const helps = error instanceof ConnectError && !HOPELESS.has(error.code)
    if (!helps || this.#failures >= this.#pool.settings.retries) return this.#give(error)
    this.#stepEnds('failed', { exception: error })
    this.#discard(error)
    const delay = this.#failures === 0 ? 0 : FIRST_BACKOFF * 2 ** (this.#failures - 1)
    this.#failures++
    this.#step = 'backoff'
    this.#stepBegins('connection.retry', { exception: error, delay })
    this.#after(this.#stepDeadline, delay)
  }
  #connectFails(message: string, code: string, cause?: unknown, phase = this.phase): void {
    const facts = this.#facts(phase)
    this.#fail(new ConnectError(`${message} (${facts.origin})`, { code, cause, ...facts }))
  }
  #proxyFails(message: string, details: ErrorDetails, answer?: ProxyAnswer): void {
    this.#cameOf(details.cause ?? new Error(message))
    const said = this.#says(this.#proxy, message)
    this.#fail(new ProxyError(said, { ...details, ...this.#facts('proxy') }, answer))
  }
  /** Where there are several proxies, which one. */
  #says({ host, port }: ProxyTarget, message: string): string {
    return this.#pool.settings.proxies.length > 1 ? `${message} (${formatHost(host)}:${port})` : message
  }
  /** @param address left out: that of the connection, which was made and led no further */
  #cameOf(error: unknown, address = (this.#link as Link).address): void {
    this.#attempts.push({ address, error })
  }
  #give(error: HttpCoreError): void {
    this.abandon(error)
    this.#pool.notEstablished(this.#pool, this.#connection, error)
  }
  #discard(reason: unknown): void {
    for (const link of this.#racing) {
      this.#traceDial('failed', link, { address: link.address, exception: reason })
      this.#destroy(link)
    }
    if (this.#link !== undefined) this.#destroy(this.#link)
    this.#link = this.#handshake = this.#unheard = undefined
    this.#pool.timers.clear(this.#stepDeadline)
  }
  #after(deadline: Deadline<Establishing, EstablishTimer>, duration: Millis): void {
    this.#pool.timers.after(deadline, duration, this.#pool.now)
  }
  #end(): void {
    this.#step = 'over'
    this.#pool.timers.clear(this.#connectDeadline)
    if (this.#host === undefined) return
    const { resolving } = this.#pool
    const askers = resolving.get(this.#host)
    askers?.delete(this)
    // It may be stuck: who comes next asks anew.
    if (askers?.size === 0) resolving.delete(this.#host)
    this.#host = undefined
  }

  // A trace hears of every step that it began, and that it ended, one way or the other.
  #stepBegins(step: string, info: Readonly<Record<string, unknown>>): void {
    this.#tracing = step
    trace(this.#pool, this.#opener, this.#connection, `${step}.started`, info, this.#link?.id)
  }
  #stepEnds(how: 'complete' | 'failed', info: Readonly<Record<string, unknown>> = {}): void {
    if (this.#tracing === undefined) return
    trace(this.#pool, this.#opener, this.#connection, `${this.#tracing}.${how}`, info, this.#link?.id)
    this.#tracing = undefined
  }
  #traceDial(how: 'started' | 'complete' | 'failed', link: Link, info: Readonly<Record<string, unknown>>): void {
    trace(this.#pool, this.#opener, this.#connection, `${this.#dialling}.${how}`, info, link.id)
  }
  /** What a trace calls an attempt. */
  get #dialling(): string {
    const { unixSocket, proxies } = this.#pool.settings
    if (unixSocket !== undefined) return 'connection.connect_unix_socket'
    return proxies[0] === undefined || isHttpProxy(proxies[0]) ? 'connection.connect_tcp' : 'socks.connect_tcp'
  }

  #facts(phase: string): Omit<ErrorDetails, 'code'> {
    const { site, opener } = this.#connection
    // It may have been sent before, on a connection that was lost.
    const before = opener === undefined ? undefined : factsOf(opener as Exchange)
    return { ...before, phase, origin: formatOrigin(site.origin), attempts: [...this.#attempts] }
  }
}

/** Who asked for the addresses of that name: they have come, or will not. */
export function askers({ resolving }: PoolState, host: string): Iterable<Establishing> {
  const all = resolving.get(host) ?? []
  resolving.delete(host)
  return all
}

function isLiteral(host: string): boolean {
  return isIPv4(host) || isIPv6(host)
}
/** The families in turn, the first one's first: a family that leads nowhere costs one delay. RFC 8305 §4. */
function interleaved(addresses: readonly string[]): readonly string[] {
  const v6 = addresses.filter(isIPv6)
  const v4 = addresses.filter((address) => !isIPv6(address))
  const [first, other] = addresses[0] === v6[0] ? [v6, v4] : [v4, v6]
  return [...first.flatMap((address, i) => [address, ...other.slice(i, i + 1)]), ...other.slice(first.length)]
}

/** What is dialled and asked for, in order. A forwarding proxy is itself the end of the route. */
function hopsOf(settings: PoolSettings, site: Site, h1Only: boolean): readonly Hop[] {
  const { origin } = site
  const hops: Hop[] = settings.proxies.map((proxy) => ({
    host: proxy.host,
    port: proxy.port,
    tls: proxy.kind === 'https' ? { serverName: proxy.host, alpn: ['http/1.1'], options: proxy.tls } : undefined,
  }))
  if (forwardingProxy(settings, site) === undefined) {
    const tls = isSecure(origin)
      ? { serverName: site.serverName, alpn: alpnOf(settings, h1Only), options: settings.tls }
      : undefined
    hops.push({ host: origin.host, port: origin.port, tls })
  }
  return hops
}

/** The proxy that takes the request itself, in absolute-form; undefined: it goes to the origin. RFC 9112 §3.2.2. */
export function forwardingProxy(settings: PoolSettings, site: Site): HttpProxy | undefined {
  const last = settings.proxies.at(-1)
  if (last === undefined || !isHttpProxy(last)) return undefined
  // Prior knowledge of HTTP/2 is of the origin, not of the proxy.
  return isSecure(site.origin) || last.tunnel === 'always' || !settings.http1 ? undefined : last
}

/** What is offered by ALPN. h2 first: the order is the client's preference. RFC 7301 §3.1. */
function alpnOf(settings: PoolSettings, h1Only: boolean): readonly string[] {
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
