// Bytes that are no longer HTTP: WebSockets by upgrade and by extended CONNECT, with `ws` as the other end; CONNECT by
// hand, and TLS within it; targets that are no path.
import { randomBytes } from 'node:crypto'
import { createServer as createHttp, type Server } from 'node:http'
import { constants, createSecureServer, createServer as createH2c, type ServerHttp2Stream } from 'node:http2'
import { createServer as createHttps } from 'node:https'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createServer as createTls } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import {
  ConnectionPool,
  UnsupportedProtocol,
  type NetworkStream,
  type RequestOptions,
  type Response,
} from '../../src/index.ts'
import { certificates } from '../fixtures/certificates.ts'
import { httpProxy } from '../fixtures/proxies.ts'
import { ROUTES, type Opened, type Way } from '../fixtures/routes.ts'
import { http2Server, httpsServer, serve, tcpServer, type Running } from '../fixtures/servers.ts'

let ca = ''
const origins: Record<string, Running> = {}
beforeAll(async () => {
  const made = await certificates()
  ca = made.ca
  const echo = (server: Server): Server => {
    new WebSocketServer({ server }).on('connection', (socket) => {
      socket.send('welcome')
      socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
    })
    return server
  }
  origins['ws'] = await serve(echo(createHttp()))
  origins['wss'] = await serve(echo(createHttps(made.good)))
  const extended = createSecureServer({ ...made.good, settings: { enableConnectProtocol: true } })
  extended.on('stream', (stream: ServerHttp2Stream, headers) => {
    if (headers[':protocol'] !== 'websocket') return stream.respond({ ':status': 400 }, { endStream: true })
    stream.respond({ ':status': 200 })
    // What `ws` does with the socket of an upgrade, done with a stream.
    const socket = new WebSocket(null as never, undefined, {}) as WebSocket & {
      setSocket(s: Duplex, head: Buffer, o: object): void
    }
    socket.setSocket(stream, Buffer.alloc(0), {
      allowSynchronousEvents: true,
      maxPayload: 0,
      skipUTF8Validation: false,
    })
    socket.send('welcome')
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
  })
  origins['h2'] = await serve(extended)
})
afterAll(async () => {
  for (const origin of Object.values(origins)) await origin.stop()
})

const key = (): string => randomBytes(16).toString('base64')
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** A frame from a client: short, masked. RFC 6455 §5.2. */
function frame(opcode: number, payload: string): Uint8Array {
  const mask = randomBytes(4)
  const data = Buffer.from(payload).map((byte, i) => byte ^ (mask[i % 4] as number))
  return Buffer.concat([Buffer.of(0x80 | opcode, 0x80 | data.byteLength), mask, data])
}
const TEXT = 1
const CLOSE = 8

/** Short unmasked frames, however they were cut. */
async function readFrames(response: Response, count: number): Promise<string[]> {
  let held = Buffer.alloc(0)
  const frames: string[] = []
  while (frames.length < count) {
    const length = held[1]
    if (length !== undefined && held.byteLength >= 2 + length) {
      frames.push(text(held.subarray(2, 2 + length)))
      held = held.subarray(2 + length)
      continue
    }
    const more = await response.networkStream?.read()
    if (more === null || more === undefined) throw new Error('the stream ended early')
    held = Buffer.concat([held, more])
  }
  return frames
}

async function converse(response: Response): Promise<void> {
  const stream = response.networkStream
  if (stream === undefined) throw new Error(`no stream after ${response.status}`)
  await stream.write(frame(TEXT, 'one'))
  await stream.write(frame(TEXT, 'two'))
  expect(await readFrames(response, 3)).toEqual(['welcome', 'one', 'two'])
  await stream.write(frame(CLOSE, ''))
  await stream.close()
}

// What forwards and knows no upgrade has nothing to show here; it tunnels in the row below it.
const UPGRADES = Object.entries(ROUTES).filter(([, route]) => route.unix !== true && route.plain !== true)

