// With programs that others wrote, over loopback: curl, nghttp and h2load against our server, our client against nghttpd
// and nginx. Each is skipped where the program is missing.
import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { createConnection, createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test, type TestContext } from 'vitest'
import { H2Connection } from '../../src/h2/index.ts'
import { daemon, freePort, withServer } from '../fixtures/servers.ts'
import { drain } from './support.ts'

const run = promisify(execFile)
function has(program: string): boolean {
  return spawnSync('which', [program]).status === 0
}
function missing(program: string): string {
  return has(program) ? '' : ` (skipped: there is no ${program} here)`
}

const hello = new TextEncoder().encode('hello\n')
const server = createServer({ noDelay: true }, (socket) => {
  const machine = new H2Connection('server', { now: performance.now() })
  const flush = (): void => {
    for (const chunk of machine.takeOutput()) socket.write(chunk)
    if (machine.wantsClose !== 'no') socket.end()
  }
  const serve = (): void => {
    for (const event of drain(machine)) {
      if (event.type === 'data') machine.consume(event.exchange, event.data.length)
      else if (event.type === 'end') {
        machine.sendResponse(event.exchange, {
          status: 200,
          headers: { 'content-type': 'text/plain' },
          content: { length: hello.length },
        })
        machine.sendData(event.exchange, hello, true)
      }
    }
    flush()
  }
  flush()
  socket.on('data', (bytes) => {
    machine.receiveData(bytes, performance.now())
    serve()
  })
  socket.on('end', () => {
    machine.receiveEof(performance.now())
    serve()
  })
  socket.on('error', () => socket.destroy())
})
let url = ''
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
})
afterAll(() => void server.close())

describe('our server', () => {
  test.skipIf(!has('curl'))(`curl${missing('curl')}`, async () => {
    const args = ['-s', '--http2-prior-knowledge', '-w', '%{http_version} %{http_code}', url]
    expect((await run('curl', args)).stdout).toBe('hello\n2 200')
    expect((await run('curl', [...args, '-d', 'x'.repeat(100_000)])).stdout).toBe('hello\n2 200')
  })
  test.skipIf(!has('nghttp'))(`nghttp${missing('nghttp')}`, async () => {
    const { stdout } = await run('nghttp', ['-v', '-m', '10', url])
    expect(stdout.match(/:status: 200/g)).toHaveLength(10)
  })
  test.skipIf(!has('h2load'))(`h2load${missing('h2load')}`, async () => {
    const { stdout } = await run('h2load', ['-n', '5000', '-c', '4', '-m', '100', url])
    expect(stdout).toContain('5000 succeeded, 0 failed, 0 errored, 0 timeout')
  })
})

/** Requests /big and /small over one connection. */
async function fetchBoth(port: number): Promise<readonly [status: number, bytes: number][]> {
  const socket = createConnection(port, '127.0.0.1')
  const machine = new H2Connection('client', { now: performance.now() })
  const flush = (): void => {
    for (const chunk of machine.takeOutput()) socket.write(chunk)
    if (machine.wantsClose !== 'no') socket.end()
  }
  const results = new Map<number, [number, number]>()
  for (const target of ['/big', '/small', '/none']) {
    const head = { method: 'GET', scheme: 'http', authority: `127.0.0.1:${port}`, target, headers: {} }
    results.set(machine.sendRequest(head, { end: true }), [0, 0])
  }
  flush()
  let ended = 0
  return new Promise((resolve, reject) => {
    socket.on('error', reject)
    socket.on('data', (bytes) => {
      machine.receiveData(bytes, performance.now())
      for (const event of drain(machine)) {
        if (event.type === 'response') (results.get(event.exchange) as [number, number])[0] = event.status
        else if (event.type === 'end') ended++
        else if (event.type === 'data') {
          ;(results.get(event.exchange) as [number, number])[1] += event.data.length
          machine.consume(event.exchange, event.data.length)
        } else if (event.type === 'error' || event.type === 'failed') reject(new Error(JSON.stringify(event.fault)))
      }
      if (ended === results.size) {
        machine.close(performance.now())
        resolve([...results.values()])
      }
      flush()
    })
  })
}

describe('our client', () => {
  const expected = [
    [200, 3_000_000],
    [200, 1],
    [404, expect.any(Number)],
  ]
  /** A program that serves a folder with /big and /small. */
  async function served(
    context: TestContext,
    command: string,
    argsOf: (port: number, folder: string) => readonly string[],
  ): Promise<void> {
    const folder = mkdtempSync(join(tmpdir(), 'h2-interop-'))
    writeFileSync(join(folder, 'big'), new Uint8Array(3_000_000))
    writeFileSync(join(folder, 'small'), 'x')
    const port = await freePort()
    const running = await daemon(command, argsOf(port, folder), port, folder)
    if ('missing' in running) return context.skip(running.missing)
    await withServer(running, async () => expect(await fetchBoth(port)).toEqual(expected))
  }

  test('nghttpd', (context) =>
    served(context, 'nghttpd', (port, folder) => ['--no-tls', '-a', '127.0.0.1', '-d', folder, `${port}`]))

  test('nginx', (context) =>
    served(context, 'nginx', (port, folder) => {
      const config = `daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log; events {}
        http { access_log off; client_body_temp_path ${folder}/t1; proxy_temp_path ${folder}/t2; fastcgi_temp_path ${folder}/t3;
          uwsgi_temp_path ${folder}/t4; scgi_temp_path ${folder}/t5;
          server { listen 127.0.0.1:${port} http2; root ${folder}; } }`
      writeFileSync(join(folder, 'nginx.conf'), config)
      return ['-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')]
    }))
})
