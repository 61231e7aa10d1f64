// The pool: inputs turned into facts for the scheduler, its decisions into commands, bytes routed to machines and back.
//
// State changes come first, commands are noted and leave through `poll`. A seat is taken with the assignment and given
// back in the step that destroys, or when an exchange has been looked after once more: a client's surplus bytes end the
// connection before its seat is free. Output is taken when nothing else is left to tell, so that what one turn asks for
// leaves together; at most 256 KiB wait for the network, so that control frames are not stuck behind content.
//
// It knows no version of HTTP (establish.ts does), no socket, no clock, no promise. The laws (P1 to P10) it keeps:
//  P1  never over any limit                         P2  every seat has exactly one owner
//  P3  never closes a connection that carries an exchange, save by its own cancel, deadline or failure
//  P4  assigns only to a live connection of the right key with room
//  P5  every request settles exactly once           P6  no request waits while a usable seat exists
//  P7  first come first served per origin           P8  sends again only what retry.ts allows
//  P9  `timeout` at `nextTimeout()` makes progress  P10 what is delivered is a prefix of what was sent for that request
import {
  asciiLower,
  Fields,
  formatAuthority,
  type HttpCoreError,
  listMembers,
  misuse,
  parseDecimal,
  resolveLimits,
  type Bytes,
  type Disposition,
  type H11Event,
  type H2Event,
  type H2Extras,
  type Millis,
  type Origin,
  type PeerFault,
  type RequestHead,
  type ResolvedLimits,
} from '../http/index.ts'
import type { DeliveredEvent, LinkSide, PoolCommand, PoolInput, RequestId, Settlement } from './commands.ts'
import { type Link, PoolConnection, Site, type ConnectionTimer } from './connection.ts'
import {
  alpnOf,
  Establishing,
  forwardingProxy,
  machines,
  mayShare,
  proxyFields,
  rawPairs,
  type Established,
  type EstablishTimer,
  type Http2,
  type Surroundings,
} from './establish.ts'
import { Exchange, NEVER, type ExchangeTimer, type RequestInput, type TraceStep } from './exchange.ts'
import {
  connectionLost,
  handshakeFailed,
  dispositionOf,
  factsOf,
  peerFailed,
  poolClosed,
  poolTimeout,
  queueFull,
  readTimeout,
  totalTimeout,
  unsupported,
  writeTimeout,
} from './failures.ts'
import { Passing } from './passing.ts'
import { retryOf } from './retry.ts'
import { Scheduler, SERVES, groupOf, type Need } from './scheduler.ts'
import { checkSettings, type PoolSettings } from './settings.ts'
import { BySlot, Slots } from './slots.ts'
import { Deadline, Timers } from './timers.ts'

/** What is given to the network before it has accepted it. */
const MAX_AHEAD = 256 * 1024
/** A server that has answered and left so much of the request unread reads no more of it: who came next would wait. */
const MOST_UNREAD = 64 * 1024
/** A server's Keep-Alive hint is a promise that ends while we are sending: stop relying on it so much earlier. */
const HINT_MARGIN: Millis = 2_000
const IDLE_H1: Millis = 4_000
const IDLE_MULTIPLEXED: Millis = 60_000
const MAX_REMEMBERED = 1_000
const NO_ERROR = 0
const REFUSED_STREAM = 7
/** How long a connection on which a request timed out has to show that it lives: as long as others give it. */
const PROBE_TIMEOUT: Millis = 15_000
/** What a machine says of exchanges that the end of the connection left unfinished. */
const CUT_SHORT: ReadonlySet<string> = new Set(['server-disconnected', 'incomplete-message', 'goaway'])
const OK: Settlement = { ok: true }

type PoolTimer = 'grace'
/** Why a connection takes no other request; the scheduler has reasons of its own. */
type RetireReason =
  | 'close-idle'
  | 'idle-expired'
  | 'max-age'
  | 'max-requests'
  | 'no-longer-usable'
  | 'pool-closing'
  | 'stale'
type Sends = RequestHead & { readonly headers: Fields }

export class PoolMachine {
  readonly #settings: PoolSettings
  readonly #limits: ResolvedLimits
  readonly #makeMachine: ReturnType<typeof machines>
  readonly #scheduler: Scheduler
  readonly #timers = new Timers<Deadline<unknown, unknown>>()
  readonly #exchanges = new BySlot<Exchange>()
  readonly #links = new Slots<Link>()
  readonly #connections = new Passing<PoolConnection, true>()
  readonly #sites = new Passing<string, Site>()
  /** The caller's own objects: most requests come with one that was seen before. */
  readonly #byOrigin = new WeakMap<Origin, Site>()
  /** What an origin was found to speak. */
  readonly #remembered = new Map<string, 'h1' | 'h2'>()
  readonly #resolving = new Passing<string, Set<Establishing>>()
  readonly #dirty: PoolConnection[] = []
  readonly #graceDeadline: Deadline<PoolMachine, PoolTimer> = new Deadline<PoolMachine, PoolTimer>(this, 'grace')
  readonly #surroundings: Surroundings
  #commands: PoolCommand[] = []
  #taken = 0
  #now: Millis
  #life: 'open' | 'closing' | 'destroyed' = 'open'
  #closeTold = true
  #reason: unknown
  #random: number
  #finished: Exchange[] = []

