// The scheduler beside its model, its fairness told as examples, and the cost of its steps counted.
import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import { Carrier, OriginQueue, Scheduler, SERVES, Waiter, type Need } from '../../src/pool/scheduler.ts'
import { Model, type Request } from './model.ts'

const NEEDS: readonly Need[] = ['any', 'any', 'any', 'h1', 'h2-connect']
const CONNECTS = SERVES.any | SERVES['h2-connect']
/** What a dial may turn out to be: one seat, or many; what it serves may be told later. */
const ANSWERS = [
  { serves: SERVES.any | SERVES.h1, seats: 1, undecided: false },
  { serves: SERVES.any, seats: 3, undecided: false },
  { serves: CONNECTS, seats: 2, undecided: false },
  { serves: SERVES.any, seats: 1, undecided: true },
  { serves: SERVES.any, seats: 3, undecided: true },
] as const

type Move = (model: Model, which: number, how: number) => (() => void) | undefined
/** Everything that can happen to a model; undefined: not to this one. */
const MOVES: Readonly<Record<string, Move>> = {
  request: (model, which, how) => () => model.request(which % model.origins.length, NEEDS[how % NEEDS.length] as Need),
  connected: (model, which, how) => {
    const dial = pick(model.connections, which, ({ state }) => state === 'dialling')
    const { serves, seats, undecided } =
      (dial?.h1Only === true ? ANSWERS[0] : ANSWERS[how % ANSWERS.length]) ?? ANSWERS[0]
    return dial && (() => model.connected(dial, serves, seats, undecided))
  },
  decided: (model, which, how) => {
    const undecided = pick(model.connections, which, (one) => one.undecided)
    return undecided && (() => model.decided(undecided, how % 2 === 0 ? CONNECTS : SERVES.any, how % 3 === 0))
  },
  suspended: (model, which, how) => {
    const live = pick(model.connections, which, ({ state }) => state === 'open')
    return (
      live &&
      (() => {
        if (isMultiplexed(live)) model.resized(live, live.suspended ? how % 4 : 0)
        if (live.state === 'open') model.suspended(live, !live.suspended)
      })
    )
  },
  'the dial fails': (model, which) => {
    const dial = pick(model.connections, which, ({ state }) => state === 'dialling')
    return dial && (() => model.gone(dial))
  },
  finish: (model, which, how) => {
    const busy = pick(model.connections, which, ({ running }) => running.size > 0)
    const then = (['over', 'over', 'over', 'back', 'held'] as const)[how % 5]
    return busy && (() => model.finish(busy, [...busy.running][how % busy.running.size] as Request, then))
  },
  refused: (model, which, how) => {
    const busy = pick(model.connections, which, (one) => one.running.size > 0 && isMultiplexed(one))
    const then = how % 2 === 0 ? 'back' : 'held'
    return busy && (() => model.finish(busy, [...busy.running][how % busy.running.size] as Request, then, true))
  },
  'goes away': (model, which, how) => {
    const busy = pick(model.connections, which, (one) => one.running.size > 0 && isMultiplexed(one))
    const then = how % 2 === 0 ? 'back' : 'held'
    return busy && (() => model.sentBack(busy, [...busy.running].slice(how % busy.running.size), then))
  },
  breaks: (model, which, how) => {
    const busy = pick(model.connections, which, ({ running }) => running.size > 0)
    return (
      busy &&
      (() => {
        model.sentBack(busy, [...busy.running], how % 2 === 0 && mayBeFresh(busy) ? 'fresh' : 'back')
        if (busy.state !== 'gone') model.gone(busy)
      })
    )
  },
  'the connection ends': (model, which, how) => {
    const live = pick(model.connections, which, ({ state }) => state === 'open' || state === 'leaving')
    const then = (['over', 'back', 'fresh'] as const)[how % 3]
    return live && (() => model.gone(live, then === 'fresh' && !mayBeFresh(live) ? 'over' : then))
  },
  resized: (model, which, how) => {
    const many = pick(model.connections, which, (one) => one.state === 'open' && isMultiplexed(one) && !one.suspended)
    return many && (() => model.resized(many, how % 5))
  },
  expect: (model, which, how) => () =>
    model.expect(which % model.origins.length, [1, 2, 3, Infinity][how % 4] as number),
  'a tunnel ends': (model, which, how) => {
    const live = pick(model.connections, which, (one) => one.state === 'open' && isMultiplexed(one))
    return live && (() => void (live.carrier.flushing = how % 2 === 0))
  },
  leaving: (model, which) => {
    const live = pick(model.connections, which, ({ state }) => state === 'open')
    return live && (() => model.leaving(live))
  },
  cancel: (model, which) => {
    const waiting = pick(model.requests, which, ({ state }) => state === 'waiting')
    return waiting && (() => model.cancel(waiting))
  },
  release: (model, which) => {
    const held = pick(model.requests, which, (one) => one.state === 'waiting' && one.held)
    return held && (() => model.release(held))
  },
}
function isMultiplexed({ serves }: { serves: number }): boolean {
  return (serves & SERVES.h1) === 0
}
/** CONNECT is not idempotent: what was lost of it is not sent again. */
function mayBeFresh({ running }: { running: ReadonlySet<Request> }): boolean {
  return [...running].every(({ need }) => need !== 'h2-connect')
}
function pick<T>(list: readonly T[], which: number, fits: (one: T) => boolean): T | undefined {
  const fitting = list.filter(fits)
  return fitting[which % Math.max(1, fitting.length)]
}
/** The model holds the scheduler that it refers to, so it is played as model and as what is real. */
const commands = fc.commands(
  (['request', 'request', 'request', 'connected', 'finish', ...Object.keys(MOVES)] as const).map((name) =>
    fc.tuple(fc.nat(30), fc.nat(30)).map(([which, how]): fc.Command<Model, Model> => {
      const move = MOVES[name] as Move
      return {
        check: (model) => move(model as Model, which, how) !== undefined,
        run: (model) => move(model, which, how)?.(),
        toString: () => `${name} ${which} ${how}`,
      }
    }),
  ),
  { maxCommands: 60, size: 'max' },
)

