// Every scenario is played once as it is, then again and again: cancelled after each of its steps, and with each of its
// calls to the network failing. Whatever happens, the request settles, its seat is free for the next, and nothing is left.
import { describe, expect, it } from 'vitest'
import { ConnectionPool, type PoolOptions, type RequestOptions, type Response } from '../../src/index.ts'
import { connectProxy, contentOf, peers, secureServer, server, socksProxy, type Behaviour } from '../fixtures/peers.ts'
import { WatchedNetwork } from './network.ts'

interface Scene {
  readonly sim: WatchedNetwork
  readonly pool: ConnectionPool
  readonly url: string
  readonly signal: AbortSignal
}
interface Scenario {
  readonly behaviour?: Behaviour
  readonly options?: PoolOptions
  /** What the pool is asked for; by default a GET that is read whole. */
  readonly play?: (scene: Scene) => Promise<unknown>
  /** The pool is closed by it. */
  readonly closes?: boolean
}

const CANCELLED = new Error('cancelled')
const THING = '/thing'

const get = async ({ pool, url, signal }: Scene, method = 'GET'): Promise<Response> =>
  pool.request(method, url + THING, { signal })
const put = async ({ pool, url, signal }: Scene, options: RequestOptions = {}): Promise<Response> =>
  pool.request('PUT', url + THING, { content: pieces(), signal, ...options })
async function* pieces(): AsyncIterable<Uint8Array> {
  yield new Uint8Array(20_000)
  await Promise.resolve()
  yield new Uint8Array(30_000)
}
const stream = async ({ pool, url, signal }: Scene): Promise<Response> => pool.stream('GET', url + THING, { signal })
const later = ({ sim }: Scene, delay: number, act: () => Promise<void>): Promise<void> =>
  new Promise((resolve, reject) => {
    sim.timer(sim.now() + delay, () => void act().then(resolve, reject), true)
  })
/** As Promise.all, but waits for those too that go on when one has failed. */
async function everyOf(...all: Promise<unknown>[]): Promise<void> {
  await Promise.allSettled(all)
  await Promise.all(all)
}

const LARGE: Behaviour = { size: 100_000, pieces: 4, gap: 1 }
const EVERY: Readonly<Record<string, Scenario>> = {
  GET: {},
  HEAD: { play: (scene) => get(scene, 'HEAD') },
  'a slow answer': { behaviour: { wait: 50, gap: 5, pieces: 3 } },
  'an upload': { play: put },
  'an upload of known length': { play: (scene) => put(scene, { content: 'x'.repeat(50_000) }) },
  'an upload that is answered early': { behaviour: { early: true }, play: put },
  'Expect: 100-continue': { play: (scene) => put(scene, { expectContinue: true }) },
  'Expect that is answered with the response': {
    behaviour: { early: true },
    play: (scene) => put(scene, { expectContinue: true }),
  },
  'trailers both ways': {
    behaviour: { trailers: true },
    play: (scene) => put(scene, { trailers: [['checksum', '1']] }),
  },
  'informational responses': { behaviour: { informational: true } },
  'a large download, read whole': { behaviour: LARGE },
  'a large download, piece by piece': {
    behaviour: LARGE,
    play: async (scene) => {
      let size = 0
      for await (const chunk of await stream(scene)) size += chunk.byteLength
      expect(size).toBe(100_000)
    },
  },
  'a download that is left early': {
    behaviour: LARGE,
    play: async (scene) => {
      for await (const chunk of await stream(scene)) if (chunk.byteLength > 0) break
    },
  },
  'a download that is drained': { behaviour: LARGE, play: async (scene) => (await stream(scene)).drain(200_000) },
  'a response that is closed unread': { behaviour: LARGE, play: async (scene) => (await stream(scene)).close() },
  'one after the other': {
    play: async (scene) => {
      for (let n = 0; n < 3; n++) await get(scene)
    },
  },
  'three at once': { behaviour: { wait: 5 }, play: (scene) => everyOf(get(scene), get(scene), put(scene)) },
  'an answer that never comes': { behaviour: { instead: 'silence' }, options: { timeout: { read: 50 } } },
  'a connection that is lost before the answer': { behaviour: { instead: 'reset' } },
  'a connection that is lost within the answer': { behaviour: { ...LARGE, midway: 'reset' } },
  'a server that goes away': {
    behaviour: { after: 'goaway' },
    play: async (scene) => {
      await get(scene)
      await get(scene)
    },
  },
  'a dial that is tried again': {
    options: { retries: 2 },
    play: (scene) => {
      scene.sim.fault({ at: 'connect', what: 'refuse' })
      return get(scene)
    },
  },
  'closing while it runs': {
    behaviour: { wait: 50 },
    closes: true,
    play: async (scene) => {
      const running = get(scene)
      const closed = later(scene, 10, () => scene.pool.close())
      await everyOf(running, closed)
    },
  },
  'destroying while it runs': {
    behaviour: { wait: 50 },
    closes: true,
    play: async (scene) => {
      const running = get(scene)
      const closed = later(scene, 10, () => scene.pool.destroy())
      await everyOf(running, closed)
    },
  },
}
const ONLY: Readonly<Record<'h1' | 'h2', Readonly<Record<string, Scenario>>>> = {
  h1: {
    Upgrade: {
      behaviour: { echo: true },
      play: async ({ pool, url, signal }) => {
        const headers = { Connection: 'upgrade', Upgrade: 'echo' }
        await using response = await pool.stream('GET', url + THING, { headers, signal })
        const tunnel = response.networkStream
        await tunnel?.write(new Uint8Array(3))
        expect(await tunnel?.read()).toHaveLength(3)
        await tunnel?.end()
        expect(await tunnel?.read()).toBeNull()
      },
    },
  },
  h2: {
    'pings while it waits': {
      behaviour: { wait: 100 },
      options: { http2Options: { keepAlivePing: { after: 20, within: 50 } } },
    },
    'a stream that is refused': { behaviour: { instead: 'refuse' } },
    'a stream that is cancelled by the server': { behaviour: { ...LARGE, midway: 'cancel' } },
  },
}
const { GET, 'an upload': UPLOAD } = EVERY as { GET: Scenario; 'an upload': Scenario }

