// What goes wrong, over real sockets: each fault gives its typed error within its timeout and frees its seat.
import { getEventListeners } from 'node:events'
import { describe, expect, it, vi } from 'vitest'
import {
  ConnectError,
  ConnectTimeout,
  ConnectionNotAvailable,
  HttpCoreError,
  PoolClosed,
  PoolTimeout,
  ReadTimeout,
  RemoteProtocolError,
  TimeoutException,
  WriteTimeout,
  nodeNetwork,
  type ConnectionPool,
  type Link,
  type Network,
  type Sink,
} from '../../src/index.ts'
import { certificates } from '../fixtures/certificates.ts'
import { idleLink } from '../fixtures/link.ts'
import { answering, makePool, serveHttp, serveTcp } from './servers.ts'

/** After a failure the only seat must be free again, and nothing of the request left. */
async function expectFree(pool: ConnectionPool): Promise<void> {
  const { url } = await serveHttp((_, response) => response.end('free'))
  expect((await pool.request('GET', url)).status).toBe(200)
  expect(pool.stats).toMatchObject({ requests: 0, active: 0, queued: 0 })
}
const one = (options: Parameters<typeof makePool>[0] = {}): ConnectionPool =>
  makePool({ maxConnections: 1, ...options })

describe('a peer that is broken', () => {
  it.each([
    ['no HTTP at all', 'SSH-2.0-OpenSSH\r\n\r\n', RemoteProtocolError],
    ['a status-line without a version', '200 OK\r\n\r\n', RemoteProtocolError],
    ['a space before the colon', 'HTTP/1.1 200 OK\r\nA : b\r\n\r\n', RemoteProtocolError],
    ['a signed length', 'HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello', RemoteProtocolError],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello', RemoteProtocolError],
    ['a chunk-size that is none', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n', RemoteProtocolError],
    [
      'a chunk that is too long',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n',
      RemoteProtocolError,
    ],
    ['a head without an end', `HTTP/1.1 200 OK\r\nA: ${'x'.repeat(200_000)}`, RemoteProtocolError],
  ])('%s', async (_, bytes, type) => {
    const url = await serveTcp(answering(bytes))
    const pool = one()
    const failure = await pool.request('GET', url).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(type)
    expect(failure).toMatchObject({
      origin: url,
      code: expect.any(String) as string,
      rule: expect.stringContaining('RFC') as string,
    })
    await expectFree(pool)
  })

  it('a connection that is closed without an answer', async () => {
    const url = await serveTcp((socket) => socket.once('data', () => socket.end()))
    const pool = one()
    await expect(pool.request('GET', url)).rejects.toMatchObject({
      code: 'server-disconnected',
      disposition: 'maybe-processed',
    })
    await expectFree(pool)
  })

  it('a connection that ends behind a response that did not say so: not even the next POST is lost', async () => {
    const url = await serveTcp((socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'))
    })
    const pool = makePool()
    for (let i = 0; i < 20; i++) expect((await pool.request('POST', url, { content: 'x' })).status).toBe(200)
  })

  it('a response that is cut', async () => {
    const url = await serveTcp((socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello'))
    })
    const pool = one()
    await expect(pool.request('GET', url)).rejects.toMatchObject({
      code: 'incomplete-message',
      disposition: 'response-started',
    })
    await expectFree(pool)
  })

  it('a reset', async () => {
    const url = await serveTcp((socket) => socket.once('data', () => socket.resetAndDestroy()))
    const pool = one()
    await expect(pool.request('GET', url)).rejects.toBeInstanceOf(HttpCoreError)
    await expectFree(pool)
  })
})

describe('no way there', () => {
  it('a refused port names every address', async () => {
    const pool = one()
    const failure = await pool.request('GET', 'http://127.0.0.1:1/').catch((error: unknown) => error as ConnectError)
    expect(failure).toBeInstanceOf(ConnectError)
    expect(failure).toMatchObject({
      disposition: 'not-sent',
      attempts: [{ address: '127.0.0.1' }],
      origin: 'http://127.0.0.1:1',
    })
    await expectFree(pool)
  })
  it('a name that does not resolve', async () => {
    const pool = one()
    await expect(pool.request('GET', 'http://does-not-exist.invalid/')).rejects.toMatchObject({
      phase: 'dns',
      name: 'ConnectError',
    })
    await expectFree(pool)
  })
  it.each(['untrusted', 'expired', 'wrongName'] as const)('a certificate that is %s', async (which) => {
    const made = await certificates()
    const { url } = await serveHttp((_, response) => response.end(), made[which])
    const pool = one({ tls: { ca: made.ca } })
    await expect(pool.request('GET', url)).rejects.toMatchObject({
      name: 'ConnectError',
      code: 'tls-certificate',
      phase: 'tls',
    })
    await expectFree(pool)
  })
  it('a certificate that verifies is a connection', async () => {
    const made = await certificates()
    const { url } = await serveHttp((_, response) => response.end('ok'), made.good)
    const response = await one({ tls: { ca: made.ca } }).request('GET', url)
    expect(response.connection.tlsVersion).toBe('TLSv1.3')
    expect(response.connection.peerCertificate?.byteLength).toBeGreaterThan(100)
  })
})

describe('time', () => {
  it('a server that never answers: ReadTimeout, which says what it waited for', async () => {
    const url = await serveTcp(() => undefined)
    const pool = one()
    const failure = await pool
      .request('GET', url, { timeout: { read: 50 } })
      .catch((error: unknown) => error as ReadTimeout)
    expect(failure).toBeInstanceOf(ReadTimeout)
    expect(failure).toMatchObject({ blockedOn: { want: 'readable' }, disposition: 'maybe-processed' })
    await expectFree(pool)
  })
  it('content that stalls: ReadTimeout', async () => {
    const url = await serveTcp(answering('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf'))
    const pool = one()
    await expect(pool.request('GET', url, { timeout: { read: 50 } })).rejects.toBeInstanceOf(ReadTimeout)
    await expectFree(pool)
  })
  it('a drip that never ends: the total deadline', async () => {
    const url = await serveTcp((socket) => {
      const timer = setInterval(() => socket.write('1\r\nx\r\n'), 10)
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
      socket.on('close', () => clearInterval(timer))
    })
    const pool = one()
    const failure = await pool
      .request('GET', url, { timeout: 120 })
      .catch((error: unknown) => error as TimeoutException)
    expect(failure).toBeInstanceOf(TimeoutException)
    expect(failure).toMatchObject({ code: 'total-timeout' })
    await expectFree(pool)
  })
  it('a handshake that is never answered: ConnectTimeout', async () => {
    const url = (await serveTcp(() => undefined)).replace('http', 'https')
    const pool = one()
    await expect(pool.request('GET', url, { timeout: { connect: 50 } })).rejects.toMatchObject({
      name: 'ConnectTimeout',
      phase: 'tls',
    })
    await expect(pool.request('GET', url, { timeout: { connect: 50 } })).rejects.toBeInstanceOf(ConnectTimeout)
    await expectFree(pool)
  })
  it('a server that does not read: WriteTimeout', async () => {
    const url = await serveTcp((socket) => socket.pause())
    const pool = one()
    const content = new Uint8Array(50_000_000)
    await expect(pool.request('POST', url, { content, timeout: { write: 100 } })).rejects.toBeInstanceOf(WriteTimeout)
    await expectFree(pool)
  })
  it('a seat that never comes: PoolTimeout; the queue has its bound', async () => {
    const url = await serveTcp(() => undefined)
    const pool = one({ maxQueuedRequests: 1 })
    const holding = pool.request('GET', url).catch((error: unknown) => error)
    const waiting = pool.request('GET', url, { timeout: { pool: 40 } })
    const refused = pool.request('GET', url)
    await expect(refused).rejects.toBeInstanceOf(ConnectionNotAvailable)
    await expect(refused).rejects.toMatchObject({ code: 'queue-full' })
    await expect(waiting).rejects.toBeInstanceOf(PoolTimeout)
    await pool.destroy()
    expect(await holding).toBeInstanceOf(PoolClosed)
  })
})

describe('cancelling', () => {
  it('rejects with the signal’s own reason, at any moment, and frees the seat', async () => {
    const own = new Error('changed my mind')
    const url = await serveTcp(answering('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf'))
    const pool = one()
    await expect(pool.request('GET', url, { signal: AbortSignal.abort(own) })).rejects.toBe(own)
    for (const delay of [0, 1, 5, 30]) {
      const controller = new AbortController()
      const pending = pool.request('GET', url, { signal: controller.signal })
      setTimeout(() => controller.abort(own), delay)
      await expect(pending).rejects.toBe(own)
    }
    const pending = pool.request('GET', url, { signal: AbortSignal.timeout(20) })
    await expect(pending).rejects.toMatchObject({ name: 'TimeoutError' })
    await expectFree(pool)
  })
  it('from a callback is heard before what came with it', async () => {
    const url = await serveTcp(answering('HTTP/1.1 103 \r\n\r\nHTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n'))
    const controller = new AbortController()
    const onInformational = (): void => controller.abort('enough')
    const pool = makePool()
    await expect(pool.request('GET', url, { signal: controller.signal, onInformational })).rejects.toBe('enough')
    expect(pool.stats).toMatchObject({ requests: 0, active: 0 })
  })

  it('is heard of a signal that has no more than its state and its event, as polyfills have', async () => {
    const url = await serveTcp(answering('HTTP/1.1 103 Early Hints\r\n\r\n'))
    const own = new Error('changed my mind')
    const signal = Object.assign(new EventTarget(), { aborted: false, reason: own })
    const abort = (): void => {
      signal.aborted = true
      signal.dispatchEvent(new Event('abort'))
    }
    const options = { signal: signal as unknown as AbortSignal, onInformational: abort }
    for (let i = 0; i < 2; i++) await expect(one().request('GET', url, options)).rejects.toBe(own)
  })
  it('is not heard of what cannot be listened to, or would keep its listener: that is no signal', async () => {
    const pool = one()
    for (const signal of [{ aborted: false }, { aborted: false, addEventListener() {} }]) {
      const options = { signal: signal as unknown as AbortSignal }
      await expect(pool.request('GET', 'http://127.0.0.1:1/', options)).rejects.toThrow('signal must be an AbortSignal')
    }
  })
  it('is heard where another option led to it', async () => {
    const pool = one()
    for (const polyfilled of [false, true]) {
      const controller = new AbortController()
      const late = Object.assign(new EventTarget(), { aborted: false, reason: 'enough' })
      const trailers = {
        *[Symbol.iterator](): Iterator<readonly [string, string]> {
          controller.abort('enough')
          late.aborted = true
          yield ['x', 'y']
        },
      }
      const signal = polyfilled ? (late as unknown as AbortSignal) : controller.signal
      await expect(pool.request('GET', 'http://127.0.0.1:1/', { signal, trailers })).rejects.toBe('enough')
    }
    expect(pool.stats).toMatchObject({ requests: 0, active: 0 })
  })
  it('leaves no listener on a signal: Node never forgets a composed one that has any', async () => {
    const { url } = await serveHttp((_, response) => response.end())
    const pool = makePool()
    const ends = new AbortController()
    const signals = Array.from({ length: 5 }, () => AbortSignal.any([ends.signal, new AbortController().signal]))
    const listeners = (): number => signals.flatMap((signal) => getEventListeners(signal, 'abort')).length
    for (let i = 0; i < 2; i++) {
      await Promise.all(signals.map((signal) => pool.request('GET', url, { signal })))
      expect(listeners()).toBe(0)
    }
    const all = [...signals, ...signals].map((signal) => pool.request('GET', url, { signal }))
    expect(listeners()).toBe(5)
    ends.abort('enough')
    for (const result of await Promise.allSettled(all)) expect(result).toMatchObject({ reason: 'enough' })
    expect(listeners()).toBe(0)
  })
  it('half of 200 at random moments loses no seat', async () => {
    const { url } = await serveHttp((_, response) => setTimeout(() => response.end('ok'), Math.random() * 4))
    const pool = makePool({ maxConnections: 5 })
    for (let round = 0; round < 5; round++) {
      const all = Array.from({ length: 200 }, (_, i) => {
        const controller = new AbortController()
        if (i % 2 === 0) setTimeout(() => controller.abort(), Math.random() * 60)
        return pool.request('GET', url, { signal: controller.signal })
      })
      const results = await Promise.allSettled(all)
      for (const [i, result] of results.entries()) {
        if (result.status === 'rejected') expect([i % 2, (result.reason as Error).name]).toEqual([0, 'AbortError'])
      }
    }
    expect(pool.stats).toMatchObject({ requests: 0, active: 0, queued: 0 })
    await expectFree(pool)
  })
})

describe('the end of a pool', () => {
  it('close() lets run what runs, and takes nothing more', async () => {
    let asked = (): void => undefined
    const runs = new Promise<void>((resolve) => (asked = resolve))
    const { url } = await serveHttp((_, response) => {
      asked()
      setTimeout(() => response.end('late'), 50)
    })
    const pool = one()
    const running = pool.request('GET', url)
    const queued = pool.request('GET', url)
    await runs
    const closed = pool.close()
    await expect(queued).rejects.toBeInstanceOf(PoolClosed)
    expect((await running).status).toBe(200)
    await closed
    await expect(pool.request('GET', url)).rejects.toBeInstanceOf(PoolClosed)
    expect(pool.connections).toHaveLength(0)
    await pool.close()
  })
  it('closing the last idle connection leaves the server without one', async () => {
    const { url, server } = await serveHttp((_, response) => response.end())
    const pool = one()
    await pool.request('GET', url)
    pool.closeIdle()
    await new Promise<void>((resolve) => server.close(() => resolve()))
    await vi.waitFor(() => expect(pool.connections).toHaveLength(0))
  })
})

describe('a network that throws', () => {
  it('is told so, and holds up no other request', async () => {
    let sink: Sink | undefined
    let broken = true
    const link: Link = {
      ...idleLink,
      unref: () => {
        if (!broken) return
        broken = false
        throw new Error('a bug of the network')
      },
    }
    const network: Network = {
      ...nodeNetwork(),
      now: () => performance.now(),
      timer: () => () => undefined,
      connect: (_, to) => {
        sink = to
        queueMicrotask(() => to.connected({}))
        return link
      },
    }
    const pool = makePool({ networkBackend: network })
    const answer = Uint8Array.from('HTTP/1.1 204 \r\n\r\n', (char) => char.charCodeAt(0))
    const sent = async (): Promise<void> => new Promise((resolve) => void setTimeout(resolve, 1))
    const first = pool.request('GET', 'http://127.0.0.1:9/')
    await sent()
    expect(() => sink?.received(answer)).toThrow('a bug of the network')
    const second = pool.request('GET', 'http://127.0.0.1:9/')
    await sent()
    sink?.received(answer)
    expect([(await first).status, (await second).status]).toEqual([204, 204])
    sink?.closed()
  })
})
