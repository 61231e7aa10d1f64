// The blocking interface as its users call it, against servers on a thread of their own; beside the asynchronous one
// where both must say the same.
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { runInNewContext } from 'node:vm'
import { Worker } from 'node:worker_threads'
import { rollup } from 'rollup'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { ConnectionPool as AsyncPool } from '../../src/index.ts'
import {
  ConnectError,
  ConnectionPool,
  LocalProtocolError,
  type NetworkStream,
  PoolClosed,
  ReadTimeout,
  RemoteProtocolError,
  request,
  stream,
  TimeoutException,
  type PoolOptions,
  type Response,
} from '../../src/sync.ts'
import { certificates } from '../fixtures/certificates.ts'
import { nginx } from '../fixtures/servers.ts'
import { builtSource } from './worker-build.ts'

vi.mock('../../src/drivers/blocking/worker-file.ts', async () => (await import('./worker-build.ts')).workerFile())

const run = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'httpcore-blocking-'))
const unixSocket = join(folder, 'socket')
let server: Worker
let ports: Record<'http' | 'https' | 'http2' | 'h2c', number>
let ca = ''
beforeAll(async () => {
  const made = await certificates()
  ca = made.ca
  server = new Worker(new URL('./server.mjs', import.meta.url), {
    workerData: { identity: made.good, unix: unixSocket },
  })
  ports = ((await once(server, 'message')) as [typeof ports])[0]
})
afterAll(async () => {
  await server.terminate()
  rmSync(folder, { recursive: true })
})

function withPool(options: PoolOptions, use: (pool: ConnectionPool) => void): void {
  const pool = new ConnectionPool({ tls: { ca }, ...options })
  try {
    use(pool)
    expect(pool.stats).toMatchObject({ requests: 0, active: 0, queued: 0 })
  } finally {
    pool.close()
  }
}
interface Echo {
  readonly method: string
  readonly length?: string
  readonly trailers: Record<string, string>
  readonly content: string
}
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const echo = (bytes: Uint8Array): Echo => JSON.parse(text(bytes)) as Echo
const http = (path: string): string => `http://127.0.0.1:${ports.http}${path}`
/** The piece of the server's large content that begins at an offset; returns where it ends. */
function checked(offset: number, piece: Uint8Array): number {
  for (let i = 0; i < piece.length; i += 97) {
    const at = (offset + i) % (1 << 20)
    if (piece[i] !== ((at * 31 + (at >>> 8)) & 0xff)) throw new Error(`another byte at ${offset + i}`)
  }
  return offset + piece.length
}
function thrown(act: () => unknown): unknown {
  try {
    act()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

const ROUTES: readonly [string, string, PoolOptions, () => string][] = [
  ['HTTP', 'HTTP/1.1', {}, () => http('')],
  ['HTTPS', 'HTTP/1.1', {}, () => `https://localhost:${ports.https}`],
  ['HTTP/2', 'HTTP/2', { http2: true }, () => `https://localhost:${ports.http2}`],
  ['HTTP/2 in the clear', 'HTTP/2', { http1: false, http2: true }, () => `http://127.0.0.1:${ports.h2c}`],
  ['a Unix socket', 'HTTP/1.1', { unixSocket }, () => 'http://localhost'],
]

describe.each(ROUTES)('%s', (_, version, options, url) => {
  it('GET, and again over the same connection', () => {
    withPool(options, (pool) => {
      for (let n = 0; n < 2; n++) {
        const response = pool.request('GET', `${url()}/`)
        expect([response.status, response.httpVersion, echo(response.content).method]).toEqual([200, version, 'GET'])
        expect(response.connection?.reused).toBe(n === 1)
      }
    })
  })

  it('sends bytes, a string, what is iterated, and what a function gives', () => {
    function* pieces(): Generator<Uint8Array> {
      yield new Uint8Array([97])
      yield new Uint8Array([98, 99])
    }
    withPool(options, (pool) => {
      for (const content of [new Uint8Array([97, 98, 99]), 'abc', pieces(), () => pieces()]) {
        expect(echo(pool.request('POST', `${url()}/`, { content }).content).content).toBe('abc')
      }
    })
  })

  it('gives 20 MiB piece by piece, lent or owned, no more than the rings hold at a time', () => {
    withPool(options, (pool) => {
      const owned = [...pool.stream('GET', `${url()}/large/20`)]
      // Owned: looked at when all has come.
      expect(owned.reduce(checked, 0)).toBe(20 << 20)
      let lent = 0
      pool.stream('GET', `${url()}/large/20`).forEach((chunk) => (lent = checked(lent, chunk)))
      expect(lent).toBe(20 << 20)
    })
  })

  it('is told to the end to who hands each piece to another thread', () => {
    withPool({ ...options, timeout: 5_000 }, (pool) => {
      let bytes = 0
      pool.stream('GET', `${url()}/large/4`).forEach((lent) => {
        bytes += lent.byteLength
        structuredClone(lent, { transfer: [lent.buffer as ArrayBuffer] })
      })
      expect(bytes).toBe(4 << 20)
    })
  })

  it('is not late for who had another piece lent meanwhile', () => {
    withPool({ ...options, timeout: { read: 300 } }, (pool) => {
      let content = ''
      pool.stream('GET', `${url()}/halves/600`).forEach((chunk) => {
        content += Buffer.from(chunk).toString()
        if (content === 'half') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 450)
      })
      expect(content).toBe('halfhalf')
    })
  })

  it('may be iterated further, after its first piece was looked at', () => {
    withPool(options, (pool) => {
      const pieces = pool.stream('GET', `${url()}/large/5`)[Symbol.iterator]()
      const first = pieces.next().value?.byteLength ?? 0
      expect([...pieces].reduce((sum, piece) => sum + piece.byteLength, first)).toBe(5 << 20)
    })
  })

  it('may be left early, closed or drained; the next request is served', () => {
    withPool({ ...options, maxConnections: 1 }, (pool) => {
      for (const chunk of pool.stream('GET', `${url()}/large/5`)) {
        expect(chunk.byteLength).toBeGreaterThan(0)
        break
      }
      pool.stream('GET', `${url()}/large/5`).close()
      const drained = pool.stream('GET', `${url()}/`)
      expect(thrown(() => drained.drain(NaN))).toBeInstanceOf(RangeError)
      drained.drain()
      expect(pool.request('GET', `${url()}/`).status).toBe(200)
    })
  })

  it('runs out of time while the server is silent', () => {
    withPool(options, (pool) => {
      expect(thrown(() => pool.request('GET', `${url()}/silent`, { timeout: { read: 50 } }))).toBeInstanceOf(
        ReadTimeout,
      )
      expect(pool.request('GET', `${url()}/`).status).toBe(200)
    })
  })
  it('does so too where the timers of a test are fake', () => {
    vi.useFakeTimers()
    try {
      withPool(options, (pool) => {
        expect(thrown(() => pool.request('GET', `${url()}/silent`, { timeout: 50 }))).toBeInstanceOf(TimeoutException)
      })
    } finally {
      vi.useRealTimers()
    }
  })

  it('tells a trace the same names as the asynchronous interface, and gives the same content', async () => {
    const scenario = [
      ['GET', '/', {}],
      ['POST', '/', { content: 'abc' }],
      ['POST', '/', { content: () => [new Uint8Array(70_000), new Uint8Array(3)] }],
      ['GET', '/large/1', {}],
    ] as const
    const blocking: unknown[] = []
    const names: string[] = []
    const trace = ({ name }: { name: string }): void => void names.push(name)
    withPool({ ...options, trace }, (pool) => {
      for (const [method, path, more] of scenario) {
        const { status, content } = pool.request(method, url() + path, more)
        blocking.push([status, text(content), names.splice(0)])
      }
    })
    const pool = new AsyncPool({ tls: { ca }, ...(options as object), trace })
    names.length = 0
    for (const [n, [method, path, more]] of scenario.entries()) {
      const { status, content } = await pool.request(method, url() + path, more)
      expect([status, text(content), names.splice(0)]).toEqual(blocking[n])
    }
    await pool.close()
  })
})

it('`using` gives the connection back, and closes the pool', () => {
  let closed: ConnectionPool
  {
    using pool = new ConnectionPool({ maxConnections: 1 })
    {
      using response = pool.stream('GET', http('/large/5'))
      expect(response.status).toBe(200)
    }
    expect(pool.request('GET', http('/')).status).toBe(200)
    closed = pool
  }
  expect(() => closed.request('GET', http('/'))).toThrow(PoolClosed)
})

it('does not reuse a connection that expired between two calls, whatever else has come meanwhile', () => {
  withPool({ keepAliveExpiry: 200 }, (pool) => {
    pool.request('GET', http('/'))
    withPool({}, (another) => {
      const others = Array.from({ length: 4 }, () => another.stream('GET', http('/large/5')))
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400)
      expect(pool.request('GET', http('/')).connection.reused).toBe(false)
      for (const other of others) other.close()
    })
  })
})

