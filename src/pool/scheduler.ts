// Who gets which connection. The scheduler sees facts only (how many seats a connection has, how many are taken, since
// when it is idle, which origin it belongs to, what a request needs) and answers with decisions: open, assign, close.
// It knows no bytes, no machines, no clock and no version of HTTP beyond the need of a request.
//
// Its rules. A seat is taken in the same step that assigns it (P2). Connecting, leaving and closing connections count
// until they are gone (P1). No request waits while a seat that it can use is free (P6). Per origin and need, first come
// first served (P7). Seats of the most recently used connection go first; when room is needed, the connection that was
// idle longest goes. An origin that has no connection at all comes before one that already has some, in the order of
// their oldest requests: neither can keep the other waiting for ever. Only a connection of many seats that is never without
// a request keeps its place: to refuse free seats would break P6, and could be to wait for a response that never ends.
// maxConnectionAge and maxRequestsPerConnection bound that.
//
// Every step costs the same for ten requests or a hundred thousand, for one origin or ten thousand: whoever waits for
// room stands in a list, and nobody looks through one.
import { List, Node, remove, Ticket } from './list.ts'

/** What a request needs of a connection. The index is its lane. */
export const NEEDS = ['any', 'h1', 'h2-connect'] as const
export type Need = (typeof NEEDS)[number]
type Lane = 0 | 1 | 2
const LANE = { any: 0, h1: 1, 'h2-connect': 2 } as const satisfies Record<Need, Lane>
/** Needs as bits, for what a connection serves. */
export const SERVES = { any: 1, h1: 2, 'h2-connect': 4 } as const satisfies Record<Need, number>
const ALL = 7
/** Needs that the same kind of dial can serve. */
type Group = 0 | 1
export const GROUP = { any: 0, h1: 1, 'h2-connect': 0 } as const satisfies Record<Need, Group>
const GROUP_LANES = [[0, 2], [1]] as const satisfies readonly (readonly Lane[])[]

export type CloseReason = 'idle-limit' | 'room' | 'fairness'
export type Decision =
  /** Dial. `opener`: the request that fails if it fails. */
  | { readonly type: 'open'; readonly carrier: Carrier; readonly opener: Waiter }
  /** The seat is taken already. */
  | { readonly type: 'assign'; readonly carrier: Carrier; readonly waiter: Waiter }
  /** `now`: destroy it, its place is given away; else close it, and tell when it is gone. */
  | { readonly type: 'close'; readonly carrier: Carrier; readonly now: boolean; readonly reason: CloseReason }

export interface Capacity {
  readonly maxConnections: number
  readonly maxConnectionsPerOrigin: number
  readonly maxIdleConnections: number
  readonly once?: boolean | undefined
}

/** A request, as far as the scheduler cares. */
export class Waiter extends Node {
  readonly origin: OriginQueue
  readonly need: Need
  /** Its place in the queue, kept for when it has to come back. */
  place = 0
  /** The dial that was opened for it. */
  dial: Carrier | undefined = undefined
  /** A counter, not a time: since then only a connection that is dialled for it, or for another that was lost, will do. @internal */
  lostAt = 0
  /** Nothing is dialled for it yet: it was sent back and waits out a backoff. */
  held = false
  waiting = false

  constructor(origin: OriginQueue, need: Need) {
    super()
    this.origin = origin
    this.need = need
  }
}

/** A connection, as far as the scheduler cares. It is its own node among those with a free seat, or dials without an opener. */
export class Carrier extends Node {
  readonly origin: OriginQueue
  /** @internal */
  readonly group: Group
  phase: 'connecting' | 'open' | 'leaving' | 'gone' = 'connecting'
  /** Bits of SERVES. */
  serves = 0
  /** Free seats. */
  free = 0
  /** Assigned by decisions that were not taken yet: whoever says how many seats are free does not know of these. */
  promised = 0
  active = 0
  opener: Waiter | undefined = undefined
  /** Whether it was dialled for who must have a fresh one. @internal */
  bound = false
  /** What was written must still leave: it is not cut short to make room. */
  flushing = false
  /** What it serves is not known in full yet. @internal */
  undecided = false
  /** It takes nothing for now, by its own word. @internal */
  suspended = false
  /** A counter, not a time. @internal */
  usedAt = 0
  /** Likewise: who was lost since is not served by it. @internal */
  openedAt = 0
  /** In the idle list, or in that of connections that are only waiting to be gone. @internal */
  readonly idleTicket: Ticket<Carrier> = new Ticket<Carrier>(this)
  /** @internal */
  readonly originIdleTicket: Ticket<Carrier> = new Ticket<Carrier>(this)

