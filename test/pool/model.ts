// The reference model of the scheduler: plain lists, searched from one end to the other. It makes no decisions. It knows
// which are legal: it refuses the others as they come, and after every step it looks for work that was left lying about.
import { expect } from 'vitest'
import { Carrier, OriginQueue, Scheduler, SERVES, Waiter } from '../../src/pool/scheduler.ts'
import type { Capacity, Need } from '../../src/pool/scheduler.ts'

interface Connection {
  readonly carrier: Carrier
  readonly origin: number
  readonly h1Only: boolean
  state: 'dialling' | 'open' | 'leaving' | 'gone'
  serves: number
  seats: number
  opener: Request | undefined
  /** It was dialled for a request that must have a fresh one. */
  bound: boolean
  openedAt: number
  readonly running: Set<Request>
}
export interface Request {
  readonly waiter: Waiter
  readonly origin: number
  readonly need: Need
  state: 'waiting' | 'running' | 'over'
  fresh: boolean
  /** When it became so. */
  lostAt: number
  held: boolean
}

export class Model {
  readonly scheduler: Scheduler
  readonly origins: readonly OriginQueue[]
  readonly connections: Connection[] = []
  readonly requests: Request[] = []
  readonly #capacity: Capacity
  readonly #seatsPerDial: number
  #time = 0

  constructor(capacity: Capacity, origins: number, seatsPerDial = 1) {
    this.#capacity = capacity
    this.#seatsPerDial = seatsPerDial
    this.origins = Array.from({ length: origins }, () => new OriginQueue())
    this.scheduler = new Scheduler(capacity, (origin, need) => new Carrier(origin, need))
    for (const origin of this.origins) this.scheduler.expect(origin, seatsPerDial)
    this.settle()
  }

  // ── what can happen ──

