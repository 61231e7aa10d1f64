// The worker's network under the suite of every network. Its facts come in `fetch`, which is called here between the turns
// of the event loop, since the peers are servers on this very thread: it never sleeps for them.
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { setTimeout as passed } from 'node:timers/promises'
import type { Worker } from 'node:worker_threads'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { WorkerNetwork } from '../../src/drivers/blocking/network.ts'
import type { Link, Sink } from '../../src/drivers/network.ts'
import { nodeNetwork } from '../../src/drivers/networks/index.ts'
import type { ConnectTarget } from '../../src/pool/lean.ts'
import { ignore as nothing } from '../fixtures/link.ts'
import { conforms } from '../networks/conformance.ts'
import { socketSubject } from '../networks/sockets.ts'

vi.mock('../../src/drivers/blocking/worker-file.ts', async () => (await import('./worker-build.ts')).workerFile())

const network = new WorkerNetwork()
const look = (): void => {
  while (network.look());
}

/** Of whom nothing else is asked than what the test says. */
const SILENT: Sink = {
  connected: nothing,
  secured: nothing,
  received: () => false,
  drained: nothing,
  eof: nothing,
  failed: nothing,
  closed: nothing,
}

describe('the network in a worker', () => conforms(network.can, socketSubject(network, afterAll, look)))

it('is able to do what the network of Node is', () => {
  expect(network.can).toEqual(nodeNetwork().can)
})

it.each([
  ['in the ring', 200 << 10],
  ['in the worker, behind a full ring', 2 << 20],
])('tells of what came before a deadline fires, also where other links’ bytes stand before it: %s', async (_, size) => {
  const accepted: Socket[] = []
  const server = createServer((socket) => accepted.push(socket.on('error', () => undefined)))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const told: string[] = []
  const connect = async (name: string): Promise<Socket> => {
    const received = (): boolean => {
      told.push(name)
      return false
    }
    links.push(network.connect({ address: '127.0.0.1', port } as ConnectTarget, { ...SILENT, received }))
    const before = accepted.length
    while (accepted.length === before) await passed(1)
    return accepted[before] as Socket
  }
  const links: Link[] = []
  const first = await connect('first')
  const second = await connect('second')
  look()
  first.write(new Uint8Array(size))
  await passed(100)
  second.write('x')
  await passed(100)
  network.timer(network.now() - 50, () => told.push('timer'))
  while (!told.includes('timer') || !told.includes('second')) {
    look()
    await passed(1)
  }
  expect(told.indexOf('second')).toBeLessThan(told.indexOf('timer'))
  for (const link of links) link.destroy()
  look()
  server.close()
})

it('holds the sender back while its reader is behind: what was set aside is read before more is asked for', async () => {
  let written = 0
  const server = createServer((socket) => {
    const piece = new Uint8Array(1 << 16)
    const more = (): void => {
      while (written < 200 << 20 && socket.write(piece)) written += piece.length
      written += piece.length
    }
    more()
    socket.on('drain', more).on('error', nothing)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  let read = 0
  const received = (data: Uint8Array): boolean => {
    read += data.length
    link.pause()
    return false
  }
  const link = network.connect({ address: '127.0.0.1', port } as ConnectTarget, { ...SILENT, received })
  for (let i = 0; i < 300; i++) {
    await passed(1)
    look()
    link.resume()
  }
  expect(read).toBeGreaterThan(1 << 20)
  expect(written - read).toBeLessThan(16 << 20)
  link.destroy()
  look()
  server.close()
})

describe('TLS options', () => {
  let turns: NodeJS.Timeout
  beforeAll(() => void (turns = setInterval(look, 1)))
  afterAll(() => clearInterval(turns))
  const failed = (options: object, of = network): Promise<unknown> => {
    return new Promise((resolve) => {
      const tls = { serverName: 'localhost', alpn: [], options }
      const target = { address: '127.0.0.1', port: 1, tls } as unknown as ConnectTarget
      of.connect(target, { ...SILENT, failed: resolve })
    })
  }
  it('are sent again when they are older than what the worker keeps', async () => {
    const all = Array.from({ length: 102 }, () => Object.freeze({}))
    for (const options of [...all, ...all]) {
      expect(await failed(options)).toMatchObject({ code: 'ECONNREFUSED' })
    }
  })
  it('are kept also where the link that they came for has closed meanwhile', async () => {
    const server = createServer()
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as AddressInfo
    const link = network.connect({ address: '127.0.0.1', port } as ConnectTarget, SILENT)
    const options = Object.freeze({})
    server.on('connection', (socket) => {
      socket.resetAndDestroy()
      // The worker hears of it while this thread hears nothing.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
      link.startTls({ serverName: 'localhost', alpn: [], options })
    })
    await once(server, 'connection')
    expect(await failed(options)).toMatchObject({ code: 'ECONNREFUSED' })
    server.close()
  })
  it('are sent to the next worker where they were last given to one that is lost', async () => {
    const threads = process.getBuiltinModule('node:worker_threads')
    const { Worker } = threads
    const started: Worker[] = []
    threads.Worker = class extends Worker {
      constructor(...given: ConstructorParameters<typeof Worker>) {
        super(...given)
        started.push(this)
      }
    }
    const own = new WorkerNetwork()
    const options = Object.freeze({})
    const link = own.connect({ address: '127.0.0.1', port: 1 } as ConnectTarget, SILENT)
    threads.Worker = Worker
    await started[0]?.terminate()
    own.start()
    link.startTls({ serverName: 'localhost', alpn: [], options })
    const error = failed(options, own)
    const fetching = setInterval(() => own.look(), 1)
    expect(await error).toMatchObject({ code: 'ECONNREFUSED' })
    clearInterval(fetching)
  })
  it('are sent each time when they may have changed since', async () => {
    const options: Record<string, string> = {}
    expect(await failed(options)).toMatchObject({ code: 'ECONNREFUSED' })
    options['ciphers'] = 'NONE-SUCH'
    expect(await failed(options)).not.toMatchObject({ code: 'ECONNREFUSED' })
  })
})
