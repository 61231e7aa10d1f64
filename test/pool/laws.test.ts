// The laws of the pool as properties of the machine alone: any requests, any order of what networks and servers can do.
import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import type { H2Connection } from '../../src/h2/index.ts'
import type { PoolSettings } from '../../src/pool/index.ts'
import { A, B, H2, http, https, OK, Peer, Play, type Asked } from './play.ts'
import { GOES_WELL, World } from './world.ts'

const HOSTS = ['10.0.0.1', '10.0.0.2', '10.0.0.3']
type Step =
  | { readonly do: 'request'; readonly host: number; readonly post: boolean }
  /** `well`: one of those that bring requests on, if there is one. */
  | { readonly do: 'act'; readonly pick: number; readonly well: boolean }
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 1, arbitrary: fc.record({ do: fc.constant('request' as const), host: fc.nat(2), post: fc.boolean() }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('act' as const),
      pick: fc.nat(1000),
      well: fc.constantFrom(true, true, false),
    }),
  },
)
const settings = fc.record({
  maxConnections: fc.integer({ min: 1, max: 4 }),
  maxConnectionsPerOrigin: fc.integer({ min: 1, max: 3 }),
  maxIdleConnections: fc.integer({ min: 0, max: 4 }),
  maxRequestsPerConnection: fc.constantFrom(1, 2, Infinity),
  keepAliveExpiry: fc.constantFrom(0, 100, undefined),
})

function play(options: Partial<PoolSettings>, steps: readonly Step[]): World {
  const world = new World(options)
  const told: string[] = []
  try {
    for (const one of steps) {
      if (one.do === 'request') {
        told.push(`request ${HOSTS[one.host]}`)
        world.request(HOSTS[one.host] as string, one.post ? 'POST' : 'GET')
      } else {
        const all = world.actions()
        const actions = one.well ? all.filter(({ name }) => GOES_WELL.test(name)) : all
        const action = actions[one.pick % actions.length]
        told.push(action?.name ?? 'nothing')
        action?.act()
      }
      world.check()
    }
    world.finish()
  } catch (error) {
    throw new Error(`after ${told.join(', ')}`, { cause: error })
  }
  return world
}

describe.each([
  ['HTTP/1.1', { http1: true, http2: false }],
  ['HTTP/2', { http1: false, http2: true }],
] as const)('over %s', (_, version) => {
  test.prop([settings, fc.array(step, { maxLength: 40, size: 'max' })], { numRuns: 1000 })(
    'P1, P2, P3, P4, P5, P6, P8, P9, P10 hold whatever happens',
    (options, steps) => {
      play({ ...options, ...version }, steps)
    },
    120_000,
  )
})

describe('regressions', () => {
  it('P4: requests that wait for one HTTP/2 dial are not more than its connection may have', () => {
    const world = new World({ http1: false, http2: true, maxRequestsPerConnection: 2, maxConnections: 3 })
    for (let i = 0; i < 5; i++) world.request(HOSTS[0] as string)
    world.finish()
    expect(world.executed).toHaveLength(5)
    expect(world.dialled, 'connections').toBe(3)
  })

  it('P3: requests one after another over HTTP/2 leave nothing behind on their connection', () => {
    // Each response comes whole, so that its end is known before its content has been consumed.
    const world = new World({ http1: false, http2: true, limits: { maxUnreadBytes: 16 } })
    const act = (what: RegExp): void =>
      world
        .actions()
        .find(({ name }) => what.test(name))
        ?.act()
    for (let i = 0; i < 40; i++) {
      world.request(HOSTS[0] as string)
      if (i === 0) act(/^connected/)
      act(/^answer/)
      world.check()
    }
    expect(world.requests.filter(({ outcome }) => outcome?.ok === true)).toHaveLength(40)
    expect(world.dialled).toBe(1)
  })

  it('P6: who waits at its origin’s limit is not forgotten when that origin’s closing connection makes room for another', () => {
    const world = new World({ maxConnectionsPerOrigin: 1, maxRequestsPerConnection: 1, keepAliveExpiry: 0 })
    const act = (what: RegExp): void =>
      world
        .actions()
        .find(({ name }) => what.test(name))
        ?.act()
    world.request('10.0.0.3')
    world.request('10.0.0.1')
    act(/^connected 2/)
    world.request('10.0.0.1')
    act(/^answer r1/)
    world.request('10.0.0.2')
    world.finish()
    expect(world.requests.map(({ outcome }) => outcome?.ok)).toEqual([true, true, true, true])
  })
})

