// The examples as a reader runs them: from the built package, against tools that others wrote.
import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it, type TestContext } from 'vitest'
import { httpServer, withServer } from '../fixtures/servers.ts'

const run = promisify(execFile)
let child: ChildProcess | undefined

beforeEach((context) => {
  if (!existsSync('dist/h11.js')) context.skip('dist/ is missing: npm run build')
})
afterEach(() => {
  child?.kill()
  child = undefined
})

/** Starts an example server on a free port; resolves to the number in the first line it prints. */
async function serve(example: string): Promise<string> {
  const started = spawn(process.execPath, [`examples/${example}.mjs`, '0'], { stdio: ['ignore', 'pipe', 'inherit'] })
  child = started
  for await (const line of createInterface({ input: started.stdout })) return /\d+$/.exec(line)?.[0] as string
  throw new Error(`${example} printed no port`)
}

function needs(tool: string, context: TestContext): void {
  try {
    execFileSync('sh', ['-c', `command -v ${tool}`])
  } catch {
    context.skip(`${tool} is missing`)
  }
}
const curl = async (...args: string[]): Promise<string> =>
  (await run('curl', ['-sS', '--max-time', '10', ...args])).stdout
const client = async (example: string, port: string): Promise<string> =>
  (await run(process.execPath, [`examples/${example}.mjs`, port], { timeout: 10_000 })).stdout

