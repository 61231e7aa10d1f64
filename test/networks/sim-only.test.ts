// What only the network in memory has: a clock, faults, chance with a seed; and the pump on it.
import { fc, test as property } from '@fast-check/vitest'
import { expect, test } from 'vitest'
import { H11Connection } from '../../src/h11/index.ts'
import { H2Connection } from '../../src/h2/index.ts'
import type { Connection, H11Event } from '../../src/http/index.ts'
import { pump, SimNetwork } from '../../src/sim.ts'
import type { SimOptions } from '../../src/sim.ts'
import { dial, type Recorder } from '../../src/conformance.ts'
import type { Link, Sink } from '../../src/drivers/network.ts'

const text = (s: string): Uint8Array => new Uint8Array(Buffer.from(s, 'latin1'))
const shown = (sink: Recorder): string => String.fromCharCode(...sink.content)
const peer =
  (script: Partial<Record<'data' | 'open', (link: Link, data: Uint8Array) => void>>) =>
  (link: Link): Sink => ({
    connected: () => script.open?.(link, new Uint8Array()),
    secured: () => {},
    received: (data) => (script.data?.(link, data), false),
    drained: () => {},
    eof: () => link.end(),
    failed: () => {},
    closed: () => {},
  })

property.prop([fc.array(fc.record({ at: fc.nat(20), off: fc.boolean(), again: fc.option(fc.nat(20)) }))])(
  'what is to happen does so by time, and of the same time in the order in which it was said',
  async (plan) => {
    const sim = new SimNetwork()
    const due: { at: number; said: number }[] = []
    const fired: number[] = []
    let said = 0
    const say = (at: number, off: boolean, again: number | null): void => {
      const mine = said++
      const callOff = sim.timer(
        at,
        () => {
          fired.push(mine)
          if (again !== null) say(sim.now() + again, false, null)
        },
        true,
      )
      if (off) callOff()
      else due.push({ at, said: mine })
    }
    for (const { at, off, again } of plan) say(at, off, again)
    await sim.run()
    expect(fired).toEqual(due.sort((a, b) => a.at - b.at || a.said - b.said).map((one) => one.said))
  },
)

test('time moves only when it is told to, and latency is what it says', async () => {
  const sim = new SimNetwork({ latency: 10 })
  sim.listen('host.test', 80, peer({ data: (link, data) => link.write([data.slice()]) }))
  let address = ''
  sim.resolve('host.test', (_, addresses) => (address = addresses[0] as string))
  await sim.advance(0)
  const { sink, link } = dial(sim, { address, port: 80 })
  await sim.advance(19)
  expect(sink.facts).toEqual([])
  await sim.advance(1)
  expect(sink.facts).toEqual(['connected'])
  link.write([text('ping')])
  await sim.advance(19)
  expect(sink.bytes).toBe(0)
  await sim.advance(1)
  expect(shown(sink)).toBe('ping')
  expect(sim.now()).toBe(40)
})

test('time goes on when two let it pass at once: the one who is through sooner does not turn it back', async () => {
  const sim = new SimNetwork()
  const times: number[] = []
  for (const at of [10, 20, 40]) sim.timer(at, () => times.push(sim.now()), true)
  await Promise.all([sim.advance(100), sim.advance(30).then(() => times.push(sim.now()))])
  expect(times).toEqual([...times].sort((a, b) => a - b))
  expect(sim.now()).toBe(100)
})

test('run ends with its promise, with quiet, or with the news that the promise is lost', async () => {
  const sim = new SimNetwork()
  await sim.run(new Promise<void>((resolve) => void sim.timer(500, resolve, true)))
  expect(sim.now()).toBe(500)
  sim.timer(9_000, () => {}, false)
  await sim.run()
  expect(sim.now()).toBe(500)
  await expect(sim.run(new Promise(() => {}))).rejects.toThrow(/nothing is left to happen/)
})