  /** @param need of the request that it is dialled for */
  constructor(origin: OriginQueue, need: Need) {
    super()
    this.origin = origin
    this.group = GROUP[need]
  }
  get idle(): boolean {
    return this.phase === 'open' && this.active === 0
  }
}

/** The requests and connections of one origin. */
export class OriginQueue {
  /** Waiting with a dial of their own, and without; by lane, each in order of place. @internal */
  readonly dialled: readonly [List<Waiter>, List<Waiter>, List<Waiter>] = [new List(), new List(), new List()]
  /** @internal */
  readonly undialled: readonly [List<Waiter>, List<Waiter>, List<Waiter>] = [new List(), new List(), new List()]
  /** Waiting for a connection that is dialled for them; by lane, each in the order in which they were lost. @internal */
  readonly fresh: readonly [List<Waiter>, List<Waiter>, List<Waiter>] = [new List(), new List(), new List()]
  /** Dials for such a one under way, by group: what it leaves over is for the others. @internal */
  readonly bound: [number, number] = [0, 0]
  /** Connections with a free seat, by what they serve; the most recently used first. Most origins have one kind. @internal */
  readonly available: (List<Carrier> | undefined)[] = []
  /** @internal */
  readonly idle = new List<Ticket<Carrier>>()
  /** Those that carry nothing and are only waiting to be gone. @internal */
  readonly closing = new List<Ticket<Carrier>>()
  /** Dials under way by group, and how many of them have an opener that still waits. @internal */
  readonly dials: [number, number] = [0, 0]
  /** @internal */
  readonly openers: [number, number] = [0, 0]
  /** Dials whose opener waits no longer, by group: they go on for whoever does. Most origins have none. @internal */
  readonly ownerless: (List<Carrier> | undefined)[] = []
  /** Those that a backoff keeps from being dialled for, by lane. Most origins have none. @internal */
  readonly held: (List<Waiter> | undefined)[] = []
  /** Connections that carry nothing and are yet to tell somebody what they serve. Most origins have none. @internal */
  awaited: List<Ticket<Carrier>> | undefined = undefined
  /** Connections that may yet turn out to serve more. @internal */
  undecided = 0
  /** Connections that take nothing for now. @internal */
  suspended = 0
  /** How many waiting requests one dial of the first group satisfies. Infinity: wait for its answer. @internal */
  seatsPerDial = 1
  connections = 0
  active = 0
  waiting = 0
  /** In one of the lists of those that wait for room. @internal */
  readonly roomTicket: Ticket<OriginQueue> = new Ticket<OriginQueue>(this)
}

export class Scheduler {
  readonly #capacity: Capacity
  readonly #makeCarrier: (origin: OriginQueue, need: Need) => Carrier
  #decisions: Decision[] = []
  #taken = 0
  #places = 0
  #uses = 0
  /** Idle connections, longest idle first. */
  readonly #idle = new List<Ticket<Carrier>>()
  /** Connections that carry nothing and are only waiting to be gone. */
  readonly #closing = new List<Ticket<Carrier>>()
  /** Origins without a connection that wait for room, and those with some. */
  readonly #starved = new List<Ticket<OriginQueue>>()
  readonly #crowded = new List<Ticket<OriginQueue>>()
  connections = 0
  /** Requests that wait and that nothing is dialled for. */
  queued = 0
  active = 0
  /** Elementary steps, for the test that they do not grow. @internal */
  steps = 0

  /** @param makeCarrier makes the caller's own kind of Carrier; it is opened by the decision that follows */
  constructor(capacity: Capacity, makeCarrier: (origin: OriginQueue, need: Need) => Carrier) {
    this.#capacity = capacity
    this.#makeCarrier = makeCarrier
  }