  request(origin: number, need: Need): void {
    const waiter = new Waiter(this.origins[origin] as OriginQueue, need)
    this.requests.push({ waiter, origin, need, state: 'waiting', fresh: false, lostAt: 0, held: false })
    this.scheduler.enqueue(waiter)
    this.settle()
  }
  cancel(request: Request): void {
    request.state = 'over'
    const dial = this.#dialOf(request)
    const useless = this.scheduler.leave(request.waiter)
    if (dial !== undefined) this.#handOver(dial)
    expect(useless && dial === undefined, 'only a dial can be useless').toBe(false)
    if (useless && dial !== undefined) this.gone(dial)
    else this.settle()
  }
  /** Its opener waits no longer: the dial is another's who was lost, or goes on for whoever comes. */
  #handOver(dial: Connection): void {
    const { opener } = dial.carrier
    dial.opener = opener && this.#request(opener)
    if (dial.opener === undefined) dial.bound = false
    else expect([dial.bound, dial.opener.state, dial.opener.fresh], 'who was lost').toEqual([true, 'waiting', true])
  }
  connected(connection: Connection, serves: number, seats: number): void {
    connection.state = 'open'
    connection.openedAt = ++this.#time
    connection.serves = serves
    connection.seats = seats
    const bound = connection.opener
    connection.opener = undefined
    if (bound?.fresh === true && (serves & SERVES[bound.need]) === 0) this.#over(bound)
    this.scheduler.opened(connection.carrier, serves, seats)
    this.settle()
  }
  /** A dial fails, or a connection ends: what ran on it is over, or comes back. */
  gone(connection: Connection, then: 'over' | 'back' | 'fresh' = 'over'): void {
    if (connection.opener !== undefined) this.#over(connection.opener)
    connection.opener = undefined
    connection.state = 'gone'
    this.scheduler.gone(connection.carrier)
    this.settle()
    for (const request of connection.running) this.#returned(request, then)
    connection.running.clear()
  }
  finish(connection: Connection, request: Request, then: 'over' | 'back' | 'held' = 'over'): void {
    connection.running.delete(request)
    this.scheduler.released(connection.carrier, connection.seats - connection.running.size)
    this.settle()
    this.#returned(request, then)
  }
  #returned(request: Request, then: 'over' | 'back' | 'held' | 'fresh'): void {
    request.state = then === 'over' ? 'over' : 'waiting'
    request.fresh = then === 'fresh'
    request.lostAt = ++this.#time
    request.held = then === 'held'
    if (then === 'fresh') this.scheduler.requeueFresh(request.waiter)
    else if (then !== 'over') this.scheduler.requeue(request.waiter, then === 'held')
    this.settle()
  }
  release(request: Request): void {
    request.held = false
    this.scheduler.release(request.waiter)
    this.settle()
  }
  /** The peer allows one more at a time. */
  widened(connection: Connection): void {
    connection.seats++
    this.scheduler.seats(connection.carrier, connection.seats - connection.running.size)
    this.settle()
  }
  leaving(connection: Connection): void {
    connection.state = 'leaving'
    this.scheduler.leaving(connection.carrier)
    this.settle()
  }
  /** It fails with its dial. */
  #over(request: Request): void {
    request.state = 'over'
    this.scheduler.leave(request.waiter)
  }

  // ── decisions, refused where they are illegal ──

  settle(): void {
    for (let decision = this.scheduler.next(); decision !== undefined; decision = this.scheduler.next()) {
      const connection = this.connections.find(({ carrier }) => carrier === decision.carrier) as Connection
      if (decision.type === 'open') this.#open(decision.carrier, this.#request(decision.opener))
      else if (decision.type === 'assign') this.#assign(connection, this.#request(decision.waiter))
      else this.#close(connection, decision.now)
    }
    this.#checkWork()
  }
  #close(connection: Connection, now: boolean): void {
    expect(connection.running.size, 'P3: what carries an exchange is not closed').toBe(0)
    expect(['open', 'leaving'], 'only what is open is closed').toContain(connection.state)
    connection.state = now ? 'gone' : 'leaving'
  }
  #open(carrier: Carrier, opener: Request): void {
    expect(opener.state, 'a dial is opened for who waits').toBe('waiting')
    expect(this.#dialOf(opener), 'one dial for one request').toBeUndefined()
    expect(opener.held, 'and for nobody who waits out a backoff').toBe(false)
    const { origin } = opener
    const made = { carrier, origin, h1Only: opener.need === 'h1', opener, running: new Set<Request>() }
    this.connections.push({ ...made, state: 'dialling', serves: 0, seats: 0, bound: opener.fresh, openedAt: 0 })
    const counted = this.#counted()
    expect(counted.length, 'P1: maxConnections').toBeLessThanOrEqual(this.#capacity.maxConnections)
    const own = counted.filter((one) => one.origin === origin).length
    expect(own, 'P1: maxConnectionsPerOrigin').toBeLessThanOrEqual(this.#capacity.maxConnectionsPerOrigin)
  }
  #assign(connection: Connection, request: Request): void {
    expect(request.state, 'P5: only who waits is served').toBe('waiting')
    expect(connection.state, 'P4: by a live connection').toBe('open')
    expect(connection.origin, 'P4: of the right key').toBe(request.origin)
    expect(connection.serves & SERVES[request.need], 'P4: that serves the need').not.toBe(0)
    expect(connection.running.size, 'P2: with a free seat').toBeLessThan(connection.seats)
    if (request.fresh) {
      expect(connection.bound, 'P8: by one that was dialled for who was lost').toBe(true)
      expect(connection.openedAt, 'P8: and was not there before').toBeGreaterThan(request.lostAt)
    } else {
      const older = this.#waiting(request.origin).filter(({ need, fresh }) => need === request.need && !fresh)
      expect(older[0], 'P7: in the order in which they came').toBe(request)
    }
    const dial = this.#dialOf(request)
    if (dial !== undefined) dial.opener = undefined
    request.state = 'running'
    connection.running.add(request)
  }

  // ── what must not be left undone ──

  #checkWork(): void {
    const counted = this.#counted()
    expect(this.scheduler.connections, 'it counts as the model does').toBe(counted.length)
    const waiting = this.origins.reduce((sum, origin) => sum + origin.waiting, 0)
    expect(waiting).toBe(this.requests.filter(({ state }) => state === 'waiting').length)
    const idle = counted.filter((one) => one.state === 'open' && one.running.size === 0)
    expect(this.scheduler.idle).toBe(idle.length)
    expect(idle.length, 'maxIdleConnections').toBeLessThanOrEqual(this.#capacity.maxIdleConnections)
    const spare = counted.filter((one) => one.running.size === 0 && (one.state === 'open' || one.state === 'leaving'))
    for (const request of this.requests.filter(({ state }) => state === 'waiting')) {
      const mine = counted.filter(({ origin }) => origin === request.origin)
      const usable = mine.some(
        (one) => one.state === 'open' && (one.serves & SERVES[request.need]) !== 0 && one.running.size < one.seats,
      )
      if (!request.fresh) expect(usable, 'P6: nobody waits while there is a seat').toBe(false)
      else expect(this.#newFor(request), 'P6: nor while there is one on what was dialled for who was lost').toBe(false)
      if (request.held || this.#dialledFor(request)) continue
      if (mine.length >= this.#capacity.maxConnectionsPerOrigin) {
        expect(mine.filter((one) => spare.includes(one)).length, 'P6: nor while its origin has one to spare').toBe(0)
      } else {
        expect(counted.length, 'P6: nor while there is room').toBe(this.#capacity.maxConnections)
        expect(spare.length, 'P6: nor while another is to spare').toBe(0)
      }
    }
  }
  /** A connection of many seats with a free one, that was dialled for who was lost with it. */
  #newFor(request: Request): boolean {
    const { origin, need, lostAt } = request
    const like = (one: { need: Need }): boolean => (one.need === 'h1') === (need === 'h1')
    if (this.#dialOf(request) !== undefined) return false
    return this.#counted().some(
      (one) =>
        one.origin === origin &&
        one.state === 'open' &&
        one.bound &&
        like({ need: one.h1Only ? 'h1' : 'any' }) &&
        (one.serves & SERVES.h1) === 0 &&
        (one.serves & SERVES[need]) !== 0 &&
        one.openedAt > lostAt &&
        one.running.size < one.seats,
    )
  }
  /** Dials enough are under way for those of its kind: one each, or one that all of them wait for. */
  #dialledFor(request: Request): boolean {
    const { origin, fresh } = request
    const h1Only = request.need === 'h1'
    const dials = this.connections.filter((one) => one.state === 'dialling' && one.origin === origin)
    if (fresh) {
      const others = this.#seatsPerDial > 1 && !h1Only ? dials.filter((one) => one.bound && !one.h1Only) : []
      return this.#dialOf(request) !== undefined || others.length > 0
    }
    const like = this.#waiting(origin).filter((one) => !one.fresh && !one.held && (one.need === 'h1') === h1Only)
    const shared = dials.filter((one) => one.h1Only === h1Only && one.opener?.fresh !== true).length
    return h1Only || this.#seatsPerDial === 1 ? like.length <= shared : shared > 0
  }
  #counted(): Connection[] {
    return this.connections.filter(({ state }) => state !== 'gone')
  }
  #dialOf(request: Request): Connection | undefined {
    return this.connections.find(({ opener }) => opener === request)
  }
  #waiting(origin: number): Request[] {
    return this.requests.filter((one) => one.state === 'waiting' && one.origin === origin)
  }
  #request(waiter: Waiter): Request {
    return this.requests.find((one) => one.waiter === waiter) as Request
  }
}