describe.each(UPGRADES)('WebSocket, %s', (_, route) => {
  let way: Opened = { missing: 'not started' }
  beforeAll(async () => {
    way = await route.open()
  })
  afterAll(async () => {
    if ('stop' in way) await way.stop()
  })
  const ready = (context: TestContext): Way => ('missing' in way ? context.skip(way.missing) : way)

  it.for(['ws', 'wss'])('%s: a handshake by upgrade, an echo, and the seat is free again', async (scheme, context) => {
    const pool = new ConnectionPool({ ...ready(context).options, tls: { ca }, http2: true, maxConnections: 1 })
    for (let n = 0; n < 2; n++) {
      const response = await pool.stream('GET', `${scheme}://127.0.0.1:${origins[scheme]?.port}/`, {
        headers: [
          ['Connection', 'Upgrade'],
          ['Upgrade', 'websocket'],
          ['Sec-WebSocket-Key', key()],
          ['Sec-WebSocket-Version', '13'],
        ],
      })
      expect(response.status).toBe(101)
      await converse(response)
    }
    expect(pool.stats).toMatchObject({ requests: 0, active: 0 })
    await pool.close()
  })

  it('https: a handshake by extended CONNECT, two at a time over one connection', async (context) => {
    const pool = new ConnectionPool({ ...ready(context).options, tls: { ca }, http2: true, maxConnections: 1 })
    const url = `https://127.0.0.1:${origins['h2']?.port}/chat`
    const one = async (): Promise<void> => {
      const response = await pool.stream('CONNECT', url, {
        protocol: 'websocket',
        headers: [['Sec-WebSocket-Version', '13']],
      })
      expect([response.status, response.httpVersion]).toEqual([200, 'HTTP/2'])
      await converse(response)
    }
    await Promise.all([one(), one()])
    expect(pool.stats).toMatchObject({ requests: 0, connections: 1 })
    await pool.close()
  })
})

it('a stream of HTTP/2 cannot be secured, and says so', async () => {
  const pool = new ConnectionPool({ http2: true, tls: { ca } })
  const url = `https://127.0.0.1:${origins['h2']?.port}/`
  const response = await pool.stream('CONNECT', url, {
    protocol: 'websocket',
    headers: { 'sec-websocket-version': '13' },
  })
  await expect(response.networkStream?.startTls()).rejects.toMatchObject({
    name: 'LocalProtocolError',
    code: 'start-tls',
  })
  await response.close()
  await pool.close()
})

