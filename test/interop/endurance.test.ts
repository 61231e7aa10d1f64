// A day's work in a minute, against nginx and node: nothing is lost, nothing grows. `npm run endurance` is this file, and
// prints what it has measured.
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest'
import { ConnectionPool } from '../../src/index.ts'
import { certificates } from '../fixtures/certificates.ts'
import { collect } from '../fixtures/collect.ts'
import { http2Server, httpServer, nginx, type Nginx } from '../fixtures/servers.ts'

let server: Nginx | { readonly missing: string }
let ca = ''
beforeAll(async () => {
  server = await nginx('')
  ca = (await certificates()).ca
})
afterAll(async () => {
  if ('stop' in server) await server.stop()
})
function running(context: TestContext): Nginx {
  if ('missing' in server) context.skip(server.missing)
  return server as Nginx
}

const seen = (pool: ConnectionPool): Seen => pool.stats as unknown as Seen
interface Seen {
  readonly requests: number
  readonly connections: number
}

const since = (start: number): string => `${((performance.now() - start) / 1_000).toFixed(1)} s`
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(2)} MB`

function heapUsed(): number {
  collect()
  collect()
  return process.memoryUsage().heapUsed
}

describe.each([
  ['HTTP/1.1', false, (s: Nginx) => `http://localhost:${s.http}/small.txt`],
  ['HTTP/2', true, (s: Nginx) => `https://localhost:${s.https}/small.txt`],
] as const)('%s', (version, http2, urlOf) => {
  it.for([
    [100_000, 500],
    [30_000, 1],
  ] as const)(
    '%i requests at concurrency %i: no error, limits kept, no growth',
    { timeout: 240_000 },
    async ([total, concurrency], context) => {
      const url = urlOf(running(context))
      const pool = new ConnectionPool({ http2, maxConnections: 100, tls: { ca } })
      let most = 0
      const run = async (count: number): Promise<void> => {
        let left = count
        const worker = async (): Promise<void> => {
          while (left-- > 0) {
            const response = await pool.request('GET', url)
            if (response.status !== 200 || response.httpVersion !== version || response.content.byteLength !== 1024) {
              throw new Error(`${response.status} over ${response.httpVersion}, ${response.content.byteLength} bytes`)
            }
            most = Math.max(most, seen(pool).connections)
          }
        }
        await Promise.all(Array.from({ length: concurrency }, worker))
      }
      const start = performance.now()
      await run(10_000)
      const early = heapUsed()
      await run(total - 10_000)
      const late = heapUsed()
      const heap = `heap ${megabytes(early)} after 10,000, ${megabytes(late)} at the end`
      console.log(
        `${version}: ${total} requests at ${concurrency} in ${since(start)}, no error, at most ${most} connections, ${heap}`,
      )
      expect(pool.stats).toMatchObject({ requests: 0, active: 0, queued: 0 })
      expect(most).toBeLessThanOrEqual(100)
      expect(late).toBeLessThan(early * 1.05)
      await pool.close()
    },
  )
})

const payload = new Uint8Array(20_000)
let answered = 0

/** Answers after up to 2 ms, in two pieces. */
function slowly(response: { write(data: Uint8Array): unknown; end(data: Uint8Array): unknown }): void {
  const n = answered++
  setTimeout(() => {
    response.write(payload)
    setTimeout(() => response.end(payload), n % 2)
  }, n % 3)
}
/** A stream that its client has cancelled says so. */
function unheard(): void {}

describe.each([
  ['HTTP/1.1', false, 'http', () => httpServer((_, response) => slowly(response))],
  [
    'HTTP/2',
    true,
    'https',
    () =>
      http2Server((_, response) => {
        response.stream.on('error', unheard)
        slowly(response)
      }),
  ],
] as const)('%s', (version, http2, scheme, listen) => {
  it('500 times 200 requests, half of them aborted at any time: no seat is lost', { timeout: 240_000 }, async () => {
    const rejections: unknown[] = []
    const onRejection = (reason: unknown): void => void rejections.push(reason)
    process.on('unhandledRejection', onRejection)
    const server = await listen()
    const start = performance.now()
    const url = `${scheme}://localhost:${server.port}/`
    const pool = new ConnectionPool({ http2, maxConnections: 5, tls: { ca }, timeout: { total: 60_000 } })
    let finished = 0
    let aborted = 0
    const one = async (n: number, abortAfter: number): Promise<void> => {
      const controller = new AbortController()
      const { signal } = controller
      if (n % 2 === 1) setTimeout(() => controller.abort(), abortAfter)
      try {
        const { content } = await pool.request('GET', url, { signal })
        if (content.byteLength !== 40_000) throw new Error(`${content.byteLength} bytes`)
        finished++
      } catch (error) {
        if (error !== signal.reason) throw error
        aborted++
      }
    }
    try {
      for (let round = 0; round < 500; round++) {
        await Promise.all(Array.from({ length: 200 }, (_, n) => one(n, (n * 7 + round) % 40)))
        const { requests, connections } = seen(pool)
        if (requests > 0 || connections > 5) throw new Error(`${requests} requests left, ${connections} connections`)
      }
      console.log(`${version}: 500 times 200 requests in ${since(start)}, ${finished} finished, ${aborted} aborted`)
      expect(finished + aborted).toBe(100_000)
      expect(finished).toBeGreaterThanOrEqual(50_000)
      expect(aborted).toBeGreaterThan(0)
      expect(rejections).toEqual([])
      expect(pool.stats).toMatchObject({ requests: 0, active: 0, queued: 0 })
    } finally {
      await pool.close()
      await server.stop()
      process.off('unhandledRejection', onRejection)
    }
  })
})