test('faults: refused, never, late, reset, stall, end, a handshake that fails', async () => {
  const sim = new SimNetwork({ latency: 1 })
  sim.listen('127.0.0.1', 80, peer({ open: (link) => link.write([new Uint8Array(100)]) }))
  const target = { address: '127.0.0.1', port: 80 }
  const next = async (options: Parameters<SimNetwork['fault']>[0], tls = false): Promise<Recorder> => {
    sim.fault(options)
    const { sink } = dial(sim, tls ? { ...target, tls: { serverName: 'a', alpn: [], options: {} } } : target)
    await sim.advance(100)
    expect(sink.violations).toEqual([])
    return sink
  }
  expect((await next({ at: 'connect', what: 'refuse' })).facts).toEqual(['failed connect', 'closed'])
  expect((await next({ at: 'connect', what: 'never' })).facts).toEqual([])
  expect((await next({ at: 'connect', what: 'late', delay: 90 })).facts).toEqual(['connected', 'received'])
  const reset = await next({ at: 'toClient', afterBytes: 40, what: 'reset' })
  expect([reset.bytes, reset.facts]).toEqual([40, ['connected', 'received', 'failed read', 'closed']])
  const stall = await next({ at: 'toClient', afterBytes: 40, what: 'stall' })
  expect([stall.bytes, stall.facts]).toEqual([40, ['connected', 'received']])
  const end = await next({ at: 'toClient', afterBytes: 40, what: 'end' })
  expect([end.bytes, end.facts]).toEqual([40, ['connected', 'received', 'eof']])
  const error = new Error('mine')
  const tls = await next({ at: 'tls', what: 'refuse', error }, true)
  expect(tls.facts).toEqual(['connected', 'failed tls', 'closed'])
  expect(tls.error).toBe(error)
  const { sink } = dial(sim, target)
  await sim.advance(100)
  expect(sink.bytes).toBe(100)
})

test('a played handshake: what was asked for, offered, chosen; an answer that was not offered', async () => {
  const sim = new SimNetwork()
  const tls = { serverName: 'host.test', alpn: ['h2', 'http/1.1'], options: {} }
  sim.listen('127.0.0.1', 443, peer({}), { tls: { alpn: ['h2'], names: ['host.test'] } })
  sim.listen('127.0.0.1', 444, peer({}), { tls: { forceAlpn: 'h3' } })
  const good = dial(sim, { address: '127.0.0.1', port: 443, tls }).sink
  const bad = dial(sim, { address: '127.0.0.1', port: 444, tls }).sink
  await sim.run()
  expect([good.alpn, good.facts]).toEqual(['h2', ['connected', 'secured']])
  expect(bad.facts).toEqual(['connected', 'failed tls', 'closed'])
  expect(sim.handshakes[0]).toEqual({
    host: '127.0.0.1',
    port: 443,
    serverName: 'host.test',
    offered: ['h2', 'http/1.1'],
    chosen: 'h2',
    verified: true,
  })
})

test.each([
  ['maxRead', [0, 1.5, 65_537, NaN]],
  ['sendBuffer', [0, 0.5, -1]],
] as const)('%s is a number of bytes with which something arrives, of a network and of a listener', (name, values) => {
  for (const value of values) {
    expect(() => new SimNetwork({ [name]: value })).toThrow(RangeError)
    expect(() => new SimNetwork().listen('a.test', 80, peer({}), { [name]: value })).toThrow(RangeError)
  }
  expect(() => new SimNetwork({ [name]: '1' })).toThrow(TypeError)
  expect(() => new SimNetwork({ [name]: undefined }).listen('a.test', 80, peer({}), { [name]: 1 })).not.toThrow()
})

test.each([
  ['latency', [NaN, -1, Infinity, [1, NaN]]],
  ['coalesce', [NaN, -1, Infinity]],
  ['bandwidth', [NaN, -1, 0]],
] as const)('%s is such that all arrives at some time, of a network and of a listener', (name, values) => {
  for (const value of values) {
    expect(() => new SimNetwork({ [name]: value })).toThrow(RangeError)
    expect(() => new SimNetwork().listen('a.test', 80, peer({}), { [name]: value })).toThrow(RangeError)
  }
})