it('request() as well answers as soon as there is a stream, which has no content to wait for', async () => {
  const pool = new ConnectionPool({ http2: true, tls: { ca } })
  const version = { 'sec-websocket-version': '13' }
  const upgrade = { ...version, connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-key': key() }
  const switched = [
    await pool.request('CONNECT', `https://127.0.0.1:${origins['h2']?.port}/`, {
      protocol: 'websocket',
      headers: version,
      timeout: 5_000,
    }),
    await pool.request('GET', `http://127.0.0.1:${origins['ws']?.port}/`, { headers: upgrade, timeout: 5_000 }),
  ]
  for (const response of switched) {
    expect(text((await response.networkStream?.read()) as Uint8Array)).toContain('welcome')
    await response.close()
  }
  await pool.close()
})

it('a write in a tunnel of HTTP/2 that the peer ended and then reset is refused, and does not wait for ever', async () => {
  const origin = createH2c({ settings: { enableConnectProtocol: true } })
  origin.on('stream', (stream: ServerHttp2Stream) => {
    stream.on('error', () => {}).respond({ ':status': 200 })
    stream.end()
    stream.once('data', () => stream.close(constants.NGHTTP2_CONNECT_ERROR))
  })
  const server = await serve(origin as unknown as Server)
  const pool = new ConnectionPool({ http1: false, http2: true })
  const response = await pool.stream('CONNECT', `http://127.0.0.1:${server.port}/`, { protocol: 'websocket' })
  const stream = response.networkStream as NetworkStream
  expect(await stream.read()).toBeNull()
  await stream.write(new Uint8Array(400_000))
  await expect(stream.write(new Uint8Array(1))).rejects.toMatchObject({ code: 'stream-closed' })
  await stream.close()
  await pool.close()
  await server.stop()
})

describe('the stream after a switch', () => {
  const reading: Socket[] = []
  /** Answers any head with 101 and a word, and what comes after it with the same in capitals; at its end, with its own. */
  async function shouting(): Promise<Running & { url: string }> {
    const server = await tcpServer((socket) => {
      reading.push(socket)
      socket.on('error', () => undefined)
      socket.on('end', () => socket.end())
      socket.once('data', () => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: shouting\r\nConnection: upgrade\r\n\r\nhello')
        socket.on('data', (data: Buffer) => socket.write(data.toString('latin1').toUpperCase(), 'latin1'))
      })
    })
    return { ...server, url: `http://127.0.0.1:${server.port}/` }
  }
  const UPGRADE = { headers: { Connection: 'upgrade', Upgrade: 'shouting' } }
  async function open(): Promise<{ stream: NetworkStream; response: Response; stop: () => Promise<unknown> }> {
    const server = await shouting()
    const pool = new ConnectionPool()
    const response = await pool.stream('GET', server.url, UPGRADE)
    const stop = async (): Promise<unknown> => (await pool.destroy(), server.stop())
    return { stream: response.networkStream as NetworkStream, response, stop }
  }

  it('is the same each time, and knows its connection; other responses have none', async () => {
    const { stream, response, stop } = await open()
    expect(response.networkStream).toBe(stream)
    expect(stream.info).toMatchObject({ id: response.connection.id, remoteAddress: '127.0.0.1' })
    await stream.close()
    await stop()
    const server = await serve(createHttp((_, answer) => void answer.end()))
    const pool = new ConnectionPool()
    const plain = await pool.request('GET', `http://127.0.0.1:${server.port}/`)
    expect([plain.networkStream, plain.streamId]).toEqual([undefined, undefined])
    await pool.close()
    await server.stop()
  })
  it('answers its readers in the order in which they asked, also those who ask before anything comes', async () => {
    const { stream, stop } = await open()
    const [first, second, third] = [stream.read(), stream.read(), stream.read()]
    expect(text((await first) as Uint8Array)).toBe('hello')
    await stream.write(new TextEncoder().encode('a'))
    expect(text((await second) as Uint8Array)).toBe('A')
    await stream.end()
    expect(await third).toBeNull()
    expect(await stream.read()).toBeNull()
    await stop()
  })
  it('ends after what waits to be written, and takes nothing more', async () => {
    const { stream, stop } = await open()
    await stream.read()
    const last = reading.at(-1) as Socket
    last.pause()
    const big = new Uint8Array(1_000_000).fill(97)
    const writes = Array.from({ length: 4 }, () => stream.write(big))
    const ended = stream.end()
    await expect(stream.write(big)).rejects.toMatchObject({ name: 'LocalProtocolError', code: 'stream-ended' })
    last.resume()
    await Promise.all([...writes, ended])
    let bytes = 0
    for (let chunk = await stream.read(); chunk !== null; chunk = await stream.read()) bytes += chunk.byteLength
    expect(bytes).toBe(4_000_000)
    await stop()
  })
  it('cannot be ended where it has failed: what was piped into it would pass as sent', async () => {
    const { stream, stop } = await open()
    await stream.read()
    const piped = new ReadableStream<Uint8Array>({
      async pull(controller) {
        ;(reading.at(-1) as Socket).resetAndDestroy()
        await expect(stream.read()).rejects.toMatchObject({ code: 'connection-lost' })
        controller.close()
      },
    }).pipeTo(stream.writable)
    await expect(piped).rejects.toMatchObject({ code: 'connection-lost' })
    await expect(stream.end()).rejects.toMatchObject({ code: 'connection-lost' })
    await stop()
  })
  it.each(['a string', null, new ArrayBuffer(1)])('takes bytes alone: %s', async (data) => {
    const { stream, stop } = await open()
    await expect(stream.write(data as never)).rejects.toThrow(TypeError)
    await stream.write(new Uint8Array(0))
    await stop()
  })
  it.each([{ serverName: 5 }, { alpn: 'h2' }, { alpn: [1] }])('is not secured with %o, and goes on', async (tls) => {
    const { stream, stop } = await open()
    await stream.read()
    await expect(stream.startTls(tls as never)).rejects.toThrow(TypeError)
    await stream.write(new TextEncoder().encode('a'))
    expect(text((await stream.read()) as Uint8Array)).toBe('A')
    await stop()
  })
  it('is a pair of web streams as well, of which each can be ended by itself', async () => {
    const { stream, stop } = await open()
    const writer = stream.writable.getWriter()
    await writer.write(new TextEncoder().encode('web'))
    await writer.close()
    let all = ''
    for await (const chunk of stream.readable) all += text(chunk)
    expect(all).toBe('helloWEB')
    expect([stream.readable, stream.writable]).toEqual([stream.readable, stream.writable])
    await stop()
  })
  it.each(['cancelled', 'aborted'])('is closed where one of them is %s', async (how) => {
    const { stream, response, stop } = await open()
    if (how === 'cancelled') await stream.readable.cancel()
    else await stream.writable.abort()
    await expect(stream.write(new Uint8Array(1))).rejects.toMatchObject({ code: /^stream-/ })
    expect(response.timings).toHaveProperty('total')
    await stop()
  })
})

