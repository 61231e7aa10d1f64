// Every route to every kind of origin, for every kind of end that a request may come to: the same calls, the same
// results. What a proxy is told about who we are reaches nobody else.
import { inspect } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest'
import { ConnectionPool, HttpCoreError, ProxyError, ReadTimeout, splitUrl } from '../../src/index.ts'
import { certificates } from '../fixtures/certificates.ts'
import { httpProxy, PASSWORD, socksProxy, USER } from '../fixtures/proxies.ts'
import { ORIGIN_NAMES, ORIGINS, startOrigins, type Answer, type OriginName, type Origins } from '../fixtures/origins.ts'
import { OWN_ROUTES, ROUTES, type Opened, type Route, type Way } from '../fixtures/routes.ts'

const SECRETS = [PASSWORD, Buffer.from(`${USER}:${PASSWORD}`).toString('base64')]
const MIB = 1 << 20

/** Everything that must hold no secret. */
const seen: string[] = []
const tell = (what: unknown): void =>
  void seen.push(inspect(what, { depth: 8, showHidden: true, maxStringLength: null }))

const answer: Answer = (request, respond) => {
  seen.push(JSON.stringify([request.url, request.rawHeaders]))
  if (request.url?.endsWith('/silent') === true) return
  let bytes = 0
  request.on('data', (chunk: Buffer) => (bytes += chunk.byteLength))
  request.on('end', () => respond(request.method === 'POST' ? String(bytes) : 'hello'))
}

let ca = ''
let origins: Origins
beforeAll(async () => {
  ca = (await certificates()).ca
  origins = await startOrigins(answer)
})
afterAll(() => origins.stop())

/** A pool over the route, gone afterwards. */
async function over(
  route: Route,
  way: Way,
  name: OriginName,
  use: (pool: ConnectionPool, url: string) => Promise<void>,
): Promise<void> {
  const { url, unixSocket } = origins.at(route, name)
  const pool = new ConnectionPool({
    ...ORIGINS[name].options,
    ...way.options,
    unixSocket,
    tls: { ca },
    maxConnections: 1,
    timeout: { connect: 5_000, read: 5_000, pool: 5_000 },
    trace: tell,
  })
  try {
    await use(pool, url)
    tell([pool.stats, pool.connections])
    expect(pool.stats).toMatchObject({ requests: 0, active: 0, queued: 0 })
  } finally {
    await pool.close()
  }
}
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

describe.each(Object.entries(ROUTES))('%s', (_, route) => {
  let way: Opened = { missing: 'not started' }
  beforeAll(async () => {
    way = await route.open()
  })
  afterAll(async () => {
    if ('stop' in way) await way.stop()
  })
  const ready = (context: TestContext): Way => ('missing' in way ? context.skip(way.missing) : way)

  describe.each(ORIGIN_NAMES)('%s', (name) => {
    it('GET, and again over the same connection', async (context) => {
      await over(route, ready(context), name, async (pool, url) => {
        for (let n = 0; n < 2; n++) {
          const response = await pool.request('GET', `${url}/`)
          expect([response.status, text(response.content)]).toEqual([200, 'hello'])
          expect(response.httpVersion).toBe(name.split(', ')[1])
          expect(response.connection?.reused).toBe(n === 1 && !(route.plain === true && name === 'http, HTTP/1.1'))
        }
      })
    })

    it('POST of 1 MiB, streamed', async (context) => {
      await over(route, ready(context), name, async (pool, url) => {
        async function* content(): AsyncGenerator<Uint8Array> {
          for (let n = 0; n < 16; n++) yield new Uint8Array(MIB / 16)
        }
        const response = await pool.request('POST', `${url}/`, { content })
        expect([response.status, text(response.content)]).toEqual([200, String(MIB)])
      })
    })

    it('aborted while the origin is silent; the next one is served', async (context) => {
      await over(route, ready(context), name, async (pool, url) => {
        await pool.request('GET', `${url}/`)
        const controller = new AbortController()
        const pending = pool.request('GET', `${url}/silent`, { signal: controller.signal })
        setTimeout(() => controller.abort(), 20)
        expect(await pending.catch((error: unknown) => error)).toBe(controller.signal.reason)
        expect((await pool.request('GET', `${url}/`)).status).toBe(200)
      })
    })

    it('out of time while the origin is silent; the next one is served', async (context) => {
      await over(route, ready(context), name, async (pool, url) => {
        const failure: unknown = await pool
          .request('GET', `${url}/silent`, { timeout: { read: 50 } })
          .then(undefined, (error: unknown) => error)
        tell(failure)
        expect(failure).toBeInstanceOf(ReadTimeout)
        expect((await pool.request('GET', `${url}/`)).status).toBe(200)
      })
    })
  })
})

describe('a proxy that refuses', () => {
  const wrong = (url: string): string => url.replace(PASSWORD, `${PASSWORD}-wrong`)
  it.each([
    ['HTTP', () => httpProxy({ auth: true }), 407],
    ['HTTPS', () => httpProxy({ auth: true, tls: true }), 407],
    ['SOCKS5', () => socksProxy({ auth: true }), undefined],
  ] as const)('%s: ProxyError, and no seat is lost', async (_, start, status) => {
    const hop = await start()
    const pool = new ConnectionPool({ proxy: { url: wrong(hop.url), tls: { ca } }, tls: { ca }, trace: tell })
    const { url } = origins.at(OWN_ROUTES.direct, 'https, HTTP/1.1')
    for (let n = 0; n < 2; n++) {
      const failure: unknown = await pool.request('GET', url).then(undefined, (error: unknown) => error)
      tell(failure)
      expect(failure).toBeInstanceOf(ProxyError)
      const { answer } = failure as ProxyError
      expect(answer?.status).toBe(status)
      if (answer !== undefined) expect(text(answer.content)).toBe('who are you?')
    }
    expect(pool.stats).toMatchObject({ requests: 0, connections: 0 })
    await pool.close()
    await hop.stop()
  })
})

it.each([
  `${USER}:${PASSWORD}@127.0.0.1:8080`,
  `//${USER}:${PASSWORD}@127.0.0.1`,
  `ftp://${USER}:${PASSWORD}@127.0.0.1`,
  `http://${USER}:${PASSWORD}@`,
  `http://${USER}:${PASSWORD}@127.0.0.1:port`,
  `http://${USER}:${PASSWORD}@127.0.0.1:99999`,
  `http://${USER}:${PASSWORD}#@127.0.0.1`,
  `http://${USER}:${PASSWORD}/@127.0.0.1`,
  `http://${USER}:%ZZ${PASSWORD}@127.0.0.1`,
  `http://${USER}:${PASSWORD}@x@127.0.0.1:port`,
])('a URL that cannot be used is refused, and its password is not shown (case %#)', (proxy) => {
  for (const make of [() => new ConnectionPool({ proxy }), () => splitUrl(proxy)]) {
    let refusal: unknown
    try {
      make()
    } catch (error) {
      refusal = error
      tell(error)
    }
    expect(refusal).toBeInstanceOf(HttpCoreError)
  }
})

it('no credential of a proxy is in what origins received, in a trace, in an error, in what a pool says of itself', () => {
  expect(seen.length).toBeGreaterThan(100)
  expect(seen.some((text) => text.includes('send_request_headers'))).toBe(true)
  for (const secret of SECRETS) expect(seen.filter((text) => text.includes(secret))).toEqual([])
})
