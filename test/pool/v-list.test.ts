// Defects that a pool like this one was seen to have, by their names in the reference's V-list. None may come back.
import { describe, expect, it } from 'vitest'
import { Fields } from '../../src/http/index.ts'
import type { PoolSettings, ProxyTarget } from '../../src/pool/index.ts'
import { A, B, goaway, H2, http, https, OK, Peer, Play, type Asked } from './play.ts'

const PROXY = {
  kind: 'http',
  host: '10.9.9.9',
  port: 3128,
  tls: undefined,
  tunnel: 'https',
  headers: Fields.empty,
} as const satisfies ProxyTarget
const SOCKS: ProxyTarget = { ...PROXY, kind: 'socks5h', credentials: undefined }
const ESTABLISHED = 'HTTP/1.1 200 OK\r\n\r\n'

describe('the V-list', () => {
  it('V-1: the limit of idle connections counts idle ones', () => {
    const play = new Play({ maxConnections: 6, maxConnectionsPerOrigin: 6, maxIdleConnections: 5 })
    for (let i = 0; i < 6; i++) play.request()
    play.connectAll()
    play.received(1, OK)
    expect(play.stats()).toMatchObject({ connections: 6, idle: 1, active: 5 })
  })
  it.each([
    ['in the same piece', (play: Play) => play.received(1, OK + 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison')],
    [
      'while idle',
      (play: Play) => {
        play.received(1, OK)
        play.received(1, 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison')
      },
    ],
  ])('V-2: bytes behind a response never answer the next request (%s)', (_, act) => {
    const play = new Play()
    const first = play.request()
    play.connectAll()
    play.drained(1)
    act(play)
    expect(play.outcome(first)).toBe('ok')
    const second = play.request()
    expect(play.dials()).toEqual([2])
    play.connected(2)
    play.received(2, OK)
    expect(play.delivered(second).content).toBe('ok')
  })
  it('V-3: a server that names no limit of streams has none', () => {
    const play = new Play({ ...H2, maxConnections: 1, maxConnectionsPerOrigin: 1, maxQueuedRequests: 1_000 })
    for (let i = 0; i < 150; i++) play.request({ target: `/${i}` })
    play.connectAll()
    // A server of ours would name a limit: these are the empty SETTINGS of one that does not.
    play.received(1, Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0))
    expect(play.stats()).toMatchObject({ active: 150, queued: 0 })
  })
  describe('who waits for the answer of a dial waits for no seat', () => {
    const BOTH = { http1: true, http2: true, maxQueuedRequests: 1 }
    const ask = (play: Play, count: number, asked: Asked = { origin: https('10.0.0.1') }): number[] =>
      Array.from({ length: count }, () => play.request(asked))
    const refused = (play: Play, ids: readonly number[]): number[] =>
      ids.filter((id) => (play.outcome(id) as { code?: string } | undefined)?.code === 'queue-full')

    it('and takes no place in the queue, up to as many as a server is believed to take', () => {
      const play = new Play(BOTH)
      const ids = ask(play, 102)
      expect(refused(play, ids)).toEqual(ids.slice(100))
      play.connectAll()
      play.secured(1, 'h2')
      expect(play.stats()).toMatchObject({ active: 100, queued: 0 })
    })
    it('but where the answer is HTTP/1.1, after all: there the queue has its limit', () => {
      const play = new Play({ ...BOTH, maxConnections: 2 })
      const ids = ask(play, 5)
      expect(refused(play, ids)).toEqual([])
      play.connectAll()
      play.secured(1, 'http/1.1')
      expect(play.stats()).toMatchObject({ active: 1, queued: 1, requests: 3 })
      expect(refused(play, ids)).toEqual(ids.slice(3))
    })
    it('nor does who cannot share it share it', () => {
      const play = new Play({ ...BOTH, maxConnections: 1 })
      ask(play, 1)
      const upgrades = ask(play, 2, { origin: https('10.0.0.1'), headers: { Upgrade: 'websocket' } })
      expect(refused(play, upgrades)).toEqual(upgrades.slice(1))
    })
    it('nor does who waits for one that has a single seat', () => {
      const play = new Play({ ...BOTH, maxConnections: 1 })
      const ids = ask(play, 3, { origin: A })
      expect(refused(play, ids)).toEqual(ids.slice(2))
    })
    it('nobody is turned away elsewhere by who waits so', () => {
      const play = new Play({ ...BOTH, maxConnections: 2, maxConnectionsPerOrigin: 1 })
      const others = ask(play, 2, { origin: A })
      ask(play, 50)
      play.connectAll()
      expect(refused(play, others)).toEqual([])
      play.received(1, 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok')
      play.closed(1)
      play.connectAll()
      expect(refused(play, others)).toEqual([])
    })
  })
  it('V-5: an IPv6 host stands in brackets', () => {
    const play = new Play()
    play.request({ origin: http('2001:db8::1', 8080) })
    expect(play.targets()[0]).toMatchObject({ address: '2001:db8::1', port: 8080 })
    const through = new Play({ proxies: [PROXY] })
    through.request({ origin: https('2001:db8::1') })
    through.connectAll()
    expect(through.written(1)).toMatch(/^CONNECT \[2001:db8::1\]:443 HTTP\/1.1\r\nHost: \[2001:db8::1\]:443\r\n/)
    through.request({ origin: http('2001:db8::1', 81), target: '/x' })
    through.connectAll()
    expect(through.written(2)).toMatch(/^GET http:\/\/\[2001:db8::1\]:81\/x HTTP\/1.1\r\n/)
  })
  it('V-6: a response that is given up is reset, and its stream is free at once', () => {
    const play = new Play(H2)
    for (let i = 0; i < 300; i++) {
      const id = play.request({ target: `/${i}` })
      const [link] = play.connectAll()
      if (link !== undefined) new Peer(play, link, 'h2').sync()
      play.cancel(id)
    }
    expect(play.stats()).toMatchObject({ active: 0, connections: 1 })
  })
  it('V-7: GOAWAY above whose last id a request stands, 0 included, sends it elsewhere', () => {
    const play = new Play(H2)
    const id = play.request({ method: 'POST', target: '/x' })
    play.connectAll()
    new Peer(play, 1, 'h2').sync()
    play.received(1, goaway(0))
    expect(play.dials()).toEqual([2])
    play.connected(2)
    new Peer(play, 2, 'h2').sync().respond('/x')
    expect(play.outcome(id)).toBe('ok')
  })
  it('V-7: and who comes after it, though what is below it still runs', () => {
    const play = new Play(H2)
    play.request({ target: '/1' })
    play.connectAll()
    new Peer(play, 1, 'h2').sync()
    play.received(1, goaway(1))
    play.request({ target: '/2' })
    expect(play.dials()).toEqual([2])
  })
  it('V-8, V-24: a connection that the server closes while it is idle is not used again', () => {
    for (const settings of [{}, H2]) {
      const play = new Play(settings)
      const first = play.request({ target: '/1' })
      play.connectAll()
      if (settings === H2) new Peer(play, 1, 'h2').sync().respond('/1')
      else play.received(1, OK)
      expect(play.outcome(first)).toBe('ok')
      play.eof(1)
      expect(play.infos().filter((info) => info.includes('IDLE'))).toEqual([])
      play.request({ target: '/2' })
      expect(play.dials()).toEqual([2])
    }
  })
  it('V-9: a failed dial leaves no orphan behind', () => {
    const play = new Play(H2)
    const first = play.request()
    const second = play.request()
    play.dials()
    play.failed(1, 'connect')
    expect(play.error(first).name).toBe('ConnectError')
    play.connectAll()
    expect(play.outcome(second)).toBeUndefined()
    play.tell({ type: 'destroy' })
    expect(play.has('destroy', 2)).toBe(true)
  })
  it.each([
    [{}, 'closeIdle'],
    [{ keepAliveExpiry: 0 }, undefined],
    [{ maxIdleConnections: 0 }, undefined],
    [{ maxRequestsPerConnection: 1 }, undefined],
  ] as const)('V-10: GOAWAY is written before a connection closes (%o)', (settings, type) => {
    const play = new Play({ ...H2, ...settings })
    play.request({ target: '/1' })
    play.connectAll()
    const peer = new Peer(play, 1, 'h2').sync().respond('/1')
    if (type !== undefined) {
      peer.read()
      play.tell({ type })
    }
    const order = play.saidOf(1, 'write', 'close', 'destroy').slice(-2)
    expect(order).toEqual(['write', 'close'])
    const last = play.takenBytes(1).at(-1)
    expect(last?.[3], 'the type of the last frame').toBe(7)
  })
  it('V-11: localAddress, retries and the name for TLS hold with a proxy too', () => {
    const play = new Play({ proxies: [PROXY], localAddress: '10.1.1.1', retries: 1 })
    play.request({ origin: https('a.test'), sniHostname: 'b.test' })
    expect(play.targets()[0]).toMatchObject({ address: '10.9.9.9', localAddress: '10.1.1.1' })
    play.failed(1, 'connect')
    play.pass(0)
    const [link = 0] = play.connectAll()
    play.received(link, ESTABLISHED)
    expect(play.tlsTargets()).toEqual([expect.objectContaining({ serverName: 'b.test' })])
  })
  it('V-12: a limit of no streams makes requests wait for their own deadline', () => {
    const one = { maxConnections: 1, maxConnectionsPerOrigin: 1, limits: { settingsTimeout: null } }
    const play = new Play({ ...H2, ...one })
    play.request({ target: '/1' })
    play.connectAll()
    play.received(1, Uint8Array.of(0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0))
    const id = play.request({ target: '/2' })
    play.pass(30_000)
    expect(play.error(id).name).toBe('PoolTimeout')
  })
  const streams = (most: number): Uint8Array => Uint8Array.of(0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, most)
  it('V-12: as soon as it is lifted they run, and nothing was dialled meanwhile', () => {
    const play = new Play({ ...H2, limits: { settingsTimeout: null } })
    const early = play.request({ method: 'POST', target: '/early' })
    play.connectAll()
    play.received(1, streams(0))
    // Sent before the limit was known: the server may refuse it, and nothing is lost.
    play.received(1, Uint8Array.of(0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7))
    const late = play.request({ target: '/late' })
    play.pass(20_000)
    expect([play.outcome(early), play.outcome(late), play.dials()]).toEqual([undefined, undefined, []])
    play.take('assigned')
    play.received(1, streams(1))
    expect(play.take('assigned').map(({ id, link }) => [id, link])).toEqual([[early, 1]])
  })
  /** `/1` is answered; `id`, which is `/2`, waits for its connection to allow a stream again. */
  const waits = (settings: Partial<PoolSettings>): { play: Play; peer: Peer; id: number } => {
    const play = new Play({ ...H2, ...settings })
    play.request({ target: '/1' })
    play.connectAll()
    const peer = new Peer(play, 1, 'h2').sync()
    play.received(1, streams(0))
    const id = play.request({ target: '/2' })
    peer.sync().respond('/1')
    return { play, peer, id }
  }
  it('V-12: who waits for that has its connection kept, however many others are idle', () => {
    const { play, id } = waits({ maxIdleConnections: 1 })
    play.request({ origin: B, target: '/3' })
    play.connectAll()
    new Peer(play, 2, 'h2').sync().respond('/3')
    expect([play.dials(), play.has('close', 1), play.has('close', 2)]).toEqual([[], false, true])
    play.received(1, streams(1))
    expect(play.take('assigned').at(-1)).toMatchObject({ id, link: 1 })
  })
  it.each(['gives up', 'is served'])(
    'V-12: and once who waited %s it is idle as any other, and one too many',
    (how) => {
      const { play, peer, id } = waits({ maxIdleConnections: 0 })
      expect(play.has('close', 1)).toBe(false)
      if (how === 'gives up') play.cancel(id)
      else {
        play.received(1, streams(1))
        peer.sync().respond('/2')
      }
      expect(play.has('close', 1)).toBe(true)
    },
  )
  it.each(['gives up', 'is served'])('V-12: … and for as long as any other: who waited %s', (how) => {
    const { play, peer, id } = waits({ keepAliveExpiry: 1_000 })
    play.pass(500)
    if (how === 'gives up') play.cancel(id)
    else {
      play.received(1, streams(1))
      peer.sync().respond('/2')
      play.pass(500)
    }
    play.pass(499)
    expect(play.has('close', 1)).toBe(false)
    play.pass(1)
    expect(play.has('close', 1)).toBe(true)
  })
  it('V-12: nor does a connection that is gone hold anybody up', () => {
    const play = new Play({ ...H2, limits: { settingsTimeout: null } })
    play.request({ target: '/1' })
    play.connectAll()
    new Peer(play, 1, 'h2').sync().respond('/1')
    play.received(1, streams(0))
    const id = play.request()
    expect(play.dials()).toEqual([])
    play.eof(1)
    expect(play.dials()).toEqual([2])
    expect(play.outcome(id)).toBeUndefined()
  })
  it('V-15: close fails who waits at once, refuses who comes later, and lets who runs finish', () => {
    const play = new Play({ maxConnections: 1, maxConnectionsPerOrigin: 1 })
    const runs = play.request()
    play.connectAll()
    const waits = play.request()
    play.tell({ type: 'close', grace: 30_000 })
    expect(play.error(waits).name).toBe('PoolClosed')
    expect(play.error(play.request()).name).toBe('PoolClosed')
    play.received(1, OK)
    expect(play.outcome(runs)).toBe('ok')
    play.closed(1)
    expect(play.take('closed')).toHaveLength(1)
  })
  it('V-15: after the grace who still runs is destroyed', () => {
    const play = new Play()
    const id = play.request()
    play.connectAll()
    play.tell({ type: 'close', grace: 500 })
    play.pass(500)
    expect(play.error(id).name).toBe('PoolClosed')
    expect(play.has('destroy', 1)).toBe(true)
    expect(play.take('closed')).toHaveLength(1)
  })
  it.each([
    [500, 30_000],
    [30_000, 500],
    [500, Infinity],
  ])('V-15: of two graces the shorter one counts (%s, %s)', (first, second) => {
    const play = new Play()
    const id = play.request()
    play.connectAll()
    play.tell({ type: 'close', grace: first })
    play.tell({ type: 'close', grace: second })
    play.pass(500)
    expect(play.error(id).name).toBe('PoolClosed')
  })
  it('V-17: a source of the wrong length is a LocalProtocolError, and its connection is not used again', () => {
    for (const content of ['abcdefg', 'abc']) {
      const play = new Play()
      const id = play.request({ method: 'POST', content: { length: 6 } })
      play.connectAll()
      play.content(id, content)
      expect(play.error(id)).toMatchObject({ name: 'LocalProtocolError', code: 'content-length' })
      expect(play.stats().connections).toBe(0)
    }
  })
  it('V-19: the deadline of waiting is one, however often a request comes back', () => {
    const play = new Play({ ...H2, maxConnections: 1, maxConnectionsPerOrigin: 1 })
    const id = play.request({ target: '/x', timeouts: { pool: 7_000 } })
    play.connectAll()
    const peer = new Peer(play, 1, 'h2').sync()
    play.request({ target: '/other' })
    play.pass(4_000)
    peer.sync()
    // Refused, with another stream on the only connection there may be: it waits for that to end.
    peer.machine.cancel(peer.of('/x'), 7)
    peer.write()
    expect(play.stats().queued).toBe(1)
    play.pass(2_999)
    expect(play.outcome(id)).toBeUndefined()
    play.pass(1)
    expect(play.error(id)).toMatchObject({ name: 'PoolTimeout', blockedOn: { want: 'slot' } })
  })
  it('V-20: two that wait are never given one connection', () => {
    const play = new Play({ maxConnections: 1, maxConnectionsPerOrigin: 1 })
    for (let i = 0; i < 3; i++) play.request()
    play.connectAll()
    play.received(1, OK)
    expect(play.take('assigned')).toHaveLength(2)
    expect(play.stats()).toMatchObject({ active: 1, queued: 1 })
  })
  it('V-21: the one used last is used first, and the one idle longest makes room', () => {
    const play = new Play({ maxConnections: 3, maxConnectionsPerOrigin: 3, maxIdleConnections: 3 })
    for (let i = 0; i < 3; i++) play.request()
    play.connectAll()
    for (const link of [2, 3, 1]) play.received(link, OK)
    play.take('assigned')
    play.request()
    expect(play.take('assigned')[0]?.link).toBe(1)
    play.request({ origin: B })
    expect(play.has('destroy', 2)).toBe(true)
    expect(play.has('destroy', 3)).toBe(false)
  })
  it('V-27: ws goes through an HTTP proxy without TLS, wss through SOCKS with it', () => {
    const ws = { scheme: 'ws', host: '10.0.0.1', port: 80 }
    const wss = { scheme: 'wss', host: '10.0.0.1', port: 443 }
    const plain = new Play({ proxies: [PROXY] })
    plain.request({ origin: ws, headers: [['Upgrade', 'websocket']] })
    plain.connectAll()
    expect(plain.tlsTargets()).toEqual([])
    const secure = new Play({ proxies: [SOCKS] })
    secure.request({ origin: wss, headers: [['Upgrade', 'websocket']] })
    secure.connectAll()
    secure.received(1, '\x05\x00')
    secure.received(1, '\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00')
    expect(secure.tlsTargets()).toHaveLength(1)
    expect(secure.take('assigned')).toEqual([])
  })
  it('V-28: a TLS failure inside a tunnel gives its seat back', () => {
    const play = new Play({ proxies: [PROXY], maxConnections: 1, maxConnectionsPerOrigin: 1 })
    const id = play.request({ origin: https('10.0.0.1') })
    play.connectAll()
    play.received(1, ESTABLISHED)
    play.failed(1, 'tls')
    expect(play.error(id).name).toBe('ConnectError')
    play.request({ origin: https('10.0.0.1') })
    expect(play.dials()).toHaveLength(1)
  })
  it('cancel between assignment and connection leaves nothing connecting', () => {
    const play = new Play()
    play.cancel(play.request({ origin: A }))
    expect(play.infos()).toEqual([])
    expect(play.has('destroy', 1)).toBe(true)
    play.connected(1)
    expect(play.infos()).toEqual([])
  })
})

describe('keep-alive', () => {
  it.each([
    ['the default', '', {}, 4_000],
    ['two seconds before the server’s hint', 'Keep-Alive: timeout=10\r\n', {}, 8_000],
    ['no longer than the option', 'Keep-Alive: timeout=10\r\n', { keepAliveExpiry: 1_000 }, 1_000],
    ['no longer than maxKeepAliveHint', 'Keep-Alive: timeout=99999\r\n', {}, 600_000],
    ['whatever stands beside it', 'Keep-Alive: max=9, TIMEOUT=10\r\n', {}, 8_000],
    ['the default, where it says something else', 'Keep-Alive: max=9\r\n', {}, 4_000],
    ['the default, where it cannot be read', 'Keep-Alive: timeout=1e3, timeout\r\n', {}, 4_000],
    ['nor shorter than it has to be', 'Keep-Alive: timeout=601\r\n', {}, 599_000],
    [
      'the server’s hint, where the option says never',
      'Keep-Alive: timeout=10\r\n',
      { keepAliveExpiry: Infinity },
      8_000,
    ],
  ] as const)('%s', (_, field, settings, expiry) => {
    const play = new Play(settings)
    play.request()
    play.connectAll()
    play.drained(1)
    play.received(1, `HTTP/1.1 200 OK\r\n${field}Content-Length: 2\r\n\r\nok`)
    play.pass(expiry - 1)
    expect(play.stats().idle).toBe(1)
    play.pass(1)
    expect(play.stats().idle).toBe(0)
    expect(play.has('close', 1)).toBe(true)
    play.pass(1_000)
    expect(play.has('destroy', 1)).toBe(true)
    expect(play.pool.nextTimeout()).toBeUndefined()
  })
  it('is over in time for the next request, also where the driver was too busy to say that it is', () => {
    const play = new Play()
    play.request()
    play.connectAll()
    play.drained(1)
    play.received(1, 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    play.now += 4_000
    play.request()
    expect([play.has('close', 1), play.has('connect', 2)]).toEqual([true, true])
  })
  it('is looked at where the next request would go, not where it is longest', () => {
    const play = new Play()
    play.request()
    play.request()
    play.connectAll()
    play.drained(1)
    play.drained(2)
    play.received(1, 'HTTP/1.1 200 OK\r\nKeep-Alive: timeout=60\r\nContent-Length: 2\r\n\r\nok')
    play.received(2, 'HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok')
    play.now += 4_000
    play.written(1)
    play.request({ target: '/next' })
    expect([play.has('close', 2), play.has('close', 1), play.written(1)]).toEqual([
      true,
      false,
      expect.stringContaining('GET /next '),
    ])
  })
  it.each([{}, H2])('so is the age of a connection: %o', (settings) => {
    const play = new Play({ ...settings, maxConnectionAge: 1_000 })
    const first = play.request({ target: '/1' })
    play.connectAll()
    play.drained(1)
    if (settings === H2) new Peer(play, 1, 'h2').sync().respond('/1').sync()
    else play.received(1, 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    play.now += 1_000
    const second = play.request({ target: '/2' })
    play.connectAll()
    expect(play.take('assigned').map(({ id, link }) => [id, link])).toEqual([
      [first, 1],
      [second, 2],
    ])
  })
  it('a hint too short to be relied on ends the connection at once', () => {
    const play = new Play()
    play.request()
    play.connectAll()
    play.received(1, 'HTTP/1.1 200 OK\r\nKeep-Alive: timeout=2\r\nContent-Length: 2\r\n\r\nok')
    expect(play.stats().idle).toBe(0)
  })
  it('an old connection finishes its work and takes no more', () => {
    const play = new Play({ maxConnectionAge: 10_000, keepAliveExpiry: Infinity })
    play.idle()
    play.pass(8_999)
    expect(play.stats().idle).toBe(1)
    const id = play.request()
    play.pass(1_001)
    expect(play.outcome(id)).toBeUndefined()
    play.received(1, OK)
    expect(play.outcome(id)).toBe('ok')
    expect(play.stats().idle).toBe(0)
  })
  it('a connection takes so many requests and no more', () => {
    const play = new Play({ maxRequestsPerConnection: 2 })
    play.idle()
    play.request()
    play.received(1, OK)
    expect(play.stats().idle).toBe(0)
  })
})
