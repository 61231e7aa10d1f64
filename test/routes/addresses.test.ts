// Where a name leads, on real sockets: IPv6, local addresses, abstract Unix sockets, a hook that resolves, races of
// addresses; and what proxies answer instead of a way.
import { once } from 'node:events'
import { createServer as createHttp } from 'node:http'
import { createServer as createHttps } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  ConnectionPool,
  type ConnectError,
  type HttpCoreError,
  type PoolOptions,
  type ProxyError,
} from '../../src/index.ts'
import { certificates } from '../fixtures/certificates.ts'
import { OWN_ROUTES, type Route, type Way } from '../fixtures/routes.ts'
import { freePort, httpServer, serve, tcpServer, withServer, type Running } from '../fixtures/servers.ts'

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const TIMEOUT = { connect: 5_000, read: 5_000, pool: 5_000 }
let ca = ''
beforeAll(async () => {
  ca = (await certificates()).ca
})

/** A pool, gone afterwards, with no seat lost. */
async function withPool<R>(options: PoolOptions, use: (pool: ConnectionPool) => Promise<R>): Promise<R> {
  const pool = new ConnectionPool({ timeout: TIMEOUT, tls: { ca }, ...options })
  try {
    const result = await use(pool)
    expect(pool.stats).toMatchObject({ requests: 0, active: 0, queued: 0 })
    return result
  } finally {
    await pool.close()
  }
}
const failure = (pool: ConnectionPool, url: string): Promise<HttpCoreError> =>
  pool.request('GET', url).then(
    () => expect.unreachable('it did not fail'),
    (error: unknown) => error as HttpCoreError,
  )

describe('an IPv6 literal', () => {
  let origins: Record<'http' | 'https', Running>
  beforeAll(async () => {
    const { good } = await certificates()
    origins = {
      http: await serve(
        createHttp((request, response) => response.end(request.headers.host)),
        undefined,
        '::1',
      ),
      https: await serve(
        createHttps(good, (request, response) => response.end(request.headers.host)),
        undefined,
        '::1',
      ),
    }
  })
  afterAll(async () => {
    for (const origin of Object.values(origins)) await origin.stop()
  })

  const routes = (Object.entries(OWN_ROUTES) as [string, Route][]).filter(([, route]) => route.unix !== true)
  describe.each(routes)('%s', (_, route) => {
    let way: Way
    beforeAll(async () => {
      way = (await route.open()) as Way
    })
    afterAll(() => way.stop())
    it.each(['http', 'https'] as const)(
      '%s: dialled, asked for, and in brackets where it is a host',
      async (scheme) => {
        const host = `[::1]:${origins[scheme].port}`
        await withPool(way.options, async (pool) => {
          expect(text((await pool.request('GET', `${scheme}://${host}/`)).content)).toBe(host)
        })
      },
    )
  })

  it('localAddress of its family leaves no other address to dial', async () => {
    const resolve = (): string[] => ['127.0.0.1', '::1']
    await withPool({ localAddress: '::1', resolve }, async (pool) => {
      const { connection } = await pool.request('GET', `http://name.test:${origins.http.port}/`)
      expect([connection?.localAddress, connection?.remoteAddress]).toEqual(['::1', '::1'])
    })
  })
})

describe.skipIf(process.platform !== 'linux')('an abstract Unix socket (Linux has them)', () => {
  it.each(['http', 'https'] as const)('%s', async (scheme) => {
    const { good } = await certificates()
    const answer = (_: unknown, response: { end(content: string): void }): void => response.end('abstract')
    const server = scheme === 'http' ? createHttp(answer) : createHttps(good, answer)
    const unixSocket = `\0httpcore-routes-${process.pid}-${scheme}`
    await withServer(serve(server, unixSocket), () =>
      withPool({ unixSocket }, async (pool) => {
        expect(text((await pool.request('GET', `${scheme}://localhost/`)).content)).toBe('abstract')
      }),
    )
  })
})

