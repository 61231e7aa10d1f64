// The TLS options of a pool and of a request, on every route: what the origin sees of them, what the response tells, and
// that a handshake that fails gives its seat back.
import { X509Certificate } from 'node:crypto'
import { createServer as createHttps, type ServerOptions } from 'node:https'
import type { IncomingMessage } from 'node:http'
import { createServer, Server } from 'node:net'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConnectionPool, type HttpCoreError, type PoolOptions, type Response } from '../../src/index.ts'
import { certificates, type Certificates } from '../fixtures/certificates.ts'
import { OWN_ROUTES, type Route, type Way } from '../fixtures/routes.ts'
import { serve, withServer } from '../fixtures/servers.ts'

let made: Certificates
const folder = mkdtempSync(join(tmpdir(), 'httpcore-tls-'))
beforeAll(async () => {
  made = await certificates()
})
afterAll(() => rmSync(folder, { recursive: true }))

/** What the origin knows of the handshake. */
interface Seen {
  readonly name: string | false
  readonly version: string
  readonly resumed: boolean
  readonly client: string | undefined
}
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const seen = (response: Response): Seen => JSON.parse(text(response.content)) as Seen

function tell(request: IncomingMessage): Seen {
  const socket = request.socket as TLSSocket & { servername: string | false }
  const { fingerprint256 } = socket.getPeerCertificate() as { fingerprint256?: string }
  return {
    name: socket.servername,
    version: socket.getProtocol() as string,
    resumed: socket.isSessionReused(),
    client: fingerprint256,
  }
}

