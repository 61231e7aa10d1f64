// When the clock is looked at: once for what the interface asks, once for what came together, and not again where no time
// can have passed. And when it holds the process.
import { expect, test, vi } from 'vitest'
import { ConnectionPool } from '../../src/index.ts'
import type { Network, Sink } from '../../src/drivers/network.ts'
import { idleLink, ignore } from '../fixtures/link.ts'
import { contentOf, peers, relay, server } from '../fixtures/peers.ts'
import { SimNetwork } from '../../src/sim.ts'
import { httpServer, withServer } from '../fixtures/servers.ts'

const HEAD = new TextEncoder().encode('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n')

const EARLY_HINTS = new TextEncoder().encode('HTTP/1.1 103 Early Hints\r\n\r\n')

/** A network with the clock of another that connects when its sink is told so; `held`: whether each timer holds the process. */
function onClock(sim: SimNetwork, held: boolean[], dialled: (sink: Sink) => void = ignore): Network {
  return {
    can: sim.can,
    now: () => sim.now(),
    timer: (at, fire, keepAlive) => {
      held.push(keepAlive)
      return sim.timer(at, fire, keepAlive)
    },
    resolve: ignore,
    connect: (_, sink) => (dialled(sink), idleLink),
  }
}

test('is once for what came together', async () => {
  let looks = 0
  const sinks: Sink[] = []
  const network: Network = {
    can: { alpn: true, sni: true, startTls: true, halfClose: true, unix: true, closeNotify: false },
    now: () => ++looks,
    timer: () => ignore,
    resolve: ignore,
    connect: (_, sink) => (sinks.push(sink), idleLink),
  }
  const looked = (act: () => void): number => {
    const before = looks
    act()
    return looks - before
  }
  const pool = new ConnectionPool({ networkBackend: network })
  const responses = ['http://10.0.0.1/', 'http://10.0.0.2/'].map((url) =>
    pool.stream('GET', url, { onInformational: ignore }),
  )
  await Promise.resolve()
  const [one, two] = sinks as [Sink, Sink]
  for (const sink of sinks) sink.connected({})
  expect(looked(() => one.drained(10, true))).toBe(0)
  expect(looked(() => one.drained(10))).toBe(1)
  expect(looked(() => one.received(HEAD, 7))).toBe(1)
  // The callback may have taken its time.
  expect(looked(() => two.received(EARLY_HINTS, 7))).toBe(1)
  expect(looked(() => two.received(HEAD, 7))).toBe(0)
  expect(looked(() => two.received(HEAD.subarray(0, 1), 8))).toBe(1)
  expect(looked(() => two.received(HEAD.subarray(0, 1)))).toBe(1)
  expect((await Promise.all(responses)).map(({ status }) => status)).toEqual([200, 200])
  void pool.destroy()
})

test('is after what a user did with it: nobody is late for what a callback took its time over', async () => {
  const sim = new SimNetwork()
  const known = peers()
  known.behaviours.set('/', { wait: 300, size: 3, pieces: 3, gap: 300, informational: true })
  sim.listen('10.0.0.1', 80, server(sim, 'h1', known))
  let lost = 0
  const busy = (): void => void (lost += 350)
  const network: Network = {
    can: sim.can,
    now: () => sim.now() + lost,
    timer: (at, fire, keepAlive) => sim.timer(at - lost, fire, keepAlive),
    resolve: ignore,
    // What left at once, and what came together, is told without a look at the clock.
    connect: (target, sink) =>
      sim.connect(target, {
        ...relay(() => sink),
        connected: (info) => sink.connected(info),
        drained: (bytes) => sink.drained(bytes, true),
        received: (data) => sink.received(data, 1),
      }),
  }
  const pool = new ConnectionPool({ networkBackend: network, timeout: { read: 400 } })
  const streamed = pool.stream('GET', 'http://10.0.0.1/', {
    trace: ({ name }) => (name === 'http11.send_request_body.complete' ? busy() : undefined),
    onInformational: busy,
  })
  await sim.run(streamed)
  let content = ''
  const read = (await streamed).forEach((bytes) => {
    content += new TextDecoder().decode(bytes)
    busy()
  })
  await sim.run(read)
  await read
  expect([content, lost]).toEqual([contentOf('/', 3), 5 * 350])
  void pool.destroy()
})

test('holds the process while a name is all that is waited for: its answer may never come', async () => {
  const held: boolean[] = []
  const sim = new SimNetwork()
  const network = onClock(sim, held)
  const never = { networkBackend: network, resolve: () => new Promise<never>(ignore) }
  for (const options of [never, { networkBackend: network }]) {
    const pool = new ConnectionPool(options)
    const failed = expect(pool.request('GET', 'http://a.test/')).rejects.toMatchObject({ code: 'connect-timeout' })
    await sim.run(failed)
    await failed
    void pool.destroy()
  }
  expect(held).toEqual([true, true])
})

