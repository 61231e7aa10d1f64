// Every option of a pool and of a request, on every route, to an origin with TLS and to one without: each shows an effect,
// or there is a reason why it has none there. The tables are keyed by the options' types: an option without a row does
// not compile.
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from 'node:http'
import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2'
import { createServer as createTcp, Socket, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import {
  ConnectionPool,
  nodeNetwork,
  type HttpCoreError,
  type Network,
  type PoolOptions,
  type RequestOptions,
  type Response,
  type TraceEvent,
} from '../../src/index.ts'
import { certificates } from '../fixtures/certificates.ts'
import { OWN_ROUTES, type Route, type Way } from '../fixtures/routes.ts'
import { serve, type Running } from '../fixtures/servers.ts'

/** What an origin says of a request. */
interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: Record<string, string>
  readonly trailers: Record<string, string>
  readonly length: number
  readonly name: string | false
  readonly window: number | undefined
}

function answer(request: IncomingMessage | Http2ServerRequest, response: ServerResponse | Http2ServerResponse): void {
  const path = request.url as string
  if (path.endsWith('/silent')) return
  if (path.endsWith('/hints')) response.writeEarlyHints({ link: '</style.css>; rel=preload' })
  if (path.endsWith('/head')) response.setHeader('X-Long', 'x'.repeat(4_000))
  let length = 0
  request.on('data', (chunk: Buffer) => (length += chunk.byteLength))
  request.on('end', () => {
    const { method, headers, trailers } = request
    const name = (request.socket as TLSSocket & { servername?: string | false }).servername ?? false
    const window = 'stream' in request ? request.stream.session?.remoteSettings.initialWindowSize : undefined
    const seen = { method, url: path, headers, trailers, length, name, window }
    ;(response as ServerResponse).end(JSON.stringify(seen))
  })
}

/** Each second connection is ended as soon as something comes. */
function flaky(server: Server): Server {
  let count = 0
  return createTcp({ pauseOnConnect: true }, (socket) => {
    if (count++ % 2 === 1) return void server.emit('connection', socket)
    socket.once('data', () => socket.destroy())
    socket.resume()
  })
}

type Scheme = 'http' | 'https'
const ORIGINS = {
  http: () => createHttp(answer),
  https: async () => createSecureServer({ ...(await certificates()).good, allowHTTP1: true }, answer),
  flaky: async () => flaky(createSecureServer({ ...(await certificates()).good, allowHTTP1: true }, answer)),
} as const satisfies Record<string, () => Server | Promise<Server>>
type OriginName = keyof typeof ORIGINS

let ca = ''
const folder = mkdtempSync(join(tmpdir(), 'httpcore-options-'))
const origins = {} as Record<OriginName, { readonly tcp: Running; readonly unix: Running }>
beforeAll(async () => {
  ca = (await certificates()).ca
  for (const name of Object.keys(ORIGINS) as OriginName[]) {
    const start = ORIGINS[name]
    origins[name] = { tcp: await serve(await start()), unix: await serve(await start(), join(folder, name)) }
  }
})
afterAll(async () => {
  for (const { tcp, unix } of Object.values(origins)) await Promise.all([tcp.stop(), unix.stop()])
  rmSync(folder, { recursive: true })
})

interface Where {
  readonly route: Route
  readonly scheme: Scheme
  readonly proxied: boolean
}
/** Where a row is tried. */
class Place implements Where {
  readonly route: Route
  readonly way: Way
  readonly scheme: Scheme
  readonly #pools: ConnectionPool[] = []

