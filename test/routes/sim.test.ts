// Proxies on the network in memory: cut, delayed and held back anywhere, and broken at every byte of what they answer.
import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import { ConnectionPool, type HttpCoreError, type ProxyOptions } from '../../src/index.ts'
import { SimNetwork, type SimFault, type SimOptions } from '../../src/sim.ts'
import {
  connectProxy,
  contentOf,
  peers,
  server,
  SOCKS_ANSWERS,
  socksProxy,
  TUNNEL_ANSWER,
  type Server,
} from '../fixtures/peers.ts'

const PROXY = 'proxy.test:1080'
interface SimRoute {
  readonly scheme: 'http' | 'https'
  readonly proxy: ProxyOptions | readonly ProxyOptions[]
  /** What listens at the proxy's place. */
  readonly listens: (origin: Server) => Server
  /** How many bytes of answers come before the way is open. */
  readonly answers: number
  /** TLS to the first proxy: what breaks before its first byte breaks the handshake. */
  readonly secure?: boolean
}
const SOCKS_LENGTH = SOCKS_ANSWERS.join('').length
const ROUTES: Record<string, SimRoute> = {
  forward: { scheme: 'http', proxy: { url: `http://${PROXY}` }, listens: (origin) => origin, answers: 0 },
  connect: {
    scheme: 'https',
    proxy: { url: `http://${PROXY}` },
    listens: connectProxy,
    answers: TUNNEL_ANSWER.length,
  },
  'connect, without TLS': {
    scheme: 'http',
    proxy: { url: `http://${PROXY}`, tunnel: 'always' },
    listens: connectProxy,
    answers: TUNNEL_ANSWER.length,
  },
  socks5: { scheme: 'https', proxy: { url: `socks5h://${PROXY}` }, listens: socksProxy, answers: SOCKS_LENGTH },
  'socks5, without TLS': {
    scheme: 'http',
    proxy: { url: `socks5h://${PROXY}` },
    listens: socksProxy,
    answers: SOCKS_LENGTH,
  },
  'a chain': {
    scheme: 'https',
    proxy: [{ url: `https://${PROXY}` }, { url: 'socks5h://second.test' }, { url: 'http://third.test' }],
    listens: (origin) => connectProxy(socksProxy(connectProxy(origin))),
    answers: 2 * TUNNEL_ANSWER.length + SOCKS_LENGTH,
    secure: true,
  },
}

function world(route: SimRoute, version: 'h1' | 'h2', conditions: SimOptions, maxConnections = 1) {
  const known = peers()
  known.behaviours.set(seen(route, '/huge'), { size: HUGE })
  const sim = new SimNetwork(conditions)
  const tls = (name: string | undefined): object => ({ alpn: name === 'proxy.test' ? ['http/1.1'] : [ALPN[version]] })
  sim.listen('proxy.test', 1080, route.listens(server(sim, version, known)), { tls })
  const http = version === 'h2' ? { http2: true, http1: false } : {}
  const pool = new ConnectionPool({ networkBackend: sim, proxy: route.proxy, maxConnections, ...http })
  return { sim, pool }
}
const ALPN = { h1: 'http/1.1', h2: 'h2' } as const
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
/** The target that the origin sees, and answers with: absolute where a proxy forwards. */
const seen = (route: SimRoute, target: string): string => (route.answers > 0 ? target : `http://name.test${target}`)
const HUGE = 10_000_000

const CELLS = Object.entries(ROUTES).flatMap(([name, route]) =>
  (['h1', 'h2'] as const)
    .filter((version) => route.answers > 0 || version === 'h1')
    .map((version) => ({ name, route, version })),
)

describe.each(CELLS)('$name, $version', ({ route, version }) => {
  const url = `${route.scheme}://name.test`

  test.prop(
    [
      fc.record({
        seed: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
        cut: fc.boolean(),
        partialWrites: fc.boolean(),
        maxRead: fc.constantFrom(1, 7, 65_536),
        coalesce: fc.constantFrom(0, 20),
        latency: fc.constantFrom(0, [0, 30] as const),
        sendBuffer: fc.constantFrom(1, 500, 65_536),
      }),
      fc.integer({ min: 1, max: 3 }),
    ],
    { numRuns: 20 },
  )('cut, in pieces, read together, late and out of step: the same answers', async (conditions, maxConnections) => {
    const { sim, pool } = world(route, version, conditions, maxConnections)
    const targets = ['/a', '/b', '/c', '/d']
    const all = Promise.all(
      targets.map(async (target) =>
        text((await pool.request('PUT', url + target, { content: 'x'.repeat(99) })).content),
      ),
    )
    await sim.run(all)
    expect(await all).toEqual(targets.map((target) => contentOf(seen(route, target))))
    const closed = pool.close()
    await sim.run(closed)
    expect([sim.openLinks, pool.stats['connections']]).toEqual([0, 0])
  })

  it('a reader that stops holds the origin back, and the connection is kept', async () => {
    const { sim, pool } = world(route, version, { sendBuffer: 4_096 })
    const streamed = pool.stream('GET', `${url}/huge`)
    await sim.run(streamed)
    const response = await streamed
    await sim.advance(10_000)
    expect(response.complete).toBe(false)
    const rest = response.read()
    await sim.run(rest)
    expect((await rest).length).toBe(HUGE)
    const next = pool.request('GET', `${url}/a`)
    await sim.run(next)
    expect((await next).connection?.reused).toBe(true)
    await sim.run(pool.close())
  })
})

describe.each(Object.entries(ROUTES).filter(([, { answers }]) => answers > 0))('%s, broken', (_, route) => {
  const url = `${route.scheme}://name.test/a`
  it.each(['reset', 'stall', 'end'] as const)(
    '%s behind each byte of the answers: one error, no seat lost',
    async (what) => {
      for (let afterBytes = route.secure === true ? 1 : 0; afterBytes < route.answers; afterBytes++) {
        const { sim, pool } = world(route, 'h1', {})
        sim.fault({ at: 'toClient', afterBytes, what } satisfies SimFault)
        const failing = pool.request('GET', url).catch((error: unknown) => error)
        await sim.run(failing)
        const error = (await failing) as HttpCoreError
        expect([afterBytes, error.name, error.disposition]).toEqual([
          afterBytes,
          what === 'stall' ? 'ConnectTimeout' : 'ProxyError',
          'not-sent',
        ])
        expect(error.phase).toBe('proxy')
        const next = pool.request('GET', url)
        await sim.run(next)
        expect(text((await next).content)).toBe('/a')
        await sim.run(pool.close())
        expect(sim.openLinks).toBe(0)
      }
    },
  )
})
