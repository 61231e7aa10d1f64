// What only sockets show: processes, files, kernels, other people's servers.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { connect, createServer, Socket } from 'node:net'
import { createSecureContext, createServer as createTlsServer } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { expect, test, vi } from 'vitest'
import type { Link } from '../../src/drivers/network.ts'
import { deliver, flush, nextBuffer, READ_BYTES } from '../../src/drivers/networks/buffers.ts'
import { nodeNetwork } from '../../src/drivers/networks/index.ts'
import { refusedAlpn } from '../../src/drivers/networks/tls.ts'
import { builtSource } from '../blocking/worker-build.ts'
import { certificates } from '../fixtures/certificates.ts'
import { collect } from '../fixtures/collect.ts'
import { nginx, serve, tcpServer, withServer } from '../fixtures/servers.ts'
import { dial, type Recorder } from '../../src/conformance.ts'

const network = nodeNetwork()
const text = (s: string): Uint8Array => new Uint8Array(Buffer.from(s, 'latin1'))
async function until(what: () => boolean): Promise<void> {
  for (let i = 0; i < 5000 && !what(); i++) await sleep(2)
  if (!what()) throw new Error('it did not happen within 10 s')
}
const shown = (sink: Recorder): string => String.fromCharCode(...sink.content)
/** With a link between two sockets; the test has the other end of it. */
async function connected(use: (sink: Recorder, peer: Socket, link: Link) => Promise<void>): Promise<void> {
  let peer: Socket | undefined
  await withServer(
    tcpServer((socket) => void (peer = socket)),
    async ({ port }) => {
      const { sink, link } = dial(network, { address: '127.0.0.1', port })
      await until(() => sink.has('connected') && peer !== undefined)
      await use(sink, peer as Socket, link)
      link.destroy()
    },
  )
}

test.each([
  [true, 0],
  [0, 0],
  [1, 1_000],
  [12_345, 12_345],
  [2 ** 40, 32_767_000],
  [Infinity, 32_767_000],
])('a probe after %s ms is not one after the two hours of the system', async (keepAlive, after) => {
  const probes = vi.spyOn(Socket.prototype, 'setKeepAlive')
  try {
    await withServer(
      tcpServer(() => undefined),
      async ({ port }) => {
        const { sink, link } = dial(network, { address: '127.0.0.1', port, socketOptions: { keepAlive } })
        await until(() => sink.has('connected'))
        expect(probes.mock.calls).toEqual([[true, after]])
        link.destroy()
      },
    )
  } finally {
    probes.mockRestore()
  }
})

test('what a peer said before it stopped listening is read after the write has failed', async () => {
  const answer = 'HTTP/1.1 413 Content Too Large\r\n\r\n'
  await withServer(
    tcpServer((socket) => {
      socket.pause()
      socket.write(answer, () => setTimeout(() => socket.destroy(), 20))
    }),
    async ({ port }) => {
      const { sink, link } = dial(network, { address: '127.0.0.1', port })
      link.pause()
      await until(() => sink.has('connected'))
      link.write([new Uint8Array(1_000_000)])
      await sleep(100)
      // Linux answers the first write after a reset with an error; the answer is in the kernel still.
      link.write([new Uint8Array(16_000_000)])
      await until(() => sink.has('failed write') || sink.has('failed read'))
      const accepted = sink.drainedBytes
      link.resume()
      await until(() => sink.has('closed'))
      expect(sink.facts).toContain('failed write')
      // What failed was not accepted, nor is it later.
      expect(sink.drainedBytes).toBe(accepted)
      expect(shown(sink)).toBe(answer)
      expect(sink.violations).toEqual([])
    },
  )
})

test('a reset that a write is told of is no end to who reads', async () => {
  await connected(async (sink, peer, link) => {
    peer.write('half')
    await until(() => sink.content.length > 0)
    // Linux tells it once, to whoever asks first: that is the write.
    peer.resetAndDestroy()
    link.write([text('more')])
    await until(() => sink.has('closed'))
    expect(sink.facts).toContain('failed write')
    expect(sink.facts).not.toContain('eof')
    expect(sink.violations).toEqual([])
  })
})

test('nor is one that comes with the last bytes, while something waits to be written', async () => {
  await connected(async (sink, peer, link) => {
    peer.pause()
    // More than the system takes.
    link.write([new Uint8Array(64 * 1024 * 1024)])
    await sleep(100)
    peer.write('half')
    peer.resetAndDestroy()
    await until(() => sink.has('closed'))
    expect(shown(sink)).toBe('half')
    expect(sink.facts).not.toContain('eof')
    expect(sink.violations).toEqual([])
  })
})

// Only Linux tells the two apart.
test.skipIf(process.platform !== 'linux')('an end, and a reset for what was written since, is an end', async () => {
  await connected(async (sink, peer, link) => {
    peer.write('whole')
    await until(() => sink.content.length > 0)
    link.pause()
    peer.end()
    await sleep(20)
    peer.resetAndDestroy()
    link.write([text('more')])
    await until(() => sink.has('failed write'))
    link.resume()
    await until(() => sink.has('closed'))
    expect(sink.facts).toContain('eof')
    expect(sink.violations).toEqual([])
  })
})

