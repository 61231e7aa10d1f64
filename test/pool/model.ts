// The reference model of the scheduler: plain lists, searched from one end to the other. It makes no decisions. It knows
// which are legal: it refuses the others as they come, and after every step it looks for work that was left lying about.
import { expect } from 'vitest'
import { Carrier, OriginQueue, Scheduler, SERVES, Waiter } from '../../src/pool/scheduler.ts'
import type { Capacity, CloseReason, Need } from '../../src/pool/scheduler.ts'

const PHASES = { dialling: 'connecting', open: 'open', leaving: 'leaving', gone: 'gone' } as const
interface Connection {
  readonly carrier: Carrier
  readonly origin: number
  readonly h1Only: boolean
  state: 'dialling' | 'open' | 'leaving' | 'gone'
  serves: number
  seats: number
  /** It may yet turn out to serve more. */
  undecided: boolean
  /** It takes nothing for now, by its own word. */
  suspended: boolean
  opener: Request | undefined
  /** Who that was when it connected. */
  madeFor: Request | undefined
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
  /** By origin. */
  readonly #seatsPerDial: number[]
  #time = 0

  constructor(capacity: Capacity, origins: number, seatsPerDial = 1) {
    this.#capacity = capacity
    this.#seatsPerDial = new Array<number>(origins).fill(seatsPerDial)
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
    const carrier = this.scheduler.leave(request.waiter)
    if (dial !== undefined) this.#handOver(dial)
    const useless = this.connections.find((one) => one.carrier === carrier)
    if (useless === undefined) {
      if (this.#waiting(request.origin).length === 0) this.#mayGoOn(request)
      return this.settle()
    }
    expect([useless.state, useless.opener, useless.origin]).toEqual(['dialling', undefined, request.origin])
    this.gone(useless)
  }
  /** It was the last that waited: no dial goes on that it could have had. */
  #mayGoOn({ origin, need }: Request): void {
    const kept = this.connections.filter((one) => one.origin === origin && one.state === 'dialling')
    expect(kept.filter((one) => one.h1Only === (need === 'h1') && one.opener === undefined)).toEqual([])
  }
  /** Its opener waits no longer: the dial is another's who was lost, or goes on for whoever comes. */
  #handOver(dial: Connection): void {
    const { opener } = dial.carrier
    dial.opener = opener && this.#request(opener)
    if (dial.opener === undefined) dial.bound = false
    else expect([dial.bound, dial.opener.state, dial.opener.fresh], 'who was lost').toEqual([true, 'waiting', true])
  }
  /** How many requests one dial to it is for, from now on. */
  expect(origin: number, seatsPerDial: number): void {
    this.#seatsPerDial[origin] = seatsPerDial
    this.scheduler.expect(this.origins[origin] as OriginQueue, seatsPerDial)
    this.settle()
  }
  connected(connection: Connection, serves: number, seats: number, undecided = false): void {
    connection.state = 'open'
    connection.openedAt = ++this.#time
    connection.serves = serves
    connection.seats = seats
    connection.undecided = undecided
    const bound = (connection.madeFor = connection.opener)
    connection.opener = undefined
    if (bound?.fresh === true && (serves & SERVES[bound.need]) === 0) this.#over(bound)
    this.scheduler.opened(connection.carrier, serves, seats, undecided)
    this.settle()
  }
  /** It says what it serves. `refusing`: who needs what nobody serves does not wait for another. */
  decided(connection: Connection, serves: number, refusing: boolean): void {
    const { origin } = connection
    const others = this.connections.some((one) => one !== connection && one.origin === origin && one.undecided)
    if (refusing && !others && (serves & SERVES['h2-connect']) === 0) {
      for (const request of this.#waiting(origin)) if (request.need === 'h2-connect') this.cancel(request)
    }
    connection.undecided = false
    connection.serves = serves
    this.scheduler.decide(connection.carrier, serves)
    this.settle()
  }
  suspended(connection: Connection, suspended: boolean): void {
    connection.suspended = suspended
    this.scheduler.suspend(connection.carrier, suspended)
    this.settle()
  }
  /** A dial fails, or a connection ends: what ran on it is over, or comes back. */
  gone(connection: Connection, then: 'over' | 'back' | 'fresh' = 'over'): void {
    if (connection.opener !== undefined) this.#over(connection.opener)
    connection.opener = undefined
    this.#leaves(connection, 'gone')
    this.scheduler.gone(connection.carrier)
    this.settle()
    for (const request of connection.running) this.#returned(request, then)
    connection.running.clear()
  }
  /** `refused`: it has no other seat until it says so. */
  finish(connection: Connection, request: Request, then: 'over' | 'back' | 'held' = 'over', refused = false): void {
    connection.running.delete(request)
    if (refused) connection.seats = Math.min(connection.seats, connection.running.size)
    this.scheduler.released(connection.carrier, connection.seats - connection.running.size)
    this.settle()
    this.#returned(request, then)
  }
  /** Some of what ran on it comes back; who was lost stands in line before the room of its connection is given away. */
  sentBack(connection: Connection, requests: readonly Request[], then: 'back' | 'held' | 'fresh'): void {
    if (connection.state === 'open') this.leaving(connection)
    for (const request of requests) {
      if (then !== 'fresh') this.finish(connection, request, then)
      else {
        this.#returned(request, then)
        connection.running.delete(request)
        this.scheduler.released(connection.carrier, 0)
        this.settle()
      }
    }
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
  /** The peer allows so many at a time: fewer, perhaps, than there are. */
  resized(connection: Connection, seats: number): void {
    connection.seats = seats
    this.scheduler.seats(connection.carrier, seats - connection.running.size)
    this.settle()
  }
  leaving(connection: Connection): void {
    this.#leaves(connection, 'leaving')
    this.scheduler.leaving(connection.carrier)
    this.settle()
  }
  #leaves(connection: Connection, state: 'leaving' | 'gone'): void {
    connection.state = state
    connection.undecided = connection.suspended = false
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
      else this.#close(connection, decision.now, decision.reason)
    }
    this.#checkWork()
  }
  #close(connection: Connection, now: boolean, reason: CloseReason): void {
    expect(connection.running.size, 'P3: what carries an exchange is not closed').toBe(0)
    expect(['open', 'leaving'], 'only what is open is closed').toContain(connection.state)
    expect(now && connection.carrier.flushing, 'what was written still leaves').toBe(false)
    if (reason === 'idle-limit') {
      expect(this.#awaited(connection), 'who waits for its word would have another dialled').toBe(false)
    }
    this.#leaves(connection, now ? 'gone' : 'leaving')
  }
  #open(carrier: Carrier, opener: Request): void {
    expect(opener.state, 'a dial is opened for who waits').toBe('waiting')
    expect(this.#dialOf(opener), 'one dial for one request').toBeUndefined()
    expect(opener.held, 'and for nobody who waits out a backoff').toBe(false)
    const { origin } = opener
    expect(this.#wantsDial(opener), 'nor where others bring a seat').toBe(true)
    const older = this.#waiting(origin).filter((one) => one.need === opener.need && one.fresh === opener.fresh)
    const undialled = older.filter(
      (one) => !one.held && this.#dialOf(one) === undefined && (one.fresh || !this.#awaitsWord(one)),
    )
    expect(undialled.sort(inLine)[0], 'P7: for the first in line').toBe(opener)
    const made = {
      carrier,
      origin,
      h1Only: opener.need === 'h1',
      opener,
      madeFor: undefined,
      bound: opener.fresh,
      running: new Set<Request>(),
    }
    this.connections.push({
      ...made,
      state: 'dialling',
      serves: 0,
      seats: 0,
      undecided: false,
      suspended: false,
      openedAt: 0,
    })
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
      const line = this.#waiting(request.origin).filter(({ need, fresh }) => need === request.need && fresh)
      const first = line.filter((one) => this.#dialOf(one) === undefined).sort(inLine)[0]
      expect([connection.madeFor, first], 'P7: its opener, then in the order in which they were lost').toContain(
        request,
      )
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
    const { maxConnections, maxConnectionsPerOrigin, maxIdleConnections } = this.#capacity
    const counted = this.#counted()
    law(this.scheduler.connections === counted.length, 'it counts as the model does')
    for (const place of this.origins.keys()) this.#checkCounts(place)
    // Whose word is waited for is neither idle nor to spare, until it tells what it serves.
    const bare = counted.filter((one) => one.running.size === 0 && !(one.undecided && this.#awaited(one)))
    const idle = bare.filter(({ state }) => state === 'open')
    // One that rested before somebody came who waits for its word is counted until its room is asked for.
    const resting = counted.filter((one) => one.state === 'open' && one.running.size === 0)
    law(this.scheduler.idle >= idle.length && this.scheduler.idle <= resting.length, 'it counts who is idle')
    const surplus = idle.filter((one) => !this.#awaited(one))
    law(surplus.length <= maxIdleConnections, 'P1: maxIdleConnections')
    const spare = bare.filter(({ state, carrier }) => state !== 'dialling' && !carrier.flushing)
    for (const request of this.requests.filter(({ state }) => state === 'waiting')) {
      const mine = counted.filter(({ origin }) => origin === request.origin)
      const usable = mine.some(
        (one) => one.state === 'open' && (one.serves & SERVES[request.need]) !== 0 && one.running.size < one.seats,
      )
      law(request.fresh || !usable, 'P6: nobody waits while there is a seat')
      law(!request.fresh || !this.#newFor(request), 'P6: nor while there is one on what was dialled for who was lost')
      if (!this.#wantsDial(request)) continue
      if (mine.length >= maxConnectionsPerOrigin) {
        law(!mine.some((one) => spare.includes(one)), 'P6: nor while its origin has one to spare')
      } else {
        law(counted.length === maxConnections, 'P6: nor while there is room')
        law(spare.length === 0, 'P6: nor while another is to spare')
      }
    }
  }
  /** White box: what it counts of an origin is what there is. */
  #checkCounts(place: number): void {
    const origin = this.origins[place] as OriginQueue
    const mine = this.#counted().filter((one) => one.origin === place)
    const groups = [false, true].map((h1Only) =>
      mine.filter((one) => one.state === 'dialling' && one.h1Only === h1Only),
    )
    for (const { carrier, state } of this.connections) law(carrier.phase === PHASES[state], `it is ${state}`)
    const counts: readonly (readonly [string, number, number])[] = [
      ['connections', origin.connections, mine.length],
      ['active', origin.active, mine.reduce((sum, { running }) => sum + running.size, 0)],
      ['waiting', origin.waiting, this.#waiting(place).length],
      ['undecided', origin.undecided, mine.filter(({ undecided }) => undecided).length],
      ['suspended', origin.suspended, mine.filter(({ suspended }) => suspended).length],
      ...groups.flatMap((dials, group) => {
        const shared = dials.filter(({ bound }) => !bound)
        return [
          ['dials', origin.dials[group] as number, shared.length],
          ['bound', origin.bound[group] as number, dials.length - shared.length],
          ['openers', origin.openers[group] as number, shared.filter(({ opener }) => opener !== undefined).length],
        ] as const
      }),
    ]
    for (const [what, counted, are] of counts) law(counted === are, `${what}: counts ${counted}, and there are ${are}`)
  }
  /** All requests are over, all connections gone: nothing of them is left. */
  drain(): void {
    for (const request of this.requests) if (request.state === 'waiting') this.cancel(request)
    for (const connection of this.connections) if (connection.state !== 'gone') this.gone(connection)
    const { connections, queued, active, idle } = this.scheduler
    expect({ connections, queued, active, idle }).toEqual({ connections: 0, queued: 0, active: 0, idle: 0 })
    for (const { roomTicket, available, dialled, undialled, fresh, held, ...lists } of this.origins) {
      expect(roomTicket.list, 'it waits for no room').toBeUndefined()
      const all = [...available, ...dialled, ...undialled, ...fresh, ...held, lists.idle, lists.awaited, lists.closing]
      for (const list of all) expect([list?.length ?? 0, list?.first]).toEqual([0, undefined])
    }
    const nodes = this.connections.flatMap(({ carrier }) => [carrier, carrier.idleTicket, carrier.originIdleTicket])
    for (const { list } of [...nodes, ...this.requests.map(({ waiter }) => waiter)]) expect(list).toBeUndefined()
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
  /** One more is wanted for those of its kind: dials under way, and what it waits to be told, bring fewer seats. */
  #wantsDial({ origin, need, fresh, held }: Request): boolean {
    const h1Only = need === 'h1'
    const seats = h1Only ? 1 : (this.#seatsPerDial[origin] as number)
    const dials = this.connections.filter(
      (one) => one.state === 'dialling' && one.origin === origin && one.h1Only === h1Only && one.bound === fresh,
    )
    const openers = dials.filter(({ opener }) => opener !== undefined).length
    const waiting = this.#waiting(origin).filter(
      (one) => one.fresh === fresh && (one.need === 'h1') === h1Only && this.#dialOf(one) === undefined,
    )
    const wanting = waiting.filter((one) => !one.held && (fresh || !this.#awaitsWord(one))).length
    return !held && wanting > 0 && (dials.length === 0 || wanting > dials.length * seats - openers)
  }
  /** A connection is to say whether it serves it, or when it does again. */
  #awaitsWord({ origin, need }: Request): boolean {
    return (
      need !== 'h1' &&
      this.connections.some(
        (one) => one.origin === origin && (one.suspended || (one.undecided && need === 'h2-connect')),
      )
    )
  }
  /** Somebody waits for its word. */
  #awaited({ origin, undecided, suspended, serves }: Connection): boolean {
    const waiting = this.#waiting(origin).filter(({ fresh }) => !fresh)
    if (undecided) return waiting.some(({ need }) => need === 'h2-connect')
    return suspended && waiting.some(({ need }) => (serves & SERVES[need]) !== 0)
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

/** Who was lost first, or came first. */
function inLine(a: Request, b: Request): number {
  return a.fresh ? a.lostAt - b.lostAt : a.waiter.place - b.waiter.place
}

/** As an assertion, without what that costs: it is asked some hundred times for each step. */
function law(holds: boolean, what: string): void {
  if (!holds) throw new Error(what)
}