it('extended CONNECT where the server does not take it fails before anything is sent', async () => {
  const server = await http2Server((_, response) => response.end())
  const pool = new ConnectionPool({ tls: { ca }, http2: true })
  const sent = pool.stream('CONNECT', `https://127.0.0.1:${server.port}/`, { protocol: 'websocket' })
  expect(await sent.catch((error: unknown) => error)).toBeInstanceOf(UnsupportedProtocol)
  await pool.close()
  await server.stop()
})

it('CONNECT by hand: a tunnel through a proxy, TLS within it, a request within that', async () => {
  const proxy = await httpProxy()
  const origin = await httpsServer((_, response) => response.end('inside'))
  const pool = new ConnectionPool()
  const authority = `localhost:${origin.port}`
  const response = await pool.stream('CONNECT', proxy.url, { target: authority, headers: { Host: authority } })
  expect(response.status).toBe(200)
  const stream = await response.networkStream?.startTls({ serverName: 'localhost', options: { ca } })
  if (stream === undefined) throw new Error('no tunnel')
  await stream.write(new TextEncoder().encode(`GET / HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`))
  let got = ''
  for (let bytes = await stream.read(); bytes !== null; bytes = await stream.read()) got += text(bytes)
  expect(got).toMatch(/^HTTP\/1\.1 200/)
  expect(got).toContain('inside')
  await stream.close()
  await expect(stream.startTls()).rejects.toMatchObject({ code: 'stream-closed' })
  expect(pool.stats).toMatchObject({ requests: 0, active: 0 })
  await pool.close()
  await origin.stop()
  await proxy.stop()
})

it('TLS over what is there is with whom the request was for, where no other name is given: not with who was dialled', async () => {
  const { good } = await certificates() // for localhost and 127.0.0.1
  const secure = createTls(good, (socket) => socket.end(String(socket.servername)))
  const server = await serve(
    createHttp()
      .on('connect', (_, socket: Socket) => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        secure.emit('connection', socket)
      })
      .on('upgrade', (_, socket: Socket) => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: TLS/1.3\r\n\r\n')
        secure.emit('connection', socket)
      }),
  )
  const pool = new ConnectionPool()
  const secured = async (method: string, host: string, options: RequestOptions): Promise<string> => {
    const response = await pool.stream(method, `http://${host}:${server.port}/`, options)
    const stream = (await response.networkStream?.startTls({ options: { ca } })) as NetworkStream
    const name = text((await stream.read()) ?? new Uint8Array(0))
    await stream.close()
    return name
  }
  expect(await secured('CONNECT', '127.0.0.1', { target: 'localhost:443' })).toBe('localhost')
  const wrong = { name: 'ConnectError', code: 'tls-certificate' }
  await expect(secured('CONNECT', '127.0.0.1', { target: 'nobody.test:443' })).rejects.toMatchObject(wrong)
  const headers = { Connection: 'Upgrade', Upgrade: 'TLS/1.3' }
  expect(await secured('GET', 'localhost', { headers })).toBe('localhost')
  await expect(secured('GET', 'localhost', { headers, sniHostname: 'nobody.test' })).rejects.toMatchObject(wrong)
  await pool.close()
  await server.stop()
})

it('TLS over what is there comes after what was written before it, also where that still waits, and before what is written after', async () => {
  const { good } = await certificates()
  const size = 1_000_000
  const secure = createTls(good, (socket) => socket.pipe(socket))
  const server = await serve(
    createHttp().on('connect', (_, socket: Socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      let plain = 0
      socket.on('readable', () => {
        while (plain < 2 * size) {
          const some = socket.read(Math.min(socket.readableLength, 2 * size - plain) || 1) as Buffer | null
          if (some === null) return
          plain += some.length
        }
        socket.removeAllListeners('readable')
        secure.emit('connection', socket)
      })
    }),
  )
  const pool = new ConnectionPool()
  const { networkStream: stream } = await pool.stream('CONNECT', `http://127.0.0.1:${server.port}/`, {
    target: 'localhost:443',
    timeout: { total: 5_000 },
  })
  const plain = [stream?.write(new Uint8Array(size)), stream?.write(new Uint8Array(size))]
  const secured = stream?.startTls({ options: { ca } })
  const after = stream?.write(new Uint8Array([7]))
  await Promise.all([...plain, after])
  expect(await (await secured)?.read()).toEqual(new Uint8Array([7]))
  await stream?.close()
  await pool.close()
  await server.stop()
})