  /**
   * @param settings checked for what excludes each other; limits against their bounds
   * @param start the seed is for jitter
   */
  constructor(settings: PoolSettings, start: { readonly now: Millis; readonly seed: number; readonly http2: Http2 }) {
    checkSettings(settings)
    this.#settings = settings
    this.#limits = resolveLimits(settings.limits, 'client')
    this.#makeMachine = machines(settings, start.http2)
    this.#now = start.now
    this.#random = start.seed >>> 0
    this.#scheduler = new Scheduler(settings, (origin, need) => this.#makeConnection(origin as Site, need))
    this.#surroundings = {
      settings,
      limits: this.#limits,
      links: this.#links,
      timers: this.#timers,
      last: undefined,
      emit: (command) => this.#commands.push(command),
      resolve: (host, asker) => this.#resolve(host, asker),
      unresolve: (host, asker) => this.#resolving.get(host)?.delete(asker),
      established: (connection, result, now) => this.#established(connection, result, now),
      notEstablished: (connection, error) => this.#notEstablished(connection, error),
      trace: (connection, name, info, link) =>
        this.#trace(connection.opener as Exchange | undefined, connection, name, info, link),
    }
  }

  // ── the outer contract ──

  /** Takes an input at any moment, also while a command is performed: what follows from it is told by `poll`. */
  handle(input: PoolInput, now: Millis): void {
    // Lists of deadlines rely on it that time does not go back.
    if (now > this.#now) this.#now = now
    switch (input.type) {
      case 'received':
        this.#onReceived(input.link, input.data)
        break
      case 'drained':
        this.#onDrained(input.link, input.bytes)
        break
      case 'request':
        this.#onRequest(input)
        break
      case 'consumed':
        this.#onConsumed(input.id, input.bytes)
        break
      case 'content':
        this.#onContent(input.id, input.data)
        break
      case 'contentEnd':
        this.#onContentEnd(input.id, input.trailers === undefined ? undefined : Fields.from(input.trailers))
        break
      case 'contentFailed':
        this.#onCancel(input.id, input.error)
        break
      case 'cancel':
        this.#onCancel(input.id, input.reason)
        break
      case 'drain':
        this.#onDrain(input.id, input.limit)
        break
      case 'startTls':
        this.#onStartTls(input.id, input.tls)
        break
      case 'closeIdle':
        for (const connection of [...this.#connections.keys()])
          if (connection.idle) this.#retire(connection, 'close-idle')
        break
      case 'close':
        this.#onClose(input.grace)
        break
      case 'destroy':
        this.#onDestroy(input.reason)
        break
      case 'resolved':
        for (const asker of this.#askers(input.host)) asker.resolved(input.addresses, now)
        break
      case 'resolveFailed':
        for (const asker of this.#askers(input.host)) asker.notResolved(input.error, now)
        break
      case 'connected':
      case 'secured':
        this.#onLinkUp(input)
        break
      case 'eof':
        this.#onEof(input.link, input.clean)
        break
      case 'failed':
        this.#onFailed(input.link, input.error, input.side)
        break
      case 'closed':
        this.#onClosed(input.link)
        break
      case 'timeout':
        this.#onTimeout()
        break
    }
    this.#decide()
    if (!this.#closeTold) this.#tellClosed()
  }

  /** The next command to perform, in order; undefined: nothing until the next input. */
  poll(): PoolCommand | undefined {
    if (this.#taken === this.#commands.length) {
      // Setting a length costs a call into the engine.
      if (this.#taken > 0) this.#commands = []
      this.#taken = 0
      // Everything has been told: what the machines have to say leaves now, together.
      while (this.#dirty.length > 0) this.#flush(this.#dirty.pop() as PoolConnection)
      if (this.#commands.length === 0) return undefined
    }
    return this.#commands[this.#taken++]
  }

  /** When `timeout` is due; undefined: never. */
  nextTimeout(): Millis | undefined {
    return this.#timers.next()
  }

  /** Counters of now. */
  stats(): Readonly<Record<string, unknown>> {
    const { connections, idle, active, queued } = this.#scheduler
    const origins: Record<string, unknown> = {}
    for (const site of this.#sites.values()) {
      origins[site.key] = { connections: site.connections, active: site.active, waiting: site.waiting }
    }
    return { requests: this.#exchanges.size, connections, idle, active, queued, origins }
  }
  /** All there are, connecting and draining ones included. */
  connections(): readonly { info(): string; snapshot(): unknown }[] {
    return Array.from(this.#connections.keys(), (connection) => ({
      info: () => connection.describe(),
      snapshot: () => connection.machine?.snapshot(),
    }))
  }

  // ── requests ──

  #onRequest(input: RequestInput): void {
    const headers = Fields.from(input.head.headers)
    const head = input.head.headers === headers ? (input.head as Sends) : { ...input.head, headers }
    const need: Need = head.protocol !== undefined ? 'h2-connect' : headers.has('upgrade') ? 'h1' : 'any'
    const site = this.#siteOf(input)
    const exchange = new Exchange(input, head, site, need, this.#now)
    this.#exchanges.set(exchange)
    site.requests++
    const refusal = this.#refusal(exchange)
    if (refusal !== undefined) return this.#settle(exchange, { ok: false, error: refusal })
    const { total } = exchange.timeouts
    if (total !== Infinity) this.#timers.after(exchange.deadline('total'), total, this.#now)
    this.#scheduler.enqueue(exchange)
    this.#decide()
    if (!exchange.waiting) return
    if (exchange.traced) this.#trace(exchange, undefined, 'pool.queued', { reason: this.#whyQueued(exchange) })
    if (exchange.dial !== undefined) return
    if (this.#scheduler.queued > this.#settings.maxQueuedRequests) {
      return this.#fail(exchange, queueFull(exchange, this.#settings.maxQueuedRequests))
    }
    this.#awaitSeat(exchange)
  }
  #refusal(exchange: Exchange): HttpCoreError | undefined {
    const { need, head } = exchange
    const { http1, http2, proxies } = this.#settings
    if (this.#life !== 'open') return poolClosed(factsOf(exchange), this.#reason)
    if (need === 'h1' && !http1)
      return unsupported(exchange, 'an upgrade needs HTTP/1.1, and http1 is off', 'RFC 9113 §8.6')
    if (need === 'h2-connect' && !http2) {
      return unsupported(exchange, 'extended CONNECT needs HTTP/2, and http2 is off', 'RFC 8441 §4')
    }
    if (proxies.length > 0 && head.headers.has('proxy-authorization') && !this.#forwards(exchange.site)) {
      return misuse(
        'proxy-authorization',
        'RFC 9110 §11.7.2',
        'Proxy-Authorization would reach the origin: give it to the proxy option',
      )
    }
    return undefined
  }

  #siteOf({ origin, sniHostname }: RequestInput): Site {
    const last = this.#byOrigin.get(origin)
    if (last !== undefined && !last.gone && last.sniHostname === sniHostname) return last
    const key = `${origin.scheme}://${formatAuthority(origin)}${sniHostname === undefined ? '' : `#${sniHostname}`}`
    let site = this.#sites.get(key)
    if (site === undefined) {
      site = new Site(key, origin, sniHostname)
      const shares = mayShare(this.#settings, site) && this.#remembered.get(key) !== 'h1'
      if (shares) this.#scheduler.expect(site, Infinity)
      this.#sites.set(key, site)
    }
    this.#byOrigin.set(origin, site)
    return site
  }
  #forgetSite(site: Site): void {
    if (site.requests > 0 || !this.#scheduler.isEmpty(site)) return
    this.#timers.clear(site.shareDeadline)
    this.#sites.delete(site.key)
    this.#byOrigin.delete(site.origin)
    site.gone = true
  }

  /** The pool's deadline is absolute: it goes on where it was, however often a request comes back. */
  #awaitSeat(exchange: Exchange): void {
    const { queuedAt, timeouts } = exchange
    if (timeouts.pool === Infinity) return
    const deadline = exchange.pool
    // A new one stands behind those of its own duration; only what comes back looks for its place.
    if (queuedAt === this.#now) this.#timers.after(deadline, timeouts.pool, this.#now)
    else this.#timers.at(deadline, queuedAt + timeouts.pool)
  }

  // ── decisions ──

  #decide(): void {
    for (let decision = this.#scheduler.next(); decision !== undefined; decision = this.#scheduler.next()) {
      switch (decision.type) {
        case 'assign':
          this.#assign(decision.carrier as PoolConnection, decision.waiter as Exchange)
          break
        case 'open':
          this.#open(decision.carrier as PoolConnection, decision.opener as Exchange)
          break
        case 'close':
          this.#give(decision.carrier as PoolConnection, decision.now, decision.reason)
          break
      }
    }
  }

  #makeConnection(site: Site, need: Need): PoolConnection {
    const connection = new PoolConnection(site, need)
    this.#connections.set(connection, true)
    return connection
  }
  #open(connection: PoolConnection, opener: Exchange): void {
    const { site } = connection
    opener.clearPool(this.#timers)
    const h1Only = opener.need === 'h1'
    const alpn = alpnOf(this.#settings, site, h1Only)
    if (site.seatsPerDial === Infinity && !h1Only)
      this.#timers.after(site.shareDeadline, this.#limits.shareTimeout, this.#now)
    connection.traced = opener.traced
    if (opener.traced) this.#trace(opener, connection, 'pool.open', { reason: whyOpened(opener) })
    connection.establishing = new Establishing(this.#surroundings, connection, alpn, opener.timeouts.connect)
    connection.establishing.start(this.#now)
  }

  #give(connection: PoolConnection, now: boolean, reason: string): void {
    this.#trace(undefined, connection, 'pool.close', { reason })
    if (now) this.#destroy(connection)
    else this.#closeLink(connection)
  }

  // ── connections come and go ──

  #resolve(host: string, asker: Establishing): void {
    const askers = this.#resolving.get(host)
    if (askers !== undefined) {
      askers.add(asker)
      return
    }
    this.#resolving.set(host, new Set([asker]))
    this.#commands.push({ type: 'resolve', host })
  }
  #askers(host: string): readonly Establishing[] {
    const askers = this.#resolving.get(host)
    this.#resolving.delete(host)
    return askers === undefined ? [] : [...askers]
  }

  #onLinkUp(input: Extract<PoolInput, { type: 'connected' | 'secured' }>): void {
    const link = this.#links.get(input.link)
    if (link === undefined || link.destroyed) return
    if (link.owner instanceof Establishing) {
      if (input.type === 'connected') link.owner.connected(link, input.info, this.#now)
      else link.owner.secured(link, input.info, this.#now)
    } else if (link.owner.tunnel !== undefined) {
      this.#deliver(link.owner.tunnel, { type: 'secured', info: input.info })
    }
  }

  #established(connection: PoolConnection, { link, info, version, surplus }: Established, now: Millis): void {
    const { site, opener } = connection
    const multiplexed = version === 'h2'
    const machine = this.#makeMachine(version, now)
    connection.establishing = undefined
    connection.link = link
    connection.written = link.ahead
    link.owner = connection
    connection.machine = machine
    connection.info = info
    // A dial for HTTP/1.1 alone does not tell what else the origin speaks.
    const asked = connection.group !== groupOf('h1')
    if (asked) this.#remember(site, version)
    const age = this.#settings.maxConnectionAge
    if (age !== undefined) this.#timers.after(connection.deadline('age'), age * (1 - this.#chance() / 10), now)
    this.#markDirty(connection)
    if (connection.traced && multiplexed) {
      for (const how of ['started', 'complete']) {
        this.#trace(opener as Exchange | undefined, connection, `http2.send_connection_init.${how}`)
      }
    }
    if (asked && !multiplexed) this.#refuseWaiting(connection, 'h2-connect')
    // Whether it takes extended CONNECT is known with its first SETTINGS.
    this.#scheduler.opened(
      connection,
      multiplexed ? SERVES.any : SERVES.any | SERVES.h1,
      this.#seatsOf(connection),
      multiplexed,
    )
    this.#armMachine(connection)
    this.#armPing(connection)
    this.#decide()
    // Its dial was somebody else's gain: it waits on.
    if (opener !== undefined && opener.waiting && opener.dial === undefined) this.#awaitSeat(opener as Exchange)
    if (surplus.length > 0) this.#feed(connection, surplus)
    else if (connection.idle) this.#rest(connection)
  }
  #remember(site: Site, version: 'h1' | 'h2'): void {
    if (this.#remembered.size >= MAX_REMEMBERED) this.#remembered.clear()
    this.#remembered.set(site.key, version)
    this.#timers.clear(site.shareDeadline)
    if (mayShare(this.#settings, site)) this.#scheduler.expect(site, version === 'h2' ? Infinity : 1)
  }
  /** How many requests one more dial is for, when the first takes long. */
  #seatsPerDial(site: Site): number {
    return this.#remembered.get(site.key) === 'h2' ? this.#limits.assumedConcurrentStreams : 1
  }
  /** Nobody here serves that need, and nobody will; said before the scheduler hears of it, or it would dial again. */
  #refuseWaiting(connection: PoolConnection, need: Need): void {
    const { site } = connection
    if (site.undecided > (connection.undecided ? 1 : 0)) return
    for (;;) {
      const waiter = this.#scheduler.oldest(site, need) as Exchange | undefined
      if (waiter === undefined) return
      this.#fail(waiter, unsupported(waiter, 'the server does not take extended CONNECT', 'RFC 8441 §3'), connection)
    }
  }

  /** A failed dial fails only the request that it was opened for. */
  #notEstablished(connection: PoolConnection, error: unknown): void {
    const opener = connection.opener as Exchange | undefined
    connection.establishing = undefined
    if (opener !== undefined) this.#fail(opener, error, connection)
    this.#gone(connection)
  }

  #gone(connection: PoolConnection): void {
    this.#connections.delete(connection)
    if (connection.traced && connection.machine !== undefined) this.#traceClosed(connection)
    connection.clearDeadlines(this.#timers)
    this.#scheduler.gone(connection)
    this.#forgetSite(connection.site)
  }
  /** Its seat is free in this step; what the network still says of it is not heard. */
  #destroy(connection: PoolConnection): void {
    connection.establishing?.abandon()
    connection.establishing = undefined
    const { link } = connection
    if (link !== undefined && !link.destroyed) {
      link.destroyed = true
      this.#commands.push({ type: 'destroy', link: link.id })
    }
    this.#gone(connection)
  }
  /** Written to its end, then closed; it counts until the network says so, or for `closeTimeout`. */
  #closeLink(connection: PoolConnection): void {
    if (connection.closing) return
    this.#write(connection)
    // The machine may have come to the same end while it was asked for its last bytes.
    if (connection.closing) return
    connection.closing = true
    if (connection.traced) this.#traceClosing(connection, 'started')
    const { link } = connection
    if (link === undefined || link.destroyed) return this.#gone(connection)
    this.#commands.push({ type: 'close', link: link.id })
    this.#timers.after(connection.deadline('closing'), this.#limits.closeTimeout, this.#now)
  }
  /** Takes no other request; closes when the last is over. */
  #retire(connection: PoolConnection, reason: RetireReason): void {
    if (connection.traced && !connection.retired) this.#trace(undefined, connection, 'pool.close', { reason })
    connection.retired = true
    this.#scheduler.leaving(connection)
    if (connection.active > 0 || connection.closing || connection.phase !== 'leaving') return
    connection.machine?.close(this.#now)
    this.#closeLink(connection)
  }

  #chance(): number {
    // A linear congruence is chance enough for jitter. Numerical Recipes' constants.
    this.#random = (Math.imul(this.#random, 1_664_525) + 1_013_904_223) >>> 0
    return this.#random / 2 ** 32
  }

  // ── an exchange begins ──

  #assign(connection: PoolConnection, exchange: Exchange): void {
    const machine = connection.machine
    const link = connection.link
    if (machine === undefined || link === undefined) return
    if (connection.requests === 0 || connection.active === 1) this.#hold(connection, true)
    const reused = connection.requests > 0
    exchange.clearPool(this.#timers)
    exchange.begin(connection, reused, this.#now)
    if (exchange.traced) this.#trace(exchange, connection, 'pool.assigned', { reason: reused ? 'reused' : 'dialled' })
    const duplex = connection.multiplexed && exchange.head.method === 'CONNECT'
    try {
      const head = this.#headFor(exchange)
      if (exchange.traced) this.#traceStep(exchange, 'send_request_headers')
      exchange.attempt.onConnection = machine.sendRequest(head, {
        end: exchange.plan === 'none' && !duplex,
        ledger: exchange.attempt,
      })
    } catch (error) {
      exchange.attempt.connection = undefined
      this.#release(connection)
      return this.#fail(exchange, error)
    }
    if (exchange.traced) this.#traceStep(exchange, 'send_request_body')
    connection.requests++
    connection.carry(exchange)
    this.#commands.push({
      type: 'assigned',
      id: exchange.id,
      link: link.id,
      reused,
      httpVersion: connection.httpVersion,
      info: connection.info,
    })
    this.#timers.after(exchange.io, exchange.timeouts.write, this.#now)
    if (connection.requests >= this.#settings.maxRequestsPerConnection) this.#scheduler.leaving(connection)
    this.#beginContent(exchange, duplex)
    this.#markDirty(connection)
  }
  #beginContent(exchange: Exchange, duplex: boolean): void {
    if (exchange.plan === 'none') {
      // Of a tunnel the head alone is the request; its content waits until there is a way through.
      exchange.content = duplex ? 'held' : 'none'
      return this.#handedOver(exchange)
    }
    exchange.opened = true
    this.#commands.push({ type: 'openContent', id: exchange.id })
    if (!exchange.expectContinue) return this.#pull(exchange)
    exchange.content = 'held'
    this.#timers.after(exchange.deadline('expect'), this.#limits.expectTimeout, this.#now)
  }
  #pull(exchange: Exchange): void {
    exchange.content = 'pulled'
    exchange.pulled = true
    this.#commands.push({ type: 'pullContent', id: exchange.id })
  }

  #forwards(site: Site): boolean {
    return forwardingProxy(this.#settings, site) !== undefined
  }
  #headFor(exchange: Exchange): RequestHead {
    const { head, plan, site } = exchange
    const forward = forwardingProxy(this.#settings, site)
    if (forward === undefined && !exchange.expectContinue)
      return head.content === plan ? head : { ...head, content: plan }
    let headers = head.headers
    if (exchange.expectContinue && plan !== 'none' && !headers.has('expect')) {
      headers = Fields.from([...rawPairs(headers), ['Expect', '100-continue']])
    }
    if (forward === undefined) return { ...head, headers, content: plan }
    const own = headers
    const added = rawPairs(proxyFields(forward)).filter(([name]) => !own.has(name))
    headers = Fields.from([...added, ...rawPairs(own)])
    return { ...head, headers, content: plan, target: absoluteForm(site, head) }
  }

  /** The idle hold no process. */
  #hold(connection: PoolConnection, ref: boolean): void {
    const { link } = connection
    if (link !== undefined && !link.destroyed) this.#commands.push({ type: ref ? 'ref' : 'unref', link: link.id })
  }

  // ── content of the request ──

  #onContent(id: RequestId, data: Bytes): void {
    const exchange = this.#exchanges.get(id)
    const connection = exchange?.attempt.connection
    if (exchange === undefined || connection?.machine === undefined || exchange.content !== 'pulled') return
    if (exchange.stage === 'tunnel') return this.#tunnel(connection, exchange, data)
    try {
      const room = connection.machine.sendData(exchange.attempt.onConnection, data)
      exchange.attempt.movedAt = this.#now
      if (room) this.#pull(exchange)
      else exchange.content = 'blocked'
    } catch (error) {
      return this.#giveUp(exchange, error)
    }
    this.#markDirty(connection)
  }
  #onContentEnd(id: RequestId, trailers: Fields | undefined): void {
    const exchange = this.#exchanges.get(id)
    const connection = exchange?.attempt.connection
    if (exchange === undefined || connection?.machine === undefined) return
    if (!exchange.uploading) return
    exchange.content = 'ended'
    if (exchange.stage === 'tunnel') {
      this.#commands.push({ type: 'end', link: (connection.link as Link).id })
      if (exchange.attempt.ended) this.#complete(exchange)
      return
    }
    try {
      connection.machine.end(exchange.attempt.onConnection, trailers)
    } catch (error) {
      return this.#giveUp(exchange, error)
    }
    this.#handedOver(exchange)
    this.#markDirty(connection)
    if (exchange.attempt.ended) this.#complete(exchange)
    else this.#drainMachine(connection)
  }
  /** Its last byte is the machine's; it counts as sent when the network has accepted it. */
  #handedOver(exchange: Exchange): void {
    const { connection } = exchange.attempt
    exchange.attempt.leaving = true
    if (exchange.traced && exchange.attempt.step === 'send_request_body')
      this.#traceStep(exchange, 'receive_response_headers')
    if (connection?.machine?.unsent(exchange.attempt.onConnection) === 0) this.#written(exchange, connection)
  }
  /** All of it has left the machine. */
  #written(exchange: Exchange, connection: PoolConnection): void {
    exchange.attempt.leaving = false
    exchange.attempt.sentMark = connection.written
    if (connection.accepted >= exchange.attempt.sentMark) this.#requestSent(exchange, connection)
    else connection.exchanges.left(exchange)
  }

  #flush(connection: PoolConnection): void {
    connection.dirty = false
    this.#write(connection)
    const { machine, closing } = connection
    if (machine === undefined || closing || connection.tunnel !== undefined) return
    if (machine.wantsClose !== 'no' && machine.outputBytes === 0) this.#over(connection)
  }
  #write(connection: PoolConnection): void {
    const { machine, link, closing, writeFailure } = connection
    if (machine === undefined || link === undefined || link.destroyed || closing || writeFailure !== undefined) return
    const room = MAX_AHEAD - (connection.written - connection.accepted)
    if (room > 0 && machine.outputBytes > 0) {
      // Where nothing has to pass, a large chunk leaves whole: in pieces it costs a fifth more.
      const chunks = machine.takeOutput(connection.multiplexed ? room : Infinity)
      let bytes = 0
      for (const chunk of chunks) bytes += chunk.byteLength
      connection.written += bytes
      if (bytes > 0) this.#commands.push({ type: 'write', link: link.id, chunks })
      for (const id of machine.taken) {
        const exchange = connection.exchanges.get(id)
        if (exchange?.attempt.leaving !== true) continue
        exchange.attempt.movedAt = this.#now
        if (machine.unsent(id) === 0) this.#written(exchange, connection)
      }
      this.#drainMachine(connection)
    }
  }
  #markDirty(connection: PoolConnection): void {
    if (connection.dirty) return
    connection.dirty = true
    this.#dirty.push(connection)
  }

  #onDrained(id: number, bytes: number): void {
    const link = this.#links.get(id)
    if (link === undefined || link.destroyed) return
    if (link.owner instanceof Establishing) {
      link.ahead -= bytes
      return
    }
    const connection = link.owner
    connection.accepted += bytes
    connection.lastDrained = this.#now
    const { tunnel } = connection
    const { sent } = connection.exchanges
    while (sent.length > 0 && (sent[0] as Exchange).attempt.sentMark <= connection.accepted) {
      this.#requestSent(sent.shift() as Exchange, connection)
    }
    if (tunnel !== undefined && tunnel.content === 'blocked') this.#tunnelRoom(connection, tunnel)
    if (connection.machine !== undefined && connection.machine.outputBytes > 0) this.#markDirty(connection)
  }
  #requestSent(exchange: Exchange, connection: PoolConnection): void {
    if (exchange.attempt.connection !== connection || exchange.stage === 'over' || exchange.attempt.sentAt !== NEVER)
      return
    exchange.attempt.sentAt = this.#now
    if (exchange.stage !== 'sending') return
    exchange.stage = 'waiting'
    exchange.attempt.movedAt = this.#now
    this.#timers.after(exchange.io, exchange.timeouts.read, this.#now)
  }

  // ── bytes come in ──

  #onReceived(id: number, data: Bytes): void {
    const link = this.#links.get(id)
    if (link === undefined || link.destroyed) return
    if (link.owner instanceof Establishing) link.owner.received(link, data, this.#now)
    else this.#feed(link.owner, data)
  }
  #feed(connection: PoolConnection, data: Bytes): void {
    const { machine, tunnel } = connection
    if (machine === undefined || connection.closing) return
    if (connection.multiplexed) connection.lastReceived = this.#now
    if (tunnel !== undefined) {
      tunnel.attempt.bytesReceived += data.byteLength
      return this.#deliverContent(tunnel, { type: 'data', exchange: tunnel.attempt.onConnection, data })
    }
    machine.receiveData(data, this.#now)
    this.#drainMachine(connection)
  }

  /** Everything the machine has to tell; then the exchanges that ended leave, and the connection goes on or does not. */
  #drainMachine(connection: PoolConnection): void {
    const machine = connection.machine
    if (machine === undefined) return
    const finished = this.#finished
    this.#finished = []
    for (let event = machine.nextEvent(); event !== undefined; event = machine.nextEvent())
      this.#onEvent(connection, event)
    const done = this.#finished
    this.#finished = finished
    for (const exchange of done) this.#complete(exchange)
    if (connection.phase === 'gone') return
    this.#regulate(connection)
    this.#armMachine(connection)
    if (machine.outputBytes > 0) this.#markDirty(connection)
    if (machine.wantsClose === 'now' && connection.tunnel === undefined) this.#over(connection)
    else if (machine.wantsClose === 'after-output') this.#markDirty(connection)
  }
  /** The machine is done with the connection. */
  #over(connection: PoolConnection): void {
    this.#scheduler.leaving(connection)
    if (connection.active === 0) this.#closeLink(connection)
  }

  #onEvent(connection: PoolConnection, event: H11Event | H2Event): void {
    switch (event.type) {
      case 'data': {
        const exchange = connection.exchanges.get(event.exchange)
        if (exchange !== undefined) this.#deliverContent(exchange, event)
        return
      }
      case 'response':
      case 'informational':
      case 'end':
      case 'switched':
        return this.#onMessage(connection, event)
      case 'writable': {
        const exchange = connection.exchanges.get(event.exchange)
        if (exchange === undefined || exchange.content !== 'blocked') return
        exchange.attempt.movedAt = this.#now
        return this.#pull(exchange)
      }
      case 'failed': {
        const exchange = connection.exchanges.get(event.exchange)
        if (exchange !== undefined) this.#exchangeFailed(exchange, event.fault, event.disposition)
        return
      }
      case 'slots':
        return this.#scheduler.seats(connection, this.#seatsOf(connection))
      case 'draining':
        this.#scheduler.leaving(connection)
        for (const id of event.unprocessed) {
          const exchange = connection.exchanges.get(id)
          if (exchange !== undefined) this.#exchangeFailed(exchange, goingAway(event.reason), 'refused')
        }
        return
      case 'settings':
        return this.#onSettings(connection, event.settings, event.first)
      case 'ping':
        if (event.ack) this.#armPing(connection)
        return
      default:
        // closed, error: what they mean stands in wantsClose; the rest is between the machines.
        return
    }
  }

  #onMessage(
    connection: PoolConnection,
    event: Extract<H11Event, { type: 'response' | 'informational' | 'end' | 'switched' }>,
  ): void {
    const exchange = connection.exchanges.get(event.exchange)
    if (exchange === undefined) return
    exchange.attempt.heard = true
    switch (event.type) {
      case 'informational':
        if (event.status === 100) this.#continue(exchange)
        return this.#deliver(exchange, event)
      case 'response':
        return this.#onHead(connection, exchange, event)
      case 'end':
        exchange.attempt.ended = true
        this.#deliver(exchange, event)
        // Each side of a tunnel ends for itself; any other request is over with its response.
        if (!exchange.uploading || !exchange.attempt.duplex) this.#finished.push(exchange)
        return
      case 'switched':
        connection.tunnel = exchange
        exchange.stage = 'tunnel'
        this.#timers.clear(exchange.io)
        this.#scheduler.leaving(connection)
        this.#deliver(exchange, event)
        exchange.attempt.unconsumed += event.leading.byteLength
        return this.#tunnelRoom(connection, exchange)
    }
  }
  #onHead(connection: PoolConnection, exchange: Exchange, event: Extract<H11Event, { type: 'response' }>): void {
    exchange.attempt.headAt = exchange.attempt.movedAt = this.#now
    connection.site.failures = 0
    connection.backoff = undefined
    // A final response instead of 100: the content is not wanted. RFC 9110 §10.1.1.
    // Nor is the rest of it where the server says no, or will not keep the connection.
    const unwanted = !connection.multiplexed && (event.status >= 400 || connection.machine?.draining === true)
    exchange.attempt.duplex = connection.multiplexed && exchange.head.method === 'CONNECT' && event.status < 300
    if ((exchange.content === 'held' && !exchange.attempt.duplex) || (unwanted && event.status >= 200)) {
      this.#dropContent(exchange)
    }
    // Where the request is still leaving, the deadline of writing becomes that of reading.
    if (exchange.stage === 'sending') this.#timers.after(exchange.io, exchange.timeouts.read, this.#now)
    exchange.stage = 'receiving'
    if (!connection.multiplexed) connection.hint = keepAliveHint(event.headers, this.#limits.maxKeepAliveHint)
    if (exchange.traced) this.#traceStep(exchange, 'receive_response_body', { status: event.status })
    this.#deliver(exchange, event)
    if (!exchange.attempt.duplex) return
    this.#timers.clear(exchange.io)
    if (exchange.content === 'held') this.#pull(exchange)
  }
  #continue(exchange: Exchange): void {
    if (exchange.content !== 'held') return
    this.#timers.clear(exchange.deadline('expect'))
    exchange.attempt.movedAt = this.#now
    this.#pull(exchange)
  }
  #stopContent(exchange: Exchange): void {
    if (exchange.opened && exchange.uploading) this.#commands.push({ type: 'stopContent', id: exchange.id })
    exchange.opened = false
  }
  #dropContent(exchange: Exchange): void {
    if (!exchange.uploading) return
    this.#stopContent(exchange)
    exchange.content = 'dropped'
  }
  #onSettings(connection: PoolConnection, settings: Readonly<Record<string, number>>, first: boolean): void {
    if (connection.refusing) {
      connection.refusing = false
      this.#scheduler.seats(connection, this.#seatsOf(connection))
    }
    const most = settings['maxConcurrentStreams']
    if (most !== undefined) this.#scheduler.suspend(connection, most === 0)
    if (!first) return
    const extended = settings['enableConnectProtocol'] === 1
    if (!extended) this.#refuseWaiting(connection, 'h2-connect')
    this.#scheduler.decide(connection, extended ? SERVES.any | SERVES['h2-connect'] : SERVES.any)
  }

  #deliver(exchange: Exchange, event: DeliveredEvent): void {
    this.#commands.push({ type: 'deliver', id: exchange.id, event })
  }
  #deliverContent(exchange: Exchange, event: Extract<DeliveredEvent, { type: 'data' }>): void {
    exchange.attempt.movedAt = this.#now
    const bytes = event.data.byteLength
    if (exchange.draining !== undefined) {
      exchange.draining.left -= bytes
      this.#consume(exchange, bytes)
      if (exchange.draining.left < 0) this.#giveUp(exchange, undefined, true)
      return
    }
    exchange.attempt.unconsumed += bytes
    this.#deliver(exchange, event)
    if (exchange.stage === 'tunnel' && exchange.attempt.connection !== undefined)
      this.#regulate(exchange.attempt.connection)
  }
  #onConsumed(id: RequestId, bytes: number): void {
    const exchange = this.#exchanges.get(id)
    if (exchange === undefined || exchange.stage === 'queued') return
    const used = Math.min(bytes, exchange.attempt.unconsumed)
    exchange.attempt.unconsumed -= used
    if (exchange.attempt.unconsumed === 0) exchange.attempt.movedAt = this.#now
    this.#consume(exchange, used)
  }
  /** Room for the sender again. */
  #consume(exchange: Exchange, bytes: number): void {
    const { connection } = exchange.attempt
    const machine = connection?.machine
    if (connection === undefined || machine === undefined || bytes === 0) return
    if (exchange.stage !== 'tunnel') machine.consume(exchange.attempt.onConnection, bytes)
    if (machine.outputBytes > 0) this.#markDirty(connection)
    if (connection.paused) this.#regulate(connection)
  }
  /** Reads the socket as long as somebody wants what comes. */
  #regulate(connection: PoolConnection): void {
    const { machine, tunnel, link } = connection
    if (machine === undefined || link === undefined || link.destroyed) return
    const pause = tunnel === undefined ? machine.readState === 'paused' : tunnel.attempt.unconsumed >= MAX_AHEAD
    if (pause === connection.paused) return
    connection.paused = pause
    this.#commands.push({ type: pause ? 'pauseReading' : 'resumeReading', link: link.id })
    if (!pause && tunnel === undefined) this.#drainMachine(connection)
  }

  #onDrain(id: RequestId, limit: number): void {
    const exchange = this.#exchanges.get(id)
    if (exchange === undefined || exchange.draining !== undefined || exchange.stage === 'tunnel') return
    exchange.draining = { left: limit }
    this.#timers.after(exchange.deadline('drain'), this.#limits.drainTimeout, this.#now)
    const { unconsumed } = exchange.attempt
    if (unconsumed === 0) return
    exchange.attempt.unconsumed = 0
    this.#consume(exchange, unconsumed)
  }

  // ── after a switch ──

  #tunnel(connection: PoolConnection, exchange: Exchange, data: Bytes): void {
    if (connection.closing || connection.writeFailure !== undefined) return
    connection.written += data.byteLength
    exchange.attempt.bytesSent += data.byteLength
    this.#commands.push({ type: 'write', link: (connection.link as Link).id, chunks: [data] })
    this.#tunnelRoom(connection, exchange)
  }
  #tunnelRoom(connection: PoolConnection, exchange: Exchange): void {
    if (connection.written - connection.accepted < MAX_AHEAD) this.#pull(exchange)
    else exchange.content = 'blocked'
  }
  #onStartTls(id: RequestId, tls: Extract<PoolInput, { type: 'startTls' }>['tls']): void {
    const exchange = this.#exchanges.get(id)
    const link = exchange?.attempt.connection?.link
    if (exchange?.stage !== 'tunnel' || link === undefined || link.destroyed) return
    this.#commands.push({ type: 'startTls', link: link.id, tls })
  }

  // ── an exchange ends ──

  /** The response is complete. What of the request has not left by now is not wanted. */
  #complete(exchange: Exchange): void {
    const { connection } = exchange.attempt
    if (connection?.machine === undefined) return
    const unfinished = exchange.uploading || exchange.content === 'dropped'
    if (unfinished && exchange.stage === 'receiving') {
      this.#dropContent(exchange)
      connection.machine.cancel(exchange.attempt.onConnection, NO_ERROR)
    } else if (exchange.stage === 'receiving' && (connection.multiplexed || connection.machine.active > 0)) {
      // What was delivered is the reader's; the machine need not hold it against the connection until it has been read.
      connection.machine.consume(exchange.attempt.onConnection, exchange.attempt.unconsumed)
    }
    if (exchange.traced) {
      this.#traceStep(exchange, 'response_closed')
      this.#traceStep(exchange, undefined)
    }
    connection.refusing = false
    this.#leave(exchange)
    this.#settle(exchange, OK)
  }

  /** Takes it off its connection, whose seat is free then. */
  #leave(exchange: Exchange): void {
    const { connection } = exchange.attempt
    if (connection === undefined) return
    exchange.attempt.connection = undefined
    connection.drop(exchange)
    if (connection.tunnel === exchange) {
      if (!exchange.attempt.ended || exchange.content !== 'ended') return this.#destroy(connection)
      // Both sides have ended it: what was written still leaves.
      connection.flushing = true
      this.#scheduler.released(connection, 0)
      return this.#closeLink(connection)
    }
    this.#release(connection)
  }
  /** How many requests it could be given now. */
  #seatsOf({ machine, refusing, requests }: PoolConnection): number {
    if (machine === undefined || refusing) return 0
    return Math.min(machine.capacity, this.#settings.maxRequestsPerConnection - requests)
  }
  #release(connection: PoolConnection): void {
    const machine = connection.machine
    if (connection.phase === 'gone' || machine === undefined) return
    const unread = connection.multiplexed ? 0 : connection.written - connection.accepted
    const usable =
      !machine.draining &&
      !machine.closed &&
      connection.writeFailure === undefined &&
      unread <= MOST_UNREAD &&
      this.#life === 'open'
    if (!usable) this.#scheduler.leaving(connection)
    this.#scheduler.released(connection, usable ? this.#seatsOf(connection) : 0)
    this.#decide()
    if (connection.phase === 'leaving' && connection.active === 0) {
      // Broken ones end at once; others are closed as they should be.
      if (machine.closed && machine.outputBytes === 0) this.#destroyOrClose(connection)
      else this.#retire(connection, usable ? 'max-requests' : 'no-longer-usable')
    } else if (connection.idle) this.#rest(connection)
  }
  #destroyOrClose(connection: PoolConnection): void {
    if (connection.machine?.closeReason === 'cancelled' || connection.writeFailure !== undefined)
      this.#destroy(connection)
    else this.#closeLink(connection)
  }
  /** Nothing runs on it: it waits for the next request, for so long. */
  #rest(connection: PoolConnection): void {
    const expiry = this.#expiry(connection)
    connection.idleSince = this.#now
    if (expiry <= 0) return this.#retire(connection, 'idle-expired')
    this.#hold(connection, false)
    if (expiry === Infinity) return
    const deadline = connection.idleDeadline
    // Often idle for moments only: where the deadline is set already it is looked at when it fires.
    if (deadline.at > this.#now + expiry) this.#timers.after(deadline, expiry, this.#now)
  }
  #expiry(connection: PoolConnection): Millis {
    const { keepAliveExpiry } = this.#settings
    const { hint } = connection
    if (hint !== undefined) return Math.min(hint, keepAliveExpiry ?? Infinity)
    return keepAliveExpiry ?? (connection.multiplexed ? IDLE_MULTIPLEXED : IDLE_H1)
  }

  #settle(exchange: Exchange, result: Settlement): void {
    if (exchange.stage === 'over') return
    exchange.stage = 'over'
    if (!result.ok) this.#traceFailure(exchange, result.error)
    exchange.clearDeadlines(this.#timers)
    this.#exchanges.delete(exchange)
    exchange.site.requests--
    this.#stopContent(exchange)
    const { bytesSent, bytesReceived } = exchange.attempt
    this.#commands.push({
      type: 'settle',
      id: exchange.id,
      result,
      timings: exchange.timings(this.#now),
      bytesSent,
      bytesReceived,
    })
    this.#forgetSite(exchange.site)
  }

  /** Wherever it stands: it leaves, and settles with the error. */
  #fail(exchange: Exchange, error: unknown, dial?: PoolConnection): void {
    if (exchange.waiting) {
      const own = exchange.dial as PoolConnection | undefined
      // A dial that nobody else has a use for ends with the request that it was opened for.
      if (this.#scheduler.leave(exchange) && own !== undefined && own !== dial) this.#destroy(own)
    }
    this.#settle(exchange, { ok: false, error })
  }
  /** As `#fail`, for a request that may be on a connection. `quietly`: it settles without an error. */
  #giveUp(exchange: Exchange, error: unknown, quietly = false): void {
    const { connection } = exchange.attempt
    const result: Settlement = quietly ? OK : { ok: false, error }
    if (connection?.machine === undefined) return this.#fail(exchange, error)
    const { machine } = connection
    const failing = exchange.stage
    if (failing !== 'tunnel') machine.cancel(exchange.attempt.onConnection)
    if (machine.outputBytes > 0) this.#markDirty(connection)
    exchange.stage = failing
    this.#settle(exchange, result)
    this.#leave(exchange)
  }
  /** The response had come to its end, only the rest of the request was still to leave: no harm is done. */
  #finish(exchange: Exchange): void {
    this.#settle(exchange, OK)
    this.#leave(exchange)
  }
  #onCancel(id: RequestId, reason: unknown): void {
    const exchange = this.#exchanges.get(id)
    if (exchange !== undefined) this.#giveUp(exchange, reason)
  }

  /** The machine says that it failed. */
  #exchangeFailed(exchange: Exchange, fault: PeerFault, disposition: Disposition): void {
    const connection = exchange.attempt.connection as PoolConnection
    // Whatever ended the connection, for a request without an answer the server is gone.
    const silent = !exchange.attempt.heard && exchange.attempt.bytesReceived === 0
    const lost = connection.eof && silent && CUT_SHORT.has(fault.code)
    if (fault.h2Code === REFUSED_STREAM && disposition === 'refused') connection.refusing = true
    const writing = connection.writeFailure
    const error =
      lost && disposition === 'maybe-processed'
        ? connectionLost(exchange, writing?.error, writing !== undefined)
        : peerFailed(exchange, cutShort(exchange, connection, fault), disposition, undefined)
    this.#retryOrFail(exchange, error, disposition, lost)
  }
  #retryOrFail(exchange: Exchange, error: unknown, disposition: Disposition, lost: boolean): void {
    const connection = exchange.attempt.connection as PoolConnection
    if (exchange.attempt.ended) return this.#finish(exchange)
    const { idempotent, replayable, pulled, replays, staleRetries } = exchange
    const retry = retryOf(
      {
        disposition,
        connectionLost: lost,
        reusedConnection: exchange.attempt.reused,
        responseBytes: exchange.attempt.bytesReceived > 0 || exchange.attempt.heard,
        idempotent,
        replayable,
        pulled,
        replays,
        staleRetries,
      },
      this.#limits,
    )
    if (retry === 'no' || this.#life !== 'open') {
      this.#settle(exchange, { ok: false, error })
      return this.#leave(exchange)
    }
    this.#traceFailure(exchange, error)
    this.#trace(exchange, connection, 'pool.retry', { reason: retry, disposition, exception: error })
    this.#sendBack(exchange, retry === 'replay')
    if (retry === 'fresh') {
      exchange.staleRetries++
      // What else waits idle there is as old: it would be the next disappointment.
      for (let other = this.#idleOf(exchange.site); other !== undefined; other = this.#idleOf(exchange.site)) {
        this.#retire(other, 'stale')
      }
      this.#scheduler.requeueFresh(exchange)
    } else {
      exchange.replays++
      // All that one connection sends back are one failure of its origin, and wait alike.
      connection.backoff ??= this.#backoff(exchange.site)
      const held = connection.backoff > 0
      if (held) this.#timers.after(exchange.deadline('backoff'), connection.backoff, this.#now)
      this.#scheduler.requeue(exchange, held)
    }
    this.#decide()
    if (!exchange.waiting) return
    if (exchange.traced) this.#trace(exchange, undefined, 'pool.queued', { reason: this.#whyQueued(exchange) })
    if (exchange.dial === undefined) this.#awaitSeat(exchange)
  }
  #idleOf(site: Site): PoolConnection | undefined {
    return this.#scheduler.longestIdle(site) as PoolConnection | undefined
  }
  /** None for the first failure since a response came; the jitter only shortens it. */
  #backoff(site: Site): Millis {
    const { replayBackoff, replayBackoffCap } = this.#limits
    const before = site.failures++
    if (before === 0) return 0
    return Math.min(replayBackoff * 2 ** Math.min(before - 1, 16), replayBackoffCap) * (1 - this.#chance() / 10)
  }
  /** Back to those that wait. `unprocessed`: as if it had never been assigned. */
  #sendBack(exchange: Exchange, unprocessed: boolean): void {
    this.#stopContent(exchange)
    this.#timers.clear(exchange.io)
    this.#leave(exchange)
    exchange.sendBack(unprocessed)
  }

  /** The connection is no more: what ran on it was lost. */
  #break(connection: PoolConnection, cause: unknown, side?: LinkSide): void {
    const exchanges = connection.exchanges.all()
    const { tunnel } = connection
    connection.machine?.abort()
    this.#destroy(connection)
    for (const exchange of exchanges) {
      if (exchange === tunnel) {
        const error = side === 'tls' ? handshakeFailed(exchange, cause) : connectionLost(exchange, cause, false)
        this.#settle(exchange, { ok: false, error })
        this.#leave(exchange)
        continue
      }
      const error = connectionLost(
        exchange,
        connection.writeFailure?.error ?? cause,
        connection.writeFailure !== undefined,
      )
      this.#retryOrFail(exchange, error, dispositionOf(exchange), true)
    }
  }

  // ── the network's other facts ──

  #onEof(id: number, clean: boolean | undefined): void {
    const link = this.#links.get(id)
    if (link === undefined || link.destroyed) return
    if (link.owner instanceof Establishing) return link.owner.eof(link, this.#now)
    const connection = link.owner
    const { tunnel, machine } = connection
    if (tunnel !== undefined) {
      if (tunnel.attempt.ended) return
      tunnel.attempt.ended = true
      this.#deliver(tunnel, { type: 'end', exchange: tunnel.attempt.onConnection, trailers: undefined })
      if (tunnel.content === 'ended') this.#complete(tunnel)
      return
    }
    if (machine === undefined || connection.closing) return
    connection.eof = true
    machine.receiveEof(this.#now, clean)
    this.#drainMachine(connection)
  }

  #onFailed(id: number, error: unknown, side: LinkSide): void {
    const link = this.#links.get(id)
    if (link === undefined || link.destroyed) return
    if (link.owner instanceof Establishing) return link.owner.failed(link, error, side, this.#now)
    const connection = link.owner
    if (side !== 'write' || connection.exchanges.size === 0) return this.#break(connection, error, side)
    // A response may be there to be read: what the server had to say before it stopped listening.
    connection.writeFailure = { error }
    this.#scheduler.leaving(connection)
    for (const exchange of connection.exchanges.all()) this.#dropContent(exchange)
    this.#timers.after(connection.deadline('grace'), this.#limits.earlyResponseGrace, this.#now)
  }

  #onClosed(id: number): void {
    const link = this.#links.get(id)
    if (link === undefined) return
    this.#links.delete(id)
    const { owner } = link
    if (owner instanceof Establishing) {
      if (!link.destroyed) owner.closed(link, this.#now)
      return
    }
    if (link.destroyed) return
    link.destroyed = true
    if (owner.exchanges.size > 0) this.#break(owner, undefined)
    else this.#gone(owner)
  }

  // ── time ──

  #onTimeout(): void {
    for (let due = this.#timers.take(this.#now); due !== undefined; due = this.#timers.take(this.#now)) {
      const { owner, kind } = due
      if (owner instanceof Exchange) this.#exchangeDue(owner, kind as ExchangeTimer)
      else if (owner instanceof PoolConnection) this.#connectionDue(owner, kind as ConnectionTimer)
      else if (owner instanceof Establishing) owner.timeout(kind as EstablishTimer, this.#now)
      else if (owner instanceof Site) this.#scheduler.expect(owner, this.#seatsPerDial(owner))
      else this.#onDestroy(this.#reason)
      this.#decide()
    }
  }

  #exchangeDue(exchange: Exchange, timer: ExchangeTimer): void {
    switch (timer) {
      case 'pool':
        return this.#fail(exchange, poolTimeout(exchange))
      case 'total':
        return this.#giveUp(exchange, totalTimeout(exchange), exchange.attempt.ended)
      case 'expect':
        return this.#continue(exchange)
      case 'drain':
        return this.#giveUp(exchange, undefined, true)
      case 'backoff':
        return this.#scheduler.release(exchange)
      case 'io':
        return this.#ioDue(exchange)
    }
  }
  /** Nothing moved for so long, or so it seems: bytes do not set the deadline anew, they are looked at when it fires. */
  #ioDue(exchange: Exchange): void {
    const connection = exchange.attempt.connection as PoolConnection
    const sending = exchange.stage === 'sending' || exchange.attempt.ended
    const duration = sending ? exchange.timeouts.write : exchange.timeouts.read
    const since = this.#stuckSince(exchange, connection)
    const due = since + duration
    if (due > this.#now) this.#timers.at(exchange.io, due)
    else {
      this.#giveUp(exchange, sending ? writeTimeout(exchange) : readTimeout(exchange), exchange.attempt.ended)
      // One stream stalls, or the connection is dead: an answer to a PING tells.
      if (connection.multiplexed && connection.phase !== 'gone' && !connection.pinged)
        this.#ping(connection, PROBE_TIMEOUT)
    }
  }
  #stuckSince(exchange: Exchange, connection: PoolConnection): Millis {
    const { stage, content } = exchange
    const { movedAt, unconsumed, onConnection } = exchange.attempt
    if (stage === 'receiving' && !exchange.attempt.ended) return unconsumed > 0 ? this.#now : movedAt
    if (stage !== 'sending' && !exchange.attempt.ended) return movedAt
    // A slow source is not the peer's fault, nor is what was held back on purpose.
    const unsent = connection.machine?.unsent(onConnection) ?? 0
    const held = content === 'blocked' || (content === 'ended' && unsent > 0)
    if (connection.written <= connection.accepted && !held) return this.#now
    const ownWindow = held && (connection.machine?.sendWindow(onConnection) ?? Infinity) <= 0
    return ownWindow ? movedAt : Math.max(movedAt, connection.lastDrained)
  }

  #connectionDue(connection: PoolConnection, timer: ConnectionTimer): void {
    switch (timer) {
      case 'idle': {
        const due = connection.idleSince + this.#expiry(connection)
        if (!connection.idle) return
        if (due > this.#now) return this.#timers.at(connection.idleDeadline, due)
        return this.#retire(connection, 'idle-expired')
      }
      case 'age':
        return this.#retire(connection, 'max-age')
      case 'closing':
        return this.#destroy(connection)
      case 'grace':
        return this.#break(connection, connection.writeFailure?.error)
      case 'machine':
        connection.machine?.handleTimeout(this.#now)
        return this.#drainMachine(connection)
      case 'ping':
        return this.#pingDue(connection)
    }
  }
  #armMachine(connection: PoolConnection): void {
    const at = connection.machine?.nextTimeout()
    if (at === undefined) {
      const known = connection.knownDeadline('machine')
      if (known !== undefined) this.#timers.clear(known)
    } else if (connection.knownDeadline('machine')?.at !== at) this.#timers.at(connection.deadline('machine'), at)
  }

  /** The option `keepAlivePing`: a connection on which nothing comes is asked whether it lives. */
  #armPing(connection: PoolConnection): void {
    const option = this.#settings.http2Options?.keepAlivePing
    if (connection.pinged) this.#timers.clear(connection.deadline('ping'))
    connection.pinged = false
    if (option === undefined || option === null || !connection.multiplexed) return
    this.#timers.after(connection.deadline('ping'), option.after, this.#now)
  }
  #pingDue(connection: PoolConnection): void {
    if (connection.pinged) return this.#break(connection, new Error('the server did not answer a PING in time'))
    const option = this.#settings.http2Options?.keepAlivePing
    if (option === undefined || option === null) return
    const due = connection.lastReceived + option.after
    if (due > this.#now) this.#timers.at(connection.deadline('ping'), due)
    else if (connection.active === 0 && option.whileIdle !== true) this.#armPing(connection)
    else this.#ping(connection, option.within)
  }
  #ping(connection: PoolConnection, within: Millis): void {
    const machine = connection.machine
    if (machine === undefined || machine.closed) return
    connection.pinged = true
    ;(machine as unknown as H2Extras).ping(new Uint8Array(8), this.#now)
    this.#markDirty(connection)
    this.#timers.after(connection.deadline('ping'), within, this.#now)
  }

  // ── the end of the pool ──

  #onClose(grace: Millis): void {
    this.#closeTold = false
    if (this.#life === 'destroyed') return
    this.#life = 'closing'
    this.#timers.after(this.#graceDeadline, grace, this.#now)
    this.#dismiss(undefined)
    for (const connection of [...this.#connections.keys()]) {
      if (connection.phase === 'connecting') this.#destroy(connection)
      else this.#retire(connection, 'pool-closing')
    }
  }
  /** All that wait, before any connection goes: nothing is dialled for them any more. */
  #dismiss(reason: unknown): void {
    const waiting = [...this.#exchanges].filter((exchange) => exchange.waiting)
    const errors = waiting.map((exchange) => poolClosed(factsOf(exchange), reason))
    for (const exchange of waiting) this.#scheduler.leave(exchange)
    for (const [i, exchange] of waiting.entries()) this.#settle(exchange, { ok: false, error: errors[i] })
  }
  #onDestroy(reason: unknown): void {
    this.#closeTold = false
    this.#life = 'destroyed'
    this.#reason = reason
    this.#timers.clear(this.#graceDeadline)
    this.#dismiss(reason)
    for (const exchange of this.#exchanges)
      this.#settle(exchange, { ok: false, error: poolClosed(factsOf(exchange), reason) })
    for (const connection of [...this.#connections.keys()]) {
      connection.machine?.abort()
      this.#destroy(connection)
    }
  }
  #tellClosed(): void {
    if (this.#exchanges.size > 0 || this.#connections.size > 0) return
    this.#closeTold = true
    this.#timers.clear(this.#graceDeadline)
    this.#commands.push({ type: 'closed' })
  }

  // ── seeing in ──

  #whyQueued({ dial, held, need, site }: Exchange): string {
    if (dial !== undefined) return 'dialling'
    if (held) return 'backoff'
    if (need !== 'h1' && site.seatsPerDial > 1 && site.dials[0] > 0) return 'sharing-dial'
    if (site.suspended > 0) return 'no-streams'
    return site.connections >= this.#settings.maxConnectionsPerOrigin ? 'origin-limit' : 'pool-limit'
  }
  #traceClosed(connection: PoolConnection): void {
    if (!connection.closing) this.#traceClosing(connection, 'started')
    this.#traceClosing(connection, 'complete')
  }
  /** The reason is the machine's: what the peer said, or that it was ours. */
  #traceClosing(connection: PoolConnection, how: 'started' | 'complete'): void {
    this.#trace(undefined, connection, `connection.close.${how}`, { reason: connection.machine?.closeReason })
  }

  /** The step that was begun is over, the next begins. */
  /** The step that was begun ends here. */
  #traceFailure(exchange: Exchange, error: unknown): void {
    if (exchange.attempt.step !== undefined) this.#traceStep(exchange, undefined, { exception: error }, 'failed')
  }
  #traceStep(
    exchange: Exchange,
    next: TraceStep | undefined,
    info: Readonly<Record<string, unknown>> = {},
    how: 'complete' | 'failed' = 'complete',
  ): void {
    const { connection, step } = exchange.attempt
    if (step !== undefined) this.#trace(exchange, connection, `${step}.${how}`, info)
    exchange.attempt.step = next
    if (next !== undefined) this.#trace(exchange, connection, `${next}.started`, {})
  }
  #trace(
    exchange: Exchange | undefined,
    connection: PoolConnection | undefined,
    name: string,
    info: Readonly<Record<string, unknown>> = {},
    link = connection?.link?.id,
  ): void {
    if (exchange?.traced !== true && connection?.traced !== true) return
    const prefix =
      name.includes('.') && !/^(send|receive|response)_/.test(name)
        ? ''
        : connection?.multiplexed === true
          ? 'http2.'
          : 'http11.'
    this.#commands.push({
      type: 'trace',
      event: {
        name: prefix + name,
        time: this.#now,
        request: exchange?.id,
        connection: link,
        info,
      },
    })
  }
}