/** What a peer sees of us, `.` for our end, which it follows with its own. */
async function seenOf(
  use: (dialled: ReturnType<typeof dial>, peer: () => Socket | undefined) => Promise<void> | void,
): Promise<string> {
  let seen = ''
  let peer: Socket | undefined
  await withServer(
    tcpServer((socket) => {
      peer = socket
      socket.on('data', (bytes) => (seen += bytes.toString('latin1')))
      socket.on('end', () => ((seen += '.'), socket.end()))
    }),
    async ({ port }) => {
      const dialled = dial(network, { address: '127.0.0.1', port })
      await use(dialled, () => peer)
      await until(() => dialled.sink.has('closed') && seen.endsWith('.'))
      expect(dialled.sink.violations).toEqual([])
      expect(dialled.sink.facts.filter((fact) => fact.startsWith('failed'))).toEqual([])
    },
  )
  return seen
}

test('what is written before there is a connection leaves first, whatever was to come after it', async () => {
  const told = seenOf(({ sink, link }) => {
    const { connected: note } = sink
    sink.connected = () => (note.call(sink), link.write([text('b')]), link.end())
    link.write([text(''), text('a')])
  })
  expect(await told).toBe('ab.')
  expect(await seenOf(({ link }) => (link.write([text('')]), link.end()))).toBe('.')
  expect(await seenOf(({ link }) => (link.write([text('a')]), link.close()))).toBe('a.')
})

test('nothing is written after the end of our half, and there is one end', async () => {
  const seen = seenOf(async ({ sink, link }) => {
    await until(() => sink.has('connected'))
    link.write([text('a')])
    link.end()
    link.write([text('b')])
    link.end()
    link.startTls({ serverName: undefined, alpn: [], options: {} })
  })
  expect(await seen).toBe('a.')
  const closed = seenOf(async ({ sink, link }) => {
    await until(() => sink.has('connected'))
    link.write([text('a')])
    await until(() => sink.drainedBytes === 1)
    link.close()
    link.write([text('b')])
    link.end()
  })
  expect(await closed).toBe('a.')
})

test('what is closed before there is a connection, with nothing to write, is not connected first', async () => {
  await withServer(
    tcpServer(() => {}),
    async ({ port }) => {
      const { sink, link } = dial(network, { address: '127.0.0.1', port })
      link.close()
      await until(() => sink.has('closed'))
      expect(sink.facts).toEqual(['closed'])
    },
  )
})

/** A write that fails at once: its peer is gone, and nobody has read that. */
async function writeFails(use: (sink: Recorder, link: Link) => Promise<void> | void): Promise<string[]> {
  let facts: string[] = []
  await connected(async (sink, peer, link) => {
    link.pause() // whoever reads hears of the reset first
    peer.resetAndDestroy()
    await once(peer, 'close')
    link.write([text('a')])
    await use(sink, link)
    await until(() => sink.has('closed'))
    facts = sink.facts
  })
  return facts
}

test.each(['close', 'resume'] as const)('a link whose write has failed ends by %s, and fails once', async (verb) => {
  const facts = writeFails(async (sink, link) => {
    await until(() => sink.has('failed write'))
    link[verb]()
  })
  expect((await facts).filter((fact) => fact !== 'eof')).toEqual(['connected', 'failed write', 'closed'])
})

test('a link whose peer has ended is over when a write fails', async () => {
  await connected(async (sink, peer, link) => {
    peer.end()
    await until(() => sink.has('eof'))
    peer.destroy()
    await until(() => (link.write([text('a')]), sink.has('failed write')))
    await until(() => sink.has('closed'))
  })
})

test('a write that has failed is nothing to who destroys its link at once', async () => {
  expect(await writeFails((_, link) => link.destroy())).toEqual(['connected', 'closed'])
})

/** From the next turn on reads meet: they have been three, and none of them alone. */
async function meeting(): Promise<void> {
  let together = 0
  while (together < 3) {
    together++
    const receive = (): boolean => ((together = 0), false)
    deliver({ receive, readsAlone: false, readBytes: READ_BYTES }, nextBuffer(), 1)
  }
  flush()
  await new Promise((resolve) => setImmediate(resolve))
}

test('what was read in one turn with what destroyed its link is not told', async () => {
  const peers: Socket[] = []
  await withServer(
    tcpServer((socket) => void peers.push(socket)),
    async ({ port }) => {
      const links = [dial(network, { address: '127.0.0.1', port }), dial(network, { address: '127.0.0.1', port })]
      for (const { sink } of links) sink.onReceived = () => links.forEach(({ link }) => link.destroy())
      await until(() => peers.length === 2 && links.every(({ sink }) => sink.has('connected')))
      await meeting()
      for (const peer of peers) peer.write('x')
      await until(() => links.every(({ sink }) => sink.has('closed')))
      expect(links.reduce((sum, { sink }) => sum + sink.bytes, 0)).toBe(1)
    },
  )
})

