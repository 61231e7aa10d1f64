// The loop between a pool and a network: inputs in, commands performed, one timer. What both interfaces share.
//
// It knows no HTTP: commands to the network become calls of `Link`, commands to the interface calls of the request's
// `Exchange`. State changes happen in the pool, before anything here is called; so whatever a user's callback does
// while a command is performed only queues, and the one loop goes on.
//
// Facts of the network run the loop at once: lent bytes must be delivered before `received` returns. What the
// interface asks for runs it at the end of the turn, so that a hundred requests of one turn leave in one write.
import { IDEMPOTENT_METHODS, type Millis } from '../../http/index.ts'
import {
  BySlot,
  Slots,
  type LinkId,
  type LinkInfo,
  type LinkSide,
  type PoolCommand,
  type PoolInput,
  type PoolMachine,
  type RequestId,
  type TraceEvent,
} from '../../pool/lean.ts'
import type { Link, Network, Sink } from '../network.ts'
import type { Exchange } from './exchange.ts'

type Request = Extract<PoolInput, { type: 'request' }>

export interface DriverHooks {
  /** Runs `flush` soon, once. */
  readonly defer: (flush: () => void) => void
  readonly resolve: Network['resolve']
  readonly trace: (event: TraceEvent, exchange: Exchange | undefined) => void
  readonly closed: () => void
}

export class Driver {
  readonly network: Network
  readonly #machine: PoolMachine
  #lent: ArrayBufferLike | undefined
  readonly #hooks: DriverHooks
  readonly #exchanges = new Slots<Exchange>()
  readonly #links = new BySlot<LinkHandle>()
  #unsettled = 0
  /** Requests that wait for what has come, and those behind them. */
  readonly #waiting = new Map<RequestId, Request>()
  /** Those of this turn: what waits together leaves together. */
  #asking: RequestId[] | undefined
  /** What the interface asks for in this turn, until the turn is over: a thread that is busy lets no deadline pass. */
  #asked: PoolInput[] = []
  /** Sockets that hold the process by themselves. A look-up need not: it may be the user's own, and never end. */
  holders = 0
  /** Links that are not read, or whose peer has ended: their sockets hold nothing, and nobody waits for what has come. */
  silent = 0
  #closing = false
  /** Links that need not: they are told when no request is left, since until then the process stays anyway. */
  #resting: LinkHandle[] = []
  #running = false
  /** When the latest input came. */
  #now: Millis = 0
  /** Of the latest read. */
  #turn: number | undefined
  #deferred = false
  #timerAt: Millis = Infinity
  #timerHolds = false
  #cancelTimer: (() => void) | undefined

  constructor(machine: PoolMachine, network: Network, hooks: DriverHooks) {
    this.#machine = machine
    this.network = network
    this.#hooks = hooks
  }

  /** Gives a new request its id. */
  enter(exchange: Exchange): void {
    this.#exchanges.add(exchange)
    this.#unsettled++
  }