function whyOpened({ fresh, site }: Exchange): string {
  if (fresh) return 'stale-retry'
  return site.active > 0 || site.idle.length > 0 ? 'all-taken' : 'no-connection'
}

/** How many requests may be given to it now. */
/** The connection ended within the response, whatever else can be said of its end. */
function cutShort(exchange: Exchange, connection: PoolConnection, fault: PeerFault): PeerFault {
  const begun = exchange.attempt.heard || exchange.attempt.bytesReceived > 0
  const within = connection.eof && begun && CUT_SHORT.has(fault.code)
  return within ? { ...fault, code: 'incomplete-message', message: 'the connection ended within the response' } : fault
}

/** `scheme://authority/path`; for `*` without a path. RFC 9112 §3.2.2, §3.2.4. */
function absoluteForm(site: Site, head: RequestHead): string {
  if (head.target.includes('://')) return head.target
  return `http://${formatAuthority({ ...site.origin, scheme: 'http' })}${head.target === '*' ? '' : head.target}`
}

/** How long `timeout` of a Keep-Alive field can be relied on, in milliseconds; undefined: none that can be read. */
function keepAliveHint(headers: Fields, most: Millis): Millis | undefined {
  const value = headers.get('keep-alive')
  if (value === undefined) return undefined
  for (const member of listMembers(value)) {
    const [name = '', seconds = ''] = member.split('=')
    const timeout = asciiLower(name) === 'timeout' ? parseDecimal(seconds) : -1
    if (timeout >= 0) return Math.min(timeout * 1000 - HINT_MARGIN, most)
  }
  return undefined
}

function goingAway(reason: string): PeerFault {
  return {
    code: 'goaway',
    rule: 'RFC 9113 §6.8',
    message: `the server went away before it processed the request (${reason})`,
    scope: 'exchange',
    offset: 0,
  }
}
