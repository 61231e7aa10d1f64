import { describe, expect, test } from 'vitest'
import { SimNetwork } from '../../src/sim.ts'
import type { SimConditions } from '../../src/sim.ts'
import { conforms } from './conformance.ts'
import { conformance, type Peer, type Subject } from '../../src/conformance.ts'
import type { Link, Network, Sink } from '../../src/drivers/network.ts'

const IDENTITIES = {
  good: {},
  untrusted: { untrusted: new Error('self-signed') },
  expired: { untrusted: new Error('expired') },
  wrongName: { names: ['other.test'] },
}

function subject(conditions: SimConditions & { seed?: number }): Subject {
  const sim = new SimNetwork(conditions)
  let port = 1000
  return {
    network: sim,
    turn: () => sim.advance(100),
    trust: {},
    listen: async (script, tls) => {
      port++
      sim.listen(
        '127.0.0.1',
        port,
        (link) => {
          const peer: Peer = {
            write: (bytes) => link.write([bytes]),
            end: () => link.end(),
            reset: () => sim.reset(link),
            pause: () => link.pause(),
            resume: () => link.resume(),
          }
          return {
            connected: () => script.open?.(peer),
            secured: () => {},
            received: (data) => (script.data?.(data, peer), false),
            drained: () => {},
            eof: () => script.end?.(peer),
            failed: () => {},
            closed: () => {},
          }
        },
        tls === undefined ? {} : { tls: { ...IDENTITIES[tls.identity], ...(tls.alpn && { alpn: tls.alpn }) } },
      )
      return { address: '127.0.0.1', port }
    },
    nobody: async () => ({ address: '127.0.0.1', port: 9 }),
  }
}

const { can } = new SimNetwork()
describe('the network in memory', () => conforms(can, () => subject({})))
describe('the network in memory, far away and in pieces', () =>
  conforms(can, () =>
    subject({
      seed: 3,
      latency: [1, 50],
      cut: true,
      coalesce: 5,
      sendBuffer: 16_384,
      partialWrites: true,
      bandwidth: 5_000,
    }),
  ))

describe('the checks find', () => {
  type Wrong = (link: Link, sink: Sink) => Partial<Record<keyof Link, unknown>>
  const wrongSinks: Record<string, (sink: Sink) => Partial<Sink>> = {
    'bytes that are changed after they were kept': (sink) => ({
      received: (data) => {
        const keeps = sink.received(data)
        if (keeps) data.fill(0)
        return keeps
      },
    }),
    'what is drained before it was accepted': (sink) => ({ drained: () => sink.drained(16 * 1024 * 1024) }),
    'a fact after closed': (sink) => ({ closed: () => (sink.closed(), sink.eof()) }),
    'an end that is not told': () => ({ eof: () => undefined }),
    'a handshake that is not told': () => ({ secured: () => undefined }),
    'a handshake that is told twice': (sink) => ({ secured: (info) => (sink.secured(info), sink.secured(info)) }),
    'bytes that are other ones when they arrive': (sink) => {
      let bytes = 0
      return {
        received: (data) => {
          const others = data.map((byte, i) => (bytes + i === 100_000 ? byte ^ 1 : byte))
          bytes += data.length
          return sink.received(others)
        },
      }
    },
  }
  const wrongLinks: Record<string, Wrong> = {
    'a fact from inside a call': (link, sink) => ({ end: () => (sink.eof(), link.end()) }),
    'a link that cannot be paused': () => ({ pause: () => undefined }),
    'chunks in another order': (link) => ({
      write: (chunks: readonly Uint8Array[]) => link.write([...chunks].reverse()),
    }),
    'a close that does not wait for what was written': (link) => ({ close: () => link.destroy() }),
    'a close that waits for the end of the peer': (link) => ({ close: () => link.end() }),
    'a destroy that waits for what was written': (link) => ({ destroy: () => link.close() }),
  }
  const wrongTimers: Record<string, (network: Network) => Network['timer']> = {
    'a timer that fires from inside the call': (network) => (at, fire, keepAlive) => {
      if (at > network.now()) return network.timer(at, fire, keepAlive)
      fire()
      return () => undefined
    },
    'a timer that is early': (network) => (at, fire, keepAlive) => network.timer(at - 5, fire, keepAlive),
  }
  /** How many checks do not hold where the network is wrong in this. */
  async function found(
    sinks: (sink: Sink) => Partial<Sink>,
    links: Wrong,
    timers?: (network: Network) => Network['timer'],
  ): Promise<number> {
    let count = 0
    for (const { run } of conformance(can)) {
      const right = subject({ latency: 1 })
      const connect: Network['connect'] = (target, sink) => {
        const link = right.network.connect(target, over(sink, sinks(sink)))
        return over(link, links(link, sink))
      }
      const network = over(right.network, { connect, timer: timers?.(right.network) })
      await run({ ...right, network }).catch(() => count++)
    }
    return count
  }
  /** The same object, but for some of its methods. */
  const over = <T extends object>(base: T, methods: object): T =>
    new Proxy(base, {
      get: (target, name) => {
        const value: unknown = Reflect.get(methods, name) ?? Reflect.get(target, name)
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      },
    })
  const nothing = (): object => ({})
  test('nothing where nothing is wrong', async () => expect(await found(nothing, nothing)).toBe(0))
  test.each(Object.entries(wrongSinks))('%s', async (_, wrong) =>
    expect(await found(wrong, nothing)).toBeGreaterThan(0),
  )
  test.each(Object.entries(wrongLinks))('%s', async (_, wrong) =>
    expect(await found(nothing, wrong)).toBeGreaterThan(0),
  )
  test.each(Object.entries(wrongTimers))('%s', async (_, wrong) =>
    expect(await found(nothing, nothing, wrong)).toBeGreaterThan(0),
  )
})
