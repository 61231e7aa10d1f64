// The async interface against Node's own servers, over real sockets: what a user does in the first hour.
import { createHash } from 'node:crypto'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { originOf } from '../../src/drivers/shared/options.ts'
import { ConnectionPool, LocalProtocolError, UnsupportedProtocol, type RequestOptions } from '../../src/index.ts'
import { ConnectionPool as BlockingPool } from '../../src/sync.ts'
import { makePool, serveHttp, serveTcp } from './servers.ts'

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const refused = (): Promise<never> => Promise.reject(new Error('refused'))
function* refusing(): Generator {
  yield refused()
}

describe('request()', () => {
  it('gives status, headers, version, framing and content', async () => {
    const { url } = await serveHttp((request, response) => {
      response.writeHead(201, 'Made', { 'X-Custom': 'a', 'content-type': 'text/plain' })
      response.end(`${request.method} ${request.url} ${request.headers.host}`)
    })
    const response = await makePool().request('GET', `${url}/a/../b;x?#f`)
    expect(response.status).toBe(201)
    expect(response.reasonPhrase).toBe('Made')
    expect(response.httpVersion).toBe('HTTP/1.1')
    expect(response.headers.get('x-custom')).toBe('a')
    expect(response.complete).toBe(true)
    expect(text(response.content)).toBe(`GET /a/../b;x? ${new URL(url).host}`)
    expect(response.connection.reused).toBe(false)
    expect(response.connection.remoteAddress).toMatch(/127\.0\.0\.1|::1/)
    expect(await response.read()).toBe(response.content)
  })

  it('asks for the same target each time, also where a query or a fragment has the only slash', async () => {
    const { url } = await serveHttp((request, response) => response.end(request.url))
    const pool = makePool()
    for (const [rest, target] of [
      ['?a=/b', '/?a=/b'],
      ['#a/b', '/'],
      ['?#/', '/?'],
    ] as const) {
      for (let i = 0; i < 2; i++) expect(text((await pool.request('GET', url + rest)).content)).toBe(target)
    }
  })

  it.each([
    ['GET', 'http://b.test:81/x', 'b.test:81'],
    ['CONNECT', 'b.test:443', 'b.test:443'],
    ['OPTIONS', '*', undefined],
    ['GET', '/x', undefined],
  ])('says the same by Host as by a target of the caller’s own: %s %s', async (method, target, host) => {
    const url = await serveTcp((socket) => {
      socket.once('data', (head: Buffer) => socket.end(`HTTP/1.1 400 Bad Request\r\n\r\n${head.toString()}`))
    })
    const { content } = await makePool().request(method, url, { target })
    expect(text(content)).toBe(`${method} ${target} HTTP/1.1\r\nHost: ${host ?? url.slice(7)}\r\n\r\n`)
  })

  it('uses a connection again, and says so', async () => {
    const { url, connections } = await serveHttp((_, response) => response.end('x'))
    const pool = makePool()
    for (let i = 0; i < 5; i++) expect((await pool.request('GET', url)).connection.reused).toBe(i > 0)
    expect(connections()).toBe(1)
    expect(pool.connections).toHaveLength(1)
    expect(pool.connections[0]?.info()).toMatch(/HTTP\/1\.1, IDLE, Request Count: 5/)
  })

  it('keeps to maxConnections, and answers everything', async () => {
    let now = 0
    let most = 0
    const { url, connections } = await serveHttp((_, response) => {
      most = Math.max(most, ++now)
      setTimeout(() => {
        now--
        response.end('ok')
      }, 2)
    })
    const pool = makePool({ maxConnections: 3 })
    const all = await Promise.all(Array.from({ length: 60 }, () => pool.request('GET', url)))
    expect(all.map((response) => text(response.content))).toEqual(Array(60).fill('ok'))
    expect(most).toBe(3)
    expect(connections()).toBe(3)
  })

  it.each(['HEAD', 'GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'M-SEARCH'])('sends %s as it is', async (method) => {
    const { url } = await serveHttp((request, response) => {
      response.setHeader('x-method', request.method as string)
      response.end(method === 'HEAD' ? undefined : 'content')
    })
    const response = await makePool().request(method, url)
    expect(response.headers.get('x-method')).toBe(method)
    expect(text(response.content)).toBe(method === 'HEAD' ? '' : 'content')
  })

  it('gives content that nobody else’s can take along, whatever becomes of its memory', async () => {
    const { url } = await serveHttp((request, response) => response.end((request.url ?? '').slice(1)))
    const pool = makePool()
    const contents = []
    for (let i = 0; i < 20; i++) {
      const { content } = await pool.request('GET', `${url}/number-${i}`)
      if (i % 2 === 0) contents.push(text(content))
      structuredClone(content, { transfer: [content.buffer] })
      expect(content.byteLength).toBe(0)
      if (i % 2 === 1) contents.push(text((await pool.request('GET', `${url}/number-${i}`)).content))
    }
    expect(contents).toEqual(Array.from({ length: 20 }, (_, i) => `number-${i}`))
  })

  it.each([1, 5, 1_000, 2_047, 2_048, 4_095, 4_096, 100_000])(
    'gives content of %d bytes that keeps nothing else',
    async (size) => {
      const { url } = await serveHttp((_, response) => response.end(Buffer.alloc(size)))
      const { content } = await makePool().request('GET', url)
      expect(content.byteLength).toBe(size)
      expect(content.buffer.byteLength).toBe(size)
    },
  )

  it('joins chunked content, and gives trailers', async () => {
    const { url } = await serveHttp((_, response) => {
      response.writeHead(200, { trailer: 'x-sum' })
      for (let i = 0; i < 10; i++) response.write('0123456789'.repeat(100))
      response.addTrailers({ 'x-sum': '42' })
      response.end()
    })
    const response = await makePool().request('GET', url)
    expect(response.framing).toBe('chunked')
    expect(response.content.byteLength).toBe(10_000)
    expect(response.trailers?.get('x-sum')).toBe('42')
  })

  it('sends the trailers that it was given, whatever becomes of their object', async () => {
    const { url } = await serveHttp((request, response) => {
      request.resume().once('end', () => response.end(JSON.stringify(request.trailers)))
    })
    const trailers = { 'x-sum': '42' }
    const answer = makePool().request('POST', url, { content: ['a'] as never, trailers })
    trailers['x-sum'] = '43'
    expect(text((await answer).content)).toBe('{"x-sum":"42"}')
  })

  it('asks for trailers when the content is over', async () => {
    const { url } = await serveHttp((request, response) => {
      request.resume().once('end', () => response.end(JSON.stringify(request.trailers)))
    })
    let sum = 0
    function* content(): Generator<Uint8Array> {
      for (const byte of [1, 2, 3]) {
        sum += byte
        yield Uint8Array.of(byte)
      }
    }
    const trailers = (): Record<string, string> => ({ 'X-Sum': String(sum) })
    const response = await makePool().request('POST', url, { content: content(), trailers })
    expect(text(response.content)).toBe('{"x-sum":"6"}')
  })
  it.each([
    ['throw', new Error('mine')],
    ['are none', TypeError],
    ['may not be sent', LocalProtocolError],
  ])('fails of trailers that %s, and of nothing else after it', async (what, reason) => {
    const { url } = await serveHttp((request, response) => {
      request.on('error', () => undefined)
      request.resume().once('end', () => response.end('ok'))
    })
    const pool = makePool({ maxConnections: 1 })
    const trailers = (): never => {
      if (what === 'throw') throw reason as Error
      return (what === 'are none' ? { a: 1 } : { Host: 'a' }) as never
    }
    const sent = pool.request('POST', url, { content: [new Uint8Array(1)], trailers })
    if (what === 'throw') await expect(sent).rejects.toBe(reason)
    else await expect(sent).rejects.toThrow(reason as new () => Error)
    expect(text((await pool.request('GET', url)).content)).toBe('ok')
  })
  it('ends where it was cancelled by its own trailers', async () => {
    const { url } = await serveHttp((request) => void request.resume())
    const abort = new AbortController()
    const trailers = (): [] => {
      abort.abort('enough')
      return []
    }
    const pool = makePool()
    const sent = pool.request('POST', url, { content: [new Uint8Array(1)], trailers, signal: abort.signal })
    await expect(sent).rejects.toBe('enough')
    expect(pool.stats).toMatchObject({ requests: 0, active: 0 })
  })
})