describe('P6 over HTTP/2', () => {
  it('who waited for a connection that allows no stream is not forgotten when that makes room for another', () => {
    const play = new Play({ ...H2, maxConnections: 2, maxConnectionsPerOrigin: 2 })
    const dialled = (target: string): Peer => {
      play.request({ target })
      const [link] = play.connectAll()
      return new Peer(play, link as number, 'h2', { settings: { maxConcurrentStreams: 1 } }).sync()
    }
    const [first, second] = [dialled('/1'), dialled('/2')]
    ;(first.machine as H2Connection).updateSettings({ maxConcurrentStreams: 0 }, play.now)
    first.sync().respond('/1')
    // Refused, and no sign since that the next would not be.
    second.machine.cancel(second.of('/2'), 7)
    second.write()
    expect(play.dials()).toEqual([])
    play.request({ origin: B })
    // The other is to spare as well.
    expect(play.targets().map(({ address }) => address)).toEqual([B.host, A.host])
  })
})

describe('P8 over HTTP/2', () => {
  it('a POST whose head has left is not sent again when its first connection dies', () => {
    const world = new World({ http1: false, http2: true })
    const act = (what: RegExp): void =>
      world
        .actions()
        .find(({ name }) => what.test(name))
        ?.act()
    world.request('10.0.0.1', 'POST')
    act(/^connected/)
    act(/^reset/)
    expect(world.requests[0]?.outcome).toMatchObject({ ok: false, error: { disposition: 'maybe-processed' } })
  })
})

describe('P7: first come, first served', () => {
  test.prop([fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 20 })])('per origin', (seats, count) => {
    const world = new World({ maxConnections: seats, maxConnectionsPerOrigin: seats })
    for (let i = 0; i < count; i++) world.request(HOSTS[0] as string)
    world.finish()
    expect(world.executed).toEqual(world.requests.map(({ name }) => name))
  })
})

describe('P8: sent again', () => {
  const reusedThen = (method: string, what: RegExp): World => {
    const world = new World()
    world.request(HOSTS[0] as string)
    for (const name of [/^connected/, /^answer/])
      world
        .actions()
        .find((one) => name.test(one.name))
        ?.act()
    world.request(HOSTS[0] as string, method)
    world
      .actions()
      .find(({ name }) => what.test(name))
      ?.act()
    world.check()
    return world
  }
  it.each([/^eof/, /^reset/])(
    'an idempotent request on a reused connection that died (%s): once, on a fresh one',
    (what) => {
      const world = reusedThen('GET', what)
      world.finish()
      expect(world.requests[1]?.outcome?.ok).toBe(true)
      expect(world.executed.filter((name) => name === 'r1')).toHaveLength(2)
    },
  )
  it.each([/^eof/, /^reset/])('never one that is not idempotent (%s)', (what) => {
    const world = reusedThen('POST', what)
    world.finish()
    expect(world.requests[1]?.outcome).toMatchObject({ ok: false, error: { disposition: 'maybe-processed' } })
    expect(world.executed.filter((name) => name === 'r1')).toHaveLength(1)
  })
  it('never on the first connection', () => {
    const world = new World()
    world.request(HOSTS[0] as string)
    for (const name of [/^connected/, /^eof/])
      world
        .actions()
        .find((one) => name.test(one.name))
        ?.act()
    expect(world.requests[0]?.outcome).toMatchObject({ ok: false, error: { code: 'server-disconnected' } })
  })
})