it.each([
  ['', false],
  [', nor are they for who reads already', true],
])(
  'TLS over what is there fails where bytes come before the handshake that was asked for: they would pass as secured%s',
  async (_, reading) => {
    const { good } = await certificates()
    const size = 8_000_000
    const secure = createTls(good, (socket) => socket.end('secret'))
    const server = await serve(
      createHttp().on('connect', (_, socket: Socket) => {
        socket.pause()
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        setTimeout(() => socket.write('forged'), 50)
        let plain = 0
        setTimeout(() => {
          socket.on('readable', () => {
            while (plain < size) {
              const some = socket.read(Math.min(socket.readableLength, size - plain) || 1) as Buffer | null
              if (some === null) return
              plain += some.length
            }
            socket.removeAllListeners('readable')
            secure.emit('connection', socket)
          })
        }, 150)
      }),
    )
    const pool = new ConnectionPool()
    const { networkStream: stream } = await pool.stream('CONNECT', `http://127.0.0.1:${server.port}/`, {
      target: 'localhost:443',
    })
    await stream?.write(new Uint8Array(size))
    const read = reading && expect(stream?.read()).rejects.toMatchObject({ code: 'surplus-before-tls' })
    await expect(stream?.startTls({ options: { ca } })).rejects.toMatchObject({ code: 'surplus-before-tls' })
    await read
    await expect(stream?.write(new Uint8Array(1))).rejects.toMatchObject({ code: 'surplus-before-tls' })
    await pool.close()
    await server.stop()
  },
)

it('asks an origin itself: OPTIONS *', async () => {
  const seen: unknown[] = []
  const server = await serve(
    createHttp((request, response) => {
      seen.push(request.method, request.url)
      response.end()
    }),
  )
  const pool = new ConnectionPool()
  expect((await pool.request('OPTIONS', `http://127.0.0.1:${server.port}`, { target: '*' })).status).toBe(200)
  expect(seen).toEqual(['OPTIONS', '*'])
  await pool.close()
  await server.stop()
})

it('TLS that fails within a tunnel is a ConnectError with the code of its fault', async () => {
  const secure = await httpsServer((_, response) => response.end())
  const plain = await serve(createHttp((_, response) => response.end()))
  const proxy = await httpProxy()
  const pool = new ConnectionPool()
  for (const [{ port }, code] of [
    [secure, 'tls-certificate'],
    [plain, 'tls-handshake'],
  ] as const) {
    const response = await pool.stream('CONNECT', proxy.url, { target: `127.0.0.1:${port}` })
    const failing = response.networkStream?.startTls({ serverName: '127.0.0.1' })
    await expect(failing).rejects.toMatchObject({ name: 'ConnectError', code, phase: 'tls' })
    expect(pool.stats).toMatchObject({ requests: 0, active: 0 })
  }
  await pool.close()
  for (const one of [secure, plain, proxy]) await one.stop()
})

it('a stream that was ended or closed takes no more, and says so', async () => {
  const heard: string[] = []
  const server = await serve(
    createHttp().on('upgrade', (_, socket: Socket) => {
      socket.on('data', (data) => heard.push(data.toString()))
      socket.on('error', () => undefined)
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n')
    }),
  )
  const pool = new ConnectionPool()
  const headers = { Connection: 'Upgrade', Upgrade: 'raw' }
  const open = async (): Promise<NetworkStream> =>
    (await pool.stream('GET', `http://127.0.0.1:${server.port}/`, { headers })).networkStream as NetworkStream
  const refused = (code: string): object => ({ name: 'LocalProtocolError', code })
  const bytes = new TextEncoder().encode('x')

  const ended = await open()
  await expect(ended.write('x' as never)).rejects.toThrow(TypeError)
  await ended.write(bytes)
  await ended.end()
  await expect(ended.write(bytes)).rejects.toMatchObject(refused('stream-ended'))
  await expect(ended.startTls()).rejects.toMatchObject(refused('stream-ended'))
  await expect.poll(() => heard).toEqual(['x'])
  await ended.close()
  await expect(ended.write(bytes)).rejects.toMatchObject(refused('stream-closed'))
  await expect(ended.startTls()).rejects.toMatchObject(refused('stream-closed'))

  const securing = await open()
  const secured = expect(securing.startTls()).rejects.toMatchObject(refused('stream-closed'))
  await expect(securing.startTls()).rejects.toMatchObject(refused('start-tls'))
  await securing.close()
  await secured
  await pool.close()
  await server.stop()
})