  get idle(): number {
    return this.#idle.length
  }
  next(): Decision | undefined {
    if (this.#taken === this.#decisions.length) {
      if (this.#taken > 0) {
        this.#decisions = []
        this.#taken = 0
      }
      return undefined
    }
    const decision = this.#decisions[this.#taken++] as Decision
    if (decision.type === 'assign') decision.carrier.promised--
    return decision
  }

  // ── facts about requests ──

  enqueue(waiter: Waiter): void {
    waiter.place = ++this.#places
    this.#join(waiter)
    waiter.origin.undialled[LANE[waiter.need]].push(waiter)
    this.#serve(waiter.origin)
  }
  /** Back to its old place. `held`: nothing is dialled for it until `release`. */
  requeue(waiter: Waiter, held: boolean): void {
    this.#join(waiter)
    waiter.held = held
    this.#returnToLane(waiter)
    this.#serve(waiter.origin)
  }
  /** It may be served only by a connection that is dialled for it, or for one that was lost like it. */
  requeueFresh(waiter: Waiter): void {
    this.#join(waiter)
    waiter.lostAt = ++this.#uses
    waiter.origin.fresh[LANE[waiter.need]].push(waiter)
    this.#serve(waiter.origin)
  }
  /** The backoff is over. */
  release(waiter: Waiter): void {
    if (!waiter.held) return
    waiter.held = false
    this.#returnToLane(waiter)
    this.#serve(waiter.origin)
  }
  /** It waits no longer. The dial that is of no use to anybody any more: its own, or one that went on for who waited. */
  leave(waiter: Waiter): Carrier | undefined {
    if (!waiter.waiting) return undefined
    const { origin, need } = waiter
    this.#unjoin(waiter)
    this.#restUnawaited(origin)
    const useless = this.#uselessDial(origin, GROUP[need])
    // What ends makes room itself.
    if (useless === undefined) this.#park(origin)
    return useless
  }

  // ── facts about connections ──