test.each([NaN, -1, Infinity])('nothing is late by %s', (delay) => {
  const sim = new SimNetwork()
  expect(() => sim.resolveTo('a.test', ['::1'], delay)).toThrow(RangeError)
  expect(() => sim.fault({ at: 'connect', what: 'late', delay })).toThrow(RangeError)
})

test('names resolve to what was told, after what was told', async () => {
  const sim = new SimNetwork()
  const error = new Error('mine')
  sim.resolveTo('two.test', ['::1', '127.0.0.1'], 5)
  sim.resolveTo('bad.test', error)
  const answers: unknown[] = []
  for (const host of ['two.test', 'bad.test', 'unknown.test']) sim.resolve(host, (e, a) => answers.push(e ?? a))
  await sim.advance(4)
  expect(answers).toEqual([error, expect.objectContaining({ code: 'ENOTFOUND' })])
  await sim.advance(1)
  expect(answers[2]).toEqual(['::1', '127.0.0.1'])
})

property.prop([
  fc.record({
    seed: fc.integer(),
    latency: fc.oneof(fc.nat(20), fc.constant([1, 30] as const)),
    cut: fc.boolean(),
    coalesce: fc.nat(5),
    sendBuffer: fc.integer({ min: 1, max: 5_000 }),
    partialWrites: fc.boolean(),
    maxRead: fc.integer({ min: 1, max: 3_000 }),
  }),
  fc.integer({ min: 1, max: 4_000 }).map((length) => Uint8Array.from({ length }, (_, i) => i * 7 + (i >> 8))),
])(
  'whatever the conditions: every byte once, in order, drained as often as written; same seed, same facts',
  (options, bytes) => {
    const play = (conditions: SimOptions): [string, number, number[]] => {
      const sim = new SimNetwork(conditions)
      sim.listen('127.0.0.1', 80, peer({ data: (link, data) => link.write([data.slice()]) }))
      const { sink, link } = dial(sim, { address: '127.0.0.1', port: 80 })
      const sizes: number[] = []
      sink.onReceived = (data) => sizes.push(data.length)
      link.write([bytes.slice(0, 100), bytes.slice(100)])
      link.end()
      while (sim.step());
      expect(sink.violations).toEqual([])
      expect(sink.facts.at(-1)).toBe('closed')
      expect(Uint8Array.from(sink.content)).toEqual(bytes)
      return [sink.facts.join(), sink.drainedBytes, [...sizes, sim.now()]]
    }
    const first = play(options)
    expect(first[1]).toBe(bytes.length)
    expect(play(options)).toEqual(first)
  },
)

test('the pump joins two machines: a request, its content, the answer, the end', async () => {
  const sim = new SimNetwork({ seed: 5, latency: [1, 9], cut: true, partialWrites: true })
  const now = (): number => sim.now()
  let asked = 0
  sim.listen('127.0.0.1', 80, (link) => {
    const machine = new H11Connection('server', { now: 0 })
    const joined = pump<H11Event>(machine, now, (event) => {
      if (event.type === 'data') {
        asked += event.data.length
        machine.consume(event.exchange, event.data.length)
      }
      if (event.type === 'end') {
        machine.sendResponse(event.exchange, { status: 200, headers: { connection: 'close' }, content: { length: 5 } })
        machine.sendData(event.exchange, text('hello'), true)
      }
    })
    joined.attach(link)
    return joined
  })
  const machine = new H11Connection('client', { now: 0 })
  const seen: string[] = []
  let content = ''
  const joined = pump<H11Event>(machine, now, (event) => {
    seen.push(event.type)
    if (event.type !== 'data') return
    content += Buffer.from(event.data).toString('latin1')
    machine.consume(event.exchange, event.data.length)
  })
  joined.attach(sim.connect({ address: '127.0.0.1', port: 80 }, joined))
  const head = { method: 'POST', authority: 'a.test', target: '/', headers: {}, content: { length: 50_000 } }
  const id = machine.sendRequest(head)
  machine.sendData(id, new Uint8Array(50_000), true)
  joined.flush()
  await sim.run()
  expect(asked).toBe(50_000)
  expect(content).toBe('hello')
  expect(seen.filter((type) => type !== 'data')).toEqual(expect.arrayContaining(['response', 'end', 'closed']))
  expect(sim.openLinks).toBe(0)
})