describe.skipIf(process.platform !== 'linux')('a Unix socket whose name the system would cut', () => {
  const root = tmpdir()
  const longest = join(root, `httpcore-${process.pid}-`.padEnd(106 - root.length, 'x'))
  const abstract = `\0httpcore-${process.pid}-`.padEnd(108, 'x')
  it.each([
    ['a longer path', longest, `${longest}y`, '107 bytes'],
    ['a NUL within a path', longest.slice(0, -1), `${longest.slice(0, -1)}\0`, 'NUL'],
    ['a longer abstract name', abstract, `${abstract}y`, '107 bytes'],
  ])('%s leads nowhere, and not to its beginning', async (_, listening, unixSocket, why) => {
    const server = createHttp((_, response) => void response.end('ok'))
    await withServer(serve(server, listening), async () => {
      await withPool({ unixSocket: listening }, async (pool) => {
        expect((await pool.request('GET', 'http://localhost/')).status).toBe(200)
      })
      for (const scheme of ['http', 'https'])
        await withPool({ unixSocket }, async (pool) => {
          const failing = pool.request('GET', `${scheme}://localhost/`)
          const cause = expect.objectContaining({ message: expect.stringContaining(why) as unknown }) as unknown
          await expect(failing).rejects.toMatchObject({ name: 'ConnectError', code: 'connect', cause })
        })
    })
  })
})

describe('addresses', () => {
  /** Listens at 127.0.0.2 and never answers a SYN: nothing is taken from its queue, which is full. */
  async function dead(port: number): Promise<Worker> {
    const code = `
      const { connect, createServer } = require('node:net')
      const { parentPort } = require('node:worker_threads')
      createServer().listen({ port: ${port}, host: '127.0.0.2', backlog: 1 }, () => {
        let open = 0
        for (let i = 0; i < 8; i++) connect(${port}, '127.0.0.2').on('error', () => {})
        setImmediate(() => {
          parentPort.postMessage('full')
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
        })
      })`
    const worker = new Worker(code, { eval: true })
    await once(worker, 'message')
    return worker
  }

  const linux = process.platform === 'linux'
  it.skipIf(!linux)(
    'race: one that does not answer costs attemptDelay, and loses (RFC 8305 §5; Linux: its queues fill up)',
    async () => {
      await withServer(
        httpServer((_, response) => response.end()),
        async ({ port }) => {
          const worker = await dead(port)
          const steps: string[] = []
          const options: PoolOptions = {
            resolve: () => ['127.0.0.2', '127.0.0.1'],
            limits: { attemptDelay: 100 },
            trace: ({ name, info }) => {
              if (name.startsWith('connection.connect_tcp'))
                steps.push(`${name.slice(23)} ${String(info?.['address'])}`)
            },
          }
          await withPool(options, async (pool) => {
            const { connection } = await pool.request('GET', `http://name.test:${port}/`)
            expect(connection?.remoteAddress).toBe('127.0.0.1')
            expect(steps).toEqual(['started 127.0.0.2', 'started 127.0.0.1', 'failed 127.0.0.2', 'complete 127.0.0.1'])
            expect(pool.connections).toHaveLength(1)
          })
          await worker.terminate()
        },
      )
    },
  )

  it('that all refuse: the error lists each with its cause', async () => {
    const port = await freePort()
    const addresses = ['127.0.0.1', '::1', '127.0.0.2']
    await withPool({ resolve: async () => addresses }, async (pool) => {
      const { attempts } = (await failure(pool, `http://name.test:${port}/`)) as ConnectError
      expect(attempts.map(({ address }) => address)).toEqual(addresses)
      for (const { error } of attempts) expect(error).toMatchObject({ code: 'ECONNREFUSED' })
    })
  })

  it.each(['http', 'https'])('a localAddress that is none leaves no socket behind: %s', async (scheme) => {
    const sockets = (): number => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length
    const before = sockets()
    await withPool({ localAddress: 'lo' }, async (pool) => {
      const error = await failure(pool, `${scheme}://127.0.0.1:${await freePort()}/`)
      expect(error).toMatchObject({ name: 'ConnectError', phase: 'connect', cause: expect.any(TypeError) as unknown })
    })
    expect(sockets()).toBe(before)
  })

  it.each([
    ['throws', () => expect.unreachable('no such name')],
    ['rejects', () => Promise.reject(new Error('no such name'))],
    ['gives none', () => []],
    ['gives no addresses', () => 'localhost' as never],
    ['gives an empty one', () => ['127.0.0.1', '']],
    ['gives holes', () => new Array<string>(2)],
    ['gives one with a NUL', () => ['127.0.0.1\0.name.test']],
  ])('a hook that %s: ConnectError of phase dns', async (_, resolve) => {
    await withPool({ resolve }, async (pool) => {
      const error = await failure(pool, 'http://name.test/')
      expect(error).toMatchObject({ name: 'ConnectError', code: 'resolve', phase: 'dns' })
      expect(error.cause).toBeInstanceOf(Error)
    })
  })
})