/** More than the system takes at once. */
const MORE = new Uint8Array(8 * 1024 * 1024)
/** A stream to a server that counts what it hears, and ends when it hears the end. */
async function toWhoCounts(): Promise<{
  stream: NetworkStream
  heard: () => number
  pool: ConnectionPool
  stop: () => Promise<unknown>
}> {
  let heard = 0
  const server = await serve(
    createHttp().on('upgrade', (_, socket: Socket) => {
      socket.on('data', (data) => (heard += data.byteLength)).on('end', () => socket.end())
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n')
    }),
  )
  const pool = new ConnectionPool()
  const headers = { Connection: 'Upgrade', Upgrade: 'raw' }
  const response = await pool.stream('GET', `http://127.0.0.1:${server.port}/`, { headers })
  const stop = async (): Promise<unknown> => (await pool.close(), server.stop())
  return { stream: response.networkStream as NetworkStream, heard: () => heard, pool, stop }
}

it('a stream that is closed has written what was written: it leaves before its connection ends', async () => {
  const { stream, heard, pool, stop } = await toWhoCounts()
  await stream.write(MORE)
  await stream.close()
  await expect.poll(heard).toBe(MORE.byteLength)
  await expect.poll(() => pool.connections).toHaveLength(0)
  await stop()
})

it('a stream may be ended twice, though what was written still waits for room', async () => {
  const { stream, heard, stop } = await toWhoCounts()
  await Promise.all([stream.write(MORE), stream.write(MORE), stream.end(), stream.end()])
  expect(await stream.read()).toBe(null)
  expect(heard()).toBe(2 * MORE.byteLength)
  await stop()
})

it('writes that nobody awaited leave in their order, at a cost linear in them, and reads are over as fast', async () => {
  const writes = 60_000
  let got = ''
  const { port, stop } = await tcpServer((socket) => {
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      socket.setEncoding('latin1').on('data', (data: string) => (got += data))
      socket.on('end', () => socket.end())
    })
  })
  await using pool = new ConnectionPool()
  const stream = (await pool.stream('CONNECT', `http://127.0.0.1:${port}`, { target: 'a:1' })).networkStream
  if (stream === undefined) throw new Error('there is no tunnel')
  const before = performance.now()
  const written = Array.from({ length: writes }, (_, i) => stream.write(new TextEncoder().encode(`${i} `)))
  const read = Array.from({ length: writes }, () => stream.read())
  await stream.end()
  await Promise.all([...written, ...read])
  expect(performance.now() - before).toBeLessThan(4_000)
  expect(got).toBe(Array.from({ length: writes }, (_, i) => `${i} `).join(''))
  await stop()
})

it('a stream that is drained is closed: its connection serves no other request', async () => {
  const server = await serve(
    createHttp().on('upgrade', (_, socket: Socket) => {
      socket.on('error', () => undefined)
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\nleading')
    }),
  )
  const pool = new ConnectionPool()
  const headers = { Connection: 'Upgrade', Upgrade: 'raw' }
  const response = await pool.stream('GET', `http://127.0.0.1:${server.port}/`, { headers })
  await response.drain()
  expect(pool.connections).toHaveLength(0)
  expect(await response.networkStream?.read()).toBe(null)
  await pool.close()
  await server.stop()
})

it('bytes that came with the head of 101 are read first', async () => {
  const server = await serve(
    createHttp().on('upgrade', (_, socket: Socket) => {
      socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\nleading')
    }),
  )
  const pool = new ConnectionPool()
  const headers = { Connection: 'Upgrade', Upgrade: 'raw' }
  const response = await pool.stream('GET', `http://127.0.0.1:${server.port}/`, { headers })
  const first = await response.networkStream?.read()
  expect(text(first as Uint8Array)).toBe('leading')
  expect(await response.networkStream?.read()).toBe(null)
  await response.close()
  await pool.close()
  await server.stop()
})

it('what the stream has read of it is not read again with the rest', async () => {
  const server = await serve(
    createHttp().on('upgrade', (_, socket: Socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\none ')
      setTimeout(() => socket.write('two '), 20)
      setTimeout(() => socket.end('three'), 40)
    }),
  )
  const pool = new ConnectionPool()
  const headers = { Connection: 'Upgrade', Upgrade: 'raw' }
  const response = await pool.stream('GET', `http://127.0.0.1:${server.port}/`, { headers })
  await new Promise((resolve) => setTimeout(resolve, 80))
  expect(text((await response.networkStream?.read()) as Uint8Array)).toBe('one ')
  expect(text(await response.read())).toBe('two three')
  await response.close()
  await pool.close()
  await server.stop()
})