test('holds the process for who waits where the only socket is not read, and so holds nothing: for a seat, for the pool to close', async () => {
  const timers: boolean[] = []
  let sink: Sink | undefined
  const sim = new SimNetwork()
  const network = onClock(sim, timers, (to) => (sink = to))
  const pool = new ConnectionPool({ networkBackend: network, maxConnections: 1 })
  const streamed = pool.stream('GET', 'http://10.0.0.1/')
  await Promise.resolve()
  sink?.connected({})
  sink?.received(new TextEncoder().encode('HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n'))
  const response = await streamed
  const failed = pool.request('GET', 'http://10.0.0.1/').catch((error: unknown) => error)
  await Promise.resolve()
  expect(timers.at(-1)).toBe(false)
  for (let i = 0; i < 8; i++) sink?.received(new Uint8Array(65_536))
  expect(timers.at(-1)).toBe(true)
  await sim.run(failed)
  expect(await failed).toMatchObject({ name: 'PoolTimeout' })
  expect([response.complete, timers.at(-1)]).toEqual([false, false])
  const closed = pool.close()
  await Promise.resolve()
  expect(timers.at(-1)).toBe(true)
  sink?.closed()
  await closed
})

test('holds the process for who waits where the only socket is one whose peer has ended, and so holds nothing', async () => {
  const timers: boolean[] = []
  let sink: Sink | undefined
  const sim = new SimNetwork()
  const network = onClock(sim, timers, (to) => (sink = to))
  const pool = new ConnectionPool({ networkBackend: network, maxConnections: 1 })
  const upgraded = pool.stream('GET', 'http://10.0.0.1/', { headers: { Connection: 'Upgrade', Upgrade: 'echo' } })
  await Promise.resolve()
  sink?.connected({})
  sink?.received(new TextEncoder().encode('HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n'))
  const tunnel = (await upgraded).networkStream
  const failed = pool.request('GET', 'http://10.0.0.1/').catch((error: unknown) => error)
  await Promise.resolve()
  expect(timers.at(-1)).toBe(false)
  sink?.eof()
  expect(await tunnel?.read()).toBe(null)
  expect(timers.at(-1)).toBe(true)
  await sim.run(failed)
  expect(await failed).toMatchObject({ name: 'PoolTimeout' })
  const closed = pool.close({ grace: 1_000 })
  await Promise.resolve()
  expect(timers.at(-1)).toBe(true)
  await sim.advance(1_000)
  sink?.closed()
  await closed
})

test('is looked at when what a turn asks for is done: a thread that is busy until then lets no deadline pass', async () => {
  let now = 0
  let due = 0
  let sink: Sink | undefined
  const network: Network = {
    can: new SimNetwork().can,
    now: () => now,
    timer: (at) => ((due = at), ignore),
    resolve: ignore,
    connect: (_, to) => ((sink = to), idleLink),
  }
  const pool = new ConnectionPool({ networkBackend: network, timeout: { connect: 100 } })
  const first = pool.stream('GET', 'http://10.0.0.1/')
  now = 1_000
  await Promise.resolve()
  expect(due).toBe(1_100)
  sink?.connected({})
  sink?.drained(35)
  sink?.received(new TextEncoder().encode('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'))
  await first
  const second = pool.stream('GET', 'http://10.0.0.1/', { timeout: { read: 50 } }).catch(ignore)
  now = 1_090
  await Promise.resolve()
  sink?.drained(35, true)
  expect(due).toBe(1_100)
  const third = pool.stream('GET', 'http://10.0.0.1/').catch(ignore)
  expect(pool.stats).toMatchObject({ requests: 2, connections: 2 })
  void pool.destroy()
  await Promise.all([second, third])
})

test('is the real one where the timers of a test are fake, and sockets go on; also afterwards', async () => {
  const server = httpServer((request, response) => void (request.url === '/silent' || response.end()))
  await withServer(server, async ({ port }) => {
    const url = `http://127.0.0.1:${port}`
    vi.useFakeTimers()
    const pool = new ConnectionPool({ keepAliveExpiry: 50 })
    const silent = (): Promise<unknown> =>
      pool.request('GET', `${url}/silent`, { timeout: { read: 50 } }).catch((error: unknown) => error)
    try {
      // The second waits until all that has come was told.
      for (const method of ['GET', 'POST']) expect((await pool.request(method, url)).status).toBe(200)
      expect(await silent()).toMatchObject({ code: 'read-timeout' })
    } finally {
      vi.useRealTimers()
    }
    expect(await silent()).toMatchObject({ code: 'read-timeout' })
    await vi.waitFor(() => expect(pool.connections).toEqual([]))
    await pool.close()
  })
})