const capacity = fc.record({
  maxConnections: fc.integer({ min: 1, max: 4 }),
  maxConnectionsPerOrigin: fc.integer({ min: 1, max: 4 }),
  maxIdleConnections: fc.integer({ min: 0, max: 4 }),
})

describe('beside its model', () => {
  test.prop([capacity, fc.constantFrom(1, 3, Infinity), commands], { numRuns: 3000 })(
    'P1, P2, P3, P4, P5, P6, P7: no decision is illegal, no work is left undone',
    (limits, seatsPerDial, played) => {
      const model = new Model(limits, 3, seatsPerDial)
      fc.modelRun(() => ({ model, real: model }), played)
      model.drain()
    },
  )
})

describe('fairness', () => {
  const one = { maxConnections: 1, maxConnectionsPerOrigin: 1, maxIdleConnections: 1 }
  const H1 = ANSWERS[0]
  const running = (model: Model): number[] =>
    model.requests.flatMap(({ state }, place) => (state === 'running' ? [place] : []))
  const advance = (model: Model): void => {
    const dialling = model.connections.find(({ state }) => state === 'dialling')
    if (dialling !== undefined) return model.connected(dialling, H1.serves, H1.seats)
    const busy = model.connections.find(({ running: set }) => set.size > 0)
    const [request] = busy?.running ?? []
    if (busy !== undefined && request !== undefined) model.finish(busy, request)
  }
  it('an origin that has no connection comes before a younger request of one that has', () => {
    const model = new Model(one, 2)
    model.request(0, 'any')
    advance(model)
    model.request(1, 'any')
    model.request(0, 'any')
    const order: number[] = []
    for (let i = 0; i < 8; i++) {
      order.push(...running(model))
      advance(model)
    }
    expect([...new Set(order)]).toEqual([0, 1, 2])
  })
  it('and an older one before it', () => {
    const model = new Model(one, 2)
    for (const origin of [0, 0, 1]) model.request(origin, 'any')
    const order: number[] = []
    for (let i = 0; i < 8; i++) {
      order.push(...running(model))
      advance(model)
    }
    expect([...new Set(order)]).toEqual([0, 1, 2])
  })
  it('and gets the room that another leaves, though one that has some asked for it first', () => {
    const model = new Model({ maxConnections: 2, maxConnectionsPerOrigin: 2, maxIdleConnections: 2 }, 3)
    for (const origin of [0, 2]) model.request(origin, 'any')
    const [, other] = [...model.connections]
    for (const connection of [...model.connections]) model.connected(connection, H1.serves, H1.seats)
    for (const origin of [0, 1]) model.request(origin, 'any')
    model.gone(other as (typeof model.connections)[0])
    expect(model.connections.map(({ origin }) => origin)).toEqual([0, 2, 1])
  })
  it('so does one whose only request was lost with its connection', () => {
    const model = new Model(one, 2)
    for (const origin of [0, 1, 1]) model.request(origin, 'any')
    advance(model)
    model.gone(model.connections[0] as (typeof model.connections)[0], 'fresh')
    const order: number[] = []
    for (let i = 0; i < 8; i++) {
      order.push(...running(model))
      advance(model)
    }
    expect([...new Set(order)]).toEqual([1, 0, 2])
  })
  it.each([
    ['ends', 'at its own origin', [0, 1]],
    ['ends', 'at another', [1, 0]],
    ['is closed behind its last response', 'at its own origin', [0, 1]],
    ['is closed behind its last response', 'at another', [1, 0]],
  ] as const)('a connection that %s leaves its room to who waits longest, %s', (how, _, origins) => {
    const model = new Model(one, 2)
    model.request(0, 'any')
    advance(model)
    for (const origin of origins) model.request(origin, 'any')
    const [served] = model.connections as [(typeof model.connections)[0]]
    if (how === 'ends') model.gone(served)
    else {
      model.leaving(served)
      model.finish(served, [...served.running][0] as Request)
    }
    expect(model.connections.map(({ origin }) => origin)).toEqual([0, origins[0]])
  })
  it('origins that have none get one in the order in which they came, also where none was to be had when one was told to go', () => {
    const model = new Model(one, 4)
    for (const origin of [0, 1, 2, 3]) model.request(origin, 'any')
    for (let served = 0; served < 4; served++) {
      const connection = model.connections[served] as (typeof model.connections)[0]
      model.connected(connection, H1.serves, H1.seats)
      model.leaving(connection)
      model.finish(connection, [...connection.running][0] as Request)
    }
    expect(model.connections.map(({ origin }) => origin)).toEqual([0, 1, 2, 3])
  })
  it('who needs a dial of another kind has one in the order in which they came', () => {
    const model = new Model(one, 1)
    const needs: readonly Need[] = ['any', 'h1', 'any', 'h1', 'any']
    for (const need of needs) model.request(0, need)
    const order: number[] = []
    for (const n of needs.keys()) {
      const connection = model.connections[n] as (typeof model.connections)[0]
      model.connected(connection, connection.h1Only ? H1.serves : SERVES.any, 1)
      order.push(...running(model))
      model.leaving(connection)
      model.finish(connection, [...connection.running][0] as Request)
    }
    expect(order).toEqual([0, 1, 2, 3, 4])
  })
  it('a blocked origin does not hold up another that has a seat', () => {
    const model = new Model({ maxConnections: 2, maxConnectionsPerOrigin: 1, maxIdleConnections: 2 }, 3)
    for (const origin of [0, 0, 0, 1]) model.request(origin, 'any')
    expect(model.connections.map(({ origin }) => origin)).toEqual([0, 1])
  })
  /** Origins with a connection each, the third with two, and those that wait then; all connections are taken. */
  const crowded = (perOrigin: number, dialled: readonly number[], waiting: readonly number[]): Model => {
    const limits = { maxConnections: dialled.length, maxConnectionsPerOrigin: perOrigin, maxIdleConnections: 4 }
    const model = new Model(limits, 3)
    for (const origin of dialled) model.request(origin, 'any')
    for (const one of model.connections.slice(1)) model.connected(one, H1.serves, H1.seats)
    for (const origin of waiting) model.request(origin, 'any')
    return model
  }
  const leave = (model: Model, place: number): void =>
    model.gone(model.connections[place] as (typeof model.connections)[0])
  const dialledSince = (model: Model): number[] => model.connections.slice(4).map(({ origin }) => origin)
  it('those that have some get one each, in turn', () => {
    const model = crowded(3, [0, 1, 2, 2], [0, 0, 1])
    leave(model, 2)
    leave(model, 3)
    expect(dialledSince(model)).toEqual([0, 1])
  })
  it('nor does one that may have no more, or wants none any more', () => {
    const full = crowded(2, [0, 0, 1, 2], [0, 1])
    leave(full, 3)
    expect(dialledSince(full)).toEqual([1])
    const content = crowded(3, [0, 1, 2, 2], [0, 1])
    content.cancel(content.requests[0] as Request)
    leave(content, 2)
    expect(dialledSince(content)).toEqual([1])
  })
})