describe('SOCKS5', () => {
  /** A proxy that takes a request and gives this reply. */
  const replying = (reply: readonly number[]): Promise<Running> =>
    tcpServer((socket) => {
      socket.once('data', () => {
        socket.write(Buffer.of(5, 0))
        socket.once('data', () => socket.write(Buffer.from(reply)))
      })
    })

  it.each([
    [1, 'general SOCKS server failure'],
    [2, 'connection not allowed by ruleset'],
    [3, 'network unreachable'],
    [4, 'host unreachable'],
    [5, 'connection refused'],
    [6, 'TTL expired'],
    [7, 'command not supported'],
    [8, 'address type not supported'],
    [9, 'unassigned reply 9'],
    [255, 'unassigned reply 255'],
  ])('reply %i: %s (RFC 1928 §6)', async (code, words) => {
    await withServer(replying([5, code, 0, 1, 0, 0, 0, 0, 0, 0]), ({ port }) =>
      withPool({ proxy: `socks5h://127.0.0.1:${port}` }, async (pool) => {
        const error = await failure(pool, 'https://name.test/')
        expect(error).toMatchObject({ name: 'ProxyError', code: 'socks-reply', phase: 'proxy' })
        expect(error.message).toContain(words)
        expect(pool.stats).toMatchObject({ connections: 0 })
      }),
    )
  })

  it('a host of more than 255 octets is not asked for, and loses no seat', async () => {
    const heard: number[] = []
    await withServer(
      tcpServer((socket) => socket.on('data', (bytes) => heard.push(bytes.byteLength))),
      ({ port }) =>
        withPool({ proxy: `socks5h://127.0.0.1:${port}`, maxConnections: 1 }, async (pool) => {
          for (let n = 0; n < 2; n++) {
            const error = await failure(pool, `http://${'a.'.repeat(128)}test/`)
            expect(error).toMatchObject({ name: 'LocalProtocolError', code: 'socks-host' })
          }
          expect([heard, pool.stats['connections']]).toEqual([[], 0])
        }),
    )
  })
})

describe('what an HTTP proxy answers instead of a tunnel', () => {
  const KIB = 1024
  const head = (fields: string): string => `HTTP/1.1 403 Forbidden\r\nX-Why: policy\r\n${fields}\r\n`
  it.each([
    ['nothing', head('Content-Length: 0\r\n'), 0],
    ['64 KiB', head(`Content-Length: ${64 * KIB}\r\n`) + 'x'.repeat(64 * KIB), 64 * KIB],
    ['more, of which 64 KiB are kept', head(`Content-Length: ${99 * KIB}\r\n`) + 'x'.repeat(99 * KIB), 64 * KIB],
    ['chunks', `${head('Transfer-Encoding: chunked\r\n')}3\r\nxxx\r\n2\r\nxx\r\n0\r\n\r\n`, 5],
    ['chunks without end', `${head('Transfer-Encoding: chunked\r\n')}fffff\r\n${'x'.repeat(99 * KIB)}`, 64 * KIB],
    ['what ends with the connection', `${head('')}xxx`, 3],
    ['less than it says', `${head('Content-Length: 9\r\n')}xxx`, 3],
  ])('%s: ProxyError with status, fields and content', async (_, answer, length) => {
    await withServer(
      tcpServer((socket) => socket.once('data', () => socket.end(answer))),
      ({ port }) =>
        withPool({ proxy: `http://127.0.0.1:${port}` }, async (pool) => {
          const error = (await failure(pool, 'https://name.test/')) as ProxyError
          expect(error).toMatchObject({ name: 'ProxyError', code: 'proxy-refused', disposition: 'not-sent' })
          expect([error.answer?.status, error.answer?.headers.get('x-why')]).toEqual([403, 'policy'])
          expect(text(error.answer?.content as Uint8Array)).toBe('x'.repeat(length))
          expect(pool.stats).toMatchObject({ connections: 0 })
        }),
    )
  })

  it.each(['is cut', 'never ends'])('content that %s hides no refusal', async (how) => {
    await withServer(
      tcpServer((socket) =>
        socket.once('data', () => {
          socket.write(`${head('Content-Length: 9\r\n')}xxx`)
          if (how === 'is cut') setTimeout(() => socket.resetAndDestroy(), 20)
        }),
      ),
      ({ port }) =>
        withPool({ proxy: `http://127.0.0.1:${port}`, timeout: { connect: 200 } }, async (pool) => {
          const error = (await failure(pool, 'https://name.test/')) as ProxyError
          expect(error).toMatchObject({ name: 'ProxyError', code: 'proxy-refused', answer: { status: 403 } })
          expect(text(error.answer?.content as Uint8Array)).toBe('xxx')
        }),
    )
  })
})