  /** The dial succeeded. `undecided`: it may serve more, `decide` will tell. */
  opened(carrier: Carrier, serves: number, free: number, undecided = false): void {
    const { origin } = carrier
    this.#endDial(carrier)
    carrier.phase = 'open'
    carrier.serves = serves
    carrier.free = free
    carrier.undecided = undecided
    if (undecided) origin.undecided++
    carrier.openedAt = ++this.#uses
    this.#seatLost(carrier)
    this.#offer(carrier)
  }
  /** What it serves, once that is known in full. */
  decide(carrier: Carrier, serves: number): void {
    if (!carrier.undecided) return
    carrier.undecided = false
    carrier.origin.undecided--
    remove(carrier)
    carrier.serves = serves
    this.#seatLost(carrier)
    this.#offer(carrier)
  }
  /** It takes nothing for now and will say when it does again: another would be told the same, so none is dialled. */
  suspend(carrier: Carrier, suspended: boolean): void {
    if (carrier.phase !== 'open' || carrier.suspended === suspended) return
    carrier.suspended = suspended
    carrier.origin.suspended += suspended ? 1 : -1
    this.#serve(carrier.origin)
  }
  /** One of its seats was given back, and so many are free now. */
  released(carrier: Carrier, free: number): void {
    carrier.active--
    carrier.origin.active--
    this.active--
    if (carrier.phase === 'leaving' && carrier.active === 0) this.#waitToBeGone(carrier)
    this.seats(carrier, free)
  }
  /** So many seats are free now, but for those promised. */
  seats(carrier: Carrier, free: number): void {
    carrier.free = free - carrier.promised
    if (carrier.phase !== 'open') return
    // One of a single seat is as old as what it was used for.
    if ((carrier.serves & SERVES.h1) === 0) this.#seatLost(carrier)
    if (carrier.free <= 0) remove(carrier)
    else if (carrier.active === 0 && this.#yieldToStarved(carrier)) return
    this.#offer(carrier)
  }
  /** It will take no other request; it counts until it is gone. */
  leaving(carrier: Carrier): void {
    if (carrier.phase !== 'open') return
    this.#hide(carrier)
    carrier.phase = 'leaving'
    if (carrier.active === 0) this.#waitToBeGone(carrier)
    this.#offerRoom(carrier.origin)
  }
  /** It no longer counts: it was destroyed, or it answered a close. Its exchanges must have been released or counted off. */
  gone(carrier: Carrier): void {
    if (carrier.phase === 'gone') return
    this.#forget(carrier)
    this.#offerRoom(carrier.origin)
  }
  /** How many requests one dial satisfies; Infinity: they wait for its answer. */
  expect(origin: OriginQueue, seatsPerDial: number): void {
    if (origin.seatsPerDial === seatsPerDial) return
    origin.seatsPerDial = seatsPerDial
    this.#serve(origin)
  }

  // ── questions ──

  /** The oldest request that waits for that need, or for a dial of its own with it. */
  oldest(origin: OriginQueue, need: Need): Waiter | undefined {
    const lane = LANE[need]
    return older(older(origin.dialled[lane].first, origin.undialled[lane].first), origin.held[lane]?.first)
  }
  /** Who would have the next seat of a connection that serves so much. */
  nextFor(origin: OriginQueue, serves: number): Waiter | undefined {
    let next: Waiter | undefined
    for (const need of NEEDS) if ((serves & SERVES[need]) !== 0) next = older(next, this.oldest(origin, need))
    return next
  }
  /** Whether somebody waits for its word, what it serves or when: to close it would be to dial once more, without end. */
  isAwaited({ origin, undecided, suspended, serves }: Carrier): boolean {
    if (undecided) return this.oldest(origin, 'h2-connect') !== undefined
    return suspended && this.nextFor(origin, serves) !== undefined
  }
  /** Whether dials under way, if each brings so many seats at most, bring one for it too: it waits for their answer. */
  shares({ origin, need }: Waiter, most: number): boolean {
    return need !== 'h1' && origin.waiting <= origin.dials[0] * Math.min(origin.seatsPerDial, most)
  }

  // ── seats ──

  /** Gives away what can be given away, then dials for what is still wanted. */
  #serve(origin: OriginQueue): void {
    while (origin.waiting > 0) {
      const waiter = this.#seatable(origin)
      if (waiter === undefined) break
      this.#seat(this.#carrierFor(origin, SERVES[waiter.need]) as Carrier, waiter)
    }
    const before = this.connections
    let opened = 0
    if (origin.waiting > 0 && !this.#yields(origin)) while (this.#dial(origin)) opened++
    this.#park(origin)
    // What made room for it may have been what its own origin was to wait for.
    if (this.connections < before + opened) this.#giveRoom()
    this.#restUnawaited(origin)
  }
  /** The oldest request for which there is a seat. */
  #seatable(origin: OriginQueue): Waiter | undefined {
    let oldest: Waiter | undefined
    for (const need of NEEDS) {
      this.steps++
      const waiter = this.oldest(origin, need)
      if (waiter === undefined || (oldest !== undefined && oldest.place < waiter.place)) continue
      if (this.#carrierFor(origin, SERVES[need]) !== undefined) oldest = waiter
    }
    return oldest
  }
  /** The most recently used connection with a free seat that serves the need. */
  #carrierFor(origin: OriginQueue, bit: number): Carrier | undefined {
    let best: Carrier | undefined
    for (let serves = bit; serves <= ALL; serves++) {
      this.steps++
      if ((serves & bit) === 0) continue
      const carrier = origin.available[serves]?.first
      if (carrier !== undefined && (best === undefined || best.usedAt < carrier.usedAt)) best = carrier
    }
    return best
  }
  #seat(carrier: Carrier, waiter: Waiter): void {
    this.#unjoin(waiter)
    if (carrier.active === 0) this.#wake(carrier)
    carrier.active++
    carrier.origin.active++
    this.active++
    carrier.free--
    carrier.promised++
    carrier.usedAt = ++this.#uses
    if (carrier.free <= 0) remove(carrier)
    this.#decisions.push({ type: 'assign', carrier, waiter })
  }
  /** Who was lost has the seats of what was dialled for it before all others; the opener is the first of them. */
  #seatLost(carrier: Carrier): void {
    while (carrier.bound && carrier.free > 0) {
      const lost = firstLost(carrier.origin, carrier.group, carrier.serves)
      if (lost === undefined || lost.lostAt > carrier.openedAt) return
      this.#seat(carrier, lost)
    }
  }
  /** Its free seats are given away; what is left over stands ready, and it rests if nothing runs on it. */
  #offer(carrier: Carrier): void {
    const { origin, serves } = carrier
    if (carrier.free > 0 && carrier.list === undefined) {
      carrier.usedAt = ++this.#uses
      ;(origin.available[serves] ??= new List<Carrier>()).unshift(carrier)
    }
    this.#serve(origin)
    this.#restIfIdle(carrier)
  }
  #hide(carrier: Carrier): void {
    remove(carrier)
    this.#wake(carrier)
    if (carrier.undecided) {
      carrier.undecided = false
      carrier.origin.undecided--
    }
    if (carrier.suspended) {
      carrier.suspended = false
      carrier.origin.suspended--
    }
  }
  #wake(carrier: Carrier): void {
    remove(carrier.idleTicket)
    remove(carrier.originIdleTicket)
  }
  #restIfIdle(carrier: Carrier): void {
    if (!carrier.idle || carrier.idleTicket.list !== undefined) return
    this.#rest(carrier)
    this.#offerRoom(carrier.origin)
    this.#closeSurplus()
  }
  /** Stands last among the idle, or with those whose word is waited for. */
  #rest(carrier: Carrier): void {
    const { origin } = carrier
    this.#wake(carrier)
    if (carrier.undecided && this.isAwaited(carrier))
      return (origin.awaited ??= new List()).push(carrier.originIdleTicket)
    this.#idle.push(carrier.idleTicket)
    origin.idle.push(carrier.originIdleTicket)
  }
  /** Whose word nobody waits for any more is as idle as any other, and may be one too many. */
  #restUnawaited({ awaited }: OriginQueue): void {
    for (let one = awaited?.first; one !== undefined && !this.isAwaited(one.owner); one = awaited?.first)
      this.#restIfIdle(one.owner)
    this.#closeSurplus()
  }
  #waitToBeGone(carrier: Carrier): void {
    if (carrier.flushing) return
    this.#closing.push(carrier.idleTicket)
    carrier.origin.closing.push(carrier.originIdleTicket)
    this.#offerRoom(carrier.origin)
  }
  /** There is room, or a connection could make some: for who waits at its own origin, or for any other. */
  #offerRoom(origin: OriginQueue): void {
    if (origin.waiting > 0) this.#serve(origin)
    this.#giveRoom()
  }
  /** Of too many that are idle those go that were so longest; whose word is waited for stays, behind the others. */
  #closeSurplus(): void {
    const { maxIdleConnections } = this.#capacity
    for (let left = this.#idle.length; left > 0 && this.#idle.length > maxIdleConnections; left--) {
      const { owner: carrier } = this.#idle.first as Ticket<Carrier>
      if (this.isAwaited(carrier)) this.#rest(carrier)
      else {
        this.#close(carrier, 'idle-limit')
        this.#offerRoom(carrier.origin)
      }
    }
  }
  /** As it should be: it counts until it is gone. */
  #close(carrier: Carrier, reason: CloseReason): void {
    this.#hide(carrier)
    carrier.phase = 'leaving'
    this.#decisions.push({ type: 'close', carrier, now: false, reason })
    this.#waitToBeGone(carrier)
  }
  /** Whose word is waited for since it stands there is not to spare. */
  #longestIdle(idle: List<Ticket<Carrier>>): Ticket<Carrier> | undefined {
    for (let one = idle.first; one !== undefined; one = idle.first) {
      if (!one.owner.undecided || !this.isAwaited(one.owner)) return one
      this.#rest(one.owner)
    }
    return undefined
  }
  /** A free connection whose origin has some more goes, if an origin that has none was first in line. */
  #yieldToStarved(carrier: Carrier): boolean {
    if (!this.#yields(carrier.origin)) return false
    this.#discard(carrier, 'fairness')
    this.#giveRoom()
    this.#serve(carrier.origin)
    return true
  }
  /** Whether an origin that has no connection was in line before who waits there: the room is that one's. */
  #yields(origin: OriginQueue): boolean {
    const starved = this.#starved.first?.owner
    if (starved === undefined) return false
    const other = this.#oldestOf(starved)
    const own = this.#oldestOf(origin)
    return other !== undefined && own !== undefined && other.place < own.place
  }
  #oldestOf(origin: OriginQueue): Waiter | undefined {
    const [any, h1, connect] = origin.fresh
    return older(older(older(any.first, h1.first), connect.first), this.nextFor(origin, ALL))
  }

  // ── dials ──

  /** How many more seats the dials of a group would have to bring. */
  #demand(origin: OriginQueue, group: Group, dials = origin.dials[group]): number {
    if (group === 0 && origin.suspended > 0) return 0
    let wanting = 0
    for (const lane of GROUP_LANES[group]) if (wantsDials(origin, lane)) wanting += origin.undialled[lane].length
    if (dials === 0) return wanting
    const seatsPerDial = group === 0 ? origin.seatsPerDial : 1
    return wanting - (dials * seatsPerDial - origin.openers[group])
  }
  /** The latest dial that nobody fails with, unless the others would not bring seats enough without it. */
  #uselessDial(origin: OriginQueue, group: Group): Carrier | undefined {
    const dial = origin.ownerless[group]?.last
    return dial !== undefined && this.#demand(origin, group, origin.dials[group] - 1) <= 0 ? dial : undefined
  }
  /** Opens one connection, if one is wanted and there is room. */
  #dial(origin: OriginQueue): boolean {
    this.steps++
    const opener = this.#nextOpener(origin)
    if (opener === undefined || !this.#hasRoom(origin)) return false
    const carrier = this.#makeCarrier(origin, opener.need)
    carrier.opener = opener
    carrier.bound = opener.lostAt > 0
    opener.dial = carrier
    this.queued--
    this.connections++
    origin.connections++
    if (carrier.bound) {
      remove(opener)
      origin.bound[carrier.group]++
    } else {
      origin.dials[carrier.group]++
      origin.openers[carrier.group]++
      origin.dialled[LANE[opener.need]].insertFromBack(opener, (other) => this.#before(opener, other))
    }
    this.#decisions.push({ type: 'open', carrier, opener })
    return true
  }
  /** For whom one is wanted next: who was lost comes first. */
  #nextOpener(origin: OriginQueue): Waiter | undefined {
    return (
      older(wantsFresh(origin, 0), wantsFresh(origin, 1)) ??
      older(this.#wantsDial(origin, 0), this.#wantsDial(origin, 1))
    )
  }
  /** The first of those for whom a dial of the group is wanted. */
  #wantsDial(origin: OriginQueue, group: Group): Waiter | undefined {
    let first: Waiter | undefined
    if (this.#demand(origin, group) <= 0) return first
    for (const lane of GROUP_LANES[group]) {
      if (wantsDials(origin, lane)) first = older(first, origin.undialled[lane].first)
    }
    return first
  }
  /** The dial is over, one way or the other: its opener, if it still waits, has none any more. */
  #endDial(carrier: Carrier): void {
    if (carrier.phase !== 'connecting') return
    const { origin, opener } = carrier
    if (carrier.bound) origin.bound[carrier.group]--
    else origin.dials[carrier.group]--
    if (opener === undefined) return remove(carrier)
    carrier.opener = undefined
    opener.dial = undefined
    this.queued++
    if (carrier.bound) origin.fresh[LANE[opener.need]].unshift(opener)
    else {
      origin.openers[carrier.group]--
      this.#returnToLane(opener)
    }
  }
  #hasRoom(origin: OriginQueue): boolean {
    const { maxConnections, maxConnectionsPerOrigin, once } = this.#capacity
    const full = origin.connections >= maxConnectionsPerOrigin
    if (!full && this.connections < maxConnections) return true
    // What is idle at a full origin cannot serve what waits there, or it would not be idle.
    const { closing, idle } = full ? origin : { closing: this.#closing, idle: this.#idle }
    const spare = closing.first ?? (once === true ? undefined : this.#longestIdle(idle))
    if (spare === undefined) return false
    return this.#discard(spare.owner, 'room') || this.#hasRoom(origin)
  }
  /** Its room is free; false: it will be, what was written leaves first. */
  #discard(carrier: Carrier, reason: CloseReason): boolean {
    const { flushing } = carrier
    if (flushing) this.#close(carrier, reason)
    else {
      this.#forget(carrier)
      this.#decisions.push({ type: 'close', carrier, now: true, reason })
    }
    // It may have kept its own origin at its limit: whoever waits there waits for room from now on.
    this.#park(carrier.origin)
    return !flushing
  }
  #forget(carrier: Carrier): void {
    this.#endDial(carrier)
    this.#hide(carrier)
    carrier.phase = 'gone'
    carrier.free = 0
    const { origin } = carrier
    origin.active -= carrier.active
    this.active -= carrier.active
    carrier.active = 0
    origin.connections--
    this.connections--
  }

  // ── who waits for room ──

  /** Stands in the right list of those that wait for room, or in none. */
  #park(origin: OriginQueue): void {
    this.steps++
    const wants =
      origin.waiting > 0 &&
      origin.connections < this.#capacity.maxConnectionsPerOrigin &&
      this.#nextOpener(origin) !== undefined
    const ticket = origin.roomTicket
    const list = !wants ? undefined : origin.connections === 0 ? this.#starved : this.#crowded
    if (ticket.list === (list as unknown)) return
    if (list === undefined) remove(ticket)
    else list.push(ticket)
  }
  /** One connection for each in turn, while there is room. */
  #giveRoom(): void {
    for (;;) {
      const origin = (this.#starved.first ?? this.#crowded.first)?.owner
      if (origin === undefined) return
      const opened = this.#dial(origin)
      // Its turn is over; who found no room keeps its place.
      if (opened) remove(origin.roomTicket)
      this.#park(origin)
      if (!opened) return
    }
  }

  // ── queues ──

  #join(waiter: Waiter): void {
    waiter.waiting = true
    waiter.origin.waiting++
    this.queued++
  }
  #unjoin(waiter: Waiter): void {
    const { origin, dial } = waiter
    remove(waiter)
    waiter.waiting = false
    waiter.held = false
    waiter.lostAt = 0
    origin.waiting--
    if (dial === undefined) this.queued--
    else {
      // The dial goes on, for whoever comes next.
      waiter.dial = undefined
      dial.opener = undefined
      const next = dial.bound ? firstLost(origin, dial.group) : undefined
      if (next !== undefined) {
        remove(next)
        next.dial = dial
        dial.opener = next
        this.queued--
        return
      }
      if (dial.bound) {
        dial.bound = false
        origin.bound[dial.group]--
        origin.dials[dial.group]++
      } else origin.openers[dial.group]--
      ;(origin.ownerless[dial.group] ??= new List()).push(dial)
    }
  }
  #returnToLane(waiter: Waiter): void {
    const lane = LANE[waiter.need]
    const { held, undialled } = waiter.origin
    const list = waiter.held ? (held[lane] ??= new List<Waiter>()) : undialled[lane]
    list.insertFromFront(waiter, (other) => this.#before(other, waiter))
  }
  #before(a: Waiter, b: Waiter): boolean {
    this.steps++
    return a.place < b.place
  }
}