describe('which connection', () => {
  const H1 = ANSWERS[0]
  const three = (): { model: Model; order: () => number[] } => {
    const model = new Model({ maxConnections: 3, maxConnectionsPerOrigin: 3, maxIdleConnections: 3 }, 2)
    for (let i = 0; i < 3; i++) model.request(0, 'any')
    for (const connection of [...model.connections]) model.connected(connection, H1.serves, H1.seats)
    for (const i of [1, 0, 2]) {
      const connection = model.connections[i] as (typeof model.connections)[0]
      model.finish(connection, [...connection.running][0] as (typeof model.requests)[0])
    }
    const order = (): number[] => model.connections.flatMap(({ running: set }, i) => (set.size > 0 ? [i] : []))
    return { model, order }
  }
  it('the one used last is used first', () => {
    const { model, order } = three()
    model.request(0, 'any')
    expect(order()).toEqual([2])
    model.request(0, 'any')
    expect(order()).toEqual([0, 2])
  })
  it('the one used last is used first, whatever else it serves', () => {
    const model = new Model({ maxConnections: 2, maxConnectionsPerOrigin: 2, maxIdleConnections: 2 }, 1)
    for (const need of ['h1', 'any'] as const) model.request(0, need)
    const [single, shared] = model.connections as [(typeof model.connections)[0], (typeof model.connections)[0]]
    model.connected(single, H1.serves, H1.seats)
    model.connected(shared, CONNECTS, 2)
    const over = (place: number): void => {
      const request = model.requests[place] as Request
      model.finish(single.running.has(request) ? single : shared, request)
    }
    over(1)
    over(0)
    model.request(0, 'any')
    expect([single.running.size, shared.running.size]).toEqual([1, 0])
    over(2)
    for (const need of ['h2-connect', 'any'] as const) model.request(0, need)
    expect([single.running.size, shared.running.size]).toEqual([0, 2])
  })
  it('the one idle longest goes when room is needed', () => {
    const { model } = three()
    // What it tells meanwhile does not make it younger.
    model.resized(model.connections[1] as (typeof model.connections)[0], 1)
    model.request(1, 'any')
    expect(model.connections.map(({ state }) => state)).toEqual(['open', 'gone', 'open', 'dialling'])
  })
  it('the next goes with it where that has something to leave', () => {
    const { model } = three()
    ;(model.connections[1] as (typeof model.connections)[0]).carrier.flushing = true
    model.request(1, 'any')
    expect(model.connections.map(({ state }) => state)).toEqual(['gone', 'leaving', 'open', 'dialling'])
  })
  it.each([
    ['another origin', 1, 'any', 3],
    ['who waits at its own', 0, 'h1', 2],
  ] as const)('one that is only waiting to be gone goes before the idle ones, for %s', (_, origin, need, most) => {
    const model = new Model({ maxConnections: 2, maxConnectionsPerOrigin: most, maxIdleConnections: 2 }, 2)
    for (let i = 0; i < 2; i++) model.request(0, 'any')
    const both = [...model.connections]
    for (const connection of both) model.connected(connection, SERVES.any, 1)
    for (const connection of both) model.finish(connection, [...connection.running][0] as Request)
    model.leaving(model.connections[1] as (typeof model.connections)[0])
    model.request(origin, need)
    expect(model.connections.map(({ state }) => state)).toEqual(['open', 'gone', 'dialling'])
  })
})