it('holds back a response that nobody reads while others are served', () => {
  withPool({}, (pool) => {
    const unread = pool.stream('GET', http('/large/200'))
    const before = process.memoryUsage().arrayBuffers
    for (let n = 0; n < 30; n++) pool.request('GET', http('/late/10'))
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(32 << 20)
    unread.close()
  })
})

describe('what leaves without a word', () => {
  it('is known when a deadline asks for it', () => {
    withPool({}, (pool) => {
      const response = pool.request('GET', http('/late/300'), { timeout: { write: 50, read: 5_000 } })
      expect(text(response.content)).toBe('late')
    })
  })
  it('is known soon enough for the deadline that begins with it', () => {
    withPool({}, (pool) => {
      for (let n = 0; n < 4; n++) {
        pool.request('GET', http('/'))
        const began = performance.now()
        expect(thrown(() => pool.request('GET', http('/silent'), { timeout: { read: 50 } }))).toBeInstanceOf(
          ReadTimeout,
        )
        expect(performance.now() - began).toBeLessThan(500)
      }
    })
  })
  it('is told of before the caller runs out of room: 5 MiB in small pieces do not stall', { timeout: 20_000 }, () => {
    function* pieces(): Generator<Uint8Array> {
      for (let n = 0; n < 5 << 10; n++) yield new Uint8Array(1 << 10)
    }
    withPool({}, (pool) => {
      const began = performance.now()
      expect(echo(pool.request('POST', http('/'), { content: pieces() }).content).content).toHaveLength(5 << 20)
      expect(performance.now() - began).toBeLessThan(10_000)
    })
  })
})

it('writes to a stream until it is ended', () => {
  withPool({}, (pool) => {
    const headers = { Connection: 'Upgrade', Upgrade: 'echo' }
    const stream = pool.stream('GET', http('/'), { headers }).networkStream
    stream?.write(new TextEncoder().encode('x'))
    expect(text(stream?.read() as Uint8Array)).toBe('x')
    expect(() => stream?.startTls({ alpn: 'h2' as never })).toThrow(TypeError)
    stream?.end()
    for (const more of [() => stream?.write(new Uint8Array(1)), () => stream?.startTls()]) {
      expect(more).toThrow(expect.objectContaining({ name: 'LocalProtocolError', code: 'stream-ended' }) as Error)
    }
    stream?.close()
  })
})