test.each([0, 1_000_000])('the pump tells of a switch when all before it is written: %i bytes', async (size) => {
  const sim = new SimNetwork()
  sim.listen('127.0.0.1', 80, (link) => {
    const machine = new H11Connection('server', { now: 0 })
    const joined = pump<H11Event>(
      machine,
      () => sim.now(),
      (event) => {
        if (event.type === 'switched') link.write([text('mine')])
        if (event.type !== 'end') return
        const again = event.exchange === 1
        const head = { status: again ? 200 : 101, headers: again ? {} : { connection: 'upgrade', upgrade: 'x' } }
        machine.sendResponse(event.exchange, { ...head, ...(again && { content: { length: size } }) })
        if (!again) return
        machine.sendData(event.exchange, new Uint8Array(size), true)
        machine.nextExchange()
      },
    )
    joined.attach(link)
    return joined
  })
  const { sink, link } = dial(sim, { address: '127.0.0.1', port: 80 })
  let end = ''
  sink.onReceived = (data) => (end = (end + Buffer.from(data.subarray(-200)).toString('latin1')).slice(-200))
  link.write([
    text('GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'),
  ])
  await sim.run()
  expect(end).toMatch(/101 Switching Protocols\r\n[^]*\r\n\r\nmine$/)
})

test('the pump reads on once its machine is closed: a paused link would not see the end that it waits for', async () => {
  const sim = new SimNetwork()
  let answer = (): void => {}
  let closed = false
  sim.listen('127.0.0.1', 80, (link) => {
    const machine = new H11Connection('server', { now: 0 })
    const joined = pump<H11Event>(
      machine,
      () => sim.now(),
      () => {},
    )
    answer = () => {
      machine.sendResponse(1, { status: 200, headers: { connection: 'close' } }, { end: true })
      joined.flush()
    }
    joined.attach(link)
    return { ...joined, closed: () => (closed = true) }
  })
  const { sink, link } = dial(sim, { address: '127.0.0.1', port: 80 })
  link.write([text('GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n')])
  await sim.run()
  answer()
  await sim.run()
  expect(shown(sink)).toContain('200 OK')
  link.end()
  await sim.run()
  expect(closed).toBe(true)
})

test('the pump holds back whoever writes faster than the link takes it, and closes when all has left', async () => {
  const sim = new SimNetwork()
  let flush = (): void => {}
  let [handed, given, over] = [0, 0, false]
  sim.listen('127.0.0.1', 80, (link) => {
    const machine = new H11Connection('server', { now: 0 })
    const total = 4 * 1024 * 1024
    const more = (id: number): void => {
      let room = true
      while (room && handed < total) {
        handed += 10_000
        room = machine.sendData(id, new Uint8Array(10_000), handed >= total)
        flush() // by itself no chunk is large enough to be held back
      }
    }
    const joined = pump<H11Event>(
      machine,
      () => sim.now(),
      (event) => {
        if (event.type === 'end') {
          machine.sendResponse(event.exchange, { status: 200, headers: { connection: 'close' } })
          queueMicrotask(() => more(event.exchange))
        }
        if (event.type === 'writable') queueMicrotask(() => more(event.exchange))
      },
    )
    flush = () => joined.flush()
    const write = link.write.bind(link)
    link.write = (chunks) => {
      for (const { length } of chunks) given += length
      write(chunks)
    }
    joined.attach(link)
    return { ...joined, closed: () => (over = true) }
  })
  const { sink, link } = dial(sim, { address: '127.0.0.1', port: 80 })
  link.pause()
  link.write([text('GET / HTTP/1.1\r\nHost: a\r\n\r\n')])
  await sim.run()
  expect(given).toBeLessThan(512 * 1024)
  expect(handed).toBeLessThan(1024 * 1024)
  link.resume()
  await sim.run()
  expect(sink.bytes).toBeGreaterThan(4 * 1024 * 1024)
  expect(sink.facts.at(-1)).toBe('eof')
  link.end()
  await sim.run()
  expect(over).toBe(true)
})