  /**
   * A new request. One that cannot be sent again waits until all that has come was told: many a server closes right behind
   * a response that promised otherwise, and what is written after that would be lost without anybody's fault.
   */
  begin(request: Request): void {
    const { network } = this
    const careful = this.#links.size > 0 && !(request.replayable && IDEMPOTENT_METHODS.has(request.head.method))
    if (network.caughtUp === undefined || !(careful || this.#waiting.size > 0)) return this.ask(request)
    this.#waiting.set(request.id, request)
    if (this.#asking !== undefined) return void this.#asking.push(request.id)
    const asking = (this.#asking = [request.id])
    this.#hooks.defer(() => {
      this.#asking = undefined
      network.caughtUp?.(() => asking.forEach(this.#admit))
    })
  }
  readonly #admit = (id: RequestId): void => {
    const request = this.#waiting.get(id)
    if (this.#waiting.delete(id)) this.ask(request as Request)
  }

  /** It has heard all that was asked for. */
  get machine(): PoolMachine {
    const asked = this.#asked
    if (asked.length > 0) {
      this.#asked = []
      this.look()
      for (const input of asked) this.#machine.handle(input, this.#now)
    }
    return this.#machine
  }

  /** From the interface. */
  ask(input: PoolInput): void {
    // What ends requests must find them.
    if (input.type === 'cancel') this.#admit(input.id)
    else if (input.type === 'close' || input.type === 'destroy') {
      this.#closing = true
      ;[...this.#waiting.keys()].forEach(this.#admit)
    }
    if (this.#running) return this.#tell(input, false)
    this.#asked.push(input)
    if (this.#deferred) return
    this.#deferred = true
    this.#hooks.defer(this.#flush)
  }

  /** From the network. A look at the clock costs a hundredth of a request: none where no time can have passed. */
  tell(input: PoolInput, atOnce = false): void {
    this.#tell(input, atOnce)
    if (!this.#running) this.run()
  }
  #tell(input: PoolInput, atOnce: boolean): void {
    const { machine } = this
    if (!atOnce) this.look()
    machine.handle(input, this.#now)
  }

  /** A user was called, who takes his time: what follows from it is not as old as what led to it. */
  look(): void {
    this.#now = this.network.now()
  }

  /** Somebody has read so much. Mostly said while it is delivered: that takes no time worth a look at the clock. */
  consumed(id: RequestId, bytes: number): void {
    if (this.#running) this.#machine.handle({ type: 'consumed', id, bytes }, this.#now)
    else this.ask({ type: 'consumed', id, bytes })
  }

  readonly #flush = (): void => {
    this.#deferred = false
    if (!this.#running) this.run()
  }

  run(): void {
    const { machine } = this
    this.#running = true
    try {
      let command: PoolCommand | undefined
      while ((command = machine.poll()) !== undefined) this.#perform(command)
    } finally {
      // A network that throws has a bug; it is told so by whoever called, and the other requests go on.
      this.#running = false
    }
    if (this.#unsettled === 0 && this.#resting.length > 0) this.#letRest()
    this.#arm()
  }

  #perform(command: PoolCommand): void {
    switch (command.type) {
      case 'deliver':
        return this.#exchanges.get(command.id)?.deliver(command.event)
      case 'write':
        return this.#links.get(command.link)?.link?.write(command.chunks)
      case 'settle':
        return this.#settle(command)
      case 'assigned':
        return this.#exchanges.get(command.id)?.assign(command)
      case 'openContent':
        return this.#exchanges.get(command.id)?.openContent()
      case 'pullContent':
        return this.#exchanges.get(command.id)?.pullContent()
      case 'stopContent':
        return this.#exchanges.get(command.id)?.stopContent()
      case 'ref':
      case 'unref':
        return this.#links.get(command.link)?.hold(command.type === 'ref')
      case 'pauseReading':
        return this.#links.get(command.link)?.pause()
      case 'resumeReading':
        return this.#links.get(command.link)?.resume()
      case 'resolve':
        return this.#resolve(command.host)
      case 'connect':
        return this.#connect(command)
      case 'startTls':
        return this.#startTls(command)
      case 'end':
      case 'close':
      case 'destroy':
        return this.#links.get(command.link)?.link?.[command.type]()
      case 'catchUp':
        return this.#catchUp(command.link)
      case 'trace':
        return this.#trace(command.event)
      case 'closed':
        this.#closing = false
        this.#disarm()
        return this.#hooks.closed()
    }
  }

  /** By itself: a closure in there would cost every command a context, a twentieth of a request. */
  #catchUp(link: LinkId): void {
    this.network.caughtUp?.(() => this.tell({ type: 'caughtUp', link }))
  }

  #trace(event: TraceEvent): void {
    this.#hooks.trace(event, event.request === undefined ? undefined : this.#exchanges.get(event.request))
    this.look()
  }
  #settle(command: Extract<PoolCommand, { type: 'settle' }>): void {
    const exchange = this.#exchanges.get(command.id)
    if (exchange === undefined) return
    this.#exchanges.delete(command.id)
    this.#unsettled--
    exchange.settle(command)
  }

  #resolve(host: string): void {
    const done = (error: unknown, addresses: readonly string[]): void => {
      this.tell(
        error === undefined || error === null
          ? { type: 'resolved', host, addresses }
          : { type: 'resolveFailed', host, error },
      )
    }
    try {
      this.#hooks.resolve(host, done)
    } catch (error) {
      done(error, [])
    }
  }

  #connect({ link, target }: Extract<PoolCommand, { type: 'connect' }>): void {
    const handle = new LinkHandle(this, link)
    this.#links.set(handle)
    this.holders++
    try {
      handle.link = this.network.connect(target, handle)
    } catch (error) {
      // Options that the platform refuses (a bad certificate, a bad cipher list) throw here.
      handle.failed(error, 'connect')
      handle.closed()
    }
  }

  #startTls({ link, tls }: Extract<PoolCommand, { type: 'startTls' }>): void {
    const handle = this.#links.get(link)
    try {
      handle?.link?.startTls(tls)
    } catch (error) {
      handle?.failed(error, 'tls')
    }
  }

  /** Delivers bytes that the network lends; true: somebody keeps the buffer. */
  receive(link: LinkId, data: Uint8Array, turn: number | undefined): boolean {
    this.#lent = data.buffer
    const together = turn !== undefined && turn === this.#turn
    this.#turn = turn
    this.tell({ type: 'received', link, data }, together)
    const kept = this.#lent === undefined
    this.#lent = undefined
    return kept
  }
  /** Whether the network lends this buffer at this moment, and nobody has it. */
  lends(buffer: ArrayBufferLike): boolean {
    return this.#lent === buffer
  }
  /** Asks for the network's buffer while its bytes are delivered. One may have it: what it does with it is its own. */
  keep(buffer: ArrayBufferLike): boolean {
    const lent = this.lends(buffer)
    if (lent) this.#lent = undefined
    return lent
  }

  /** What the interface has to tell to who listens to the request. */
  report(event: Omit<TraceEvent, 'time'>, exchange: Exchange): void {
    this.#hooks.trace({ ...event, time: this.network.now() }, exchange)
  }

  rests(link: LinkHandle): void {
    link.place = this.#resting.push(link) - 1
  }
  #letRest(): void {
    const resting = this.#resting
    this.#resting = []
    for (const link of resting) link.rest()
  }
  forget(link: LinkHandle): void {
    this.#links.delete(link)
    if (link.place < 0) return
    const last = this.#resting.pop() as LinkHandle
    if (last === link) return
    this.#resting[link.place] = last
    last.place = link.place
  }

  /** One timer: armed again only when the earliest deadline gets earlier, or when the process has to stay for it. */
  #arm(): void {
    const at = this.#machine.nextTimeout() ?? Infinity
    const awaited = this.#unsettled > this.silent || this.#closing
    const hold = awaited && this.holders === 0
    if (this.#cancelTimer !== undefined) {
      if (at >= this.#timerAt && (hold ? this.#timerHolds : !this.#timerHolds || awaited)) return
      this.#disarm()
    }
    if (at === Infinity) return
    this.#timerAt = at
    this.#timerHolds = hold
    this.#cancelTimer = this.network.timer(at, this.#fire, hold)
  }
  /** It holds the whole pool. */
  #disarm(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }
  readonly #fire = (): void => {
    this.#cancelTimer = undefined
    const at = this.#machine.nextTimeout()
    // Deadlines may have moved since it was armed.
    if (at !== undefined && at <= this.network.now()) this.tell({ type: 'timeout' })
    else this.#arm()
  }
}

/** One link's facts on their way to the pool. */
class LinkHandle implements Sink {
  readonly id: LinkId
  link: Link | undefined
  readonly #driver: Driver
  /** Whether it carries something, and whether it holds the process: until it is told that it need not. */
  #wanted = true
  #holds = true
  #paused = false
  #ended = false
  /** Where it stands among those that are to be told; −1: nowhere. */
  place = -1