describe('a stream after a switch', () => {
  const opened = (
    upgrade: string,
    use: (stream: NetworkStream, response: Response, pool: ConnectionPool) => void,
  ): void =>
    withPool({}, (pool) => {
      const response = pool.stream('GET', http('/'), { headers: { Connection: 'Upgrade', Upgrade: upgrade } })
      const stream = response.networkStream as NetworkStream
      use(stream, response, pool)
      stream.close()
      expect(() => stream.write(new Uint8Array(1))).toThrow(LocalProtocolError)
    })
  const exactly = (stream: NetworkStream, length: number): number => {
    let left = length
    while (left > 0) left -= stream.read()?.byteLength ?? expect.fail(`${left} bytes before the end`)
    return left
  }

  it('is written and read to its end, and knows its connection', () => {
    opened('mirror', (stream, response, pool) => {
      expect(stream.info).toMatchObject({ id: response.connection.id, remoteAddress: '127.0.0.1' })
      stream.write(new Uint8Array(0))
      for (let n = 0; n < 20; n++) stream.write(new Uint8Array(50_000))
      expect(exactly(stream, 1_000_000)).toBe(0)
      expect(() => stream.write('text' as never)).toThrow(TypeError)
      stream.end()
      expect(stream.read()).toBeNull()
      expect(pool.request('GET', http('/')).networkStream).toBeUndefined()
    })
  })
  it('cannot be ended where it has failed', () => {
    withPool({}, (pool) => {
      const response = pool.stream('GET', http('/'), { headers: { Connection: 'Upgrade', Upgrade: 'mirror' } })
      pool.destroy()
      expect(() => response.networkStream?.end()).toThrow(PoolClosed)
    })
  })
  it.each<[string, (stream: NetworkStream) => unknown]>([
    ['read()', (stream) => stream.read()],
    ['write()', (stream) => stream.write(new Uint8Array(1))],
    ['end()', (stream) => stream.end()],
    ['startTls()', (stream) => stream.startTls()],
    ['close()', (stream) => stream.close()],
  ])('is not used from within a trace: %s', (_, use) => {
    opened('mirror', (stream, _response, pool) => {
      expect(thrown(() => pool.request('GET', http('/'), { trace: () => void use(stream) }))).toMatchObject({
        code: 'nested-call',
      })
    })
  })
  it.each<[string, (stream: NetworkStream) => void, string]>([
    ['ended', (stream) => stream.end(), 'stream-ended'],
    ['closed', (stream) => stream.close(), 'stream-closed'],
  ])('that was %s takes nothing more, and does not wait for room to say so', (_, over, code) => {
    opened('mirror', (stream) => {
      stream.write(new Uint8Array(64 * 1024 * 1024))
      over(stream)
      expect(thrown(() => stream.write(new Uint8Array(1)))).toMatchObject({ code })
      expect(thrown(() => stream.startTls())).toMatchObject({ code })
    })
  })
  it('is secured', () => {
    opened('tls', (stream, response) => {
      const secured = stream.startTls({ serverName: 'localhost', options: { ca } })
      expect(secured.info).toMatchObject({ tlsVersion: 'TLSv1.3' })
      expect(response.connection).not.toHaveProperty('tlsVersion')
      secured.write(new TextEncoder().encode('secret'))
      expect(text(secured.read() as Uint8Array)).toBe('secret')
      secured.write(new Uint8Array(200_000))
      expect(exactly(secured, 200_000)).toBe(0)
    })
  })
  it('is not, and loses nothing, where something has come before and was not read', () => {
    opened('mirror', (stream) => {
      stream.write(new TextEncoder().encode('clear'))
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
      expect(thrown(() => stream.startTls())).toMatchObject({
        name: 'LocalProtocolError',
        code: 'surplus-before-tls',
      })
      expect(text(stream.read() as Uint8Array)).toBe('clear')
    })
  })
  it('is not, where the certificate is another’s', () => {
    withPool({}, (pool) => {
      const response = pool.stream('GET', http('/'), { headers: { Connection: 'Upgrade', Upgrade: 'tls' } })
      const error = thrown(() => response.networkStream?.startTls({ serverName: 'other.test', options: { ca } }))
      const { origin } = new URL(http('/'))
      expect(error).toMatchObject({ name: 'ConnectError', code: 'tls-certificate', phase: 'tls', origin })
      expect(error).toMatchObject({
        disposition: 'response-started',
        cause: expect.objectContaining({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' }) as unknown,
      })
      expect(thrown(() => response.networkStream?.write(new Uint8Array(1)))).toBe(error)
    })
  })
})

it('lends small pieces too; their memory is not what a later read goes to', () => {
  withPool({}, (pool) => {
    for (let n = 0; n < 8; n++) pool.stream('GET', http('/')).forEach(() => undefined)
    expect(pool.request('GET', http('/large/1')).content).toHaveLength(1 << 20)
  })
})

it('sends trailers', () => {
  withPool({}, (pool) => {
    const response = pool.request('POST', http('/'), {
      content: () => [new Uint8Array([97])],
      trailers: { 'X-Sum': '7' },
    })
    expect(echo(response.content).trailers).toEqual({ 'x-sum': '7' })
  })
})

it('a pool tells of connections that have expired between two calls, and closes what is idle when it is told to', () => {
  const idle: ((pool: ConnectionPool) => unknown)[] = [
    (pool) => pool.stats['idle'],
    (pool) => pool.connections.filter((one) => one.info().includes('IDLE')).length,
  ]
  for (const count of idle) {
    withPool({ keepAliveExpiry: 20 }, (pool) => {
      pool.request('GET', http('/'))
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 40)
      expect(count(pool)).toBe(0)
    })
  }
  withPool({}, (pool) => {
    const first = pool.request('GET', http('/')).connection.id
    pool.closeIdle()
    expect(pool.request('GET', http('/')).connection.id).not.toBe(first)
  })
})

it('a resolver of one’s own says where a host is, or why it is nowhere', () => {
  const mistake = new Error('mine')
  const resolve = (host: string): string[] => {
    if (host === 'here.test') return ['127.0.0.1']
    throw mistake
  }
  withPool({ resolve }, (pool) => {
    expect(pool.request('GET', http('/').replace('127.0.0.1', 'here.test')).status).toBe(200)
    expect(thrown(() => pool.request('GET', 'http://nowhere.test/'))).toMatchObject({ phase: 'dns', cause: mistake })
    expect(() => new ConnectionPool({ resolve: 'here' as never })).toThrow(TypeError)
  })
})

it('what is asked for without a pool has one of the thread’s', () => {
  request('GET', http('/'))
  const streamed = stream('GET', http('/'))
  streamed.drain()
  expect([streamed, request('GET', http('/'))].map(({ connection }) => connection.reused)).toEqual([true, true])
})

it('what a pool is destroyed for is the cause of what its requests fail with', () => {
  withPool({}, (pool) => {
    const response = pool.stream('GET', http('/halves/1000'))
    const reason = new Error('enough')
    pool.destroy(reason)
    const error = thrown(() => response.read())
    expect(error).toBeInstanceOf(PoolClosed)
    expect(error).toMatchObject({ cause: reason })
  })
})

it('what is dropped of a response is read up to a limit, for the sake of its connection', () => {
  withPool({}, (pool) => {
    const reused = (path: string, limit?: number): boolean => {
      const response = pool.stream('GET', http(path))
      response.drain(limit)
      return pool.request('GET', http('/')).connection.id === response.connection.id
    }
    expect([reused('/large/1', 1_000), reused('/large/1', 1 << 20), reused('/halves/20')]).toEqual([false, true, true])
  })
})

it.each<[string, (response: Response) => unknown]>([
  ['an iterator', (response) => response[Symbol.iterator]()],
  ['forEach()', (response) => response.forEach(() => {})],
  ['read()', (response) => response.read()],
  ['drain()', (response) => response.drain()],
  ['close()', (response) => response.close()],
])('the content of a response can be taken once, and was by %s', (how, take) => {
  withPool({}, (pool) => {
    const response = pool.stream('GET', http('/halves/0'))
    take(response)
    expect(thrown(() => response[Symbol.iterator]())).toMatchObject({ code: 'content-taken' })
    expect(thrown(() => response.forEach(() => {}))).toMatchObject({ code: 'content-taken' })
    if (how === 'read()') expect(response.read()).toBe(response.content)
    else expect(thrown(() => response.read())).toMatchObject({ code: 'content-taken' })
    response.close()
  })
})

it('a response that was closed has nothing more to give, though some of it waited', () => {
  withPool({}, (pool) => {
    const response = pool.stream('GET', http('/halves/1000'))
    const pieces = response[Symbol.iterator]()
    response.close()
    expect(pieces.next()).toEqual({ done: true, value: undefined })
  })
})

describe('what fails right behind the head', () => {
  const raw = (content: string): string => {
    const head = 'HTTP/1.1 200 OK\r\nX-Mine: yes\r\nTransfer-Encoding: chunked\r\n\r\n'
    return http(`/raw/${encodeURIComponent(head + content)}`)
  }
  it('does not hide it: stream() returns, what came is read, and then it fails', async () => {
    const broken = raw('5\r\nhello\r\nZZ\r\n')
    const asynchronous = new AsyncPool()
    const response = await asynchronous.stream('GET', broken)
    const reader = response[Symbol.asyncIterator]()
    const other = [response.headers.get('x-mine'), text((await reader.next()).value as Uint8Array)]
    const code = await reader.next().catch((error: unknown) => (error as LocalProtocolError).code)
    await asynchronous.destroy()
    expect([...other, code]).toEqual(['yes', 'hello', 'chunk-size'])
    withPool({}, (pool) => {
      const own = pool.stream('GET', broken)
      const pieces = own[Symbol.iterator]()
      const seen = [own.headers.get('x-mine'), text(pieces.next().value as Uint8Array)]
      expect([...seen, (thrown(() => pieces.next()) as LocalProtocolError).code]).toEqual([...other, code])
    })
  })
  it('is what read() throws each time', () => {
    withPool({}, (pool) => {
      const response = pool.stream('GET', raw('5\r\nhello\r\nZZ\r\n'))
      const error = thrown(() => response.read()) as LocalProtocolError
      expect(error.code).toBe('chunk-size')
      expect(thrown(() => response.read())).toBe(error)
    })
  })
  it('does not disturb who closes', () => {
    withPool({}, (pool) => {
      const response = pool.stream('GET', raw('ZZ\r\n'))
      response.close()
      expect(response.complete).toBe(false)
    })
  })
  it('is thrown by stream() where there is no head', () => {
    const nonsense = http(`/raw/${encodeURIComponent('nonsense\r\n\r\n')}`)
    withPool({}, (pool) => {
      expect(thrown(() => pool.stream('GET', nonsense))).toBeInstanceOf(RemoteProtocolError)
    })
  })
  it('fails request(), which wants all of it', () => {
    withPool({}, (pool) => {
      expect((thrown(() => pool.request('GET', raw('ZZ\r\n'))) as LocalProtocolError).code).toBe('chunk-size')
    })
  })
  it('is not what forEach throws when its callback has thrown before', () => {
    withPool({}, (pool) => {
      const mistake = new Error('mine')
      const response = pool.stream('GET', raw('5\r\nhello\r\nZZ\r\n'))
      const error = thrown(() =>
        response.forEach(() => {
          throw mistake
        }),
      )
      expect(error).toBe(mistake)
    })
  })
  it('is what can be awaited that the callback of forEach returns: also a promise of another realm', () => {
    withPool({}, (pool) => {
      const other = runInNewContext('Promise.resolve()') as Promise<void>
      const response = pool.stream('GET', raw('5\r\nhello\r\n0\r\n\r\n'))
      const error = thrown(() => response.forEach(() => other as never))
      expect(String(error)).toContain('must not return a promise')
    })
  })
  it('is told of a promise that is rejected as well, and of that no process ends', async () => {
    const heard: unknown[] = []
    const hear = (reason: unknown): unknown => heard.push(reason)
    const refused = (): Promise<never> => Promise.reject(new Error('refused'))
    process.on('unhandledRejection', hear)
    try {
      withPool({}, (pool) => {
        const response = pool.stream('GET', raw('5\r\nhello\r\n0\r\n\r\n'))
        expect(() => response.forEach(refused as never)).toThrow('must not return a promise')
        const content = { [Symbol.iterator]: () => ({ next: refused }) }
        expect(() => pool.request('POST', http('/'), { content: content as never })).toThrow(
          'must not come in promises',
        )
      })
      await new Promise((resolve) => setTimeout(resolve, 20))
    } finally {
      process.off('unhandledRejection', hear)
    }
    expect(heard).toEqual([])
  })
  it('by a callback of ours is thrown by stream() itself, though the head came with what it was called for', () => {
    const both = http(`/raw/${encodeURIComponent('HTTP/1.1 103 \r\n\r\nHTTP/1.1 200 \r\nContent-Length: 5\r\n\r\n')}`)
    withPool({}, (pool) => {
      const mistake = new Error('mine')
      const controller = new AbortController()
      const { signal } = controller
      const throws = (): never => {
        throw mistake
      }
      expect(thrown(() => pool.stream('GET', both, { onInformational: throws }))).toBe(mistake)
      const aborts = (): void => controller.abort(mistake)
      expect(thrown(() => pool.stream('GET', both, { signal, onInformational: aborts }))).toBe(mistake)
      const again = { signal: new AbortController().signal, onInformational: throws }
      expect(thrown(() => pool.request('GET', both, again))).toBe(mistake)
    })
  })
})

describe('callbacks', () => {
  it('of content may make a request of their own while they are told that nobody wants more', () => {
    let answer: unknown
    withPool({}, (pool) => {
      function* content(): Generator<Uint8Array> {
        try {
          for (;;) yield new Uint8Array(65_536)
        } finally {
          answer = echo(pool.request('GET', http('/')).content).method
        }
      }
      pool.request('POST', http('/late/0'), { content: content() })
    })
    expect(answer).toBe('GET')
  })
  it('of forEach may throw: the response is given up', () => {
    withPool({}, (pool) => {
      const mistake = new Error('mine')
      const response = pool.stream('GET', http('/halves/1000'))
      const error = thrown(() =>
        response.forEach(() => {
          throw mistake
        }),
      )
      expect([error, response.complete]).toEqual([mistake, false])
    })
  })
  it('of content may make a request of their own', () => {
    withPool({}, (pool) => {
      function* content(): Generator<Uint8Array> {
        yield pool.request('GET', http('/')).content
      }
      const outer = echo(pool.request('POST', http('/'), { content: content() }).content)
      expect((JSON.parse(outer.content) as Echo).method).toBe('GET')
    })
  })
  it('of content may drain what is read outside: nothing passes for all of it', () => {
    withPool({}, (pool) => {
      let response: Response | undefined
      const content = function* (): Generator<Uint8Array> {
        while (response === undefined) yield new Uint8Array(16_384)
        response.drain()
        yield new Uint8Array(1)
      }
      response = pool.stream('POST', http('/halves/200'), { content })
      expect(thrown(() => response?.read())).toMatchObject({ code: 'response-closed' })
    })
  })
  it.each([
    ['an answer that came before all of it', '/late/0'],
    ['a deadline', '/silent'],
  ])('of content hear that nobody wants more after %s', (_, path) => {
    let returned = false
    function* content(): Generator<Uint8Array> {
      try {
        for (;;) yield new Uint8Array(65_536)
      } finally {
        returned = true
      }
    }
    withPool({}, (pool) => {
      try {
        pool.request('POST', http(path), { content: content(), timeout: 300 })
      } catch (error) {
        expect(error).toBeInstanceOf(TimeoutException)
      }
      expect(returned).toBe(true)
    })
  })
  it('of content hear it before they are asked anew, on another connection', () => {
    const told: string[] = []
    function* content(): Generator<Uint8Array> {
      const first = told.push('asked') % 4 === 1
      try {
        yield new Uint8Array([97])
        // More than there is room for on the way: the connection ends before there was all of it.
        while (first) yield new Uint8Array(1_000)
      } finally {
        told.push('returned')
      }
    }
    // The new connection is sometimes there before any callback could be called.
    for (let n = 0; n < 20; n++) {
      withPool({}, (pool) => {
        pool.request('GET', http('/once'))
        expect(echo(pool.request('PUT', http('/once'), { content }).content).content).toBe('a')
      })
    }
    expect(told).toEqual(Array.from({ length: 40 }, () => ['asked', 'returned']).flat())
  })
  it('of content that take their time keep nobody from hearing what comes meanwhile, or that it is too late', () => {
    function* content(asked: number[]): Generator<Uint8Array> {
      for (let n = 0; n < 40; n++) {
        asked.push(n)
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 25)
        yield new Uint8Array(1)
      }
    }
    withPool({}, (pool) => {
      const early: number[] = []
      expect(text(pool.request('POST', http('/late/50'), { content: content(early) }).content)).toBe('late')
      expect(early.length).toBeLessThan(20)

      const late: number[] = []
      const options = { content: content(late), timeout: { total: 100 } }
      const error = thrown(() => pool.request('POST', http('/silent'), options))
      expect(error).toBeInstanceOf(TimeoutException)
      expect(error).toMatchObject({ phase: 'req_body' })
      expect(late.length).toBeLessThan(20)

      // Nor who waits for the head, where there is no end to them.
      const endless = function* (): Generator<Uint8Array> {
        for (;;) yield new Uint8Array(16)
      }
      const response = pool.stream('POST', http('/halves/1000'), { content: endless })
      expect(response.complete).toBe(false)
      response.close()
    })
  })
  it('of a trace may not', () => {
    withPool({}, (pool) => {
      const trace = (): void => void pool.request('GET', http('/'))
      const error = thrown(() => pool.request('GET', http('/'), { trace }))
      expect(error).toBeInstanceOf(LocalProtocolError)
      expect((error as LocalProtocolError).code).toBe('nested-call')
    })
  })
  it.each<[string, (response: Response) => unknown]>([
    ['an iterator', (response) => response[Symbol.iterator]().next()],
    ['forEach()', (response) => response.forEach(() => {})],
    ['read()', (response) => response.read()],
    ['drain()', (response) => response.drain()],
    ['close()', (response) => response.close()],
  ])('of a trace may not use a response of before either: %s', (_, use) => {
    withPool({}, (pool) => {
      const response = pool.stream('GET', http('/halves/0'))
      expect(thrown(() => pool.request('GET', http('/'), { trace: () => void use(response) }))).toMatchObject({
        code: 'nested-call',
      })
      response.close()
    })
  })
  it.each<[string, (pool: ConnectionPool) => unknown]>([
    ['closeIdle()', (pool) => pool.closeIdle()],
    ['close()', (pool) => pool.close()],
    ['destroy()', (pool) => pool.destroy()],
  ])('of a trace may not do away with connections: %s', (_, use) => {
    withPool({}, (pool) => {
      const nested = thrown(() => pool.request('GET', http('/'), { trace: () => void use(pool) }))
      expect(nested).toMatchObject({ code: 'nested-call' })
      expect(pool.request('GET', http('/')).status).toBe(200)
    })
  })
  it('of a trace may look at the pool, and are told of one thing after the other all the same', () => {
    withPool({}, (pool) => {
      const told = (looks: boolean): string[] => {
        const names: string[] = []
        const trace = ({ name }: { name: string }): void => {
          if (looks) void pool.stats
          names.push(name)
        }
        pool.request('GET', http('/'), { trace })
        return names
      }
      pool.request('GET', http('/'))
      expect(told(true)).toEqual(told(false))
    })
  })
  it('of a trace may throw each time: the first is what counts', () => {
    withPool({}, (pool) => {
      const mistakes: Error[] = []
      const trace = (): never => {
        mistakes.push(new Error('mine'))
        throw mistakes.at(-1) as Error
      }
      expect(thrown(() => pool.request('GET', http('/'), { trace }))).toBe(mistakes[0])
      expect(mistakes.length).toBeGreaterThan(1)
    })
  })
  it('may abort the request; the signal’s reason is thrown', () => {
    withPool({}, (pool) => {
      const controller = new AbortController()
      const { signal } = controller
      function* content(): Generator<Uint8Array> {
        yield new Uint8Array(1)
        controller.abort(new Error('enough'))
        yield new Uint8Array(1)
      }
      expect(thrown(() => pool.request('POST', http('/'), { content: content(), signal }))).toBe(signal.reason)
      expect(thrown(() => pool.request('GET', http('/'), { signal }))).toBe(signal.reason)
    })
  })
  it('may abort it although all of the response has come', () => {
    const controller = new AbortController()
    const onInformational = (): void => controller.abort('enough')
    withPool({}, (pool) => {
      const options = { signal: controller.signal, onInformational }
      expect(thrown(() => pool.request('GET', http('/hints'), options))).toBe('enough')
    })
  })
  it('of a trace, too', () => {
    withPool({}, (pool) => {
      const controller = new AbortController()
      const trace = ({ name }: { name: string }): void => {
        if (name === 'http11.receive_response_headers.complete') controller.abort('enough')
      }
      expect(thrown(() => pool.request('GET', http('/'), { trace, signal: controller.signal }))).toBe('enough')
    })
  })

  it('are not asked for content of a request that was aborted before', () => {
    withPool({}, (pool) => {
      const controller = new AbortController()
      const { signal } = controller
      const content = vi.fn(() => ['abc'] as never)
      const trace = ({ name }: { name: string }): void => {
        if (name === 'http11.send_request_headers.complete') controller.abort('enough')
      }
      expect(thrown(() => pool.request('POST', http('/silent'), { content, trace, signal }))).toBe('enough')
      expect(content).not.toHaveBeenCalled()
    })
  })

  it('may throw; the request throws that', () => {
    withPool({}, (pool) => {
      const mistake = new Error('mine')
      const content = (): never => {
        throw mistake
      }
      expect(thrown(() => pool.request('POST', http('/'), { content }))).toBe(mistake)
    })
  })
})

