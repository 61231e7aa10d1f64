// Against nghttp2's server: an HTTP/2 that is neither ours nor Node's, with padding, trailers, and few streams at a time.
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest'
import { ConnectionPool, type PoolOptions } from '../../src/index.ts'
import { certificates } from '../fixtures/certificates.ts'
import { nghttpd, type Running } from '../fixtures/servers.ts'

const STREAMS = 10
const PADDED = ['--padding=200', '--trailer=checksum: 1']

describe.each([
  ['over TLS', true, { http2: true }],
  ['with prior knowledge', false, { http1: false, http2: true }],
] as const)('%s', (_, secure, version) => {
  let few: Running | { readonly missing: string }
  let many: Running | { readonly missing: string }
  let ca = ''
  beforeAll(async () => {
    few = await nghttpd(secure, `--max-concurrent-streams=${STREAMS}`, ...PADDED)
    many = await nghttpd(secure)
    ca = (await certificates()).ca
  })
  afterAll(async () => {
    for (const server of [few, many]) if ('stop' in server) await server.stop()
  })
  async function use(
    context: TestContext,
    server: Running | { readonly missing: string },
    options: PoolOptions,
    act: (pool: ConnectionPool, url: string) => Promise<unknown>,
  ): Promise<void> {
    if ('missing' in server) return context.skip(server.missing)
    const pool = new ConnectionPool({ ...version, ...options, tls: { ca } })
    try {
      await act(pool, `http${secure ? 's' : ''}://localhost:${server.port}/small.txt`)
      expect(pool.stats).toMatchObject({ requests: 0, active: 0, queued: 0 })
    } finally {
      await pool.close()
    }
  }

  it('a file, whole and in pieces, with its trailers; HEAD; what there is not', (context) =>
    use(context, few, {}, async (pool, url) => {
      const whole = await pool.request('GET', url)
      expect([whole.status, whole.httpVersion, whole.content.byteLength]).toEqual([200, 'HTTP/2', 1024])
      expect(whole.trailers?.get('checksum')).toBe('1')
      let bytes = 0
      await (await pool.stream('GET', url)).forEach((lent) => void (bytes += lent.byteLength))
      expect(bytes).toBe(1024)
      expect((await pool.request('HEAD', url)).content.byteLength).toBe(0)
      expect((await pool.request('GET', `${url}.missing`)).status).toBe(404)
    }))

  it('an upload in pieces comes back as it was', (context) =>
    use(context, few, {}, async (pool, url) => {
      const piece = (n: number): Uint8Array => new Uint8Array(30_000).fill(n)
      const content = function* (): Iterable<Uint8Array> {
        for (let n = 0; n < 20; n++) yield piece(n)
      }
      const { content: echoed } = await pool.request('POST', url, { content })
      expect(Buffer.from(echoed).equals(Buffer.concat(Array.from({ length: 20 }, (_, n) => piece(n))))).toBe(true)
    }))

  it('fifty requests at once, to a server that allows ten streams, over one connection: all of them succeed', (context) =>
    use(context, few, { maxConnections: 1 }, async (pool, url) => {
      const all = await Promise.all(Array.from({ length: 50 }, () => pool.request('GET', url)))
      expect(all.map(({ status }) => status)).toEqual(Array.from({ length: 50 }, () => 200))
    }))

  it('a hundred at once share one connection, after a first request', (context) =>
    use(context, many, {}, async (pool, url) => {
      const first = await pool.request('GET', url)
      const all = await Promise.all(Array.from({ length: 100 }, () => pool.request('GET', url)))
      expect(new Set(all.map(({ connection }) => connection.id))).toEqual(new Set([first.connection.id]))
    }))

  it('2,000 requests at concurrency 50, half of them given up at any time', (context) =>
    use(context, few, { maxConnections: 2 }, async (pool, url) => {
      let left = 2_000
      let aborted = 0
      const worker = async (): Promise<void> => {
        for (let n = left--; n > 0; n = left--) {
          const controller = new AbortController()
          if (n % 2 === 0) setTimeout(() => controller.abort(), n % 15)
          const { signal } = controller
          await pool.request('GET', url, { signal }).catch((error: unknown) => {
            if (error !== signal.reason) throw error
            aborted++
          })
        }
      }
      await Promise.all(Array.from({ length: 50 }, worker))
      expect(aborted).toBeGreaterThan(0)
    }))
})