describe('the cost of a step does not grow (counted, not timed)', () => {
  /** Elementary steps per request when so many wait on so many origins. */
  function cost(queued: number, origins: number, connections: number): number {
    const limits = {
      maxConnections: connections,
      maxConnectionsPerOrigin: connections,
      maxIdleConnections: connections,
    }
    const scheduler = new Scheduler(limits, (origin, need) => new Carrier(origin, need))
    const queues = Array.from({ length: origins }, () => new OriginQueue())
    const running: Carrier[] = []
    let served = 0
    const settle = (): void => {
      for (let decision = scheduler.next(); decision !== undefined; decision = scheduler.next()) {
        if (decision.type === 'open') scheduler.opened(decision.carrier, SERVES.any | SERVES.h1, 1)
        else if (decision.type === 'assign') {
          running.push(decision.carrier)
          served++
        }
      }
    }
    for (let i = 0; i < queued; i++) {
      scheduler.enqueue(new Waiter(queues[i % origins] as OriginQueue, 'any'))
      settle()
    }
    while (running.length > 0) {
      scheduler.released(running.shift() as Carrier, 1)
      settle()
    }
    expect(served).toBe(queued)
    return scheduler.steps / queued
  }
  it.each([
    [1_000, 1],
    [10_000, 1],
    [100_000, 1],
    [1_000, 100],
    [10_000, 10_000],
    [100_000, 10_000],
  ])('%i queued requests on %i origins', (queued, origins) => {
    const small = cost(10, 1, 10)
    expect(cost(queued, origins, 10)).toBeLessThan(2 * small)
  })
  it('nor with the number of connections', () => {
    expect(cost(10_000, 10, 1_000)).toBeLessThan(1.1 * cost(10_000, 10, 10))
  })
})