describe('what cannot block is refused by name', () => {
  it('an async iterable, before anything is dialled', () => {
    const told: string[] = []
    const content = (async function* () {})()
    withPool({ trace: ({ name }) => told.push(name) }, (pool) => {
      expect(() => pool.request('POST', http('/'), { content: content as never })).toThrow(TypeError)
    })
    expect(told).toEqual([])
  })
  it.each([
    ['an async iterable', { content: (async function* () {})() }, /async iterable/],
    ['promises', { content: [Promise.resolve()] }, /Uint8Arrays or strings/],
    [
      'promises of pieces',
      { content: { [Symbol.iterator]: () => ({ next: () => Promise.resolve({ done: true }) }) } },
      /must not come in promises/,
    ],
  ])('content: %s', (_, options, message) => {
    withPool({}, (pool) => {
      expect(() => pool.request('POST', http('/'), options as never)).toThrow(message)
    })
  })
  it('trailers that are promised', () => {
    withPool({}, (pool) => {
      const trailers = (async () => Promise.resolve({})) as never
      expect(() => pool.request('POST', http('/'), { content: 'a', trailers })).toThrow(/trailers .* not a promise/)
    })
  })
  it('functions and handles in tls, also a proxy’s', () => {
    const tls = { checkServerIdentity: () => undefined }
    expect(() => new ConnectionPool({ tls: tls as never })).toThrow('tls.checkServerIdentity is a function')
    const keylog = (): void => {}
    expect(() => new ConnectionPool({ tls: { keylog } as never })).toThrow('tls.keylog is a function')
    const proxy = { url: 'https://127.0.0.1:1', tls: { secureContext: new Map() } }
    expect(() => new ConnectionPool({ proxy: proxy as never })).toThrow('proxy.tls.secureContext is a handle')
    expect(() => new ConnectionPool({ proxy: [proxy] as never })).toThrow('proxy.tls.secureContext is a handle')
  })
  it('what is no proxy, as where it would be awaited', () => {
    for (const proxy of [null, [null]])
      expect(() => new ConnectionPool({ proxy: proxy as never })).toThrow('the proxy options must be an object')
  })
  it('a network', () => {
    expect(() => new ConnectionPool({ networkBackend: {} } as never)).toThrow('networkBackend')
  })
  it('resolve with a promise', () => {
    const pool = new ConnectionPool({ resolve: (() => Promise.resolve(['127.0.0.1'])) as never })
    const error = thrown(() => pool.request('GET', `http://name.test:${ports.http}/`)) as { cause?: unknown }
    expect(String(error.cause ?? error)).toMatch(/promise/)
    pool.close()
  })
})