type Place = 'h1' | 'h2' | 'TLS' | 'TLS, h2' | 'CONNECT' | 'CONNECT, h2' | 'SOCKS5' | 'SOCKS5, h2'
const SCENARIOS: (readonly [place: Place, name: string, scenario: Scenario])[] = []
for (const place of ['h1', 'h2'] as const) {
  for (const [name, scenario] of Object.entries({ ...EVERY, ...ONLY[place] })) SCENARIOS.push([place, name, scenario])
}
for (const place of ['TLS', 'TLS, h2', 'CONNECT', 'CONNECT, h2', 'SOCKS5', 'SOCKS5, h2'] as const) {
  SCENARIOS.push([place, 'GET', GET], [place, 'an upload', UPLOAD])
}

interface Played {
  readonly steps: number
  readonly calls: number
  readonly outcome: unknown
}
/** Plays it, cancelled after so many steps, or with that call failing; then looks for what is left. */
async function play(
  place: Place,
  scenario: Scenario,
  { cancelAt = 0, failAt = 0 }: { cancelAt?: number; failAt?: number } = {},
): Promise<Played> {
  const sim = new WatchedNetwork({ latency: 1, sendBuffer: 16_384 })
  const known = peers()
  if (scenario.behaviour !== undefined) known.behaviours.set(THING, scenario.behaviour)
  const plain = place === 'h1' || place === 'h2'
  const secure = secureServer(sim, known)
  if (plain) sim.listen('origin.test', 80, server(sim, place, known))
  sim.listen('origin.test', 443, secure)
  sim.listen('proxy.test', 8080, place.startsWith('SOCKS5') ? socksProxy(secure) : connectProxy(secure))
  sim.resolveTo('origin.test', ['198.51.100.1'])
  const proxied = place.startsWith('CONNECT') ? 'http' : place.startsWith('SOCKS5') ? 'socks5h' : undefined
  const pool = new ConnectionPool({
    networkBackend: sim,
    maxConnections: 1,
    http1: !place.endsWith('h2'),
    http2: place.endsWith('h2'),
    proxy: proxied === undefined ? undefined : `${proxied}://proxy.test:8080`,
    ...scenario.options,
  })
  const url = `${plain ? 'http' : 'https'}://origin.test`

  const controller = new AbortController()
  let steps = 0
  sim.failAt = failAt
  sim.check = () => {
    if (++steps === cancelAt) controller.abort(CANCELLED)
    if (sim.held > 1) throw new Error(`${sim.held} links where one is allowed`)
  }
  const playing = (scenario.play ?? get)({ sim, pool, url, signal: controller.signal }).then(
    () => 'ok',
    (error: unknown) => error,
  )
  await sim.run(playing)
  const played = { steps, calls: sim.calls, outcome: await playing }

  if (scenario.closes !== true) {
    const after = pool.request('GET', `${url}/after`)
    await sim.run(after)
    expect(Buffer.from((await after).content).toString()).toBe(contentOf('/after'))
    expect(pool.stats).toMatchObject({ requests: 0, active: 0, queued: 0 })
  }
  await sim.run(pool.close())
  await sim.run()
  expect([sim.openLinks, sim.held, pool.connections.length], 'nothing is left').toEqual([0, 0, 0])
  return played
}

it('there are scenarios enough', () => {
  expect(SCENARIOS.length).toBeGreaterThanOrEqual(40)
})

describe.each(SCENARIOS)('%s: %s', (place, _, scenario) => {
  it('cancelled after any step', async () => {
    const { steps, outcome } = await play(place, scenario)
    expect(steps).toBeGreaterThan(5)
    for (let cancelAt = 1; cancelAt <= steps; cancelAt++) {
      const cancelled = await play(place, scenario, { cancelAt })
      if (cancelled.outcome !== CANCELLED) expect(nameOf(cancelled.outcome), `at ${cancelAt}`).toBe(nameOf(outcome))
    }
  })
  it('any call failing', async () => {
    const { calls } = await play(place, scenario)
    expect(calls).toBeGreaterThan(1)
    for (let failAt = 1; failAt <= calls; failAt++) {
      const { outcome } = await play(place, scenario, { failAt })
      if (outcome !== 'ok') expect(outcome, `call ${failAt}`).toHaveProperty('disposition')
    }
  })
})
function nameOf(outcome: unknown): string {
  return outcome instanceof Error ? outcome.name : String(outcome)
}
