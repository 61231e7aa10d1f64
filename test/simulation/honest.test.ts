// Peers that are slow, chatty or long-lived, and break no rule. With our defaults none of them is failed, by a limit or
// by a timeout: whoever does that has mistaken a habit for an attack.
import { describe, expect, it } from 'vitest'
import { H2Connection } from '../../src/h2/index.ts'
import { ConnectionPool, pump, type PoolOptions, type Response } from '../../src/index.ts'
import { SimNetwork, type SimOptions } from '../../src/sim.ts'
import { contentOf, peers, server, type Behaviour, type Version } from '../fixtures/peers.ts'

const URL = 'http://origin.test'
const SECOND = 1_000
const MINUTE = 60 * SECOND
const VERSIONS = ['h1', 'h2'] as const

function world(version: Version, behaviour: Behaviour, conditions: SimOptions = {}, options: PoolOptions = {}) {
  const sim = new SimNetwork({ latency: 5, ...conditions })
  const known = peers()
  known.behaviours.set('/', behaviour)
  sim.listen('origin.test', 80, server(sim, version, known))
  return { sim, pool: poolOf(sim, version, options), known }
}
function poolOf(sim: SimNetwork, version: Version, options: PoolOptions = {}): ConnectionPool {
  return new ConnectionPool({
    networkBackend: sim,
    ...(version === 'h2' ? { http1: false, http2: true } : {}),
    ...options,
  })
}
async function got(sim: SimNetwork, asked: Promise<Response>): Promise<Response> {
  await sim.run(asked)
  return asked
}
function text({ content }: Response): string {
  return Buffer.from(content).toString()
}

const MB = 1_000_000
describe.each(VERSIONS)('%s', (version) => {
  it.each<[name: string, behaviour: Behaviour, conditions?: SimOptions]>([
    ['a head after four minutes (a long poll)', { wait: 4 * MINUTE }],
    ['an event every four minutes for an hour (SSE)', { size: 150, pieces: 15, gap: 4 * MINUTE }],
    ['ten thousand events of a few bytes', { size: 30_000, pieces: 10_000, gap: 1 }],
    ['a line of 1 byte per millisecond', { size: 20_000 }, { bandwidth: 1 }],
    ['reads of one byte', { size: 2_000, trailers: true }, { maxRead: 1 }],
    ['latency of four seconds', {}, { latency: 4 * SECOND }],
    ['informational responses and trailers', { informational: true, trailers: true, wait: MINUTE }],
    ['a megabyte in one piece', { size: MB }],
  ])('%s', async (_, behaviour, conditions) => {
    const { sim, pool } = world(version, behaviour, conditions)
    const response = await got(sim, pool.request('GET', `${URL}/`))
    expect(text(response)).toBe(contentOf('/', behaviour.size))
    await sim.run(pool.close())
  })

  it('an upload that is read slowly', async () => {
    const { sim, pool, known } = world(version, {}, { bandwidth: 1, sendBuffer: 1_000 })
    await got(sim, pool.request('POST', `${URL}/`, { content: new Uint8Array(300_000) }))
    expect(known.served).toMatchObject([{ received: 300_000, whole: true }])
    expect(sim.now()).toBeGreaterThan(5 * MINUTE)
    await sim.run(pool.close())
  })

  it('a reader that takes a minute for each piece', async () => {
    const { sim, pool } = world(version, { size: 300_000, pieces: 20 })
    const response = await got(sim, pool.stream('GET', `${URL}/`))
    const reading = (async () => {
      let size = 0
      for await (const chunk of response) {
        size += chunk.byteLength
        await new Promise<void>((resolve) => void sim.timer(sim.now() + MINUTE, resolve, true))
      }
      return size
    })()
    await sim.run(reading)
    expect(await reading).toBe(300_000)
    await sim.run(pool.close())
  })

  it.each([
    ['its hint is kept to', [['keep-alive', 'timeout=30, max=1000']] as const, 20 * SECOND],
    ['without a hint', [] as const, 3 * SECOND],
  ])('a connection that is idle is used again: %s', async (_, headers, pause) => {
    const { sim, pool } = world(version, { headers: version === 'h1' ? headers : [] })
    const first = await got(sim, pool.request('GET', `${URL}/`))
    await sim.advance(pause)
    const second = await got(sim, pool.request('GET', `${URL}/`))
    expect(second.connection).toMatchObject({ id: first.connection.id, reused: true })
    await sim.run(pool.close())
  })

  it('a thousand requests, one after the other and all at once', async () => {
    const { sim, pool } = world(version, {})
    for (let n = 0; n < 500; n++) await got(sim, pool.request('GET', `${URL}/`))
    const all = Promise.all(Array.from({ length: 500 }, () => pool.request('GET', `${URL}/`)))
    await sim.run(all)
    expect((await all).every((response) => text(response) === '/')).toBe(true)
    await sim.run(pool.close())
  })
})