  constructor(driver: Driver, id: number) {
    this.#driver = driver
    this.id = id
  }

  hold(ref: boolean): void {
    this.#wanted = ref
    if (!ref && this.place < 0) this.#driver.rests(this)
    if (!ref || this.#holds) return
    this.#holds = true
    this.#holder(1)
    this.link?.ref()
  }
  /** Unless it was wanted again since. */
  rest(): void {
    this.place = -1
    if (this.#wanted || !this.#holds) return
    this.#holds = false
    this.#holder(-1)
    this.link?.unref()
  }
  #holder(change: 1 | -1): void {
    if (!this.#silent) this.#driver.holders += change
  }
  get #silent(): boolean {
    return this.#paused || this.#ended
  }
  /** Whether it is read, and whether anything is left to come. */
  #turns(paused: boolean, ended: boolean): void {
    if (this.#holds) this.#holder(-1)
    if (this.#silent) this.#driver.silent--
    this.#paused = paused
    this.#ended = ended
    if (this.#silent) this.#driver.silent++
    if (this.#holds) this.#holder(1)
  }
  pause(): void {
    this.#turns(true, this.#ended)
    this.link?.pause()
  }
  resume(): void {
    this.#turns(false, this.#ended)
    this.link?.resume()
  }

  connected(info: LinkInfo): void {
    this.#driver.tell({ type: 'connected', link: this.id, info })
  }
  secured(info: LinkInfo): void {
    this.#driver.tell({ type: 'secured', link: this.id, info })
  }
  received(data: Uint8Array, turn?: number): boolean {
    return this.#driver.receive(this.id, data, turn)
  }
  drained(bytes: number, atOnce = false): void {
    this.#driver.tell({ type: 'drained', link: this.id, bytes }, atOnce)
  }
  eof(clean?: boolean): void {
    this.#turns(this.#paused, true)
    this.#driver.tell({ type: 'eof', link: this.id, clean })
  }
  failed(error: unknown, side: LinkSide): void {
    this.#driver.tell({ type: 'failed', link: this.id, error, side })
  }
  closed(): void {
    if (this.#holds) this.#holder(-1)
    this.#holds = false
    if (this.#silent) this.#driver.silent--
    this.#driver.forget(this)
    this.#driver.tell({ type: 'closed', link: this.id })
  }
}