test('a broken record of TLS ends its connection, and what was read ahead of it is told before', async () => {
  const made = await certificates()
  const server = createTlsServer({ ...made.good }, (socket) => {
    socket.on('error', () => {})
    socket.on('data', (bytes) => socket.write(bytes))
  })
  await withServer(serve(server), async ({ port }) => {
    let broken = false
    const between = tcpServer((near) => {
      const far = connect(port, '127.0.0.1')
      near.on('data', (bytes) => far.write(bytes)).on('error', () => far.destroy())
      far.on('data', (bytes) => near.write(broken ? Buffer.concat([bytes, new Uint8Array(100)]) : bytes))
      far.on('error', () => {}).on('close', () => near.destroy())
    })
    await withServer(between, async (way) => {
      // Tickets come behind the handshake, and are not to be what is broken.
      const tls = { serverName: 'localhost', alpn: [], options: { ca: made.ca, maxVersion: 'TLSv1.2' } }
      const { sink, link } = dial(network, { address: '127.0.0.1', port: way.port, tls })
      await until(() => sink.has('secured'))
      broken = true
      await meeting()
      link.write([text('a')])
      await until(() => sink.has('closed'))
      expect(sink.facts).toEqual(['connected', 'secured', 'drained', 'received', 'failed read', 'closed'])
    })
  })
})

test('a place that the platform refuses fails with side connect, unless it was given up', async () => {
  const refused = dial(network, { address: '127.0.0.1', port: 65_536 })
  const destroyed = dial(network, { address: '127.0.0.1', port: 65_536 })
  destroyed.link.destroy()
  await until(() => refused.sink.has('closed') && destroyed.sink.has('closed'))
  expect([refused.sink.facts, destroyed.sink.facts]).toEqual([['failed connect', 'closed'], ['closed']])
})

test('what was read in one turn with the end of TLS is told before it', async () => {
  const made = await certificates()
  const server = createTlsServer({ ...made.good }, (socket) => socket.on('data', (bytes) => socket.end(bytes)))
  await withServer(serve(server), async ({ port }) => {
    let held: Uint8Array[] | undefined
    const between = tcpServer((near) => {
      const far = connect(port, '127.0.0.1')
      near.on('data', (bytes) => far.write(bytes))
      far.on('data', (bytes) => (held === undefined ? near.write(bytes) : held.push(bytes)))
      far.on('end', () => near.end(Buffer.concat(held ?? [])))
    })
    await withServer(between, async (way) => {
      // As above.
      const tls = { serverName: 'localhost', alpn: [], options: { ca: made.ca, maxVersion: 'TLSv1.2' } }
      const { sink, link } = dial(network, { address: '127.0.0.1', port: way.port, tls })
      await until(() => sink.has('secured'))
      held = []
      await meeting()
      link.write([text('a')])
      await until(() => sink.has('eof'))
      expect(sink.facts.slice(-2)).toEqual(['received', 'eof'])
      link.destroy()
    })
  })
})

test('the end of a peer during a handshake is the handshake’s failure alone', async () => {
  const server = tcpServer((socket) => void socket.end())
  await withServer(server, async ({ port }) => {
    const tls = { serverName: 'localhost', alpn: [], options: {} }
    const { sink } = dial(network, { address: '127.0.0.1', port, tls })
    await until(() => sink.has('closed'))
    expect(sink.facts).toEqual(['connected', 'failed tls', 'closed'])
  })
})

test('what had left when a link was destroyed is not told any more', async () => {
  await connected(async (sink, _, link) => {
    link.write([text('a')])
    link.destroy()
    await until(() => sink.has('closed'))
    expect(sink.facts).toEqual(['connected', 'closed'])
  })
})

test('what is paused before there is a connection is paused then; a handshake is read all the same', async () => {
  const made = await certificates()
  const tls = { serverName: 'localhost', alpn: [], options: { ca: made.ca } }
  const peers: Socket[] = []
  const taken = (socket: Socket): void => void peers.push(socket.on('error', () => {}))
  for (const [server, target, fact] of [
    [createServer(taken), {}, 'connected'],
    [createTlsServer({ ...made.good }, taken), { tls }, 'secured'],
  ] as const) {
    await withServer(serve(server), async ({ port }) => {
      const quiet = dial(network, { address: '127.0.0.1', port, ...target })
      quiet.link.pause()
      await until(() => quiet.sink.has(fact) && peers.length === 1)
      const resumed = dial(network, { address: '127.0.0.1', port, ...target })
      resumed.link.pause()
      resumed.link.resume()
      await until(() => peers.length === 2)
      for (const peer of peers.splice(0)) peer.write('x')
      await until(() => resumed.sink.bytes === 1)
      expect(quiet.sink.bytes).toBe(0)
      quiet.link.resume()
      await until(() => quiet.sink.bytes === 1)
      for (const { link } of [quiet, resumed]) link.destroy()
    })
  }
})