describe.each(Object.entries(OWN_ROUTES) as [string, Route][])('%s', (_, route) => {
  let way: Way
  let sockets = 0
  beforeAll(async () => {
    way = (await route.open()) as Way
  })
  afterAll(() => way.stop())

  /** An origin, by default HTTPS with these options, and a pool that leads there and trusts it. */
  async function handshake(
    server: ServerOptions | Server,
    options: PoolOptions,
    use: (pool: ConnectionPool, url: string) => Promise<void>,
  ): Promise<void> {
    const origin =
      server instanceof Server
        ? server
        : createHttps({ ...made.good, ...server }, (request, response) => response.end(JSON.stringify(tell(request))))
    const path = route.unix === true ? join(folder, String(sockets++)) : undefined
    await withServer(serve(origin, path), async ({ port }) => {
      const pool = new ConnectionPool({
        tls: { ca: made.ca },
        ...options,
        ...way.options,
        unixSocket: path,
        maxConnections: 1,
        timeout: { connect: 5_000, read: 5_000, pool: 5_000 },
      })
      try {
        await use(pool, `https://${path === undefined ? `127.0.0.1:${port}` : 'localhost'}/`)
      } finally {
        await pool.close()
      }
    })
  }
  /** Twice, since a seat that was lost would show at the second. */
  async function fails(pool: ConnectionPool, url: string, code: string): Promise<void> {
    for (let n = 0; n < 2; n++) {
      const error: unknown = await pool.request('GET', url).catch((reason: unknown) => reason)
      expect(error).toMatchObject({ name: 'ConnectError', code, phase: 'tls', disposition: 'not-sent' })
      expect((error as HttpCoreError).cause).toBeInstanceOf(Error)
      expect((error as HttpCoreError).message).not.toContain('\n')
      expect(pool.stats).toMatchObject({ requests: 0, connections: 0, active: 0 })
    }
  }

  it('tls.cert and tls.key: the origin knows the client, and refuses one without', async () => {
    const asking = { requestCert: true, ca: made.ca }
    const client = new X509Certificate(made.client.cert).fingerprint256
    await handshake(asking, { tls: { ca: made.ca, ...made.client } }, async (pool, url) => {
      expect(seen(await pool.request('GET', url)).client).toBe(client)
    })
    // TLS 1.3 says so after the client's end of the handshake: it is the request that fails.
    await handshake({ ...asking, maxVersion: 'TLSv1.2' }, {}, (pool, url) => fails(pool, url, 'tls-handshake'))
  })

  it('sniHostname: the name that is sent, and that the certificate is checked for', async () => {
    await handshake({ ...made.wrongName }, {}, async (pool, url) => {
      const response = await pool.request('GET', url, { sniHostname: 'other.test' })
      expect(seen(response).name).toBe('other.test')
    })
    await handshake({ ...made.wrongName }, {}, (pool, url) => fails(pool, url, 'tls-certificate'))
  })

  it('the dot that ends a name is not sent; tls.checkServerIdentity may throw', async () => {
    await handshake({}, {}, async (pool, url) => {
      const response = await pool.request('GET', url, { sniHostname: 'localhost.' })
      expect(seen(response).name).toBe('localhost')
    })
    const own = new Error('mine')
    const checkServerIdentity = (): never => {
      throw own
    }
    await handshake({}, { tls: { ca: made.ca, checkServerIdentity } }, async (pool, url) => {
      await expect(pool.request('GET', url)).rejects.toMatchObject({ name: 'ConnectError', cause: own })
    })
  })

  it('who has no certificate (a key is shared) is refused like one for another name, by name or address', async () => {
    const shared = { ciphers: 'PSK', maxVersion: 'TLSv1.2' } as const
    const psk = Buffer.alloc(16, 1)
    const tls = { ...shared, pskCallback: () => ({ psk, identity: 'me' }) }
    await handshake({ ...shared, pskCallback: () => psk }, { tls }, async (pool, url) => {
      for (const sniHostname of ['localhost', '127.0.0.1', '::1']) {
        const asked = pool.request('GET', url, { sniHostname })
        await expect(asked).rejects.toMatchObject({ name: 'ConnectError', code: 'tls-certificate' })
      }
    })
  })

  it('tls.minVersion: a server below it is refused; what was spoken is told', async () => {
    await handshake({ maxVersion: 'TLSv1.2' }, { tls: { ca: made.ca, minVersion: 'TLSv1.3' } }, (pool, url) =>
      fails(pool, url, 'tls-handshake'),
    )
    await handshake({ maxVersion: 'TLSv1.2' }, {}, async (pool, url) => {
      const response = await pool.request('GET', url)
      expect([seen(response).version, response.connection?.tlsVersion]).toEqual(['TLSv1.2', 'TLSv1.2'])
    })
  })

  it('tls.ca: whom it trusts; tls.rejectUnauthorized: false, and nothing else, trusts everybody', async () => {
    await handshake({}, { tls: {} }, (pool, url) => fails(pool, url, 'tls-certificate'))
    await handshake({ ...made.untrusted }, {}, (pool, url) => fails(pool, url, 'tls-certificate'))
    await handshake({ ...made.expired }, { tls: { ca: made.ca, rejectUnauthorized: undefined } }, (pool, url) =>
      fails(pool, url, 'tls-certificate'),
    )
    await handshake({ ...made.untrusted }, { tls: { rejectUnauthorized: false } }, async (pool, url) => {
      expect((await pool.request('GET', url)).status).toBe(200)
    })
  })

  it('tls.keylog: the secrets of each handshake, line by line', async () => {
    const lines: string[] = []
    const keylog = (line: Uint8Array): void => void lines.push(text(line))
    await handshake({}, { tls: { ca: made.ca, keylog } }, async (pool, url) => {
      await pool.request('GET', url)
    })
    expect(lines.some((line) => /^CLIENT_TRAFFIC_SECRET_0 [0-9a-f]{64} [0-9a-f]+\n$/.test(line))).toBe(true)
  })

  it('what tls.keylog throws ends the handshake, not the process', async () => {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const own = new Error('mine')
      const keylog = (): never => {
        throw own
      }
      await handshake({ maxVersion }, { tls: { ca: made.ca, keylog } }, async (pool, url) => {
        await fails(pool, url, 'tls-handshake')
        await expect(pool.request('GET', url)).rejects.toMatchObject({ cause: own })
      })
    }
  })

  it('a session is resumed for the same name and options, and for no others', async () => {
    await handshake({}, {}, async (pool, url) => {
      const resumed = async (sniHostname?: string): Promise<boolean> => {
        const response = await pool.request('GET', url, { sniHostname, headers: { Connection: 'close' } })
        return seen(response).resumed
      }
      expect([await resumed('localhost'), await resumed('localhost')]).toEqual([false, true])
      // Its name is that of the URL now: an address, but on a Unix socket the same.
      expect([await resumed(), await resumed()]).toEqual([route.unix === true, true])
    })
  })

  it('the certificate is told of a resumed session too, which does not bring it again', async () => {
    const { raw } = new X509Certificate(made.good.cert)
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      await handshake({ maxVersion }, {}, async (pool, url) => {
        for (const resumed of [false, true, true]) {
          const response = await pool.request('GET', url, { headers: { Connection: 'close' } })
          const { peerCertificate, tlsVersion } = response.connection
          expect([seen(response).resumed, tlsVersion, peerCertificate]).toEqual([
            resumed,
            maxVersion,
            new Uint8Array(raw),
          ])
          peerCertificate?.fill(0)
        }
      })
    }
  })

  it('ALPN: offered in the order of preference; what was chosen is spoken and told', async () => {
    for (const [options, offers, version] of [
      [{}, ['http/1.1'], 'HTTP/1.1'],
      [{ http2: true }, ['h2', 'http/1.1'], 'HTTP/1.1'],
    ] as const) {
      let offered: readonly string[] = []
      const choose = ({ protocols }: { protocols: string[] }): string => {
        offered = protocols
        return 'http/1.1'
      }
      await handshake({ ALPNCallback: choose }, options, async (pool, url) => {
        const response = await pool.request('GET', url)
        expect([offered, response.httpVersion, response.connection?.alpn]).toEqual([offers, version, 'http/1.1'])
      })
    }
    await handshake({ ALPNProtocols: ['http/1.1'] }, { http1: false, http2: true }, (pool, url) =>
      fails(pool, url, 'tls-alpn'),
    )
  })

  it('response.connection: the certificate of the origin, also when the connection is gone', async () => {
    await handshake({}, {}, async (pool, url) => {
      const { connection } = await pool.request('GET', url, { headers: { Connection: 'close' } })
      await pool.close()
      const der = connection?.peerCertificate as Uint8Array
      expect(new X509Certificate(der).fingerprint256).toBe(new X509Certificate(made.good.cert).fingerprint256)
      expect(connection).toMatchObject({ tlsVersion: 'TLSv1.3', httpVersion: 'HTTP/1.1', reused: false })
      expect(connection?.cipher).toMatch(/^TLS_/)
    })
  })

  it('a server that speaks no TLS, one that has no protocol in common and one that leaves fail the handshake', async () => {
    const plain = createServer((socket) => socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')))
    await handshake(plain, {}, async (pool, url) => {
      await fails(pool, url, 'tls-handshake')
      await expect(pool.request('GET', url)).rejects.toThrow('the peer speaks no TLS, plain HTTP perhaps')
    })
    await handshake({ ALPNCallback: () => undefined }, {}, (pool, url) => fails(pool, url, 'tls-alpn'))
    const leaving = createServer((socket) => socket.once('data', () => socket.destroy()))
    await handshake(leaving, {}, (pool, url) => fails(pool, url, 'tls-disconnected'))
  })
})