describe('what is free', () => {
  it('does not count a seat twice that was promised and not yet taken', () => {
    const scheduler = new Scheduler(
      { maxConnections: 1, maxConnectionsPerOrigin: 1, maxIdleConnections: 1 },
      (origin, need) => new Carrier(origin, need),
    )
    const origin = new OriginQueue()
    for (let n = 0; n < 6; n++) scheduler.enqueue(new Waiter(origin, 'any'))
    const opening = scheduler.next()
    if (opening?.type !== 'open') throw new Error('nothing is dialled')
    const { carrier } = opening
    scheduler.opened(carrier, SERVES.any, 2)
    expect([scheduler.next()?.type, scheduler.next()?.type]).toEqual(['assign', 'assign'])
    // Both end in one read: the machine has two seats again, and says so before either was taken.
    scheduler.released(carrier, 2)
    scheduler.released(carrier, 2)
    expect(carrier.active).toBe(2)
    // Nor is there anything of one that is gone, whatever it still says.
    scheduler.gone(carrier)
    scheduler.leaving(carrier)
    const decided = Array.from({ length: 9 }, () => scheduler.next()?.type)
    expect(
      decided.filter((type) => type === 'open'),
      'P1: one in its place',
    ).toHaveLength(1)
  })
})

describe('a dial for who was lost', () => {
  const limits = { maxConnections: 4, maxConnectionsPerOrigin: 4, maxIdleConnections: 4 }
  /** So many ran on one connection, which is gone; one dial is for all of them. */
  const lost = (count: number): Model => {
    const model = new Model(limits, 1, 3)
    model.request(0, 'any')
    const [first] = model.connections as [(typeof model.connections)[0]]
    model.connected(first, SERVES.any, count)
    for (let n = 1; n < count; n++) model.request(0, 'any')
    model.gone(first, 'fresh')
    expect(model.connections).toHaveLength(2)
    return model
  }
  it('that has fewer seats than hoped for is its opener’s', () => {
    const model = lost(2)
    model.connected(model.connections[1] as (typeof model.connections)[0], SERVES.any, 1)
    expect(model.requests.map(({ state }) => state)).toEqual(['running', 'waiting'])
  })
  it('that has more seats later has them for who was lost, before those who came after', () => {
    const model = new Model({ maxConnections: 1, maxConnectionsPerOrigin: 1, maxIdleConnections: 1 }, 1, Infinity)
    model.request(0, 'any')
    const [first] = model.connections as [(typeof model.connections)[0]]
    model.connected(first, SERVES.any, 3)
    for (let n = 0; n < 2; n++) model.request(0, 'any')
    model.gone(first, 'fresh')
    model.request(0, 'any')
    const next = model.connections[1] as (typeof model.connections)[0]
    model.connected(next, SERVES.any, 2)
    expect(model.requests.map(({ state }) => state)).toEqual(['running', 'running', 'waiting', 'waiting'])
    model.resized(next, 3)
    expect(model.requests.map(({ state }) => state)).toEqual(['running', 'running', 'running', 'waiting'])
  })
  it('that has more seats later leaves the next room to others', () => {
    const model = new Model({ maxConnections: 3, maxConnectionsPerOrigin: 2, maxIdleConnections: 3 }, 3)
    const connection = (n: number): (typeof model.connections)[0] =>
      model.connections[n] as (typeof model.connections)[0]
    model.request(0, 'any')
    model.connected(connection(0), SERVES.any, 2)
    for (const origin of [0, 1, 2]) model.request(origin, 'any')
    for (const n of [1, 2]) model.connected(connection(n), ANSWERS[0].serves, ANSWERS[0].seats)
    model.gone(connection(0), 'fresh')
    model.request(1, 'any')
    model.connected(connection(3), SERVES.any, 1)
    model.resized(connection(3), 2)
    model.gone(connection(2))
    expect(model.connections.map(({ origin }) => origin)).toEqual([0, 1, 2, 0, 1])
  })
  it('has its seats for those behind one whom it does not serve', () => {
    const model = new Model(limits, 1, 3)
    model.request(0, 'any')
    const [first] = model.connections as [(typeof model.connections)[0]]
    model.connected(first, SERVES.any | SERVES['h2-connect'], 3)
    for (const need of ['h2-connect', 'any'] as const) model.request(0, need)
    model.gone(first, 'fresh')
    model.connected(model.connections[1] as (typeof model.connections)[0], SERVES.any, 3)
    expect(model.requests.map(({ state }) => state)).toEqual(['running', 'waiting', 'running'])
  })
  it('has them for whom it turns out to serve', () => {
    const one = { maxConnections: 1, maxConnectionsPerOrigin: 1, maxIdleConnections: 1 }
    const scheduler = new Scheduler(one, (origin, need) => new Carrier(origin, need))
    const origin = new OriginQueue()
    scheduler.expect(origin, 3)
    const asked = [new Waiter(origin, 'any'), new Waiter(origin, 'h2-connect')] as const
    const dialled = (): Carrier => {
      const decision = scheduler.next()
      if (decision?.type !== 'open') throw new Error('nothing is dialled')
      return decision.carrier
    }
    const served = (): Waiter[] => {
      const waiters: Waiter[] = []
      for (let decision = scheduler.next(); decision?.type === 'assign'; decision = scheduler.next()) {
        waiters.push(decision.waiter)
      }
      return waiters
    }
    for (const waiter of asked) scheduler.enqueue(waiter)
    const first = dialled()
    scheduler.opened(first, SERVES.any | SERVES['h2-connect'], 2)
    expect(served()).toEqual(asked)
    scheduler.gone(first)
    for (const waiter of asked) scheduler.requeueFresh(waiter)
    const second = dialled()
    scheduler.opened(second, SERVES.any, 2, true)
    expect(served()).toEqual([asked[0]])
    scheduler.decide(second, SERVES.any | SERVES['h2-connect'])
    expect(served()).toEqual([asked[1]])
  })
  it('has no seat for who is lost after it has come', () => {
    const model = new Model({ maxConnections: 2, maxConnectionsPerOrigin: 2, maxIdleConnections: 2 }, 2, 3)
    const connect = (place: number): void =>
      model.connected(model.connections[place] as (typeof model.connections)[0], SERVES.any, 1)
    const lose = (place: number): void => model.gone(model.connections[place] as (typeof model.connections)[0], 'fresh')
    model.request(0, 'any')
    connect(0)
    lose(0)
    connect(1)
    model.request(0, 'any')
    connect(2)
    model.request(1, 'any')
    lose(2)
    model.resized(model.connections[1] as (typeof model.connections)[0], 2)
    expect(model.requests.map(({ state }) => state)).toEqual(['running', 'waiting', 'waiting'])
  })
  it('is of those that were lost with its opener when that gives up, whoever else is dialled for', () => {
    const model = lost(2)
    const dial = model.connections[1] as (typeof model.connections)[0]
    model.request(0, 'any')
    model.cancel(model.requests[0] as Request)
    expect([dial.state, dial.opener]).toEqual(['dialling', model.requests[1]])
  })
  it.each([[['h2-connect', 'any']], [['any', 'h2-connect']]] as const)(
    'is opened for who was lost first: %s',
    (needs) => {
      const model = new Model({ maxConnections: 1, maxConnectionsPerOrigin: 1, maxIdleConnections: 1 }, 1, 3)
      model.request(0, 'any')
      const [first] = model.connections as [(typeof model.connections)[0]]
      model.connected(first, CONNECTS, 2)
      model.finish(first, model.requests[0] as Request)
      for (const need of needs) model.request(0, need)
      model.sentBack(first, [...first.running], 'fresh')
      expect(model.connections.slice(1).map(({ opener }) => opener?.need)).toEqual([needs[0]])
    },
  )
  it('is followed by another where more were lost than it may have seats', () => {
    const model = new Model(limits, 1, 3)
    model.request(0, 'any')
    const [first] = model.connections as [(typeof model.connections)[0]]
    model.connected(first, SERVES.any, 4)
    for (let n = 1; n < 4; n++) model.request(0, 'any')
    model.gone(first, 'fresh')
    expect(model.connections).toHaveLength(3)
  })
  it('of HTTP/1.1 has one seat, whatever others may have', () => {
    const model = new Model(limits, 1, Infinity)
    for (let n = 0; n < 2; n++) model.request(0, 'h1')
    const both = [...model.connections]
    for (const one of both) model.connected(one, ANSWERS[0].serves, ANSWERS[0].seats)
    for (const one of both) model.gone(one, 'fresh')
    expect(model.connections.map(({ state }) => state)).toEqual(['gone', 'gone', 'dialling', 'dialling'])
  })
  it('that has a single seat is as old, once it was used, as any other', () => {
    const model = new Model({ maxConnections: 1, maxConnectionsPerOrigin: 1, maxIdleConnections: 1 }, 1, Infinity)
    model.request(0, 'any')
    const [first] = model.connections as [(typeof model.connections)[0]]
    model.connected(first, SERVES.any, 2)
    model.request(0, 'any')
    model.gone(first, 'fresh')
    const next = model.connections[1] as (typeof model.connections)[0]
    model.connected(next, ANSWERS[0].serves, ANSWERS[0].seats)
    model.finish(next, model.requests[0] as Request)
    expect(model.connections.map(({ state }) => state)).toEqual(['gone', 'gone', 'dialling'])
  })
  it('leaves no trace when it is given up: later requests share one again', () => {
    const model = lost(1)
    model.cancel(model.requests[0] as Request)
    for (let n = 0; n < 2; n++) model.request(0, 'any')
    expect(model.connections.map(({ state }) => state)).toEqual(['gone', 'gone', 'dialling'])
  })
})