test('a link that is to be closed after its end does not wait for that of the peer', async () => {
  await withServer(
    tcpServer((socket) => socket.resume()),
    async ({ port }) => {
      const { sink, link } = dial(network, { address: '127.0.0.1', port })
      link.end()
      link.close()
      await until(() => sink.has('closed'))
    },
  )
})

test('what of a write was told as accepted, because something was read, is not told again', async () => {
  await connected(async (sink, peer, link) => {
    const size = 16 * 1024 * 1024
    let far = 0
    peer.pause()
    link.write([new Uint8Array(size)])
    for (let n = 1; n <= 3; n++) {
      peer.write('x')
      await until(() => sink.bytes === n)
    }
    expect(sink.drainedBytes).toBeGreaterThan(0)
    expect(sink.drainedBytes).toBeLessThan(size)
    peer.on('data', (bytes) => {
      far += bytes.length
      if (far > size / 2 && far - bytes.length <= size / 2) peer.write('x')
    })
    peer.resume()
    await until(() => far === size && sink.bytes === 4)
    link.write([new Uint8Array(1000)])
    await until(() => far === size + 1000)
    await until(() => sink.drainedBytes >= size + 1000)
    expect([sink.drainedBytes, sink.violations]).toEqual([size + 1000, []])
  })
})

test('a link that is destroyed with much to write is held by nothing', async () => {
  const held = await (async () => {
    let ref: WeakRef<Recorder> | undefined
    await connected(async (sink, peer, link) => {
      peer.pause()
      link.write([new Uint8Array(16 * 1024 * 1024)])
      link.destroy()
      await until(() => sink.has('closed'))
      ref = new WeakRef(sink)
    })
    return ref
  })()
  await sleep(1) // a WeakRef holds for as long as its turn
  collect()
  expect(held?.deref()).toBeUndefined()
})

test('of writes that wait for each other each is drained', async () => {
  const seen = seenOf(async ({ sink, link }, peer) => {
    await until(() => peer() !== undefined && sink.has('connected'))
    peer()?.pause()
    for (let i = 0; i < 3; i++) link.write([new Uint8Array(8 * 1024 * 1024)])
    peer()?.resume()
    await until(() => sink.drainedBytes === 24 * 1024 * 1024)
    link.end()
  })
  expect((await seen).length).toBe(24 * 1024 * 1024 + 1)
})

test('who asks whether all was told has been told what had come: also what waits for the end of a turn', async () => {
  await connected(async (sink, peer) => {
    const told: number[] = []
    for (let n = 1; n <= 80; n++) {
      await stat('.') // what follows runs between two looks at the sockets
      peer.write('x')
      await new Promise<void>((resolve) => network.caughtUp?.(resolve))
      told.push(sink.content.length - n)
    }
    expect(new Set(told)).toEqual(new Set([0]))
  })
})

test('a thread that was busy for long hears what came in time before a timer fires, and may call it off then', async () => {
  await connected(async (sink, peer) => {
    const heard: number[] = []
    let calledOff = false
    await stat('.') // what follows runs behind the look at the sockets, and timers come next
    peer.write('x')
    const start = network.now()
    network.timer(start + 5, () => heard.push(sink.content.length), true)
    const off = network.timer(start + 5, () => (calledOff = true), true)
    setTimeout(() => setImmediate(off), 5)
    while (network.now() - start < 20);
    await until(() => heard.length > 0)
    expect({ heard, calledOff }).toEqual({ heard: [1], calledOff: false })
  })
})

test('a write that gets through slowly is reported while it does', async () => {
  await withServer(
    tcpServer((socket) => {
      socket.pause()
      socket.on('data', () => {
        socket.pause()
        setTimeout(() => socket.resume(), 15)
      })
      setTimeout(() => socket.resume(), 50)
    }),
    async ({ port }) => {
      const { sink, link } = dial(network, { address: '127.0.0.1', port })
      const size = 64 * 1024 * 1024
      const sums: number[] = []
      sink.drained = (bytes) => void sums.push(bytes)
      link.write([new Uint8Array(size)])
      await until(() => sums.length >= 2)
      expect(sums.reduce((a, b) => a + b, 0)).toBeLessThan(size)
      link.destroy()
      await until(() => sink.has('closed'))
    },
  )
})

test('a Unix socket, and an abstract one', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'httpcore-'))
  const paths = [join(directory, 'socket'), ...(process.platform === 'linux' ? [`\0httpcore-${process.pid}`] : [])]
  try {
    for (const path of paths) {
      await withServer(
        serve(
          createServer({ allowHalfOpen: true }, (s) => s.pipe(s)),
          path,
        ),
        async () => {
          const { sink, link } = dial(network, { path })
          link.write([text('hello')])
          link.end()
          await until(() => sink.has('closed'))
          expect(shown(sink)).toBe('hello')
        },
      )
    }
  } finally {
    await rm(directory, { recursive: true })
  }
})