it('fails as the asynchronous interface does where nobody listens', async () => {
  const url = 'http://127.0.0.1:1/'
  const pool = new AsyncPool()
  const other = (await pool.request('GET', url).catch((error: unknown) => error)) as ConnectError
  await pool.close()
  withPool({}, (own) => {
    const error = thrown(() => own.request('GET', url)) as ConnectError
    expect(error).toBeInstanceOf(ConnectError)
    expect([error.code, error.phase, error.disposition]).toEqual([other.code, other.phase, other.disposition])
  })
})

it('10,000 requests in sequence over one connection to nginx', { timeout: 120_000 }, async (context) => {
  const other = await nginx()
  if ('missing' in other) return context.skip(other.missing)
  withPool({}, (pool) => {
    for (let n = 0; n < 10_000; n++) {
      const { status, content } = pool.request('GET', `http://127.0.0.1:${other.http}/small`)
      if (status !== 200 || content.byteLength !== 5) throw new Error(`${status}, ${content.byteLength} bytes`)
    }
    expect(pool.connections).toHaveLength(1)
  })
  await other.stop()
})

describe('in a process of its own', () => {
  const script = async (name: string, code: string, flags: string[] = [], env: object = {}): Promise<string> => {
    const file = join(folder, name)
    writeFileSync(file, code)
    const options = { timeout: 60_000, env: { ...process.env, ...env } }
    return (await run(process.execPath, [...flags, file], options)).stdout.trim()
  }
  const sync = (): string => JSON.stringify(join(builtSource(), 'sync.js'))

  it('prints a response at a script’s top level, and ends by itself', async () => {
    const code = `import { request } from ${sync()}\nconsole.log(request('GET', '${http('/')}').status)`
    expect(await script('one.mjs', code)).toBe('200')
  })
  it('works in a CommonJS module, and in a synchronous callback', async () => {
    const code = `const { request } = require(${sync()})\nnew Set([1]).forEach(() => console.log(request('GET', '${http('/')}').status))`
    expect(await script('two.cjs', code)).toBe('200')
  })
  // As esbuild makes it: as CommonJS, where `import.meta` is an empty object.
  it('works in a bundle that has no import.meta.url, with its worker beside it; where it has no name either, it says so', async () => {
    const input = { bundle: join(builtSource(), 'sync.js'), worker: join(builtSource(), 'drivers/blocking/worker.js') }
    const plugins = [{ name: 'empty', resolveImportMeta: () => 'undefined' }]
    const bundle = await rollup({ input, plugins, external: (id) => id.startsWith('node:') })
    await bundle.write({ dir: folder, format: 'cjs', exports: 'named', chunkFileNames: '[name].cjs' })
    const code = `const { request } = require('./bundle.js')\nconsole.log(request('GET', '${http('/')}').status)`
    expect(await script('bundled.cjs', code)).toBe('200')
    await bundle.write({ dir: join(folder, 'module'), format: 'es', entryFileNames: '[name].mjs' })
    const told = `import('./module/bundle.mjs').then(({ request }) => { try { request('GET', 'http://h/') } catch (e) { console.log(e.code) } })`
    expect(await script('module.mjs', told)).toBe('blocking-unavailable')
  })
  it('works from inside another worker', async () => {
    const inner = `require('node:worker_threads').parentPort.postMessage(require(${sync()}).request('GET', '${http('/')}').status)`
    const code = `new (require('node:worker_threads').Worker)(${JSON.stringify(inner)}, { eval: true }).on('message', console.log)`
    expect(await script('three.cjs', code)).toBe('200')
  })
  describe('that loads a module of ours before its own, in the worker too', () => {
    const preload = (name: string, code: string): string => {
      const file = join(folder, name)
      writeFileSync(
        file,
        `${code}\nprocess.env.LOADED = String(request('GET', '${http('/')}', { timeout: 20_000 }).status)`,
      )
      return file
    }
    const imported = (): string => preload('preload.mjs', `import { request } from ${sync()}`)
    const required = (): string => preload('preload.cjs', `const { request } = require(${sync()})`)
    const code = (): string =>
      `const { request } = require(${sync()})\nconsole.log(process.env.LOADED, request('GET', '${http('/')}').status)`
    it.for([
      ['--import', imported, 'a flag'],
      ['--require', required, 'a flag'],
      ['--require', required, 'in the environment'],
    ] as const)('$0, $2', { timeout: 60_000 }, async ([flag, file, where]) => {
      const flags = [flag, file()]
      const printed =
        where === 'in the environment'
          ? await script('loading.cjs', code(), [], { NODE_OPTIONS: flags.join(' ') })
          : await script('loading.cjs', code(), flags)
      expect(printed).toBe('200 200')
    })
  })
  it.each([
    [
      'of a script of its own',
      ['--tls-keylog', '/dev/null', '--tls-max-v1.2', '--tls-cipher-list', 'DEFAULT', '--input-type=module'],
    ],
    ['of a file', ['--tls-max-v1.2', '--use-bundled-ca', '--expose-gc']],
  ])('heeds flags of sockets, on the command line %s', async (_, flags) => {
    const code = `
      import { ConnectionPool } from ${sync()}
      const pool = new ConnectionPool({ tls: { ca: ${JSON.stringify(ca)} } })
      console.log(pool.request('GET', 'https://localhost:${ports.https}/').connection.tlsVersion)`
    const last = flags.at(-1) === '--input-type=module' ? ['-e', code] : []
    expect(await script('flags.mjs', code, [...flags, ...last])).toBe('TLSv1.2')
  })
  it('does not run out of time while what came in time was not fetched: its sockets’ thread was stopped', async () => {
    const frozen = join(folder, 'frozen.cjs')
    writeFileSync(
      frozen,
      `const { isMainThread } = require('node:worker_threads')
      const { Socket } = require('node:net')
      const { write } = Socket.prototype
      const freeze = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000)
      if (!isMainThread) Socket.prototype.write = function (...a) { setTimeout(freeze, 20); return write.apply(this, a) }`,
    )
    const code = `
      import { request } from ${sync()}
      console.log(request('GET', '${http('/late/100')}', { timeout: { read: 500 } }).status)`
    expect(await script('stopped.mjs', code, ['--require', frozen])).toBe('200')
  })
  const counting = `
      import threads from 'node:worker_threads'
      import { syncBuiltinESMExports } from 'node:module'
      const started = []
      threads.Worker = class extends threads.Worker { constructor(...a) { super(...a); started.push(this) } }
      syncBuiltinESMExports()`
  it.each([
    ['', 1],
    [', though it writes more than there is room for', 1 << 20],
  ])(
    'survives its worker: a typed error, and a new one for the next request%s',
    { timeout: 30_000 },
    async (_, size) => {
      const code = `${counting}
      const { request } = await import(${sync()})
      const content = function* () { void started[0].terminate(); yield new Uint8Array(${size}) }
      try { request('POST', '${http('/silent')}', { content: content() }) } catch (error) { console.log(error.name, error.code) }
      console.log(request('GET', '${http('/')}').status, started.length)
      void started[1].terminate()
      console.log(request('POST', '${http('/')}', { content: [new Uint8Array(1)] }).status, started.length)`
      expect(await script('five.mjs', code)).toBe('NetworkError worker-lost\n200 2\n200 3')
    },
  )
  it('does not notice a worker that has ended between two calls', { timeout: 30_000 }, async () => {
    const code = `${counting}
      const { ConnectionPool } = await import(${sync()})
      const pool = new ConnectionPool({ tls: { ca: ${JSON.stringify(ca)} } })
      for (const url of ['${http('/')}', 'https://localhost:${ports.https}/']) {
        console.log(pool.request('GET', url).status)
        await started.at(-1).terminate()
        console.log(pool.request('GET', url).status, started.length)
      }`
    expect(await script('six.mjs', code)).toBe('200\n200 2\n200\n200 3')
  })
  it.each([
    ['worker threads', 'process.getBuiltinModule = undefined', 'it needs node:worker_threads'],
    ['shared memory', 'delete globalThis.SharedArrayBuffer', 'it needs shared memory'],
    ['the right to sleep', "Atomics.wait = () => { throw new TypeError('no') }", 'this thread may not sleep'],
    ['anything of Node', 'delete globalThis.process; delete globalThis.Buffer', 'it needs node:worker_threads'],
  ])('without %s the import works, and the call says what is missing', async (what, remove, message) => {
    const code = `
      const log = console.log
      ${remove}
      const { request } = await import(${sync()})
      try { request('GET', 'http://127.0.0.1:1/') } catch (error) { log(error.name, error.code, error.message) }`
    const printed = await script(`without-${what.replaceAll(' ', '-')}.mjs`, code)
    expect(printed).toMatch(/^NetworkError blocking-unavailable /)
    expect(printed).toContain(message)
  })
  it('streams 1 GiB within 32 MiB of memory', { timeout: 60_000 }, async () => {
    const code = `
      import { ConnectionPool } from ${sync()}
      const pool = new ConnectionPool()
      const read = (count) => { let n = 0; pool.stream('GET', '${http('/large/')}' + count).forEach((c) => { n += c.byteLength; most = Math.max(most, process.memoryUsage.rss()) }); return n }
      let most = 0
      read(256)
      const before = process.memoryUsage.rss()
      most = 0
      const bytes = read(1024)
      console.log(JSON.stringify([bytes, most - before]))`
    const [bytes, growth] = JSON.parse(await script('four.mjs', code)) as [number, number]
    expect(bytes).toBe(1 << 30)
    expect(growth).toBeLessThanOrEqual(32 << 20)
  })
})
