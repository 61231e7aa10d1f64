import { describe } from 'vitest'
import { SimNetwork } from '../../src/sim.ts'
import type { SimConditions } from '../../src/sim.ts'
import { conforms } from './conformance.ts'
import type { Bench, Peer } from './conformance.ts'

const IDENTITIES = {
  good: {},
  untrusted: { untrusted: new Error('self-signed') },
  expired: { untrusted: new Error('expired') },
  wrongName: { names: ['other.test'] },
}

async function bench(conditions: SimConditions & { seed?: number }): Promise<Bench> {
  const sim = new SimNetwork(conditions)
  let port = 1000
  return {
    name: 'sim',
    network: sim,
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
    until: async (what) => {
      while (!what()) if (!sim.step()) throw new Error('nothing is left to happen')
    },
    quiet: () => sim.advance(10_000),
  }
}

describe('the network in memory', () => conforms(() => bench({})))
describe('the network in memory, far away and in pieces', () =>
  conforms(() =>
    bench({
      seed: 3,
      latency: [1, 50],
      cut: true,
      coalesce: 5,
      sendBuffer: 16_384,
      partialWrites: true,
      bandwidth: 5_000,
    }),
  ))