test('an IP literal has no SNI, and its certificate is checked for it', async () => {
  const made = await certificates()
  const names: (string | false | null)[] = []
  const server = createTlsServer({ ...made.good }, (socket) => names.push(socket.servername))
  await withServer(serve(server), async ({ port }) => {
    for (const serverName of ['127.0.0.1', '127.0.0.1.', undefined, 'localhost']) {
      const tls = { serverName, alpn: [], options: { ca: made.ca } }
      const { sink, link } = dial(network, { address: '127.0.0.1', port, tls })
      await until(() => sink.has('secured') || sink.has('closed'))
      expect(sink.has('secured')).toBe(true)
      link.destroy()
      await until(() => sink.has('closed'))
    }
    const other = { serverName: '192.0.2.7', alpn: [], options: { ca: made.ca } }
    const { sink } = dial(network, { address: '127.0.0.1', port, tls: other })
    await until(() => sink.has('closed'))
    expect(sink.error).toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
    expect(names.slice(0, 4)).toEqual([false, false, false, 'localhost'])
  })
})

test('the zone of an IPv6 address is not of the certificate; what only looks like an address is another name', async () => {
  const made = await certificates()
  const server = createTlsServer({ ...made.good }, () => {})
  await withServer(serve(server), async ({ port }) => {
    const dialled = async (serverName: string): Promise<Recorder> => {
      const tls = { serverName, alpn: [], options: { ca: made.ca } }
      const { sink, link } = dial(network, { address: '127.0.0.1', port, tls })
      await until(() => sink.has('secured') || sink.has('closed'))
      link.destroy()
      await until(() => sink.has('closed'))
      return sink
    }
    expect((await dialled('::1%lo')).has('secured')).toBe(true)
    // Nor is one of which nothing can be sent that of the address that was dialled.
    for (const serverName of ['fe80::1%lo', '[::1]', 'localhost:443', 'localhost%lo', '.']) {
      expect((await dialled(serverName)).error).toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
    }
  })
})

test('an ALPN answer that was not offered is refused; what is offered is not for the options to say', async () => {
  const made = await certificates()
  const server = createTlsServer({ ...made.good, ALPNCallback: ({ protocols }) => protocols[0] }, () => {})
  await withServer(serve(server), async ({ port }) => {
    const tls = { serverName: 'localhost', alpn: ['h2'], options: { ca: made.ca, ALPNProtocols: ['evil'] } }
    const { sink, link } = dial(network, { address: '127.0.0.1', port, tls })
    await until(() => sink.has('secured') || sink.has('closed'))
    expect(sink.alpn).toBe('h2')
    // No server of Node's can be made to answer what was not offered.
    const answer = (alpnProtocol: string | false): unknown =>
      refusedAlpn({ alpnProtocol, getProtocol: () => 'TLSv1.3' } as TLSSocket, tls)
    expect(answer('evil')).toMatchObject({ code: 'ERR_TLS_ALPN_NOT_OFFERED' })
    expect([answer('h2'), answer(false)]).toEqual([undefined, undefined])
    link.destroy()
    await until(() => sink.has('closed'))
  })
})

test('HTTP/2 is not spoken over what is older than TLS 1.2, though the options allow it', async () => {
  const made = await certificates()
  const old = { minVersion: 'TLSv1', ciphers: 'ALL:@SECLEVEL=0' } as const
  const options = { ...made.good, ...old, maxVersion: 'TLSv1.1', ALPNProtocols: ['h2', 'http/1.1'] } as const
  const server = createTlsServer(options, (socket) => socket.on('error', () => {}))
  await withServer(serve(server), async ({ port }) => {
    for (const [alpn, facts] of [
      ['h2', ['connected', 'failed tls', 'closed']],
      ['http/1.1', ['connected', 'secured']],
    ] as const) {
      const tls = { serverName: 'localhost', alpn: [alpn], options: { ca: made.ca, ...old } }
      const { sink, link } = dial(network, { address: '127.0.0.1', port, tls })
      await until(() => sink.has('secured') || sink.has('closed'))
      expect(sink.facts).toEqual(facts)
      if (alpn === 'h2') expect(sink.error).toMatchObject({ code: 'ERR_TLS_ALPN_INADEQUATE' })
      link.destroy()
    }
  })
})

test('a second handshake ends a connection of HTTP/2, and only that', async () => {
  const made = await certificates()
  // TLS 1.3 has none.
  const options = { ...made.good, maxVersion: 'TLSv1.2', ALPNProtocols: ['h2', 'http/1.1'] } as const
  const server = createTlsServer(options, (socket) => {
    socket.on('error', () => {})
    socket.once('data', () => socket.renegotiate({}, () => void socket.end('again')))
  })
  await withServer(serve(server), async ({ port }) => {
    for (const [alpn, facts] of [
      ['h2', ['connected', 'secured', 'failed read', 'closed']],
      ['http/1.1', ['connected', 'secured', 'eof']],
    ] as const) {
      const tls = { serverName: 'localhost', alpn: [alpn], options: { ca: made.ca } }
      const { sink, link } = dial(network, { address: '127.0.0.1', port, tls })
      await until(() => sink.has('secured'))
      link.write([text('a')])
      await until(() => sink.has('eof') || sink.has('closed'))
      expect(sink.facts.filter((fact) => !/^(?:drained|received)/.test(fact))).toEqual(facts)
      link.destroy()
    }
  })
})

