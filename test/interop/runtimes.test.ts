// Bun and Deno, which carry node:net, node:tls and node:worker_threads after their own fashion, against servers of Node.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { conformance } from '../../src/conformance.ts'
import { nodeNetwork } from '../../src/index.ts'
import { builtSource } from '../blocking/worker-build.ts'
import { certificates } from '../fixtures/certificates.ts'
import { httpProxy, socksProxy } from '../fixtures/proxies.ts'
import { h2cServer, http2Server, httpServer, httpsServer, type Running } from '../fixtures/servers.ts'
import type { Way } from './runtime.ts'

const run = promisify(execFile)
const RUNTIMES = [
  ['bun', ['run']],
  ['deno', ['run', '--allow-all', '--no-check']],
] as const

interface Incoming extends AsyncIterable<Uint8Array> {
  readonly method?: string | undefined
  readonly url?: string | undefined
}
async function answer(request: Incoming, response: { end(content: string): unknown }): Promise<void> {
  if (request.url === '/never') return
  if (request.url === '/big') return void response.end('b'.repeat(5_000_000))
  let bytes = 0
  try {
    for await (const chunk of request) bytes += chunk.length
  } catch {
    return // the client has left
  }
  response.end(`${request.method} ${bytes}`)
}
const onRequest = (request: Incoming, response: { end(content: string): unknown }): void => {
  void answer(request, response)
}

const running: { stop(): Promise<void> }[] = []
const ways: Way[] = []
beforeAll(async () => {
  async function started<S extends { stop(): Promise<void> }>(starting: Promise<S>): Promise<S> {
    const server = await starting
    running.push(server)
    return server
  }
  const url = (scheme: string, { port }: Running): string => `${scheme}://localhost:${port}/`
  const tls = { ca: (await certificates()).ca }
  const clear = url('http', await started(httpServer(onRequest)))
  const secure = url('https', await started(httpsServer(onRequest)))
  const both = url('https', await started(http2Server(onRequest, true)))
  const h2c = url('http', await started(h2cServer(onRequest)))
  const http = (await started(httpProxy())).url
  const https = (await started(httpProxy({ tls: true }))).url
  const socks = (await started(socksProxy())).url
  ways.push(
    { name: 'HTTP/1.1', url: clear, options: {} },
    { name: 'HTTP/1.1 over TLS', url: secure, options: { tls } },
    { name: 'HTTP/2 over TLS', url: both, options: { http2: true, tls } },
    { name: 'HTTP/2 in the clear', url: h2c, options: { http1: false, http2: true } },
    { name: 'forwarded', url: clear, options: { proxy: http } },
    { name: 'tunnelled', url: both, options: { http2: true, tls, proxy: http } },
    { name: 'tunnelled in TLS', url: secure, options: { tls, proxy: { url: https, tls } } },
    { name: 'SOCKS5', url: secure, options: { tls, proxy: socks } },
  )
})
afterAll(async () => {
  for (const server of running) await server.stop()
})

describe.each(RUNTIMES)('%s', (runtime, args) => {
  it('carries every network check, every kind of request and both interfaces, and ends by itself', async (context) => {
    try {
      await run(runtime, ['--version'])
    } catch {
      return context.skip(`${runtime} is missing`)
    }
    const script = [...args, 'test/interop/runtime.ts', builtSource(), JSON.stringify(ways)]
    const { stdout } = await run(runtime, script, { timeout: 60_000, killSignal: 'SIGKILL' })
    const lines = stdout.trimEnd().split('\n')
    expect(lines.filter((line) => !line.startsWith('done: '))).toEqual([])
    // Of each way 8.
    expect(lines.length).toBeGreaterThanOrEqual(conformance(nodeNetwork().can).length + 8 * ways.length)
  }, 90_000)
})