describe('P3: a connection that carries an exchange is closed only by that exchange’s own fate', () => {
  test.prop([
    fc.array(fc.constantFrom('answered', 'cancelled', 'timed out', 'refused', 'left'), { minLength: 2, maxLength: 12 }),
    fc.constantFrom('closeIdle', 'close', 'age', 'goaway', 'room'),
  ])('over HTTP/2, whatever becomes of its siblings and of the connection', (fates, ending) => {
    const play = new Play({ ...H2, maxConnections: 1, maxConnectionsPerOrigin: 1, maxConnectionAge: 5_000 })
    const ids = fates.map((fate, n) =>
      play.request({ method: 'POST', target: `/${n}`, timeouts: { read: fate === 'timed out' ? 100 : 60_000 } }),
    )
    play.connectAll()
    const peer = new Peer(play, 1, 'h2').sync()
    play.drained(1)
    if (ending === 'closeIdle') play.tell({ type: 'closeIdle' })
    if (ending === 'close') play.tell({ type: 'close', grace: 30_000 })
    if (ending === 'age') play.pass(5_000)
    if (ending === 'goaway') peer.machine.close(play.now)
    if (ending === 'room') play.request({ origin: B })
    for (const [n, fate] of fates.entries()) {
      if (fate === 'answered') peer.respond(`/${n}`)
      if (fate === 'cancelled') play.cancel(ids[n] as number)
      if (fate === 'refused') peer.machine.cancel(peer.of(`/${n}`), 7)
      peer.write()
    }
    play.pass(100)
    peer.sync()
    const left = fates.flatMap((fate, n) => (fate === 'left' ? [n] : []))
    if (left.length > 0) expect([play.has('close', 1), play.has('destroy', 1)]).toEqual([false, false])
    for (const n of left) {
      peer.respond(`/${n}`)
      expect(play.outcome(ids[n] as number)).toBe('ok')
    }
  })
})

describe('P4: a request is given only to a connection of its own key', () => {
  const site = fc.record({
    origin: fc.constantFrom(
      ...[https('10.0.0.1'), https('10.0.0.2'), https('10.0.0.1', 8443), http('10.0.0.1')],
      ...[https('fe80::1%a'), https('fe80::1%b')], // two links, two peers
    ),
    sniHostname: fc.constantFrom(undefined, '', 'a.test', 'b.test'),
  })
  const keyOf = ({ origin, sniHostname }: Asked): string => JSON.stringify([origin, sniHostname])
  test.prop([fc.array(site, { minLength: 2, maxLength: 20, size: 'max' }), fc.constantFrom({}, { http2: true })])(
    'scheme, host, port and the name that its certificate has to bear',
    (asked, version) => {
      const play = new Play({ ...version, maxConnections: 3, maxConnectionsPerOrigin: 2, maxIdleConnections: 3 })
      const keys = new Map<number, string>()
      for (const one of asked) {
        const id = play.request(one)
        for (const { link, target } of play.take('connect')) {
          keys.set(link, JSON.stringify([target.address, target.port, target.tls?.serverName]))
          play.connected(link)
          if (target.tls !== undefined) play.secured(link, 'http/1.1')
        }
        const { address, port, serverName } = {
          address: one.origin.host,
          port: one.origin.port,
          serverName: one.origin.scheme === 'http' ? undefined : one.sniHostname || one.origin.host,
        }
        const [assigned] = play.take('assigned')
        expect(keys.get(assigned?.link as number), keyOf(one)).toBe(JSON.stringify([address, port, serverName]))
        play.drained(assigned?.link as number)
        play.received(assigned?.link as number, OK)
        expect(play.outcome(id)).toBe('ok')
        play.commands = []
      }
    },
  )
})
