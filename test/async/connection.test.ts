// One connection held by hand, over the network's own dial and over a link that its owner brings.
import { describe, expect, it } from 'vitest'
import { ProxyError, SingleConnection, type RequestOptions, type SingleConnectionOptions } from '../../src/index.ts'
import { SimNetwork } from '../../src/sim.ts'
import { connectProxy, peers, secureServer, server, socksProxy, type Server, type Version } from '../fixtures/peers.ts'

const URL = 'http://origin.test/'

function world(version: Version, options: (sim: SimNetwork) => SingleConnectionOptions = () => ({})) {
  const sim = new SimNetwork({ latency: 1 })
  sim.listen('origin.test', 80, server(sim, version, peers()))
  const versions = version === 'h2' ? { http1: false, http2: true } : {}
  return { sim, connection: new SingleConnection({ networkBackend: sim, ...versions, ...options(sim) }) }
}
async function asked({ sim, connection }: ReturnType<typeof world>): Promise<unknown> {
  const response = connection.request('GET', URL).then(
    ({ connection: { id } }) => id,
    (error: unknown) => error,
  )
  await sim.run(response)
  return response
}

describe.each(['h1', 'h2'] as const)('%s', (version) => {
  it('serves one request after the other, and says what it is', async () => {
    const it = world(version)
    expect(it.connection.info()).toBeUndefined()
    expect(await asked(it)).toBe(await asked(it))
    expect(it.connection.info()).toContain(version === 'h1' ? 'HTTP/1.1, IDLE' : 'HTTP/2, IDLE')
    await it.sim.run(it.connection.close())
    expect(it.sim.openLinks).toBe(0)
  })
  it('is to one origin: a request to another is refused, and costs it nothing', async () => {
    const it = world(version)
    const id = await asked(it)
    await expect(it.connection.request('GET', 'http://other.test/')).rejects.toMatchObject({
      name: 'ConnectionNotAvailable',
      code: 'other-origin',
    })
    expect(await asked(it)).toBe(id)
    await it.sim.run(it.connection.close())
  })
  it('takes no URL of another type', async () => {
    const { connection } = world(version)
    for (const url of [undefined, 5, {}]) {
      await expect(connection.request('GET', url as never)).rejects.toThrow(TypeError)
      await expect(connection.stream('GET', url as never)).rejects.toThrow(TypeError)
    }
  })
  it('is not dialled again when it is gone', async () => {
    const it = world(version)
    await asked(it)
    await it.sim.advance(120_000)
    expect(it.connection.info()).toBeUndefined()
    expect(await asked(it)).toMatchObject({
      name: 'ConnectionNotAvailable',
      code: 'connection-used',
      disposition: 'not-sent',
      origin: 'http://origin.test',
    })
    await it.sim.run(it.connection.close())
  })
  it('runs over any link', async () => {
    let opened = 0
    const it = world(version, (sim) => ({
      link: (_, sink) => {
        opened++
        return sim.connect({ address: '198.51.100.1', port: 80 }, sink)
      },
    }))
    await asked(it)
    expect([typeof (await asked(it)), opened]).toEqual(['number', 1])
    await it.sim.run(it.connection.close())
  })
})

it.each([
  ['directly', undefined, 'origin.test', 443, (origin: Server) => origin],
  ['in a tunnel', 'http://proxy.test:1', 'proxy.test', 1, connectProxy],
  ['behind SOCKS', 'socks5h://proxy.test:1', 'proxy.test', 1, socksProxy],
])('is dialled again as `retries` says while it is not made, %s', async (_, proxy, host, port, listens) => {
  const sim = new SimNetwork()
  sim.listen(host, port, listens(server(sim, 'h1', peers())), { tls: { alpn: ['http/1.1'] } })
  const error = Object.assign(new Error('reset'), { code: 'ECONNRESET' })
  sim.fault({ at: 'tls', what: 'refuse', error, times: 3 })
  for (const [retries, result] of [
    [1, 'tls-disconnected'],
    [1, 200],
  ] as const) {
    const connection = new SingleConnection({ networkBackend: sim, proxy, retries })
    const asked = async (): Promise<unknown> => {
      const response = connection.request('GET', 'https://origin.test/').then(
        ({ status }) => status,
        ({ code }: { code: unknown }) => code,
      )
      await sim.run(response)
      return response
    }
    expect(await asked()).toBe(result)
    if (result !== 200) continue
    await sim.advance(120_000)
    expect(await asked()).toBe('connection-used')
  }
})

it.each([
  ['the next address', ['192.0.2.1', '192.0.2.2'], [expect.any(Number)]],
  ['the next request', ['192.0.2.1'], [expect.any(ProxyError), expect.any(Number)]],
])('is dialled again for %s where a SOCKS proxy does not reach a host', async (_, addresses, results) => {
  const sim = new SimNetwork()
  sim.resolveTo('origin.test', addresses)
  let links = 0
  sim.listen('proxy.test', 1, (link) => {
    const origin = server(sim, 'h1', peers())(link)
    const answers = ['0500', `050${links++ === 0 ? 4 : 0}0001000000000000`]
    const received = (data: Uint8Array): boolean => {
      const answer = answers.shift()
      if (answer === undefined) return origin.received(data)
      link.write([new Uint8Array(Buffer.from(answer, 'hex'))])
      return false
    }
    return { ...origin, received }
  })
  const connection = new SingleConnection({ networkBackend: sim, proxy: 'socks5://proxy.test:1' })
  for (const result of results) expect(await asked({ sim, connection })).toEqual(result)
  expect(links).toBe(2)
})

