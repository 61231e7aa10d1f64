// The whole client in virtual time: the same ConnectionPool on the network in memory, with servers made of our own
// machines. An hour takes milliseconds, and every cut, delay and reset comes from a seed.
import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import { H2_ERROR, H2Connection } from '../../src/h2/index.ts'
import { ConnectionPool, PoolClosed, pump, type H2Event, type Network, type PoolOptions } from '../../src/index.ts'
import { SimNetwork, type SimOptions } from '../../src/sim.ts'
import { contentOf, peers, server } from '../fixtures/peers.ts'

const LARGE = 300_000
function world(
  version: 'h1' | 'h2',
  sim: SimOptions,
  options: PoolOptions = {},
): { sim: SimNetwork; pool: ConnectionPool } {
  const network = new SimNetwork(sim)
  const known = peers()
  known.behaviours.set('/silent', { instead: 'silence' }).set('/large', { size: LARGE })
  network.listen('example.test', 80, server(network, version, known))
  const versions = version === 'h1' ? {} : { http1: false, http2: true }
  return { sim: network, pool: new ConnectionPool({ networkBackend: network, ...versions, ...options }) }
}
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const URL = 'http://example.test'

describe.each(['h1', 'h2'] as const)('%s', (version) => {
  test.prop([fc.integer({ min: 1, max: 2 ** 31 - 1 }), fc.integer({ min: 1, max: 4 })], { numRuns: 30 })(
    'any seed of cuts, delays and partial writes gives the same content; lent buffers may be overwritten',
    async (seed, maxConnections) => {
      const conditions = { seed, cut: true, latency: [0, 30] as const, partialWrites: true, sendBuffer: 4096 }
      const { sim, pool } = world(version, conditions, { maxConnections })
      const targets = ['/a', '/large', '/b', '/c', '/large', '/d']
      const all = targets.map((target, i) =>
        pool.request(i % 2 === 0 ? 'GET' : 'POST', URL + target, i % 2 === 0 ? {} : { content: 'x'.repeat(20_000) }),
      )
      await sim.run(Promise.all(all))
      for (const [i, response] of all.entries()) {
        const target = targets[i] as string
        expect(text((await response).content)).toBe(contentOf(target, target === '/large' ? LARGE : undefined))
      }
      expect(pool.stats).toMatchObject({ requests: 0, active: 0, queued: 0 })
      await sim.run(pool.close())
      expect(sim.openLinks).toBe(0)
    },
  )

  it('waits out its deadlines to the millisecond', async () => {
    const { sim, pool } = world(version, { latency: 5 })
    const began = sim.now()
    const failure = pool.request('GET', `${URL}/silent`).catch((error: unknown) => error)
    await sim.run(failure)
    expect(await failure).toMatchObject({ name: 'ReadTimeout', disposition: 'maybe-processed' })
    expect(sim.now() - began).toBeGreaterThanOrEqual(300_000)
    expect(sim.now() - began).toBeLessThan(300_050)
    await sim.run(pool.destroy())
  })

  it('reads on for who has a piece lent, however long that takes, also where it waited for him', async () => {
    const sim = new SimNetwork()
    const known = peers()
    known.behaviours.set('/', { size: 20, pieces: 2, gap: 1_000 })
    sim.listen('example.test', 80, server(sim, version, known))
    const versions = version === 'h1' ? {} : { http1: false, http2: true }
    const pool = new ConnectionPool({ networkBackend: sim, ...versions, timeout: { read: 400 } })
    const streamed = pool.stream('GET', `${URL}/`)
    await sim.run(streamed)
    await sim.advance(10)
    let content = ''
    const read = (await streamed).forEach((bytes) => {
      content += text(bytes)
      return new Promise((resolve) => void sim.timer(sim.now() + 900, resolve, true))
    })
    await sim.run(read)
    await read
    expect(content).toBe(contentOf('/', 20))
    await sim.run(pool.close())
  })

  it('closes what is idle when its time has come, and not before', async () => {
    const { sim, pool } = world(version, { latency: 1 })
    await sim.run(pool.request('GET', URL))
    const expiry = version === 'h1' ? 4_000 : 60_000
    await sim.advance(expiry - 100)
    expect(pool.connections).toHaveLength(1)
    await sim.advance(200)
    expect(pool.connections).toHaveLength(0)
    await sim.run(pool.close())
  })

  it.each([0, 1, 10, 30, 100])(
    'a reset after %i bytes of the answer is one typed error, and the next request is served',
    async (afterBytes) => {
      const { sim, pool } = world(version, { latency: 1 }, { maxConnections: 1 })
      sim.fault({ at: 'toClient', afterBytes, what: 'reset' })
      const outcome = pool.request('GET', `${URL}/large`).then(
        () => 'ok',
        (error: unknown) => (error as Error).name,
      )
      await sim.run(outcome)
      expect(['ReadError', 'WriteError', 'RemoteProtocolError']).toContain(await outcome)
      const again = pool.request('GET', `${URL}/again`)
      await sim.run(again)
      expect(text((await again).content)).toBe('/again')
      await sim.run(pool.close())
    },
  )

  it('a connection that never answers is a ConnectTimeout, and a name that does not resolve a ConnectError', async () => {
    const { sim, pool } = world(version, {})
    sim.fault({ at: 'connect', what: 'never' })
    const late = pool.request('GET', URL).catch((error: unknown) => error)
    await sim.run(late)
    expect(await late).toMatchObject({ name: 'ConnectTimeout' })
    expect(sim.now()).toBeCloseTo(10_000, -2)
    const lost = pool.request('GET', 'http://nowhere.test/').catch((error: unknown) => error)
    await sim.run(lost)
    expect(await lost).toMatchObject({ name: 'ConnectError' })
    await sim.run(pool.close())
  })
})