describe('content', () => {
  const big = new Uint8Array(1_000_000).map((_, i) => i * 7)
  const other = runInNewContext('new Uint8Array([1, 2, 3])') as Uint8Array
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let i = 0; i < big.length; i += 77_777) yield big.subarray(i, i + 77_777)
  }
  it.each([
    ['a string', () => 'h\u00e4llo', 'h\u00e4llo'],
    ['bytes', () => big, big],
    ['bytes of another realm', () => other, other],
    ['an iterable of such', () => [other, other.subarray(1)], new Uint8Array([1, 2, 3, 2, 3])],
    ['an iterable', () => [big.subarray(0, 10), big.subarray(10)], big],
    ['an async iterable', () => pieces(), big],
    ['a ReadableStream', () => new Blob([big]).stream() as unknown as ReadableStream<Uint8Array>, big],
    ['a function', () => () => pieces(), big],
    ['an empty string', () => '', ''],
    ['an empty iterable', () => [], ''],
    ['an iterable of empty pieces', () => [...Array<string>(20_000).fill(''), 'end'], 'end'],
  ] as [string, () => unknown, string | Uint8Array][])('%s arrives whole', async (_, content, expected) => {
    const { url } = await serveHttp((request, response) => {
      const hash = createHash('sha256')
      request.on('data', (data: Buffer) => hash.update(data))
      request.on('end', () => response.end(hash.digest('hex')))
    })
    const given: unknown = content()
    const response = await makePool().request('POST', url, { content: given as string })
    expect(text(response.content)).toBe(createHash('sha256').update(expected).digest('hex'))
  })

  it('is announced by Content-Length where its length is known, else chunked; the caller’s own word counts', async () => {
    const { url } = await serveHttp((request, response) => {
      request.resume()
      const { 'content-length': length, 'transfer-encoding': coding } = request.headers
      request.on('end', () => response.end(`${length} ${coding}`))
    })
    const pool = makePool()
    const said = async (options: Parameters<typeof pool.request>[2], method = 'POST'): Promise<string> =>
      text((await pool.request(method, url, options)).content)
    expect(await said({ content: 'abc' })).toBe('3 undefined')
    expect(await said({ content: ['abc'] as unknown as Uint8Array[] })).toBe('undefined chunked')
    expect(await said({ content: [new Uint8Array(3)], headers: { 'Content-Length': '3' } })).toBe('3 undefined')
    expect(await said({ content: 'abc', headers: { 'transfer-encoding': 'chunked' } })).toBe('undefined chunked')
    expect(await said({})).toBe('0 undefined')
    expect(await said({}, 'GET')).toBe('undefined undefined')
  })

  it('that throws rejects with its own exception, and the pool goes on', async () => {
    const { url } = await serveHttp((request, response) => {
      request.resume()
      request.on('end', () => response.end('ok'))
    })
    const pool = makePool({ maxConnections: 1 })
    const own = new Error('mine')
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(10)
      throw own
    }
    await expect(pool.request('POST', url, { content: broken() })).rejects.toBe(own)
    expect(text((await pool.request('GET', url)).content)).toBe('ok')
  })

  it.each([
    ['nothing', undefined],
    ['what cannot be asked', Object.defineProperty({}, 'done', { get: () => expect.fail('asked') })],
  ])('whose iterator answers with %s fails its request, and nothing else', async (_, answer) => {
    const { url } = await serveHttp((_, response) => response.end('ok'))
    const next = (): unknown => Promise.resolve(answer)
    const content = { [Symbol.asyncIterator]: () => ({ next }) } as unknown as AsyncIterable<Uint8Array>
    const failed = makePool().request('POST', url, { content, timeout: 5_000 })
    await expect(failed).rejects.toThrow(answer === undefined ? TypeError : 'asked')
  })

  it.each([
    ['a function gives', { content: refused }],
    ['an iterator gives', { content: refusing }],
    ['the function for trailers gives', { content: 'x', trailers: refused }],
  ])('in a promise that %s is refused, and ends no process where it is rejected', async (_, options) => {
    const { url } = await serveHttp((request, response) => request.resume().on('end', () => response.end('ok')))
    const heard: unknown[] = []
    const hear = (reason: unknown): unknown => heard.push(reason)
    process.on('unhandledRejection', hear)
    try {
      await expect(makePool().request('POST', url, options as RequestOptions)).rejects.toThrow(TypeError)
      await new Promise((resolve) => setTimeout(resolve, 20))
    } finally {
      process.off('unhandledRejection', hear)
    }
    expect(heard).toEqual([])
  })

  it('shorter or longer than its length is refused', async () => {
    const { url } = await serveHttp((request, response) => {
      request.on('error', () => undefined)
      request.resume()
      request.on('end', () => response.end('ok'))
    })
    const pool = makePool()
    for (const length of ['2', '4']) {
      const headers = { 'content-length': length }
      await expect(pool.request('POST', url, { headers, content: [new Uint8Array(3)] })).rejects.toThrow(
        LocalProtocolError,
      )
      await expect(pool.request('POST', url, { headers, content: 'abc' })).rejects.toThrow(LocalProtocolError)
    }
  })
})

