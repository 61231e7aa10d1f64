// The network of examples/message-port-network.mjs under the checks of every network, as its users would run them.
import { existsSync } from 'node:fs'
import type { MessagePort } from 'node:worker_threads'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, test } from 'vitest'
import {
  conformance,
  type Link,
  type Network,
  type PeerScript,
  type Sink,
  type Subject,
} from '../../src/conformance.ts'
import type { ConnectTarget } from '../../src/pool/index.ts'

interface Example {
  portNetwork(accept: (port: MessagePort, target: ConnectTarget) => boolean): Network
  portLink(port: MessagePort, sink: Sink): Link
}
const file = new URL('../../examples/message-port-network.mjs', import.meta.url).href
const built = existsSync('dist/index.js')

describe.skipIf(!built)('a network over message ports (skipped where dist/ is missing: npm run build)', async () => {
  if (!built) return
  const { portNetwork, portLink } = (await import(file)) as Example

  function play(script: PeerScript, port: MessagePort): void {
    const link = portLink(port, {
      connected: () => script.open?.(peer),
      secured: () => undefined,
      received: (data) => (script.data?.(data, peer), false),
      drained: () => undefined,
      eof: () => script.end?.(peer),
      failed: () => undefined,
      closed: () => undefined,
    })
    const peer = {
      write: (bytes: Uint8Array) => link.write([bytes]),
      end: () => link.end(),
      reset: () => link.destroy(),
      pause: () => link.pause(),
      resume: () => link.resume(),
    }
  }
  function subject(): Subject {
    const scripts = new Map<number | undefined, PeerScript>()
    const network = portNetwork((port, target) => {
      const script = scripts.get(target.port)
      if (script !== undefined) play(script, port)
      return script !== undefined
    })
    return {
      network,
      turn: () => sleep(1),
      listen: async (script) => {
        scripts.set(scripts.size + 1, script)
        return { address: 'thread.test', port: scripts.size }
      },
      nobody: async () => ({ address: 'thread.test', port: 0 }),
      trust: {},
    }
  }
  for (const { name, run } of conformance(subject().network.can)) test(name, () => run(subject()))
})