describe('what cannot be sent again', () => {
  /** Says when it has caught up with its peers as the test wants it. */
  class Behind extends SimNetwork {
    readonly asked: (() => void)[] = []
    caughtUp(done: () => void): void {
      this.asked.push(done)
    }
  }
  async function connected(): Promise<{ sim: Behind; pool: ConnectionPool }> {
    const sim = new Behind({})
    sim.listen('example.test', 80, server(sim, 'h1', peers()))
    const pool = new ConnectionPool({ networkBackend: sim, maxConnections: 1 })
    await sim.run(pool.request('POST', `${URL}/a`))
    return { sim, pool }
  }

  it('waits for nothing over a network around one that is never behind, and hands on that it has no caughtUp', async () => {
    const sim = new SimNetwork({})
    sim.listen('example.test', 80, server(sim, 'h1', peers()))
    const inner: Network = sim
    const networkBackend: Network = {
      can: inner.can,
      now: () => inner.now(),
      timer: (at, fire, keepAlive) => inner.timer(at, fire, keepAlive),
      resolve: (host, done) => inner.resolve(host, done),
      connect: (target, sink) => inner.connect(target, sink),
      caughtUp: inner.caughtUp?.bind(inner),
    }
    const pool = new ConnectionPool({ networkBackend })
    for (const _ of [1, 2]) await sim.run(pool.request('POST', `${URL}/a`))
    expect(pool.stats['connections']).toBe(1)
    await sim.run(pool.close())
  })

  it('waits for nothing where there is no connection', async () => {
    expect((await connected()).sim.asked).toHaveLength(0)
  })

  it('waits until all that has come was told, and what is asked for after it waits behind it', async () => {
    const { sim, pool } = await connected()
    await sim.run(pool.request('GET', `${URL}/a`))
    expect(sim.asked).toHaveLength(0)
    const answered: string[] = []
    const all = ['POST', 'GET', 'PATCH'].map((method) =>
      pool.request(method, `${URL}/a`).then(() => answered.push(method)),
    )
    const unrepeatable = pool.request('PUT', `${URL}/a`, { content: [] }).then(() => answered.push('PUT'))
    await sim.advance(1_000)
    expect([answered, pool.stats['requests'], sim.asked.length]).toEqual([[], 0, 1])
    // Once for all that came together, and once for each of them that follows another on its connection.
    for (let n = 0; n < 3; n++) {
      sim.asked[n]?.()
      await sim.advance(1_000)
    }
    await sim.run(Promise.all([...all, unrepeatable]))
    expect([answered, sim.asked.length]).toEqual([['POST', 'GET', 'PATCH', 'PUT'], 3])
  })

  it('is not sent sooner because another is cancelled, nor by what that one waited for', async () => {
    const { sim, pool } = await connected()
    const post = async (signal?: AbortSignal): Promise<unknown> =>
      pool.request('POST', `${URL}/a`, { signal }).then(({ status }) => status, String)
    const abort = new AbortController()
    const first = post()
    await sim.advance(1)
    const cancelled = post(abort.signal)
    await sim.advance(1)
    const last = post()
    await sim.advance(1)
    abort.abort('enough')
    expect(await cancelled).toBe('enough')
    expect(pool.stats['requests']).toBe(0)
    sim.asked[1]?.()
    expect(pool.stats['requests']).toBe(0)
    sim.asked[0]?.()
    await sim.run(first)
    expect(await first).toBe(200)
    expect(pool.stats['requests']).toBe(0)
    sim.asked[2]?.()
    await sim.run(last)
    expect(await last).toBe(200)
  })

  it('can be cancelled while it waits, and so can its pool be destroyed', async () => {
    const { sim, pool } = await connected()
    const abort = new AbortController()
    const { signal } = abort
    const cancelled = pool.request('POST', `${URL}/a`, { signal }).catch((error: unknown) => error)
    abort.abort()
    expect(await cancelled).toBe(signal.reason)
    const destroyed = pool.request('POST', `${URL}/a`).catch((error: unknown) => error)
    await sim.run(pool.destroy())
    expect(await destroyed).toBeInstanceOf(PoolClosed)
    for (const done of sim.asked) done()
    expect([sim.asked.length, pool.stats['requests'], pool.connections]).toEqual([2, 0, []])
  })
})