test.each([
  ['as soon as it can be', 0],
  ['while it is read', 1],
])('the end of our half loses nothing of the other, also over TLS 1.2: %s', async (_, after) => {
  const made = await certificates()
  const content = Uint8Array.from({ length: 400_000 }, (_, i) => (i * 31 + (i >>> 8)) & 0xff)
  const server = createTlsServer({ ...made.good, maxVersion: 'TLSv1.2', allowHalfOpen: true }, (socket) => {
    socket.resume().end(content)
  })
  await withServer(serve(server), async ({ port }) => {
    for (let round = 0; round < 10; round++) {
      const tls = { serverName: 'localhost', alpn: [], options: { ca: made.ca } }
      const { sink, link } = dial(network, { address: '127.0.0.1', port, tls })
      const read: Uint8Array[] = []
      sink.onReceived = (data) => {
        if (read.push(data.slice()) === after) link.end()
      }
      if (after === 0) link.end()
      await until(() => sink.has('closed'))
      expect(sink.facts.filter((fact) => fact.startsWith('failed'))).toEqual([])
      expect(Buffer.compare(Buffer.concat(read), content)).toBe(0)
    }
  })
})

test.each([undefined, null])('there need be no TLS options: %s; the peer is verified', async (options) => {
  const made = await certificates()
  await withServer(serve(createTlsServer({ ...made.good }, () => {})), async ({ port }) => {
    const { sink } = dial(network, { address: '127.0.0.1', port, tls: { serverName: 'localhost', alpn: [], options } })
    await until(() => sink.has('closed'))
    expect(sink.facts).toEqual(['connected', 'failed tls', 'closed'])
  })
})

test('the environment does not turn verification off', async () => {
  const made = await certificates()
  vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
  try {
    await withServer(serve(createTlsServer({ ...made.good }, () => {})), async ({ port }) => {
      const tls = { serverName: 'localhost', alpn: [], options: {} }
      const { sink } = dial(network, { address: '127.0.0.1', port, tls })
      await until(() => sink.has('closed') || sink.has('secured'))
      expect(sink.facts).toEqual(['connected', 'failed tls', 'closed'])
    })
  } finally {
    vi.unstubAllEnvs()
  }
})

test('TLS options are not changed, and bad ones fail with side tls', async () => {
  const made = await certificates()
  const options = Object.freeze({
    ca: made.ca,
    servername: 'other.test',
    host: '192.0.2.1',
    checkServerIdentity: undefined,
  })
  await withServer(serve(createTlsServer({ ...made.good }, () => {})), async ({ port }) => {
    const good = dial(network, { address: '127.0.0.1', port, tls: { serverName: 'localhost', alpn: [], options } })
    await until(() => good.sink.has('secured'))
    good.link.destroy()
    for (const bad of [
      { options: { key: 'not a key' } },
      { options: { keylog: 'not a function' } },
      { options: { checkServerIdentity: null, rejectUnauthorized: false } },
      { options: 'no object' },
      { alpn: [''] }, // it ends the process, where it reaches Node
      { alpn: 'h2' as unknown as string[] },
    ]) {
      const tls = { serverName: 'a', alpn: [], options, ...bad }
      const { sink } = dial(network, { address: '127.0.0.1', port, tls })
      await until(() => sink.has('closed') && good.sink.has('closed'))
      expect(sink.facts).toEqual(['failed tls', 'closed'])
    }
  })
})

test('of sessions and contexts a bounded number is kept, and a context of the caller’s own is used as it is', async () => {
  const made = await certificates()
  const resumed: boolean[] = []
  const server = createTlsServer({ ...made.good }, (socket) => {
    resumed.push(socket.isSessionReused())
    socket.end('hello')
  })
  await withServer(serve(server), async ({ port }) => {
    const own = nodeNetwork()
    const ask = async (options: object): Promise<boolean | undefined> => {
      const tls = { serverName: 'localhost', alpn: [], options }
      const { sink, link } = dial(own, { address: '127.0.0.1', port, tls })
      await until(() => sink.has('eof') || sink.has('closed'))
      link.destroy()
      await until(() => sink.has('closed'))
      return sink.has('secured') ? resumed.at(-1) : undefined
    }
    const { ca } = made
    expect([await ask({ ca }), await ask({ ca }), await ask({ ca: [ca] })]).toEqual([false, true, false])
    for (let i = 0; i < 100; i++) expect(await ask({ ca, highWaterMark: 20_000 + i })).toBe(false)
    expect([await ask({ ca, highWaterMark: 20_099 }), await ask({ ca })]).toEqual([true, false])
    expect(await ask({ secureContext: createSecureContext({ ca }) })).toBe(false)
    expect(await ask({ secureContext: createSecureContext() })).toBeUndefined()
  })
})

