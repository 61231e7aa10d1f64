// Against nginx over real sockets: HTTP/1.1, TLS, HTTP/2 by ALPN, a Unix socket; many requests over few connections.
import { execFile } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest'
import { ConnectionPool, type PoolOptions } from '../../src/index.ts'
import { certificates } from '../fixtures/certificates.ts'
import { nginx, type Nginx } from '../fixtures/servers.ts'

let server: Nginx | { readonly missing: string }
let ca = ''
beforeAll(async () => {
  server = await nginx('location = /count { default_type text/plain; return 200 "$connection $connection_requests"; }')
  ca = (await certificates()).ca
})
afterAll(async () => {
  if ('stop' in server) await server.stop()
})

function running(context: TestContext): Nginx {
  if ('missing' in server) context.skip(server.missing)
  return server as Nginx
}
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

async function withPool<R>(options: PoolOptions, use: (pool: ConnectionPool) => Promise<R>): Promise<R> {
  const pool = new ConnectionPool({ ...options, tls: { ca } })
  try {
    return await use(pool)
  } finally {
    await pool.close()
  }
}

const origins = [
  ['HTTP', {}, (s: Nginx) => `http://localhost:${s.http}`, 'HTTP/1.1'],
  ['HTTPS', {}, (s: Nginx) => `https://localhost:${s.https}`, 'HTTP/1.1'],
  ['HTTP/2', { http2: true }, (s: Nginx) => `https://localhost:${s.https}`, 'HTTP/2'],
  ['HTTPS at an IP address', {}, (s: Nginx) => `https://127.0.0.1:${s.https}`, 'HTTP/1.1'],
] as const

describe.each(origins)('%s', (_, options, origin, version) => {
  it('1,000 requests at concurrency 50 over few connections, without an error', async (context) => {
    const url = origin(running(context))
    await withPool({ ...options, maxConnections: 50 }, async (pool) => {
      const used = new Set<string>()
      let left = 1000
      const worker = async (): Promise<void> => {
        while (left-- > 0) {
          const response = await pool.request('GET', `${url}/count`)
          expect([response.status, response.httpVersion]).toEqual([200, version])
          used.add(text(response.content).split(' ')[0] as string)
        }
      }
      await Promise.all(Array.from({ length: 50 }, worker))
      expect(used.size).toBeLessThanOrEqual(version === 'HTTP/2' ? 1 : 50)
      expect(pool.stats).toMatchObject({ requests: 0, active: 0, queued: 0 })
    })
  })

  it('a file is the same however it is read', async (context) => {
    const url = `${origin(running(context))}/small.txt`
    await withPool(options, async (pool) => {
      const whole = await pool.request('GET', url)
      expect(text(whole.content)).toBe('x'.repeat(1024))
      expect(whole.headers.get('content-type')).toBe('text/plain')
      let bytes = 0
      await (await pool.stream('GET', url)).forEach((lent) => void (bytes += lent.byteLength))
      expect(bytes).toBe(1024)
      expect((await pool.request('HEAD', url)).content.byteLength).toBe(0)
      expect((await pool.request('GET', `${origin(running(context))}/empty`)).status).toBe(204)
      expect((await pool.request('GET', `${origin(running(context))}/missing`)).status).toBe(404)
    })
  })
})

describe('a Unix socket', () => {
  it('carries requests to any host', async (context) => {
    const { unix } = running(context)
    await withPool({ unixSocket: unix }, async (pool) => {
      expect(text((await pool.request('GET', 'http://any.example/small')).content)).toBe('hello')
    })
  })
})

describe('a program', () => {
  it('ends by itself when its requests are over', async (context) => {
    const { http } = running(context)
    const source = `import { request } from 'httpcore'
      for (let i = 0; i < 3; i++) await request('GET', 'http://localhost:${http}/small')
      console.log('over')`
    const { code, output } = await new Promise<{ code: number | null; output: string }>((resolve) => {
      const child = execFile(
        process.execPath,
        ['--input-type=module', '-e', source],
        { timeout: 10_000 },
        (_, out, err) => {
          resolve({ code: child.exitCode, output: out + err })
        },
      )
    })
    if (output.includes('ERR_MODULE_NOT_FOUND')) context.skip('dist/ is not built: npm run build')
    expect([code, output]).toEqual([0, 'over\n'])
  })
})