it.each([
  [undefined, 'http'],
  ['https', 'https'],
])('a head that is sent as it is and says the scheme %s is one of %s', async (scheme, sent) => {
  const network = new SimNetwork()
  const seen: unknown[] = []
  network.listen('example.test', 80, (link) => {
    const machine = new H2Connection('server', { now: 0 })
    const joined = pump<H2Event>(
      machine,
      () => network.now(),
      (event) => {
        if (event.type !== 'request') return
        seen.push(event.scheme)
        machine.sendResponse(event.exchange, { status: 204, headers: [] }, { end: true })
      },
    )
    joined.attach(link)
    return joined
  })
  const pool = new ConnectionPool({ networkBackend: network, http1: false, http2: true })
  const head = { method: 'GET', scheme, authority: 'example.test', target: '/', headers: [] }
  await network.run(pool.handleRequest({ scheme: 'http', host: 'example.test', port: 80 }, head))
  expect(seen).toEqual([sent])
})

it('goes the same way every time, the jitter of its pool as well', async () => {
  const played = async (seed: number): Promise<string> => {
    const network = new SimNetwork({ seed, latency: [1, 20] })
    network.listen('example.test', 80, (link) => {
      const machine = new H2Connection('server', { now: network.now() })
      const refuse = (event: H2Event): void => {
        if (event.type === 'request') machine.cancel(event.exchange, H2_ERROR.REFUSED_STREAM)
      }
      const joined = pump(machine, () => network.now(), refuse)
      joined.attach(link)
      return joined
    })
    const told: string[] = []
    const pool = new ConnectionPool({
      networkBackend: network,
      http1: false,
      http2: true,
      maxConnectionAge: 5_000,
      trace: ({ name, time }) => told.push(`${time} ${name}`),
    })
    await network.run(pool.request('GET', URL).catch(() => undefined))
    await network.advance(6_000)
    return told.join()
  }
  const once = await played(7)
  expect(once).toMatch(/pool.retry.*pool.close/)
  expect(await played(7)).toBe(once)
  expect(await played(8)).not.toBe(once)
})

it('100 requests to one HTTP/2 origin share one connection', async () => {
  const { sim, pool } = world('h2', { latency: 3 })
  const all = Promise.all(Array.from({ length: 100 }, (_, i) => pool.request('GET', `${URL}/${i}`)))
  await sim.run(all)
  const responses = await all
  expect(new Set(responses.map(({ connection }) => connection.id)).size).toBe(1)
  expect(responses.map(({ content }) => text(content))).toEqual(responses.map((_, i) => `/${i}`))
  await sim.run(pool.close())
})