test.each(['TLSv1.2', 'TLSv1.3'] as const)(
  'a session is resumed with whom it was made: not in a tunnel to who has no name (%s)',
  async (maxVersion) => {
    const made = await certificates()
    const resumed: boolean[] = []
    const taken = (socket: TLSSocket): void =>
      void socket.on('error', () => {}).on('data', (data) => socket.write(data))
    const direct = createTlsServer({ ...made.good, maxVersion }, taken)
    direct.on('secureConnection', (socket) => resumed.push(socket.isSessionReused()))
    const options = { ca: made.ca }
    const ask = async (port: number, serverName: string | undefined, later: boolean): Promise<boolean | undefined> => {
      const tls = { serverName, alpn: [], options }
      const { sink, link } = dial(network, { address: '127.0.0.1', port, ...(later ? undefined : { tls }) })
      if (later) link.startTls(tls)
      // By the answer the tickets are here as well.
      link.write([text('a')])
      await until(() => sink.bytes === 1)
      link.destroy()
      await until(() => sink.has('closed'))
      return resumed.at(-1)
    }
    await withServer(serve(direct), async ({ port }) => {
      const seen: unknown[] = []
      for (const [serverName, later] of [
        ['localhost', false],
        [undefined, false],
        ['localhost', true],
        [undefined, true],
      ] as const) {
        await ask(port, serverName, later)
        seen.push(await ask(port, serverName, later))
      }
      expect(seen).toEqual([true, true, true, false])
    })
  },
)

test('a session with which a handshake failed is not tried again; one that was lost later is', async () => {
  const made = await certificates()
  const resumed: boolean[] = []
  const server = createTlsServer({ ...made.good }, (socket) => {
    resumed.push(socket.isSessionReused())
    socket.on('error', () => {}).on('data', (data) => socket.write(data))
  })
  await withServer(serve(server), async ({ port }) => {
    let refuses = false
    const peers: Socket[] = []
    const between = tcpServer((near) => {
      peers.push(near)
      if (refuses) return void near.resetAndDestroy()
      near.pipe(connect(port, '127.0.0.1')).pipe(near)
    })
    await withServer(between, async (way) => {
      const ask = async (): Promise<boolean | undefined> => {
        const tls = { serverName: 'localhost', alpn: [], options: { ca: made.ca } }
        const { sink, link } = dial(network, { address: '127.0.0.1', port: way.port, tls })
        link.write([text('a')])
        await until(() => sink.bytes === 1 || sink.has('closed'))
        peers.pop()?.resetAndDestroy()
        await until(() => sink.has('closed'))
        return sink.has('secured') ? resumed.at(-1) : undefined
      }
      expect([await ask(), await ask(), await ask()]).toEqual([false, true, true])
      refuses = true
      expect(await ask()).toBeUndefined()
      refuses = false
      expect([await ask(), await ask()]).toEqual([false, true])
    })
  })
})

test('a context is made once for the same options', async () => {
  const made = await certificates()
  const contexts = vi.spyOn(process.getBuiltinModule('node:tls'), 'createSecureContext')
  const server = createTlsServer({ ...made.good }, () => {})
  contexts.mockClear()
  await withServer(serve(server), async ({ port }) => {
    // The numbers are no other test's.
    for (const options of [
      { ca: [made.ca], highWaterMark: 30_001 },
      { highWaterMark: 30_001, ca: [made.ca] },
      { ca: [made.ca], highWaterMark: 30_002 },
    ]) {
      const tls = { serverName: 'localhost', alpn: [], options }
      const { sink, link } = dial(network, { address: '127.0.0.1', port, tls })
      await until(() => sink.has('secured'))
      link.destroy()
    }
  })
  expect(contexts).toHaveBeenCalledTimes(2)
  contexts.mockRestore()
})

test('with whom TLS is, and how it is read, is not for its options to say', async () => {
  const made = await certificates()
  const misleading = {
    ...{ host: '192.0.2.1', port: 1, path: '/nowhere', localAddress: '192.0.2.1', family: 6, socket: new Socket() },
    ...{
      lookup: () => {},
      onread: {},
      ALPNProtocols: ['evil'],
      isServer: true,
      signal: AbortSignal.abort(),
      timeout: 1,
    },
    ...{ allowHalfOpen: false, autoSelectFamily: true, servername: 'other.test' },
  }
  const server = createTlsServer({ ...made.good, allowHalfOpen: true, ALPNProtocols: ['evil'] }, (socket) => {
    socket.on('error', () => {}).end('late')
    socket.on('data', (bytes) => void (heard += String(bytes)))
  })
  let heard = ''
  await withServer(serve(server), async ({ port }) => {
    const tls = { serverName: 'localhost', alpn: [], options: { ca: made.ca, ...misleading } }
    for (const later of [false, true]) {
      const { sink, link } = dial(network, { address: '127.0.0.1', port, ...(later ? undefined : { tls }) })
      if (later) link.startTls(tls)
      await until(() => sink.has('eof'))
      expect([shown(sink), sink.alpn]).toEqual(['late', undefined])
      heard = ''
      link.write([text('later')])
      await until(() => heard === 'later')
      link.destroy()
    }
  })
})