describe('what may not be sent', () => {
  it.each([
    ['a relative URL', 'GET', '/x', {}, UnsupportedProtocol],
    ['another scheme', 'GET', 'ftp://h/', {}, UnsupportedProtocol],
    ['userinfo', 'GET', 'http://a:b@h/', {}, LocalProtocolError],
    ['a method with a space', 'GE T', 'http://127.0.0.1:1/', {}, LocalProtocolError],
    ['a target with a space', 'GET', 'http://127.0.0.1:1/', { target: '/a b' }, LocalProtocolError],
    [
      'two lengths',
      'POST',
      'http://127.0.0.1:1/',
      { content: 'x', headers: { 'Content-Length': ['1', '1'] } },
      LocalProtocolError,
    ],
    ['a number as content', 'POST', 'http://127.0.0.1:1/', { content: 1 }, TypeError],
    ['a number as header', 'POST', 'http://127.0.0.1:1/', { headers: { a: 1 } }, TypeError],
    ['an unknown timeout', 'GET', 'http://127.0.0.1:1/', { timeout: { reed: 1 } }, TypeError],
    ['a negative timeout', 'GET', 'http://127.0.0.1:1/', { timeout: -1 }, RangeError],
    ['no signal', 'GET', 'http://127.0.0.1:1/', { signal: {} }, TypeError],
    ['an unknown option', 'GET', 'http://127.0.0.1:1/', { timeouts: { read: 1 } }, TypeError],
    ['a word for a timeout', 'GET', 'http://127.0.0.1:1/', { timeout: 'long' }, TypeError],
    ['null for all timeouts', 'GET', 'http://127.0.0.1:1/', { timeout: null }, TypeError],
    ['a word for one timeout', 'GET', 'http://127.0.0.1:1/', { timeout: { read: '1' } }, TypeError],
    ['no URL', 'GET', undefined, {}, TypeError],
    ['null as URL', 'GET', null, {}, TypeError],
    ['what only looks like a URL', 'GET', { href: 1 }, {}, TypeError],
    ['null as content', 'POST', 'http://127.0.0.1:1/', { content: null }, TypeError],
    ['units of two bytes as content', 'POST', 'http://127.0.0.1:1/', { content: new Uint16Array(2) }, TypeError],
    ['none of four bytes as content', 'POST', 'http://127.0.0.1:1/', { content: new Float32Array(0) }, TypeError],
    ['a space behind the path', 'GET', 'http://127.0.0.1:1/a b', {}, LocalProtocolError],
    ['null as options', 'GET', 'http://127.0.0.1:1/', null, TypeError],
    ['a number as target', 'GET', 'http://127.0.0.1:1/', { target: 1 }, TypeError],
    ['null as target', 'GET', 'http://127.0.0.1:1/', { target: null }, TypeError],
    ['a number as protocol', 'CONNECT', 'http://127.0.0.1:1/', { protocol: 1 }, TypeError],
    ['a word for whether to expect 100', 'PUT', 'http://127.0.0.1:1/', { expectContinue: 'no' }, TypeError],
    ['a word for urgency', 'GET', 'http://127.0.0.1:1/', { priority: { urgency: '1' } }, TypeError],
    ['an urgency that there is not', 'GET', 'http://127.0.0.1:1/', { priority: { urgency: 8 } }, RangeError],
    [
      'a number for whether it is incremental',
      'GET',
      'http://127.0.0.1:1/',
      { priority: { incremental: 1 } },
      TypeError,
    ],
    ['a number as trailer', 'PUT', 'http://127.0.0.1:1/', { content: ['a'], trailers: { a: 1 } }, TypeError],
    ['a field that is no trailer', 'PUT', 'http://127.0.0.1:1/', { trailers: { Expires: '0' } }, LocalProtocolError],
    ['a trailer that may not be sent', 'PUT', 'http://127.0.0.1:1/', { trailers: { a: 'b\n' } }, LocalProtocolError],
  ])('%s', async (_, method, url, options, type) => {
    const pool = makePool()
    await expect(pool.request(method, url as string, options as never)).rejects.toThrow(type as new () => Error)
    expect(pool.connections).toHaveLength(0)
  })

  it.each([
    ['a name', { sniHostname: 1 }],
    ['a callback', { onInformational: 'none' }],
    ['a trace', { trace: {} }],
    ['a priority', { priority: 3 }],
    ['a name within a priority', { priority: { urgent: 1 } }],
  ])('%s of another type', async (_, options) => {
    await expect(makePool().request('GET', 'http://127.0.0.1:1/', options as never)).rejects.toThrow(TypeError)
  })
  it.each([
    { headers: { authorization: 'a' } },
    { target: '*' },
    { protocol: 'websocket' },
    { priority: { urgency: 1 } },
  ])('a head that is the caller’s own is not added to: %o', async (options) => {
    const origin = { scheme: 'http', host: '127.0.0.1', port: 1 } as const
    const refused = makePool().handleRequest(origin, { method: 'GET', target: '/', headers: [] }, options)
    await expect(refused).rejects.toThrow(TypeError)
  })

  it.each([
    ['a path in the host', { host: '127.0.0.1/a' }],
    ['a query in the host', { host: '127.0.0.1?a' }],
    ['a fragment in the host', { host: '127.0.0.1#' }],
    ['another host in the scheme', { scheme: 'http://127.0.0.2/' }],
  ])('an origin with %s, which would be another’s', async (_, part) => {
    const origin = { scheme: 'http', host: '127.0.0.1', port: 1, ...part }
    const refused = makePool().handleRequest(origin, { method: 'GET', target: '/', authority: 'a', headers: [] })
    await expect(refused).rejects.toMatchObject({ name: 'LocalProtocolError', code: 'url' })
  })

  it.each([undefined, null, 'http://127.0.0.1:1'])('an origin that is none: %s', async (origin) => {
    const refused = makePool().handleRequest(origin as never, { method: 'GET', target: '/', headers: [] })
    await expect(refused).rejects.toThrow(TypeError)
  })
  it('content where the head says that there is none', async () => {
    const origin = { scheme: 'http', host: '127.0.0.1', port: 1 }
    const head = { method: 'PUT', target: '/', headers: [], content: 'none' } as const
    await expect(makePool().handleRequest(origin, head, { content: 'a' })).rejects.toMatchObject({ code: 'framing' })
    const long = { ...head, content: { length: 2 } }
    await expect(makePool().handleRequest(origin, long, { content: 'a' })).rejects.toMatchObject({
      code: 'content-length',
    })
    await expect(makePool().handleRequest(origin, long)).rejects.toMatchObject({ code: 'content-length' })
  })
  it.each([
    ['Content-Length', '1', { length: 2 }],
    ['Content-Length', '1', 'none'],
    ['Transfer-Encoding', 'chunked', { length: 1 }],
    ['Transfer-Encoding', 'chunked', 'none'],
  ] as const)('%s: %s beside a plan that says otherwise: %o', async (name, value, content) => {
    const origin = { scheme: 'http', host: '127.0.0.1', port: 1 }
    const head = { method: 'PUT', target: '/', headers: [[name, value]], content } as const
    await expect(makePool().handleRequest(origin, head, { content: 'a' })).rejects.toMatchObject({ code: 'framing' })
  })
  it('a length that is another by the time it is sent', async () => {
    const url = await serveTcp((socket) => {
      socket.once('data', (sent: Buffer) => socket.end(`HTTP/1.1 200 OK\r\n\r\n${sent.toString()}`))
    })
    const { port } = new URL(url)
    const content = { length: 1 }
    const head = { method: 'PUT', target: '/', authority: 'a', headers: [], content } as const
    const answer = makePool().handleRequest({ scheme: 'http', host: '127.0.0.1', port: Number(port) }, head, {
      content: 'x',
    })
    content.length = 2
    expect(text(await (await answer).read())).toBe('PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx')
  })

  it('content of which a function gives none', async () => {
    const { url } = await serveHttp((_, response) => response.end())
    const given = makePool().request('PUT', url, { content: (() => undefined) as never })
    await expect(given).rejects.toThrow(TypeError)
  })

  it('a field that would be two never leaves, and costs no seat', async () => {
    const { url } = await serveHttp((request, response) => response.end(JSON.stringify(request.rawHeaders)))
    const pool = makePool({ maxConnections: 1 })
    for (const headers of [{ a: 'b\r\nc: d' }, { 'a\r\nb': 'c' }, { a: '\u010a' }, { host: 'a b' }]) {
      await expect(pool.request('GET', url, { headers })).rejects.toThrow(LocalProtocolError)
    }
    expect(text((await pool.request('GET', url)).content)).toBe(JSON.stringify(['Host', new URL(url).host]))
  })
})