describe('a connection that does not yet tell what it serves', () => {
  it('holds nobody up any more once it takes no other request', () => {
    const limits = { maxConnections: 4, maxConnectionsPerOrigin: 4, maxIdleConnections: 4 }
    const scheduler = new Scheduler(limits, (origin, need) => new Carrier(origin, need))
    const origin = new OriginQueue()
    scheduler.enqueue(new Waiter(origin, 'any'))
    const opening = scheduler.next()
    if (opening?.type !== 'open') throw new Error('nothing is dialled')
    scheduler.opened(opening.carrier, SERVES.any, 1, true)
    expect(scheduler.next()?.type).toBe('assign')
    scheduler.enqueue(new Waiter(origin, 'h2-connect'))
    expect(scheduler.next()).toBeUndefined()
    scheduler.leaving(opening.carrier)
    expect(scheduler.next()?.type).toBe('open')
    // What it tells all the same is of no consequence.
    scheduler.decide(opening.carrier, SERVES.any)
    scheduler.enqueue(new Waiter(origin, 'h2-connect'))
    expect(scheduler.next()?.type).toBe('open')
  })
})

describe('connections that do not yet tell what they serve', () => {
  const two = (): Model => {
    const model = new Model({ maxConnections: 3, maxConnectionsPerOrigin: 3, maxIdleConnections: 3 }, 1)
    model.request(0, 'any')
    model.connected(model.connections[0] as (typeof model.connections)[0], SERVES.any, 1, true)
    for (const need of ['h2-connect', 'any'] as const) model.request(0, need)
    return model
  }
  it('are as idle as any other, all of them, once nobody waits for their word', () => {
    const model = two()
    const [first, second] = model.connections as [(typeof model.connections)[0], (typeof model.connections)[0]]
    model.connected(second, SERVES.any, 1, true)
    model.finish(first, model.requests[0] as Request)
    model.finish(second, model.requests[2] as Request)
    expect(model.scheduler.idle).toBe(0)
    model.decided(second, CONNECTS, false)
    expect([model.requests[1]?.state, model.scheduler.idle]).toEqual(['running', 1])
  })
  it('have nobody dialled for because others wait for their word', () => {
    const model = two()
    const [first] = model.connections as [(typeof model.connections)[0]]
    model.finish(first, model.requests[0] as Request)
    model.request(0, 'any')
    expect(model.connections).toHaveLength(2)
  })
})