test('TLS within TLS', async () => {
  const made = await certificates()
  const inner = createTlsServer({ ...made.good, allowHalfOpen: true }, (socket) => socket.pipe(socket))
  const outer = createTlsServer(
    { ...made.good, allowHalfOpen: true },
    (socket) => void inner.emit('connection', socket),
  )
  await withServer(serve(outer), async ({ port }) => {
    const tls = { serverName: 'localhost', alpn: [], options: { ca: made.ca } }
    const { sink, link } = dial(network, { address: '127.0.0.1', port, tls })
    await until(() => sink.has('secured'))
    link.startTls({ serverName: 'localhost', alpn: [], options: { ca: made.ca } })
    link.write([new Uint8Array(200_000)])
    await until(() => sink.bytes === 200_000)
    expect(sink.facts.filter((fact) => fact === 'secured')).toHaveLength(2)
    expect(sink.violations).toEqual([])
    link.destroy()
    await until(() => sink.has('closed'))
  })
})

test('localhost is resolved, and a name that does not exist is an error', async () => {
  const answers: unknown[] = []
  network.resolve('localhost', (error, addresses) => answers.push(error ?? addresses))
  network.resolve('does-not-exist.invalid', (error) => answers.push(error))
  await until(() => answers.length === 2)
  expect(answers.some((a) => Array.isArray(a) && (a.includes('127.0.0.1') || a.includes('::1')))).toBe(true)
  expect(answers.some((a) => a instanceof Error)).toBe(true)
})

test('the order of addresses is that of the process: --dns-result-order, dns.setDefaultResultOrder', () => {
  const lookup = vi.spyOn(process.getBuiltinModule('node:dns'), 'lookup').mockReturnValue(undefined)
  network.resolve('localhost', () => undefined)
  const options: unknown = lookup.mock.calls[0]?.[1]
  lookup.mockRestore()
  // Either of them would set aside what the process was told.
  for (const name of ['verbatim', 'order']) expect(options).not.toHaveProperty(name)
})

test('nginx answers over TCP, TLS and a Unix socket', async (context) => {
  const server = await nginx()
  if ('missing' in server) return context.skip(server.missing)
  const { ca } = await certificates()
  await withServer(server, async ({ http, https, unix }) => {
    const tls = { serverName: 'localhost', alpn: ['http/1.1'], options: { ca } }
    for (const target of [
      { address: '127.0.0.1', port: http },
      { address: '127.0.0.1', port: https, tls },
      { path: unix },
    ]) {
      const { sink, link } = dial(network, target)
      link.write([text('GET /small HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')])
      await until(() => sink.has('eof'))
      expect(shown(sink)).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*hello$/)
      link.close()
      await until(() => sink.has('closed'))
    }
  })
})

test('what nobody waits for lets the process end, and nothing else does', async () => {
  await withServer(
    tcpServer((socket) => socket.on('data', (bytes) => setTimeout(() => socket.write(bytes), 100))),
    async ({ port }) => {
      const source = pathToFileURL(join(builtSource(), 'drivers/networks/index.js')).href
      const script = `
        const { nodeNetwork } = await import(${JSON.stringify(source)})
        const network = nodeNetwork()
        const idle = () => {}
        const open = (sink) => network.connect({ address: '127.0.0.1', port: ${port} }, {
          secured: idle, received: () => false, drained: idle, eof: idle, failed: idle, closed: idle, ...sink })
        const link = open({ connected: () => link.unref() })
        const held = open({
          connected: () => (held.unref(), held.ref(), held.write([new Uint8Array(1)])),
          received: () => (held.destroy(), (process.exitCode |= 4)),
        })
        network.timer(network.now() + 60_000, idle, false)
        network.timer(network.now() + 60_000, idle, true)()
        network.timer(network.now() + 50, () => (process.exitCode |= 3), true)`
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'ignore' })
      const code = await new Promise((resolve) => child.once('exit', resolve))
      expect(code).toBe(7)
    },
  )
})

test('a wait longer than the platform’s is not asked of it: that would be over at once, with a warning', async () => {
  const warnings: string[] = []
  const warned = (warning: Error): void => void warnings.push(warning.name)
  process.on('warning', warned)
  const off = network.timer(network.now() + 2 ** 40, () => {}, false)
  await sleep(1) // warnings come in a tick of their own
  off()
  process.off('warning', warned)
  expect(warnings).toEqual([])
})

test('there is one network for a thread, which remembers its sessions; it can do all but hear of close_notify', () => {
  expect(nodeNetwork()).toBe(network)
  const { closeNotify, ...others } = network.can
  expect([closeNotify, Object.keys(others)]).toEqual([false, ['alpn', 'sni', 'startTls', 'halfClose', 'unix']])
  expect(new Set(Object.values(others))).toEqual(new Set([true]))
})