describe('a pool is not made with', () => {
  it.each([
    ['an unknown option', { http3: true }, TypeError],
    ['an option out of its bounds', { maxConnections: 0 }, RangeError],
    ['a proxy without a URL', { proxy: { tunnel: 'always' } }, TypeError],
    ['null as proxy', { proxy: null }, TypeError],
    ['a name without a password', { proxy: { url: 'http://proxy.test', auth: ['a'] } }, TypeError],
    ['an unknown option of a proxy', { proxy: { url: 'http://proxy.test', tsl: {} } }, TypeError],
    ['another tunnel', { proxy: [{ url: 'http://proxy.test', tunnel: 'allways' }] }, TypeError],
    ['a number as password', { proxy: { url: 'http://proxy.test', auth: ['a', 1] } }, TypeError],
    ['a colon in the name for Basic', { proxy: { url: 'http://proxy.test', auth: ['a:b', 'c'] } }, LocalProtocolError],
    ['a control in the name for Basic', { proxy: 'http://a%0ab:c@proxy.test' }, LocalProtocolError],
    ['DEL in the password for Basic', { proxy: { url: 'http://proxy.test', auth: ['a', '\x7f'] } }, LocalProtocolError],
    ['an empty name for SOCKS', { proxy: { url: 'socks5h://proxy.test', auth: ['', 'a'] } }, LocalProtocolError],
    [
      'a long password for SOCKS',
      { proxy: { url: 'socks5://proxy.test', auth: ['a', '\u00e4'.repeat(128)] } },
      LocalProtocolError,
    ],
    ['userinfo that is no UTF-8', { proxy: 'http://%ff@proxy.test' }, LocalProtocolError],
    ['another scheme of a proxy', { proxy: 'ftp://proxy.test' }, UnsupportedProtocol],
    ['a word for TLS', { tls: 'yes' }, TypeError],
    ['null for the socket', { socketOptions: null }, TypeError],
    ['a trace that cannot be called', { trace: {} }, TypeError],
    ['no limit where it must have one', { maxConnections: null }, TypeError],
    ['nothing to speak', { http1: false, http2: false }, LocalProtocolError],
    ['credentials in one string', { proxy: { url: 'http://proxy.test', auth: 'me' } }, TypeError],
    [
      'credentials for a proxy twice',
      { proxy: { url: 'http://a:b@proxy.test', headers: { 'proxy-authorization': 'Bearer c' } } },
      LocalProtocolError,
    ],
    ['an unknown option of HTTP/2', { http2Options: { window: 1 } }, TypeError],
    ['a window that is none', { http2Options: { streamWindow: -1 } }, RangeError],
    ['a window through which nothing comes', { http2Options: { streamWindow: 0 } }, RangeError],
    ['a misspelt ping', { http2Options: { keepAlivePing: { after: 1, within: 1, whileidle: true } } }, TypeError],
    ['a ping without a time', { http2Options: { keepAlivePing: { after: 1_000 } } }, TypeError],
    ['a word for whether to delay', { socketOptions: { noDelay: 'no' } }, TypeError],
    ['a probe that is no time', { socketOptions: { keepAlive: '1000' } }, TypeError],
    ['a probe before its time', { socketOptions: { keepAlive: -1 } }, RangeError],
    ['a ping before its time', { http2Options: { keepAlivePing: { after: -1, within: 1 } } }, RangeError],
  ])('%s', (_, options, type) => {
    for (const Pool of [ConnectionPool, BlockingPool]) expect(() => new Pool(options as never)).toThrow(type)
  })
  it('a look-up that cannot be called', () => {
    expect(() => new ConnectionPool({ resolve: 'a.test' as never })).toThrow(TypeError)
  })
  it('a grace that is no time, by rejecting', async () => {
    const { url } = await serveHttp((_, response) => response.end('ok'))
    const pool = makePool()
    await expect(pool.close({ grace: -1 })).rejects.toThrow(RangeError)
    expect((await pool.request('GET', url)).status).toBe(200)
  })
})