test('what was said in HTTP leaves ahead of what the owner of the bytes writes when it is told of the switch', () => {
  const machine = new H11Connection('server', { now: 0 })
  const written: string[] = []
  const none = (): void => {}
  const link: Link = {
    write: (chunks) => written.push(...chunks.map((chunk) => new TextDecoder().decode(chunk))),
    ...{ close: none, end: none, pause: none, resume: none, startTls: none, ref: none, unref: none, destroy: none },
  }
  const joined = pump<H11Event>(
    machine,
    () => 0,
    (event) => {
      if (event.type === 'end') machine.sendResponse(event.exchange, { status: 101, headers: [['Upgrade', 'x']] })
      if (event.type === 'switched') link.write([text('hello'), event.leading])
    },
  )
  joined.attach(link)
  joined.connected({})
  joined.received(text('GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n, you'))
  expect(written.join('')).toMatch(/^HTTP\/1.1 101 [^]*\r\n\r\nhello, you$/)
})

test('what one event makes its owner throw is nothing to the others, whose bytes are lent: it is thrown behind them', () => {
  const machine = new H11Connection('server', { now: 0 })
  const own = new Error('own')
  const seen: string[] = []
  const joined = pump<H11Event>(
    machine,
    () => 0,
    (event) => {
      seen.push(event.type === 'data' ? new TextDecoder().decode(event.data) : event.type)
      if (event.type === 'request') throw own
    },
  )
  const lent = text('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\ncontent')
  expect(() => joined.received(lent)).toThrow(own)
  lent.fill(0)
  joined.flush()
  expect(seen).toEqual(['request', 'content', 'end'])
})

test('what waits for a link that can no longer be written does not hold up its close', async () => {
  let [closed, written] = [false, 0]
  const machine = new H11Connection('client', { now: 0 })
  const joined = pump<H11Event>(
    machine,
    () => 0,
    () => {},
  )
  const none = (): void => {}
  const link: Link = {
    write: (chunks) => chunks.forEach(({ length }) => (written += length)),
    close: () => (closed = true),
    ...{ end: none, pause: none, resume: none, startTls: none, ref: none, unref: none, destroy: none },
  }
  joined.attach(link)
  joined.connected({})
  const id = machine.sendRequest({ method: 'POST', authority: 'a', target: '/', headers: {}, content: { length: 1e6 } })
  machine.sendData(id, new Uint8Array(1e6), true)
  joined.flush()
  expect(written).toBeLessThan(512 * 1024)
  joined.failed(new Error('broken pipe'), 'write')
  joined.received(text('HTTP/1.1 413 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'))
  expect(closed).toBe(true)
})

test.each([
  ['HTTP/1.1', () => new H11Connection('client', { now: 0 })],
  ['HTTP/2', () => new H2Connection('client', { now: 0 })],
])('a link that cannot be had fails what the machine was asked for over %s', async (_, make) => {
  const sim = new SimNetwork()
  const machine: Connection = make()
  const seen: unknown[] = []
  const joined = pump(
    machine,
    () => sim.now(),
    (event) => seen.push(event.type === 'failed' ? event.disposition : event.type),
  )
  joined.attach(sim.connect({ address: '127.0.0.1', port: 80 }, joined))
  machine.sendRequest({ method: 'GET', scheme: 'http', authority: 'a', target: '/', headers: {} }, { end: true })
  joined.flush()
  await sim.run()
  expect(seen).toEqual(['not-sent', 'error'])
  expect(machine.active).toBe(0)
})

test.each([NaN, -1, Infinity])('time does not pass by %s', async (ms) => {
  const sim = new SimNetwork()
  await expect(sim.advance(ms)).rejects.toThrow(RangeError)
  expect(sim.now()).toBe(0)
})