describe('h2 alone', () => {
  /** A server of which a test holds the machine: what it says between answers is the test's. */
  function held(options: PoolOptions = {}) {
    const sim = new SimNetwork({ latency: 5 })
    const machines: { machine: H2Connection; flush: () => void }[] = []
    sim.listen('origin.test', 80, (link) => {
      const machine = new H2Connection('server', { now: sim.now() })
      const sink = pump(
        machine,
        () => sim.now(),
        (event) => {
          if (event.type === 'request') waiting.push({ machine, exchange: event.exchange })
        },
      )
      sink.attach(link)
      machines.push({ machine, flush: sink.flush })
      return sink
    })
    const waiting: { machine: H2Connection; exchange: number }[] = []
    const answer = (): void => {
      for (const { machine, exchange } of waiting.splice(0)) {
        machine.sendResponse(exchange, { status: 204, headers: [] }, { end: true })
      }
      for (const { flush } of machines) flush()
    }
    return { sim, pool: poolOf(sim, 'h2', options), machines, waiting, answer }
  }
  async function answered({ sim, pool, answer }: ReturnType<typeof held>): Promise<Response> {
    const asked = pool.request('GET', URL)
    await sim.advance(50)
    answer()
    return got(sim, asked)
  }

  it('pings its client every ten seconds through a wait of four minutes', async () => {
    const world = held()
    const asked = world.pool.request('GET', URL)
    for (let n = 0; n < 24; n++) {
      await world.sim.advance(10 * SECOND)
      const [{ machine, flush } = expect.unreachable()] = world.machines
      machine.ping(new Uint8Array(8), world.sim.now())
      flush()
    }
    world.answer()
    expect((await got(world.sim, asked)).status).toBe(204)
    await world.sim.run(world.pool.close())
  })

  it('is pinged by its client for an hour, and answers', async () => {
    const world = held({ timeout: { read: null }, http2Options: { keepAlivePing: { after: 20_000, within: 10_000 } } })
    const asked = world.pool.request('GET', URL)
    await world.sim.advance(60 * MINUTE)
    world.answer()
    expect((await got(world.sim, asked)).status).toBe(204)
    await world.sim.run(world.pool.close())
  })

  it('changes its settings in between, down to no stream and up again', async () => {
    const world = held()
    await answered(world)
    const [{ machine, flush } = expect.unreachable()] = world.machines
    for (const streams of [50, 1, 0, 100]) {
      machine.updateSettings({ maxConcurrentStreams: streams, initialWindowSize: 1_000 * streams }, world.sim.now())
      flush()
      await world.sim.advance(SECOND)
    }
    expect((await answered(world)).status).toBe(204)
    await world.sim.run(world.pool.close())
  })

  it('goes away in two steps: what it has begun is answered, and the next goes elsewhere', async () => {
    const world = held()
    const first = world.pool.request('GET', URL)
    await world.sim.advance(50)
    const [{ machine, flush } = expect.unreachable()] = world.machines
    // RFC 9113 §6.8: first with the highest id there is, and after a round trip with the last one.
    machine.sendFrame(0x7, 0, 0, Uint8Array.of(0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0))
    flush()
    await world.sim.advance(50)
    machine.close(world.sim.now())
    flush()
    const second = world.pool.request('GET', URL)
    await world.sim.advance(50)
    world.answer()
    const [one, two] = [await got(world.sim, first), await got(world.sim, second)]
    expect([one.status, two.status]).toEqual([204, 204])
    expect(two.connection.id).not.toBe(one.connection.id)
    await world.sim.run(world.pool.close())
  })

  it('closes what was idle for long; the next request does not notice', async () => {
    const world = held()
    await answered(world)
    await world.sim.advance(30 * SECOND)
    const [{ machine, flush } = expect.unreachable()] = world.machines
    machine.close(world.sim.now())
    flush()
    await world.sim.advance(SECOND)
    expect((await answered(world)).connection.reused).toBe(false)
    await world.sim.run(world.pool.close())
  })
})