describe('a pool takes', () => {
  it.each([
    ['no limit for requests on a connection', { maxRequestsPerConnection: null }],
    ['no bound for what is idle', { keepAliveExpiry: null, maxConnectionAge: null }],
    ['Infinity for off', { timeout: { pool: Infinity, read: null }, maxConnectionAge: Infinity }],
    ['socket options of Node’s', { socketOptions: { noDelay: false, keepAlive: true } }],
    ['no ping', { http2Options: { keepAlivePing: null } }],
  ])('%s', async (_, options) => {
    const { url, connections } = await serveHttp((_, response) => response.end('ok'))
    const pool = makePool(options)
    for (let n = 0; n < 3; n++) expect(text((await pool.request('GET', url)).content)).toBe('ok')
    expect(connections()).toBe(1)
  })
  it.each([
    ['a URL object', (url: string) => new URL(url)],
    ['an object with one', (url: string) => ({ url: new URL(url) })],
    ['a name without a password', (url: string) => url.replace('//', '//a%C3%A4@')],
  ])('a proxy as %s', async (what, given) => {
    const seen: (string | undefined)[] = []
    const { url } = await serveHttp((request, response) => {
      seen.push(request.url, request.headers['proxy-authorization'])
      response.end('forwarded')
    })
    const pool = makePool({ proxy: given(url.replace('localhost', '127.0.0.1')) })
    expect(text((await pool.request('GET', 'http://origin.test/')).content)).toBe('forwarded')
    const credentials = what.startsWith('a name') ? `Basic ${Buffer.from('aä:').toString('base64')}` : undefined
    expect(seen).toEqual(['http://origin.test/', credentials])
  })
  it.each([
    ['::1', 'http://[::1]:1'],
    ['127.0.0.1', 'http://127.0.0.1:1'],
  ])('an origin that is an address, and names it where it fails: %s', async (host, origin) => {
    const head = { method: 'GET', target: '/', authority: 'a', headers: [] }
    const sent = makePool().handleRequest({ scheme: 'http', host, port: 1 }, head, { timeout: Infinity })
    await expect(sent).rejects.toMatchObject({ name: 'ConnectError', origin, disposition: 'not-sent' })
  })
  it('more origins than are remembered by their URLs', () => {
    const origin = (i: number): unknown => originOf(`http://h${i}.test/a?b`)
    for (let i = 0; i < 10_000; i++) expect(origin(i)).toEqual({ scheme: 'http', host: `h${i}.test`, port: 80 })
    expect(origin(0)).toEqual({ scheme: 'http', host: 'h0.test', port: 80 })
    expect(origin(0)).toBe(origin(0))
  })
})