it('lost under a request that could be sent again, it says so: there is no other to send it on', async () => {
  const sim = new SimNetwork({})
  const once = peers()
  sim.listen('origin.test', 80, (link) => {
    const sink = server(sim, 'h1', once)(link)
    let heard = 0
    return { ...sink, received: (data) => (heard++ === 0 ? sink.received(data) : (sim.reset(link), false)) }
  })
  const connection = new SingleConnection({ networkBackend: sim })
  await sim.run(connection.request('GET', URL))
  expect(await asked({ sim, connection })).toMatchObject({
    name: 'RemoteProtocolError',
    code: 'server-disconnected',
    disposition: 'maybe-processed',
  })
})

const TAKEN = { name: 'ConnectionNotAvailable', code: 'queue-full', disposition: 'not-sent' }
const REFUSED = { name: 'RemoteProtocolError', code: 'stream-reset', disposition: 'refused' }
const UPGRADE = { headers: { Connection: 'upgrade', Upgrade: 'echo' } }
it.each<[string, string, string, RequestOptions, object]>([
  ['the server refuses', 'h2', 'GET', { target: '/refused' }, REFUSED],
  ['only HTTP/1.1 could carry', 'h2', 'GET', UPGRADE, TAKEN],
  ['only extended CONNECT could carry', 'h2', 'CONNECT', { protocol: 'websocket' }, TAKEN],
  ['only HTTP/2 could carry', 'http/1.1', 'CONNECT', { protocol: 'websocket' }, TAKEN],
  ['is for another name', 'h2', 'GET', { sniHostname: 'other.test' }, TAKEN],
])('what %s costs it nothing', async (_, version, method, options, error) => {
  const sim = new SimNetwork()
  const known = peers()
  known.behaviours.set('/refused', { instead: 'refuse' })
  sim.listen('origin.test', 443, secureServer(sim, known), { tls: { alpn: [version] } })
  const connection = new SingleConnection({ networkBackend: sim, http2: true })
  const ask = async (method: string, options?: RequestOptions): Promise<unknown> => {
    const response = connection.request(method, 'https://origin.test/', options)
    await sim.run(response.catch(() => undefined))
    return (await response).connection.id
  }
  const id = await ask('GET')
  await expect(ask(method, options)).rejects.toMatchObject(error)
  expect(await ask('GET')).toBe(id)
  await sim.run(connection.close())
})

it('what cannot be sent again waits until all that has come was told, as in a pool', async () => {
  const sim = new SimNetwork({})
  sim.listen('origin.test', 80, server(sim, 'h1', peers()))
  const behind: (() => void)[] = []
  const networkBackend = Object.assign(sim, { caughtUp: (done: () => void) => behind.push(done) })
  const connection = new SingleConnection({ networkBackend })
  const post = async (): Promise<number> => (await connection.request('POST', URL)).status
  await sim.run(post())
  const second = post()
  await sim.advance(1_000)
  expect([behind.length, connection.info()]).toEqual([1, expect.stringContaining('Request Count: 1')])
  behind[0]?.()
  await sim.run(second)
  expect(await second).toBe(200)
})

it('over h2 the first requests share its dial, as many as a server is believed to take', async () => {
  const it = world('h2')
  const all = await Promise.all(Array.from({ length: 101 }, () => asked(it)))
  expect(all.slice(0, 100)).toEqual(Array(100).fill(all[0]))
  expect(all[100]).toMatchObject({ name: 'ConnectionNotAvailable', code: 'queue-full' })
  await it.sim.run(it.connection.close())
})

it('h1: a second request at once is ConnectionNotAvailable; over h2 it has a stream', async () => {
  for (const version of ['h1', 'h2'] as const) {
    const it = world(version)
    await asked(it)
    const [first, second] = await Promise.all([asked(it), asked(it)])
    expect(typeof first).toBe('number')
    if (version === 'h1') expect(second).toMatchObject({ name: 'ConnectionNotAvailable', code: 'queue-full' })
    else expect(second).toBe(first)
    await it.sim.run(it.connection.close())
  }
})

it('is told by its own number and version, also where its link tells all that another client knew of it', async () => {
  const below = { id: 99, reused: true, httpVersion: 'HTTP/1.1', remoteAddress: '192.0.2.9' }
  const it = world('h2', (sim) => ({
    link: (target, sink) => {
      const connected = sink.connected.bind(sink)
      sink.connected = () => connected(below)
      return sim.connect(target, sink)
    },
  }))
  const response = it.connection.request('GET', URL)
  await it.sim.run(response)
  const told = { id: 1, reused: false, httpVersion: 'HTTP/2', remoteAddress: '192.0.2.9' }
  expect((await response).connection).toEqual(told)
  await it.sim.run(it.connection.close())
})