  constructor(route: Route, way: Way, scheme: Scheme) {
    this.route = route
    this.way = way
    this.scheme = scheme
  }
  get proxied(): boolean {
    return this.way.options.proxy !== undefined
  }
  get unixSocket(): string | undefined {
    return this.route.unix === true ? origins[this.scheme].unix.path : undefined
  }
  pool(options: PoolOptions = {}): ConnectionPool {
    const timeout = { connect: 5_000, read: 5_000, pool: 5_000 }
    const { unixSocket } = this
    const pool = new ConnectionPool({ tls: { ca }, timeout, unixSocket, ...this.way.options, ...options })
    this.#pools.push(pool)
    return pool
  }
  url(path = '/', host = '127.0.0.1', origin: OriginName = this.scheme): string {
    return this.route.unix === true
      ? `${this.scheme}://localhost${path}`
      : `${this.scheme}://${host}:${origins[origin].tcp.port}${path}`
  }
  /** What the origin says of one request, with the options in a pool of their own or in the request. */
  async ask(pool: PoolOptions, options: RequestOptions & { method?: string; path?: string } = {}): Promise<Seen> {
    const { method = 'GET', path, ...more } = options
    return read(await this.pool(pool).request(method, this.url(path), more))
  }
  /** A pool with a request that will not be answered, and what came of a second one. */
  async second(options: PoolOptions): Promise<unknown> {
    const pool = this.pool(options)
    const busy = fails(pool.request('GET', this.url('/silent')))
    const outcome = await fails(pool.request('GET', this.url(), { timeout: { pool: 30 } }))
    await pool.destroy()
    await busy
    return outcome
  }
  async close(): Promise<void> {
    for (const pool of this.#pools) await pool.close()
  }
}
const read = (response: Response): Seen => JSON.parse(new TextDecoder().decode(response.content)) as Seen
const fails = (request: Promise<unknown>): Promise<HttpCoreError> =>
  request.then(
    () => expect.unreachable('it did not fail'),
    (error: unknown) => error as HttpCoreError,
  )

interface Row {
  /** Throws where the option shows no effect. */
  readonly effect: (at: Place) => Promise<void>
  /** Why it has none there; undefined: it has. */
  readonly unless?: (where: Where) => string | undefined
}
const needsTls = ({ scheme }: Where): string | undefined => (scheme === 'http' ? 'there is no TLS to it' : undefined)
const needsHttp2 = ({ scheme }: Where): string | undefined =>
  scheme === 'http' ? 'without TLS this origin speaks HTTP/1.1 only' : undefined
const silent: RequestOptions & { path: string } = { path: '/silent' }

/** Two requests, one after the other: whether the second went over the connection of the first. */
async function reuses(at: Place, options: PoolOptions): Promise<boolean | undefined> {
  const pool = at.pool(options)
  await pool.request('GET', at.url())
  await sleep(20)
  return (await pool.request('GET', at.url())).connection?.reused
}

const POOL: Record<keyof PoolOptions, Row> = {
  maxConnections: {
    effect: async (at) => expect(await at.second({ maxConnections: 1 })).toMatchObject({ name: 'PoolTimeout' }),
  },
  maxConnectionsPerOrigin: {
    effect: async (at) =>
      expect(await at.second({ maxConnectionsPerOrigin: 1 })).toMatchObject({ name: 'PoolTimeout' }),
  },
  maxIdleConnections: { effect: async (at) => expect(await reuses(at, { maxIdleConnections: 0 })).toBe(false) },
  maxQueuedRequests: {
    effect: async (at) =>
      expect(await at.second({ maxConnections: 1, maxQueuedRequests: 0 })).toMatchObject({ code: 'queue-full' }),
  },
  keepAliveExpiry: { effect: async (at) => expect(await reuses(at, { keepAliveExpiry: 1 })).toBe(false) },
  maxConnectionAge: { effect: async (at) => expect(await reuses(at, { maxConnectionAge: 1 })).toBe(false) },
  maxRequestsPerConnection: {
    effect: async (at) => expect(await reuses(at, { maxRequestsPerConnection: 1 })).toBe(false),
  },
  http1: {
    // Prior knowledge, which this origin without TLS does not share.
    effect: async (at) => {
      const pool = at.pool({ http1: false, http2: true })
      const outcome: unknown = await pool.request('GET', at.url()).then(
        ({ httpVersion }) => httpVersion,
        ({ name }: Error) => name,
      )
      expect(outcome).toBe(at.scheme === 'https' ? 'HTTP/2' : 'RemoteProtocolError')
    },
  },
  http2: {
    effect: async (at) => {
      const { httpVersion } = await at.pool({ http2: true }).request('GET', at.url())
      expect(httpVersion).toBe('HTTP/2')
    },
    unless: needsHttp2,
  },
  retries: {
    effect: async (at) => {
      const unixSocket = at.route.unix === true ? origins.flaky.unix.path : undefined
      const url = at.url('/', '127.0.0.1', 'flaky')
      expect(await fails(at.pool({ unixSocket }).request('GET', url))).toMatchObject({ name: 'ConnectError' })
      // The next connection would do: one more request brings the failing one back.
      await at.pool({ unixSocket }).request('GET', url)
      expect((await at.pool({ unixSocket, retries: 1 }).request('GET', url)).status).toBe(200)
    },
    unless: needsTls,
  },
  proxy: {
    effect: async (at) => {
      const names: string[] = []
      const pool = at.pool({ trace: ({ name }) => void names.push(name) })
      await pool.request('GET', at.url())
      const hops = names.filter((name) => /^(?:proxy\.connect|socks\.setup_socks5_connection)\.complete$/.test(name))
      // A proxy that forwards is not asked for a tunnel.
      const forwarded = at.scheme === 'http' && at.route.forwards === true ? 1 : 0
      expect(hops).toHaveLength((at.way.options.proxy?.length ?? 0) - forwarded)
    },
    unless: ({ proxied }) => (proxied ? undefined : 'the route has no proxy'),
  },
  tls: {
    effect: async (at) => {
      const error = await fails(at.pool({ tls: {} }).request('GET', at.url()))
      expect(error).toMatchObject({ name: 'ConnectError', code: 'tls-certificate' })
    },
    unless: needsTls,
  },
  localAddress: {
    effect: async (at) => {
      const { connection } = await at.pool({ localAddress: '127.0.0.2' }).request('GET', at.url())
      expect(connection?.localAddress).toBe('127.0.0.2')
    },
    unless: ({ route }) => (route.unix === true ? 'a Unix socket has no address' : undefined),
  },
  unixSocket: {
    effect: async (at) => {
      const unixSocket = origins[at.scheme].unix.path
      if (at.proxied) expect(() => at.pool({ unixSocket })).toThrow('exclude each other')
      // Nobody listens at the port of the URL.
      else {
        const { status } = await at.pool({ unixSocket }).request('GET', `${at.scheme}://localhost:1/`)
        expect(status).toBe(200)
      }
    },
  },
  socketOptions: {
    effect: async (at) => {
      const keepAlive = vi.spyOn(Socket.prototype, 'setKeepAlive')
      try {
        await at.ask({ socketOptions: { keepAlive: 12_345 } })
        // A proxy of this process keeps its own sockets alive, with other figures.
        expect(keepAlive.mock.calls.filter(([, after]) => after === 12_345)).toEqual([[true, 12_345]])
      } finally {
        keepAlive.mockRestore()
      }
    },
  },
  timeout: {
    effect: async (at) =>
      expect(await fails(at.ask({ timeout: { read: 30 } }, silent))).toMatchObject({ name: 'ReadTimeout' }),
  },
  limits: {
    effect: async (at) =>
      expect(await fails(at.ask({ limits: { maxHeadBytes: 2_048 } }, { path: '/head' }))).toMatchObject({
        code: 'limit-head',
      }),
  },
  http2Options: {
    effect: async (at) =>
      expect((await at.ask({ http2: true, http2Options: { streamWindow: 123_456 } })).window).toBe(123_456),
    unless: needsHttp2,
  },
  trace: {
    effect: async (at) => {
      const events: TraceEvent[] = []
      await at.ask({ trace: (event) => void events.push(event) })
      expect(events.map(({ name }) => name)).toContain('http11.send_request_headers.complete')
    },
  },
  resolve: {
    effect: async (at) => {
      const asked: string[] = []
      const resolve = (host: string): string[] => (asked.push(host), ['127.0.0.1'])
      const named = at.way.options.proxy?.map(({ url, ...more }) => ({
        ...more,
        url: String(url).replace('127.0.0.1', 'localhost'),
      }))
      const pool = at.pool({ resolve, ...(named === undefined ? {} : { proxy: named }) })
      await pool.request('GET', at.url('/', 'localhost'))
      expect(asked.length).toBeGreaterThan(0)
      expect(new Set(asked)).toEqual(new Set(['localhost']))
    },
    unless: ({ route }) => (route.unix === true ? 'a path needs no address' : undefined),
  },
  networkBackend: {
    effect: async (at) => {
      const node = nodeNetwork()
      const connect = vi.fn<Network['connect']>((target, sink) => node.connect(target, sink))
      const network: Network = {
        can: node.can,
        now: () => node.now(),
        timer: (when, fire, keepAlive) => node.timer(when, fire, keepAlive),
        resolve: (host, done) => node.resolve(host, done),
        connect,
      }
      await at.ask({ networkBackend: network })
      expect(connect).toHaveBeenCalledTimes(1)
    },
  },
}

const REQUEST: Record<keyof RequestOptions, Row> = {
  headers: {
    effect: async (at) => expect((await at.ask({}, { headers: { 'X-Mine': 'yes' } })).headers['x-mine']).toBe('yes'),
  },
  content: { effect: async (at) => expect((await at.ask({}, { method: 'PUT', content: 'abc' })).length).toBe(3) },
  trailers: {
    effect: async (at) => {
      const { trailers } = await at.ask({}, { method: 'PUT', content: ['abc'].map(bytes), trailers: { 'X-Sum': '7' } })
      expect(trailers).toEqual({ 'x-sum': '7' })
    },
  },
  timeout: {
    effect: async (at) =>
      expect(await fails(at.ask({}, { ...silent, timeout: { read: 30 } }))).toMatchObject({ name: 'ReadTimeout' }),
  },
  signal: {
    effect: async (at) => {
      const controller = new AbortController()
      const request = fails(at.ask({}, { ...silent, signal: controller.signal }))
      setTimeout(() => controller.abort(), 20)
      expect(await request).toBe(controller.signal.reason)
    },
  },
  target: { effect: async (at) => expect((await at.ask({}, { target: '/other?1' })).url).toBe('/other?1') },
  protocol: {
    // This origin allows none; upgrade.test.ts has one that does.
    effect: async (at) => {
      const pool = at.pool({ http2: true })
      const error = await fails(pool.stream('CONNECT', at.url(), { protocol: 'websocket' }))
      expect(error).toMatchObject({ name: 'UnsupportedProtocol' })
    },
  },
  sniHostname: {
    effect: async (at) => expect((await at.ask({}, { sniHostname: 'localhost' })).name).toBe('localhost'),
    unless: needsTls,
  },
  expectContinue: {
    effect: async (at) => {
      const { headers, length } = await at.ask({}, { method: 'PUT', content: 'abc', expectContinue: true })
      expect([headers['expect'], length]).toEqual(['100-continue', 3])
    },
  },
  priority: {
    effect: async (at) =>
      expect((await at.ask({ http2: true }, { priority: { urgency: 1 } })).headers['priority']).toBe('u=1'),
    unless: needsHttp2,
  },
  onInformational: {
    effect: async (at) => {
      const seen: unknown[] = []
      await at.ask({}, { path: '/hints', onInformational: (status, headers) => seen.push(status, headers.get('link')) })
      expect(seen).toEqual([103, '</style.css>; rel=preload'])
    },
  },
  trace: {
    effect: async (at) => {
      const names: string[] = []
      await at.ask({}, { trace: ({ name }) => void names.push(name) })
      expect(names).toContain('http11.receive_response_headers.complete')
    },
  },
  maxContentBytes: {
    effect: async (at) =>
      expect(await fails(at.ask({}, { maxContentBytes: 10 }))).toMatchObject({ code: 'limit-content' }),
  },
}
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

it('undefined is the default of each, also for the compiler', () => {
  const unset = (rows: object): object => Object.fromEntries(Object.keys(rows).map((name) => [name, undefined]))
  const pool: PoolOptions = unset(POOL) as Record<keyof PoolOptions, undefined>
  expect(() => new ConnectionPool(pool)).not.toThrow()
})

describe.each(Object.entries(OWN_ROUTES) as [string, Route][])('%s', (_, route) => {
  let way: Way
  beforeAll(async () => {
    way = (await route.open()) as Way
  })
  afterAll(() => way.stop())

  describe.each(['http', 'https'] as const)('%s', (scheme) => {
    for (const [kind, rows] of Object.entries({ pool: POOL, request: REQUEST })) {
      it.for(Object.entries<Row>(rows))(`${kind}: %s`, async ([, { effect, unless }], context) => {
        const at = new Place(route, way, scheme)
        const reason = unless?.(at)
        if (reason !== undefined) return context.skip(reason)
        try {
          await effect(at)
        } finally {
          await at.close()
        }
      })
    }
  })
})