function older(a: Waiter | undefined, b: Waiter | undefined): Waiter | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return a.place < b.place ? a : b
}
/** Who waits for a connection to tell what it serves is not waiting for a dial. */
function wantsDials(origin: OriginQueue, lane: Lane): boolean {
  return lane !== LANE['h2-connect'] || origin.undecided === 0
}

/** Who has waited longest for a connection that is dialled for those who were lost, if it is of that group and serves so much. */
function firstLost({ fresh }: OriginQueue, group: Group, serves = ALL): Waiter | undefined {
  let first: Waiter | undefined
  for (const lane of GROUP_LANES[group]) {
    const lost = fresh[lane].first
    if (lost === undefined || (serves & SERVES[lost.need]) === 0) continue
    if (first === undefined || lost.lostAt < first.lostAt) first = lost
  }
  return first
}
/** The first of those that no dial under way may bring a seat for, beside its opener's. */
function wantsFresh(origin: OriginQueue, group: Group): Waiter | undefined {
  const { fresh, bound, seatsPerDial } = origin
  const left = group === 0 ? seatsPerDial - 1 : 0
  let waiting = 0
  for (const lane of GROUP_LANES[group]) waiting += fresh[lane].length
  return bound[group] === 0 || waiting > bound[group] * left ? firstLost(origin, group) : undefined
}