describe('a connection that takes nothing for now', () => {
  it('holds up nobody whom it does not serve, and is waited for by none of them', () => {
    const model = new Model({ maxConnections: 2, maxConnectionsPerOrigin: 2, maxIdleConnections: 0 }, 1)
    model.request(0, 'any')
    const [shared] = model.connections as [(typeof model.connections)[0]]
    model.connected(shared, SERVES.any, 1)
    model.suspended(shared, true)
    model.request(0, 'h1')
    expect(model.connections.map(({ h1Only }) => h1Only)).toEqual([false, true])
    model.finish(shared, model.requests[0] as Request)
    expect(shared.state).toBe('leaving')
  })
})

describe('who waits out a backoff', () => {
  it('and waits to be told what a connection serves is not taken for one who wants a dial', () => {
    const limits = { maxConnections: 4, maxConnectionsPerOrigin: 4, maxIdleConnections: 4 }
    const scheduler = new Scheduler(limits, (origin, need) => new Carrier(origin, need))
    const origin = new OriginQueue()
    const dialled = (): Carrier[] => {
      const carriers: Carrier[] = []
      for (let decision = scheduler.next(); decision !== undefined; decision = scheduler.next()) {
        if (decision.type === 'open') carriers.push(decision.carrier)
      }
      return carriers
    }
    scheduler.enqueue(new Waiter(origin, 'any'))
    const [undecided] = dialled() as [Carrier]
    scheduler.opened(undecided, SERVES.any, 1, true)
    const held = new Waiter(origin, 'h2-connect')
    held.place = 1
    scheduler.requeue(held, true)
    expect(dialled()).toEqual([])
    scheduler.enqueue(new Waiter(origin, 'any'))
    expect(dialled(), 'P6: there is room').toHaveLength(1)
  })
  it('is not dialled for because somebody else is', () => {
    const model = new Model({ maxConnections: 4, maxConnectionsPerOrigin: 4, maxIdleConnections: 4 }, 1)
    model.request(0, 'any')
    const [first] = model.connections as [(typeof model.connections)[0]]
    model.connected(first, ANSWERS[0].serves, ANSWERS[0].seats)
    model.leaving(first)
    const [held] = model.requests as [Request]
    model.finish(first, held, 'held')
    model.request(0, 'any')
    expect(model.connections).toHaveLength(2)
    model.release(held)
    expect(model.connections).toHaveLength(3)
  })
})