describe('h11-server', () => {
  it('answers its own client twice over one connection, which then closes', async () => {
    const printed = await client('h11-client', await serve('h11-server'))
    expect(printed).toContain('GET /one')
    expect(printed).toContain('GET /two')
  })

  it('keeps a connection alive for curl', async (context) => {
    needs('curl', context)
    const url = `http://127.0.0.1:${await serve('h11-server')}`
    const connects = ['-o', '/dev/null', '-w', '%{http_code} %{num_connects}\n']
    expect(await curl(...connects, `${url}/a`, ...connects.slice(0, 2), `${url}/b`)).toBe('200 1\n200 0\n')
  })

  it('answers HEAD without content', async (context) => {
    needs('curl', context)
    const printed = await curl('-I', `http://127.0.0.1:${await serve('h11-server')}/head`)
    expect(printed).toMatch(/^HTTP\/1\.1 200/)
    expect(printed.toLowerCase()).toContain('content-length: 11')
  })

  it('reads chunked content, and asks for it with 100 (Continue)', async (context) => {
    needs('curl', context)
    const url = `http://127.0.0.1:${await serve('h11-server')}/upload`
    const chunked = ['-H', 'Transfer-Encoding: chunked', '-H', 'Expect: 100-continue', '--expect100-timeout', '9']
    const printed = await curl('-i', '--max-time', '5', ...chunked, '-d', 'some content', url)
    expect(printed).toMatch(/^HTTP\/1\.1 100/)
    expect(printed).toContain('POST /upload')
  })

  it('answers pipelined requests in order', async () => {
    const socket = connect(Number(await serve('h11-server')), '127.0.0.1')
    const request = (target: string, more = ''): string => `GET ${target} HTTP/1.1\r\nHost: a\r\n${more}\r\n`
    socket.write(request('/1') + request('/2') + request('/3', 'Connection: close\r\n'))
    let printed = ''
    for await (const bytes of socket) printed += String(bytes)
    expect(printed.match(/GET \/\d/g)).toEqual(['GET /1', 'GET /2', 'GET /3'])
  })

  it('says what is wrong with a request, after the answers to those before it', async () => {
    const port = Number(await serve('h11-server'))
    const answers = async (text: string): Promise<string[]> => {
      const socket = connect(port, '127.0.0.1')
      socket.write(text)
      let printed = ''
      for await (const bytes of socket) printed += String(bytes)
      return printed.match(/^HTTP\/1\.1 \d+/gm) ?? []
    }
    const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
    expect(await answers(`${get}GET / HTTP/1.1\r\n\r\n${get}`)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 400'])
    expect(await answers('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx')).toEqual(['HTTP/1.1 400'])
    expect(await answers('GET / HTTP/3.0\r\nHost: a\r\n\r\n')).toEqual(['HTTP/1.1 505'])
  })

  it('refuses CONNECT, and stays', async () => {
    const socket = connect(Number(await serve('h11-server')), '127.0.0.1')
    socket.write('CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    let printed = ''
    for await (const bytes of socket) printed += String(bytes)
    expect(printed.match(/^HTTP\/1\.1 \d+/gm)).toEqual(['HTTP/1.1 501', 'HTTP/1.1 200'])
  })

  it('answers wrk without an error', async (context) => {
    needs('wrk', context)
    const { stdout } = await run('wrk', ['-t1', '-c20', '-d1s', `http://127.0.0.1:${await serve('h11-server')}/`])
    expect(stdout).toMatch(/[1-9]\d* requests in/)
    expect(stdout).not.toMatch(/Non-2xx|Socket errors/)
  })
})

describe('sync', () => {
  it('prints a response, blocking', async () => {
    await withServer(
      httpServer((_, response) => response.end('hello, world\n')),
      async ({ port }) => {
        expect(await client('sync', `http://127.0.0.1:${port}/`)).toBe('200 hello, world\n')
      },
    )
  })
})

describe('an interface of one’s own', () => {
  it('prints status and length of what came back', async () => {
    await withServer(
      httpServer((request, response) => void request.pipe(response)),
      async ({ port }) => {
        expect(await client('callback-driver', `http://127.0.0.1:${port}/`)).toBe('200\n11 bytes\n')
      },
    )
  })
  it('carries many at once, cancels, is told what fails, and closes with nothing left', async () => {
    const lines = `
      import { callbackPool } from './examples/callback-driver.mjs'
      const pool = callbackPool(undefined, { maxConnections: 5 })
      const content = () => [new Uint8Array(100_000), new Uint8Array(100_000)].values()
      const ends = []
      const ended = (what) => (ends.push(what), ends.length === 52 && pool.close(() => console.log(...new Set(ends.sort()))))
      for (let i = 0; i < 50; i++) {
        let bytes = 0
        const onEvent = (event) => event.type === 'data' && (bytes += event.data.length)
        pool.request('PUT', process.argv[1], { content, onEvent, onDone: (error) => ended(error?.name ?? bytes) })
      }
      pool.request('GET', process.argv[1], { onEvent() {}, onDone: (error) => ended(error) })('cancelled')
      const broken = () => ({ next() { throw 'broken' } })
      pool.request('PUT', process.argv[1], { content: broken, onEvent() {}, onDone: (error) => ended(error) })`
    await withServer(
      httpServer((request, response) => void request.pipe(response)),
      async ({ port }) => {
        const args = ['--input-type=module', '--eval', lines, `http://127.0.0.1:${port}/`]
        const { stdout } = await run(process.execPath, args, { timeout: 10_000 })
        expect(stdout.trim()).toBe('200000 broken cancelled')
      },
    )
  })
})

describe('networks of one’s own', () => {
  const printed = async (example: string, ...args: string[]): Promise<string[]> =>
    (await run(process.execPath, [`examples/${example}.mjs`, ...args], { timeout: 10_000 })).stdout.trim().split('\n')

  it('a mock: what was scripted comes, what was not is an error', async () => {
    const [answered, refused] = await printed('mock-network')
    expect(answered).toBe('hello []')
    expect(refused).toMatch(/^WriteError "GET \/other .* was written where "" was to come$/)
  })
  it('a recording: every byte and every fact', async () => {
    await withServer(
      httpServer((_, response) => response.end('hello')),
      async ({ port }) => {
        const lines = await printed('recording-network', `http://127.0.0.1:${port}/`)
        expect(lines[0]).toBe('1 ! connected')
        expect(lines[1]).toBe(`1 > "GET / HTTP/1.1\\r\\nHost: 127.0.0.1:${port}\\r\\n\\r\\n"`)
        expect(lines[2]).toMatch(/^1 < "HTTP\/1\.1 200 OK.*hello/)
        expect(lines.at(-1)).toBe('1 ! closed')
      },
    )
  })
  it('a recording waits for what has come, as the network in it does', async () => {
    await withServer(
      httpServer((request, response) => response.end('hello', () => request.socket.destroySoon())),
      async ({ port }) => {
        const lines = `
          import { ConnectionPool, nodeNetwork } from 'httpcore'
          import { recordingNetwork } from './examples/recording-network.mjs'
          const pool = new ConnectionPool({ networkBackend: recordingNetwork(nodeNetwork(), () => {}) })
          await pool.request('GET', process.argv[1])
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100) // the end of the connection comes meanwhile
          const { status } = await pool.request('POST', process.argv[1], { content: 'x' })
          console.log(status)
          await pool.close()`
        const args = ['--input-type=module', '--eval', lines, `http://127.0.0.1:${port}/`]
        const { stdout } = await run(process.execPath, args, { timeout: 10_000 })
        expect(stdout.trim()).toBe('200')
      },
    )
  })
  it('a message port: a server in another thread', async () => {
    expect(await printed('message-port')).toEqual(['200 HELLO, THREAD'])
  })
  it('a message port is looked at once more before what cannot be sent again', async () => {
    // Three messages at once: so many bytes were taken, the response, and the end behind it.
    const lines = `
      import { ConnectionPool } from 'httpcore'
      import { portNetwork } from './examples/message-port-network.mjs'
      const answer = new TextEncoder().encode(process.argv[1])
      const accept = (port) => port.on('message', ({ length }) => {
        if (length > 3) for (const reply of [length, answer, 'end']) port.postMessage(reply)
      })
      const pool = new ConnectionPool({ networkBackend: portNetwork(accept) })
      await pool.request('GET', 'http://far.example/')
      console.log((await pool.request('POST', 'http://far.example/')).status)
      await pool.close()`
    const args = ['--input-type=module', '--eval', lines, 'HTTP/1.1 204 No Content\r\n\r\n']
    expect((await run(process.execPath, args, { timeout: 10_000 })).stdout.trim()).toBe('204')
  })
})

describe('in memory', () => {
  it('sim: what is silent, what is cut, and when it is known', async () => {
    expect((await run(process.execPath, ['examples/sim.mjs'], { timeout: 10_000 })).stdout.trim().split('\n')).toEqual([
      '/ hello after 0 s',
      '/silent ReadTimeout, maybe-processed after 300 s',
      '/cut ReadError, maybe-processed after 300 s',
    ])
  })
})

describe('blocks of the documentation that stand alone', () => {
  it.each([
    ['README.md', 'holding a machine by hand', 'response\ndata\nend'],
    ['docs/networks.md', 'on a clock that waits for you', 'ReadTimeout 300040'],
  ])('%s, %s', async (file, heading, printed) => {
    const [, section] = readFileSync(file, 'utf8').split(new RegExp(`^## .*${heading}$`, 'm')) as [string, string]
    const code = /^```js\n([^]*?)^```$/m.exec(section)?.[1] as string
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', code], { timeout: 10_000 })
    expect(stdout.trim()).toBe(printed)
  })
})

describe('single-connection', () => {
  it('opens a second one while the first is taken, and none while one is free', async () => {
    await withServer(
      httpServer((_, response) => response.end('hello')),
      async ({ port }) => {
        const url = `http://127.0.0.1:${port}`
        const state = (count: number): string => `'${url}', HTTP/1.1, IDLE, Request Count: ${count}`
        const printed = (await client('single-connection', url)).trim().split('\n')
        expect(printed).toEqual(['200 new', '200 new', '200 reused', state(2), state(1)])
      },
    )
  })
})

describe('h2c-server', () => {
  it('answers its own client', async () => {
    expect(await client('h2c-client', await serve('h2c-server'))).toContain('hello, world')
  })

  it('answers curl with prior knowledge', async (context) => {
    needs('curl', context)
    const url = `http://127.0.0.1:${await serve('h2c-server')}/`
    expect(await curl('--http2-prior-knowledge', '-w', '%{http_version}', url)).toBe('hello, world\n2')
  })

  it('answers HEAD without content, refuses CONNECT, reads what is sent to it, and stays', async (context) => {
    needs('curl', context)
    const url = `http://127.0.0.1:${await serve('h2c-server')}/`
    const h2 = ['--http2-prior-knowledge', '-o', '/dev/null', '-w', '%{http_code} %{size_download}\n']
    expect(await curl('-I', '--http2-prior-knowledge', url)).toContain('content-length: 13')
    const session = connectHttp2(url)
    const tunnel = session.request({ ':method': 'CONNECT', ':authority': 'a:1' })
    const [headers] = (await once(tunnel, 'response')) as [Record<string, unknown>]
    expect(headers[':status']).toBe(501)
    session.destroy()
    expect(await curl(...h2, '-d', 'x'.repeat(100_000), url)).toBe('200 13\n')
  })

  it('answers 100,000 requests of h2load, 100 at a time over each of 10 connections', async (context) => {
    needs('h2load', context)
    const url = `http://127.0.0.1:${await serve('h2c-server')}/`
    const { stdout } = await run('h2load', ['-n', '100000', '-c', '10', '-m', '100', url])
    expect(stdout).toContain('100000 succeeded, 0 failed, 0 errored, 0 timeout')
  })
})
