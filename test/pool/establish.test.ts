// From a name to a machine, told step by step: addresses, races, TLS, ALPN, retries, deadlines.
import { describe, expect, it, vi } from 'vitest'
import { A, bytes, goaway, H2, OK, Peer, Play, TIMEOUTS, http, https, type Asked } from './play.ts'
import { Fields, type HttpCoreError } from '../../src/http/index.ts'
import type { PoolSettings, ProxyTarget } from '../../src/pool/index.ts'

const BOTH: Partial<PoolSettings> = { http2: true }

describe('dialling', () => {
  const named = (play: Play, addresses: readonly string[], asked: Asked = {}): number => {
    const id = play.request({ origin: http('a.test'), ...asked })
    expect(play.take('resolve').map(({ host }) => host)).toEqual(['a.test'])
    play.tell({ type: 'resolved', host: 'a.test', addresses })
    return id
  }
  it('RFC 8305 §4: the families take turns, the first one’s first', () => {
    const play = new Play()
    named(play, ['::1', '::2', '::3', '1.1.1.1', '1.1.1.2'])
    play.pass(1_000)
    expect(play.targets().map(({ address }) => address)).toEqual(['::1', '1.1.1.1', '::2', '1.1.1.2', '::3'])
  })
  it('… also where that is IPv4', () => {
    const play = new Play()
    named(play, ['1.1.1.1', '1.1.1.2', '::1'])
    play.pass(1_000)
    expect(play.targets().map(({ address }) => address)).toEqual(['1.1.1.1', '::1', '1.1.1.2'])
  })
  it('RFC 8305 §5: the next starts after attemptDelay while earlier attempts go on, and the losers are destroyed', () => {
    const play = new Play()
    const id = named(play, ['1.1.1.1', '1.1.1.2'])
    expect(play.dials()).toEqual([1])
    play.pass(249)
    expect(play.dials()).toEqual([])
    play.pass(1)
    expect(play.dials()).toEqual([2])
    play.connected(1)
    expect(play.has('destroy', 2)).toBe(true)
    expect(play.take('assigned').map((one) => [one.id, one.link])).toEqual([[id, 1]])
    play.connected(2)
    expect(play.stats().connections).toBe(1)
  })
  it('starts the next at once when one fails; the error lists them all', () => {
    const play = new Play()
    const id = named(play, ['1.1.1.1', '1.1.1.2'])
    const first = new Error('first')
    const second = new Error('second')
    play.failed(1, 'connect', first)
    expect(play.dials()).toEqual([1, 2])
    play.failed(2, 'connect', second)
    expect(play.error(id)).toMatchObject({
      name: 'ConnectError',
      phase: 'connect',
      disposition: 'not-sent',
      attempts: [
        { address: '1.1.1.1', error: first },
        { address: '1.1.1.2', error: second },
      ],
    })
  })
  it('the first that is connected is the last to be dialled, however long TLS and the request take', () => {
    const play = new Play()
    const id = named(play, ['1.1.1.1', '1.1.1.2'], { origin: https('a.test') })
    play.connected(1)
    play.pass(1_000)
    play.secured(1, undefined)
    play.pass(20_000)
    expect(play.dials()).toEqual([1])
    expect(play.stats()).toMatchObject({ connections: 1, active: 1 })
    play.received(1, OK)
    expect(play.outcome(id)).toBe('ok')
  })
  it('one that fails while another is under way ends nothing', () => {
    const play = new Play()
    const id = named(play, ['1.1.1.1', '1.1.1.2'])
    play.pass(250)
    play.failed(2, 'connect')
    expect(play.outcome(id)).toBeUndefined()
    play.connected(1)
    expect(play.take('assigned').map(({ link }) => link)).toEqual([1])
  })
  it('two ports of one address are two places', () => {
    const play = new Play()
    for (const port of [80, 81]) play.request({ origin: http('10.0.0.1', port) })
    expect(play.targets().map(({ port }) => port)).toEqual([80, 81])
  })
  it.each([
    [http, https],
    [https, http],
  ])('one port with and without TLS is two places', (first, second) => {
    const play = new Play()
    play.request({ origin: first('10.0.0.1', 8443) })
    play.request({ origin: second('10.0.0.1', 8443) })
    const names = play.targets().map(({ tls }) => tls?.serverName)
    expect(names).toEqual(first === http ? [undefined, '10.0.0.1'] : ['10.0.0.1', undefined])
  })
  it('lists those that have not answered when the time is over', () => {
    const play = new Play()
    const id = named(play, ['1.1.1.1', '1.1.1.2'])
    play.failed(1, 'connect', new Error('first'))
    play.pass(10_000)
    expect(play.error(id)).toMatchObject({
      name: 'ConnectTimeout',
      attempts: [
        { address: '1.1.1.1', error: { message: 'first' } },
        { address: '1.1.1.2', error: { message: 'there was no answer' } },
      ],
    })
  })
  it('lists the address whose handshake failed, did not end, or was cut off', () => {
    const tls = Object.assign(new Error('expired'), { code: 'CERT_HAS_EXPIRED' })
    const ends: [string, (play: Play) => void, unknown][] = [
      ['ConnectError', (play) => play.failed(2, 'tls', tls), tls],
      ['ConnectError', (play) => play.failed(2, 'read', tls), tls],
      ['ConnectError', (play) => play.eof(2), { message: 'the connection ended' }],
      ['ConnectError', (play) => play.closed(2), { message: 'the connection ended' }],
      ['ConnectError', (play) => play.received(2, OK), { message: 'bytes came before the TLS handshake' }],
      [
        'ConnectError',
        (play) => play.secured(2, 'spdy/3'),
        { message: 'the peer chose "spdy/3" where HTTP/1.1 was offered' },
      ],
      ['ConnectTimeout', (play) => play.pass(10_000), { message: 'there was no answer' }],
    ]
    for (const [name, end, error] of ends) {
      const play = new Play()
      const id = named(play, ['1.1.1.1', '1.1.1.2'], { origin: https('a.test') })
      play.failed(1, 'connect', new Error('first'))
      play.connected(2)
      end(play)
      expect(play.error(id)).toMatchObject({
        name,
        phase: 'tls',
        attempts: [
          { address: '1.1.1.1', error: { message: 'first' } },
          { address: '1.1.1.2', error },
        ],
      })
    }
  })
  it('keeps its clock when the given time goes back', () => {
    const play = new Play({}, 5_000)
    play.request({ origin: http('a.test') })
    play.now = 4_000
    play.tell({ type: 'resolved', host: 'a.test', addresses: ['1.1.1.1', '1.1.1.2'] })
    expect(play.pool.nextTimeout()).toBe(5_250)
  })
  it('uses only addresses of the local address’s family', () => {
    const play = new Play({ localAddress: '0.0.0.0' })
    named(play, ['::1', '1.1.1.1'])
    play.pass(1_000)
    expect(play.targets().map(({ address }) => address)).toEqual(['1.1.1.1'])
  })
  it('of a name without such an address nothing is dialled', () => {
    const play = new Play({ localAddress: '0.0.0.0' })
    const id = named(play, ['::1'])
    expect(play.error(id)).toMatchObject({ name: 'ConnectError', code: 'resolve', phase: 'dns' })
    expect(play.dials()).toEqual([])
  })
  it.each([
    { type: 'resolved', host: 'a.test', addresses: ['1.1.1.1'] } as const,
    { type: 'resolveFailed', host: 'a.test', error: 0 } as const,
  ])('who has gone does not hear of the name: $type', (answer) => {
    const play = new Play({ retries: 1 })
    play.cancel(play.request({ origin: http('a.test') }))
    play.commands = []
    play.tell(answer)
    play.pass(10_000)
    expect(play.commands).toEqual([])
    expect(play.stats().connections).toBe(0)
  })
  it('a name that does not resolve is a ConnectError of phase dns', () => {
    const play = new Play()
    const id = play.request({ origin: http('a.test') })
    play.tell({ type: 'resolveFailed', host: 'a.test', error: new Error('ENOTFOUND') })
    expect(play.error(id)).toMatchObject({ name: 'ConnectError', phase: 'dns' })
    expect(play.stats().connections).toBe(0)
  })
  it('the error names what was not resolved or reached: the proxy, not the origin', () => {
    const play = new Play({ proxies: [{ ...proxy, host: 'proxy.test' }] })
    const unresolved = play.request({ origin: http('a.test') })
    play.tell({ type: 'resolveFailed', host: 'proxy.test', error: new Error('ENOTFOUND') })
    expect(play.error(unresolved).message).toContain("'proxy.test'")
    const nowhere = play.request({ origin: http('a.test') })
    play.tell({ type: 'resolved', host: 'proxy.test', addresses: [] })
    expect(play.error(nowhere).message).toContain("'proxy.test'")
    const refused = play.request({ origin: http('a.test') })
    play.tell({ type: 'resolved', host: 'proxy.test', addresses: ['1.1.1.1'] })
    for (const link of play.dials()) play.failed(link, 'connect', new Error('ECONNREFUSED'))
    expect(play.error(refused).message).toContain('the proxy at 1.1.1.1')
  })
  it('two dials of one name ask for it once', () => {
    const play = new Play()
    play.request({ origin: http('a.test') })
    play.request({ origin: http('a.test') })
    expect(play.take('resolve')).toHaveLength(1)
    play.tell({ type: 'resolved', host: 'a.test', addresses: ['1.1.1.1'] })
    expect(play.dials()).toEqual([1, 2])
  })
  it('whoever comes after a look-up that all have given up asks anew: it may never be answered', () => {
    const play = new Play()
    const late = play.request({ origin: http('a.test') })
    const cancelled = play.request({ origin: http('a.test') })
    play.cancel(cancelled)
    play.pass(10_000)
    expect(play.error(late)).toMatchObject({ name: 'ConnectTimeout', phase: 'dns' })
    expect(play.take('resolve')).toHaveLength(1)
    play.request({ origin: http('a.test') })
    expect(play.take('resolve')).toHaveLength(1)
    for (const address of ['1.1.1.1', '1.1.1.2']) play.tell({ type: 'resolved', host: 'a.test', addresses: [address] })
    expect(play.targets().map(({ address }) => address)).toEqual(['1.1.1.1'])
  })
  it('one deadline from the name to the machine; a late answer is not heard', () => {
    const play = new Play()
    const id = named(play, ['1.1.1.1'], { timeouts: { connect: 1_000 } })
    play.pass(1_000)
    expect(play.error(id)).toMatchObject({ name: 'ConnectTimeout', blockedOn: { want: 'connect' } })
    expect(play.has('destroy', 1)).toBe(true)
    play.connected(1)
    expect(play.stats().connections).toBe(0)
  })
  it('a Unix socket is dialled by its path', () => {
    const play = new Play({ unixSocket: '/tmp/x' })
    play.request({ origin: http('a.test') })
    expect(play.targets()).toEqual([expect.objectContaining({ path: '/tmp/x' })])
  })
})

const place = { host: '10.0.0.9', port: 8080, tls: undefined, tunnel: 'https' } as const
const proxy = { ...place, kind: 'http', headers: Fields.from([]) } as const
const TUNNEL = 'HTTP/1.1 200 OK\r\n\r\n'

it.each([
  ['/', 'http://10.0.0.1/'],
  ['/login?next=http://b.test/', 'http://10.0.0.1/login?next=http://b.test/'],
  ['*', 'http://10.0.0.1', 'OPTIONS'],
  ['http://b.test/x', 'http://b.test/x'],
  ['b.test:443', 'b.test:443', 'CONNECT'],
])('a proxy that forwards is asked for %s as %s', (target, sent, method = 'GET') => {
  const play = new Play({ proxies: [proxy] })
  play.request({ origin: http('10.0.0.1'), method, target })
  const [link] = play.connectAll()
  expect(
    play
      .written(link as number)
      .split(' ')
      .slice(0, 2),
  ).toEqual([method, sent])
})

it('a proxy that forwards is asked for * by nobody but OPTIONS: GET has none, of another method it is its own affair', () => {
  const play = new Play({ proxies: [proxy] })
  const id = play.request({ origin: http('10.0.0.1'), target: '*' })
  const [link] = play.connectAll()
  expect(play.error(id)).toMatchObject({ name: 'LocalProtocolError', code: 'target' })
  play.request({ origin: http('10.0.0.1'), method: 'X-ALL', target: '*' })
  expect(play.written(link as number)).toBe('X-ALL * HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n')
})

it.each([
  [http('10.0.0.1'), '/x', 'http://b.test:81/x'],
  [http('10.0.0.1'), '*', 'http://b.test:81'],
  [{ scheme: 'ws', host: '10.0.0.1', port: 80 }, '/x', 'http://b.test:81/x'],
])(
  'RFC 9112 §3.2: a Host of the caller’s own is what a proxy that forwards is asked for: %o %s',
  (origin, target, sent) => {
    const play = new Play({ proxies: [proxy] })
    const method = target === '*' ? 'OPTIONS' : 'GET'
    play.request({ origin, method, target, headers: [['Host', 'b.test:81']] })
    const [link] = play.connectAll()
    expect(play.written(link as number)).toBe(`${method} ${sent} HTTP/1.1\r\nHost: b.test:81\r\n\r\n`)
  },
)

it('RFC 9112 §3.2: a Host among the fields of a proxy that forwards does not stand in for that of the request', () => {
  const play = new Play({
    proxies: [
      {
        ...proxy,
        headers: Fields.from([
          ['HOST', 'proxy.test'],
          ['X-For', 'proxy'],
        ]),
      },
    ],
  })
  play.request({ origin: http('10.0.0.1') })
  const [link] = play.connectAll()
  expect(play.written(link as number)).toBe('GET http://10.0.0.1/ HTTP/1.1\r\nHost: 10.0.0.1\r\nX-For: proxy\r\n\r\n')
  play.received(link as number, OK)
  play.request({ origin: http('10.0.0.1'), headers: [['x-for', 'own']] })
  expect(play.written(link as number), 'nor does another, where the request has its own').toBe(
    'GET http://10.0.0.1/ HTTP/1.1\r\nHost: 10.0.0.1\r\nx-for: own\r\n\r\n',
  )
})

it('what a proxy has accepted before its answer is not waited for after it', () => {
  const play = new Play({ proxies: [{ ...proxy, tunnel: 'always' }] })
  const id = play.request({ origin: http('10.0.0.1'), timeouts: { write: 1_000 } })
  play.connectAll()
  play.drained(1)
  play.received(1, TUNNEL)
  play.drained(1)
  play.pass(2_000)
  expect(play.outcome(id)).toBeUndefined()
})

it('a name that is looked up for a SOCKS proxy is what it waits for, and no longer when the proxy leaves', () => {
  const settings = { proxies: [{ ...place, kind: 'socks5', credentials: undefined }] } as const
  for (const timeouts of [{ connect: 1_000 }, { total: 1_000 }]) {
    const play = new Play(settings)
    const id = play.request({ origin: http('a.test'), timeouts })
    play.connectAll()
    play.pass(1_000)
    expect(play.error(id)).toMatchObject({ phase: 'dns' })
  }
  const play = new Play(settings)
  const id = play.request({ origin: http('a.test') })
  const [link] = play.connectAll()
  play.tell({ type: 'eof', link: link as number })
  expect(play.error(id)).toMatchObject({ name: 'ProxyError', phase: 'proxy' })
})

it('an address that cannot be named to a SOCKS proxy fails the request that asked for it', () => {
  const play = new Play({ proxies: [{ ...place, kind: 'socks5', credentials: undefined }] })
  const id = play.request({ origin: http('a.test') })
  play.connectAll()
  play.tell({ type: 'resolved', host: 'a.test', addresses: ['b'.repeat(256)] })
  expect(play.error(id)).toMatchObject({
    name: 'LocalProtocolError',
    code: 'socks-host',
    phase: 'proxy',
    origin: 'http://a.test',
  })
  expect(play.stats().connections).toBe(0)
})

describe('the addresses of a name that a SOCKS proxy is asked for', () => {
  const socks = { ...place, kind: 'socks5', credentials: undefined } as const
  const METHOD = '\x05\x00'
  const UNSUPPORTED = '\x05\x08'
  const DONE = '\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00'
  const V6 = `\x05\x01\x00\x04${'\x20\x01' + '\x00'.repeat(13) + '\x01'}\x00\x50`
  const V4 = '\x05\x01\x00\x01\x0a\x00\x00\x05\x00\x50'
  it('are tried in turn, each over a connection of its own', () => {
    const play = new Play({ proxies: [socks] })
    const id = play.request({ origin: http('a.test') })
    play.connected(1)
    play.tell({ type: 'resolved', host: 'a.test', addresses: ['2001::1', '10.0.0.5'] })
    play.received(1, METHOD)
    play.received(1, UNSUPPORTED)
    expect(play.has('destroy', 1)).toBe(true)
    expect(play.written(1)).toBe(`\x05\x01\x00${V6}`)
    play.connected(2)
    play.received(2, METHOD)
    play.received(2, DONE)
    expect(play.written(2)).toContain(`\x05\x01\x00${V4}GET / HTTP/1.1\r\n`)
    play.received(2, OK)
    expect(play.outcome(id)).toBe('ok')
  })
  it('are so also where the proxy has a name, which is looked up each time', () => {
    const play = new Play({ proxies: [{ ...socks, host: 'proxy.test' }] })
    const id = play.request({ origin: http('a.test') })
    for (const link of [1, 2]) {
      play.tell({ type: 'resolved', host: 'proxy.test', addresses: ['10.9.9.9'] })
      expect(play.dials()).toEqual([link])
      play.connected(link)
      if (link === 1) play.tell({ type: 'resolved', host: 'a.test', addresses: ['2001::1', '10.0.0.5'] })
      play.received(link, METHOD)
      play.received(link, link === 1 ? UNSUPPORTED : DONE)
    }
    play.received(2, OK)
    expect(play.outcome(id)).toBe('ok')
  })
  it('may be none: then it does not resolve', () => {
    const play = new Play({ proxies: [socks] })
    const id = play.request({ origin: http('a.test') })
    play.connected(1)
    play.tell({ type: 'resolved', host: 'a.test', addresses: [] })
    expect(play.error(id)).toMatchObject({ name: 'ConnectError', code: 'resolve', phase: 'dns' })
  })
  it('are all listed when none will do', () => {
    const play = new Play({ proxies: [socks] })
    const id = play.request({ origin: http('a.test') })
    play.connected(1)
    play.tell({ type: 'resolved', host: 'a.test', addresses: ['2001::1', '10.0.0.5'] })
    play.received(1, METHOD + UNSUPPORTED)
    play.connected(2)
    play.received(2, METHOD + '\x05\x05')
    const attempts = [
      { address: '2001::1', error: { message: expect.stringContaining('address type') as string } },
      { address: '10.0.0.5', error: { message: expect.stringContaining('refused') as string } },
    ]
    expect(play.error(id)).toMatchObject({ name: 'ProxyError', code: 'socks-reply', attempts })
  })
  it('are asked for whatever the proxy says beforehand: the request is not what it hears in their place', () => {
    const play = new Play({ proxies: [socks] })
    play.request({ origin: http('a.test') })
    play.connected(1)
    play.tell({ type: 'resolved', host: 'a.test', addresses: ['10.0.0.5'] })
    play.received(1, METHOD + DONE)
    expect(play.written(1)).toContain(`\x05\x01\x00${V4}GET / HTTP/1.1\r\n`)
  })
  it('are not gone through for a proxy that does not speak with us', () => {
    const play = new Play({ proxies: [socks] })
    const id = play.request({ origin: http('a.test') })
    play.connected(1)
    play.tell({ type: 'resolved', host: 'a.test', addresses: ['2001::1', '10.0.0.5'] })
    play.received(1, '\x05\xff')
    expect(play.error(id)).toMatchObject({ name: 'ProxyError', code: 'socks-method' })
  })
})

it('a proxy has TLS options of its own, and HTTP/1.1 is all that it is offered', () => {
  const play = new Play({ ...BOTH, tls: 'the origin’s', proxies: [{ ...proxy, kind: 'https', tls: 'the proxy’s' }] })
  play.request({ origin: https('10.0.0.1') })
  expect(play.targets()[0]?.tls).toEqual({ serverName: '10.0.0.9', alpn: ['http/1.1'], options: 'the proxy’s' })
  play.connected(1)
  play.secured(1, 'http/1.1')
  play.received(1, TUNNEL)
  expect(play.tlsTargets()).toEqual([{ serverName: '10.0.0.1', alpn: ['h2', 'http/1.1'], options: 'the origin’s' }])
})

it.each([
  ['forwards', http('10.0.0.1'), 'h2'],
  ['forwards', http('10.0.0.1'), 'spdy/3'],
  ['opens a tunnel', https('10.0.0.1'), 'h2'],
  ['opens a tunnel', https('10.0.0.1'), 'spdy/3'],
])('a proxy that %s and chooses what it was not offered is told nothing (%#)', (_, origin, answer) => {
  const play = new Play({ ...BOTH, proxies: [{ ...proxy, kind: 'https' }] })
  const id = play.request({ origin })
  play.connected(1)
  play.secured(1, answer)
  expect(play.error(id)).toMatchObject({ name: 'ProxyError', code: 'tls-alpn', phase: 'tls', disposition: 'not-sent' })
  expect(play.written(1)).toBe('')
  expect(play.stats().connections).toBe(0)
})

it('what a proxy chose is not the choice of an origin that chooses nothing', () => {
  const play = new Play({ ...BOTH, proxies: [{ ...proxy, kind: 'https' }] })
  play.request({ origin: https('10.0.0.1') })
  play.connected(1)
  play.secured(1, 'http/1.1')
  play.received(1, TUNNEL)
  play.tell({ type: 'secured', link: 1, info: { tlsVersion: 'TLSv1.3' } })
  expect(play.take('assigned')[0]?.info).toMatchObject({ tlsVersion: 'TLSv1.3', alpn: undefined })
})

it('prior knowledge of HTTP/2 is of the origin: the proxy is asked for a tunnel', () => {
  const play = new Play({ ...H2, proxies: [proxy] })
  play.request({ origin: http('10.0.0.1') })
  play.connectAll()
  expect(play.written(1)).toMatch(/^CONNECT 10\.0\.0\.1:80 /)
})

it('what was written to a proxy is not taken for the request when the network accepts it', () => {
  const play = new Play({ proxies: [{ ...proxy, tunnel: 'always' }] })
  const id = play.request({ origin: http('10.0.0.1'), timeouts: { write: 1_000, read: 5_000 } })
  play.connectAll()
  const asked = play.written(1).length
  play.received(1, TUNNEL)
  play.tell({ type: 'drained', link: 1, bytes: asked })
  play.pass(1_000)
  expect(play.error(id).name).toBe('WriteTimeout')
})

describe('a proxy that says no', () => {
  const REFUSAL = 'HTTP/1.1 407 No\r\nContent-Length: 9\r\n\r\nwhy '
  const refused = (settings: Partial<PoolSettings>, answer: string, then?: (play: Play) => void): unknown => {
    const play = new Play({ retries: 1, proxies: [proxy], ...settings })
    const id = play.request({ origin: https('10.0.0.1') })
    play.connectAll()
    play.received(1, answer)
    then?.(play)
    expect(play.stats().connections).toBe(0)
    expect(play.dials()).toEqual([])
    return play.error(id)
  }
  it.each<[string, (play: Play) => void]>([
    ['does not come to an end', (play) => play.pass(10_000)],
    ['is cut off', (play) => play.eof(1)],
    ['is reset', (play) => play.failed(1)],
    ['is closed', (play) => play.closed(1)],
  ])('has said so, even if its answer %s; it is asked once', (_, then) => {
    expect(refused({}, REFUSAL, then)).toMatchObject({
      name: 'ProxyError',
      code: 'proxy-refused',
      answer: { status: 407, content: bytes('why ') },
    })
  })
  const socks: ProxyTarget = { ...proxy, kind: 'socks5h', credentials: undefined }
  it.each<[string, ProxyTarget, (play: Play) => void]>([
    ['one of HTTP, ends', proxy, (play) => play.eof(1)],
    ['one of HTTP, is reset', proxy, (play) => play.failed(1)],
    ['one of SOCKS, ends', socks, (play) => play.eof(1)],
    ['one of SOCKS, is reset', socks, (play) => play.failed(1)],
  ])('or, %s without an answer, has gone', (_, target, then) => {
    expect(refused({ proxies: [target] }, '', then)).toMatchObject({ name: 'ProxyError', code: 'proxy-disconnected' })
  })
  it.each<[string, ProxyTarget, string, string]>([
    ['refuses', proxy, `${REFUSAL}not!!`, 'the proxy refused the tunnel with status 407'],
    ['speaks nonsense', proxy, 'SSH-2.0\r\n', 'the status-line is malformed'],
    ['says too much', proxy, 'HTTP/1.1 200 OK\r\n\r\n!', 'bytes came before the TLS handshake'],
    ['of SOCKS refuses', socks, '\x05\x00\x05\x05', 'the proxy could not connect: connection refused'],
  ])('and %s: the error lists the address that was dialled, and what came of it', (_, target, answer, message) => {
    const { attempts } = refused({ proxies: [target] }, answer) as HttpCoreError
    expect(attempts.map(({ address, error }) => [address, (error as Error).message])).toEqual([
      ['10.0.0.9', expect.stringContaining(message)],
    ])
  })
  it('is named where there are several', () => {
    const proxies: ProxyTarget[] = [
      proxy,
      { ...proxy, kind: 'https', host: '10.0.0.8' },
      { ...socks, host: '10.0.0.7', port: 1080 },
    ]
    const failing = (answer: string, then: (play: Play) => void): string =>
      (refused({ proxies }, answer, then) as Error).message
    expect(failing(REFUSAL, (play) => play.eof(1))).toMatch(/status 407 \(10\.0\.0\.9:8080\)$/)
    expect(failing(TUNNEL, (play) => play.failed(1, 'tls'))).toMatch(/handshake .* \(10\.0\.0\.8:8080\)$/)
    const last = failing(TUNNEL, (play) => {
      play.secured(1, 'http/1.1')
      play.received(1, TUNNEL)
      play.received(1, '\x05\xff')
    })
    expect(last).toMatch(/method .* \(10\.0\.0\.7:1080\)$/)
  })
  describe('and stops listening before it was asked', () => {
    const broken = Object.assign(new Error('broken pipe'), { code: 'EPIPE' })
    const unheard = (target: ProxyTarget, then: (play: Play) => void, connect = TIMEOUTS.connect): HttpCoreError => {
      const play = new Play({ retries: 1, proxies: [target] })
      const id = play.request({ origin: https('10.0.0.1'), timeouts: { connect } })
      play.connectAll()
      play.tell({ type: 'failed', link: 1, error: broken, side: 'write' })
      expect(play.outcome(id)).toBeUndefined()
      then(play)
      expect([play.dials(), play.tlsTargets(), play.pool.nextTimeout()]).toEqual([[], [], undefined])
      return play.error(id)
    }
    it('is heard: a status', () => {
      const error = unheard(proxy, (play) => play.received(1, 'HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno'))
      expect(error).toMatchObject({ code: 'proxy-refused', answer: { status: 403, content: bytes('no') } })
    })
    it('is heard: a method of SOCKS', () => {
      expect(unheard(socks, (play) => play.received(1, '\x05\xff'))).toMatchObject({ code: 'socks-method' })
    })
    it.each<[string, ProxyTarget, (play: Play) => void]>([
      ['or says nothing for a second', proxy, (play) => play.pass(1_000)],
      ['or goes', proxy, (play) => play.closed(1)],
      ['or ends', proxy, (play) => play.eof(1)],
      ['or says yes', proxy, (play) => play.received(1, TUNNEL)],
      ['or goes on as if it had been asked', socks, (play) => (play.received(1, '\x05\x00'), play.pass(1_000))],
    ])('%s: there is no way through it, and why', (_, target, then) => {
      expect(unheard(target, then)).toMatchObject({ name: 'ProxyError', code: 'proxy-disconnected', cause: broken })
    })
    it('or says nothing until the deadline: why was known before it', () => {
      const error = unheard(proxy, (play) => play.pass(500), 500)
      expect(error).toMatchObject({ name: 'ProxyError', code: 'proxy-disconnected', cause: broken })
    })
  })
  it('with the lowest status that is none of success', () => {
    expect(refused({}, 'HTTP/1.1 300 No\r\nContent-Length: 0\r\n\r\n')).toMatchObject({ answer: { status: 300 } })
  })
  it('has said enough at maxProxyContentBytes', () => {
    expect(refused({ limits: { maxProxyContentBytes: 4 } }, REFUSAL)).toMatchObject({
      answer: { content: bytes('why ') },
    })
  })
  it('in many small chunks is kept at a cost that grows as they do', () => {
    const set = vi.spyOn(Uint8Array.prototype, 'set')
    const chunked = 'HTTP/1.1 407 No\r\nTransfer-Encoding: chunked\r\n\r\n'
    const error = refused({}, `${chunked}${'1\r\na\r\n'.repeat(1_000)}0\r\n\r\n`)
    const copied = set.mock.calls.reduce((sum, [data]) => sum + data.length, 0)
    set.mockRestore()
    expect(error).toMatchObject({ answer: { content: bytes('a'.repeat(1_000)) } })
    expect(copied).toBeLessThan(10_000)
  })
  it('has no more than maxProxyHeadBytes for its head', () => {
    const error = refused({ limits: { maxProxyHeadBytes: 1_024 } }, `HTTP/1.1 200 OK\r\nA: ${'a'.repeat(1_024)}`)
    expect(error).toMatchObject({ name: 'ProxyError', code: 'limit-head' })
  })
  it.each([
    ['ECONNRESET', 'ConnectError', 'tls-disconnected'],
    ['CERT_HAS_EXPIRED', 'ProxyError', 'tls-certificate'],
  ])('in its own handshake: %s is a %s', (code, name, expected) => {
    const play = new Play({ proxies: [{ ...proxy, kind: 'https' }] })
    const id = play.request({ origin: https('10.0.0.1') })
    play.connectAll()
    play.failed(1, 'tls', Object.assign(new Error('no'), { code }))
    const { message } = play.error(id)
    expect(play.error(id)).toMatchObject({ name, code: expected, phase: 'tls' })
    // The origin, which it names as every error of a dial does, had no part in it.
    if (name === 'ConnectError') expect(message).toBe('the TLS handshake with the proxy was cut off (https://10.0.0.1)')
  })
  it.each<[string, (play: Play) => void]>([
    ['ended', (play) => play.eof(1)],
    ['reset', (play) => play.failed(1, 'read', Object.assign(new Error('reset'), { code: 'ECONNRESET' }))],
    ['reset, as writing shows', (play) => play.failed(1, 'write', Object.assign(new Error('x'), { code: 'EPIPE' }))],
    ['gone', (play) => play.closed(1)],
  ])('behind its answer %s: the handshake with the origin was cut off, whoever saw it first', (_, then) => {
    const play = new Play({ proxies: [proxy] })
    const id = play.request({ origin: https('10.0.0.1') })
    play.connected(1)
    play.received(1, TUNNEL)
    then(play)
    expect(play.error(id)).toMatchObject({ name: 'ConnectError', code: 'tls-disconnected', phase: 'tls' })
    expect(play.error(id).message).toBe('the TLS handshake was cut off (https://10.0.0.1)')
  })
})

describe('bytes that nobody asked for', () => {
  const socks = { ...place, kind: 'socks5', credentials: undefined } as const
  const refused = (play: Play, id: number, expected: object): void => {
    expect(play.error(id)).toMatchObject({ disposition: 'not-sent', ...expected })
    expect(play.has('destroy', 1)).toBe(true)
    expect(play.stats().connections).toBe(0)
  }
  it('behind the answer of a proxy and before TLS, in a read of their own, are no response', () => {
    const play = new Play({ proxies: [proxy] })
    const id = play.request({ origin: https('10.0.0.1') })
    play.connected(1)
    play.received(1, TUNNEL)
    expect(play.tlsTargets()).toHaveLength(1)
    play.received(1, OK)
    refused(play, id, { name: 'ProxyError', code: 'surplus-before-tls' })
  })
  it('before TLS without a proxy are none either', () => {
    const play = new Play()
    const id = play.request({ origin: https('10.0.0.1') })
    play.connected(1)
    play.received(1, OK)
    refused(play, id, { name: 'ConnectError', code: 'surplus-before-tls' })
  })
  it('from a SOCKS proxy, while the name is resolved that it will be asked for, are none either', () => {
    const play = new Play({ proxies: [socks] })
    const id = play.request({ origin: https('a.test') })
    play.connected(1)
    play.received(1, OK)
    refused(play, id, { name: 'ProxyError', code: 'surplus-bytes' })
    play.tell({ type: 'resolved', host: 'a.test', addresses: ['10.0.0.5'] })
    expect(play.written(1)).toBe('')
  })
  it('behind the answer of a proxy, before the next one is asked, are none either', () => {
    const play = new Play({ proxies: [proxy, { ...proxy, host: '10.0.0.8' }] })
    const id = play.request({ origin: https('10.0.0.1') })
    play.connected(1)
    play.received(1, TUNNEL + OK)
    refused(play, id, { name: 'ProxyError', code: 'surplus-bytes' })
  })
  it('behind the answer of a proxy and of HTTP/2 begin a connection that may be idle for as long as any other', () => {
    const proxies: ProxyTarget[] = [{ ...proxy, tunnel: 'always' }]
    const play = new Play({ ...H2, keepAliveExpiry: 1_000, maxConnections: 2, proxies })
    play.request()
    play.pass(250)
    play.request()
    play.pass(0)
    // The first has streams for both.
    for (const link of play.connectAll()) {
      play.received(link, Buffer.concat([bytes(TUNNEL), Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0)]))
    }
    expect(play.stats()).toMatchObject({ connections: 2, active: 2, idle: 1 })
    play.pass(1_000)
    expect(play.has('close', 2)).toBe(true)
  })
  it('behind the answer of a proxy and not of HTTP fail the request of a plain tunnel, which is not asked for again', () => {
    const play = new Play({ proxies: [{ ...proxy, tunnel: 'always' }] })
    const id = play.request({ origin: http('10.0.0.1') })
    play.connected(1)
    play.received(1, `${TUNNEL}220 ready\r\n`)
    expect(play.error(id)).toMatchObject({ code: 'status-line', disposition: 'not-sent' })
    expect([play.dials(), play.written(1).includes('GET')]).toEqual([[1], false])
  })
  it('… nor of one for HTTP/2 with prior knowledge, with all who share the connection', () => {
    const play = new Play({ http1: false, http2: true, proxies: [proxy] })
    const ids = [play.request({ origin: http('10.0.0.1') }), play.request({ origin: http('10.0.0.1') })]
    play.connected(1)
    play.received(1, `${TUNNEL}HTTP/1.1 400 Bad Request\r\n\r\n`)
    for (const id of ids) expect(play.error(id)).toMatchObject({ code: 'http1-peer', disposition: 'not-sent' })
    play.pass(10_000)
    expect(play.dials()).toEqual([1])
  })
})

describe('retries', () => {
  it('hear nothing of the attempts before, and the error lists them all', () => {
    const play = new Play({ retries: 1 })
    const id = play.request({ origin: https('a.test') })
    play.tell({ type: 'resolved', host: 'a.test', addresses: ['1.1.1.1', '1.1.1.2'] })
    play.pass(250)
    play.failed(1, 'tls')
    play.pass(0)
    play.tell({ type: 'resolved', host: 'a.test', addresses: ['1.1.1.3'] })
    const [, , last] = play.dials()
    play.connected(2)
    expect(play.outcome(id)).toBeUndefined()
    play.failed(last as number, 'connect')
    expect(play.error(id).message).toContain('could not connect to 1.1.1.3 ')
    expect(play.error(id).attempts.map(({ address }) => address)).toEqual(['1.1.1.1', '1.1.1.3'])
  })
  it('do not go on with the addresses of those before', () => {
    const play = new Play({ retries: 1 })
    play.request({ origin: https('a.test') })
    play.tell({ type: 'resolved', host: 'a.test', addresses: ['1.1.1.1', '1.1.1.2'] })
    play.failed(1, 'tls')
    play.pass(1_000)
    expect(play.dials()).toEqual([1])
  })
  it('end with the request', () => {
    const play = new Play({ retries: 9 })
    const id = play.request()
    for (let i = 0; i < 2; i++) {
      play.failed(play.dials()[0] as number, 'connect')
      play.pass(0)
    }
    play.cancel(id)
    play.pass(10_000)
    expect(play.dials()).toEqual([])
    expect(play.stats().connections).toBe(0)
  })
  it('of connecting: after 0, 0.5, 1, 2 s, within the one deadline', () => {
    const play = new Play({ retries: 4 })
    const id = play.request()
    const at: number[] = []
    for (let i = 0; i < 5; i++) {
      const [link] = play.dials()
      at.push(play.now)
      play.failed(link as number, 'connect')
      play.pass(i === 0 ? 0 : 500 * 2 ** (i - 1))
    }
    expect(at).toEqual([0, 0, 500, 1_500, 3_500])
    expect(play.error(id).name).toBe('ConnectError')
  })
  it.each([
    ['a certificate', Object.assign(new Error('expired'), { code: 'CERT_HAS_EXPIRED' }), 'tls-certificate'],
    ['a purpose that is not a server’s', Object.assign(new Error('x'), { code: 'INVALID_PURPOSE' }), 'tls-certificate'],
    ['an issuer that is none', Object.assign(new Error('x'), { code: 'INVALID_CA' }), 'tls-certificate'],
    ['a chain too long', Object.assign(new Error('x'), { code: 'PATH_LENGTH_EXCEEDED' }), 'tls-certificate'],
    ['another name', Object.assign(new Error('x'), { code: 'HOSTNAME_MISMATCH' }), 'tls-certificate'],
    [
      'what has no code',
      Object.assign(new Error('permitted subtree violation'), { code: 'UNSPECIFIED' }),
      'tls-certificate',
    ],
    ['a client of an unknown authority', { code: 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA' }, 'tls-certificate'],
    ['no common protocol', Object.assign(new Error('alpn'), { code: 'ERR_ALPN' }), 'tls-alpn'],
    [
      'the alert for that',
      Object.assign(new Error('alert'), { code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL' }),
      'tls-alpn',
    ],
  ])('never for the sake of %s', (_, error, code) => {
    const play = new Play({ retries: 3 })
    const id = play.request({ origin: https('10.0.0.1') })
    play.connectAll()
    play.failed(1, 'tls', error)
    expect(play.error(id)).toMatchObject({ name: 'ConnectError', code, phase: 'tls' })
  })
})

describe('ALPN', () => {
  const secure = (settings: Partial<PoolSettings>, answer: string | undefined, asked: Asked = {}): Play => {
    const play = new Play(settings)
    play.request({ origin: https('10.0.0.1'), ...asked })
    play.connectAll()
    play.secured(1, answer)
    return play
  }
  const version = (play: Play): string | undefined => play.take('assigned')[0]?.httpVersion
  it.each([
    [{}, 'http/1.1', 'HTTP/1.1'],
    [{}, undefined, 'HTTP/1.1'],
    [BOTH, 'h2', 'HTTP/2'],
    [BOTH, 'http/1.1', 'HTTP/1.1'],
    [BOTH, undefined, 'HTTP/1.1'],
    [BOTH, '', 'HTTP/1.1'],
    [H2, 'h2', 'HTTP/2'],
  ] as const)('%j answered by %s: %s', (settings, answer, expected) => {
    expect(version(secure(settings, answer))).toBe(expected)
  })
  it.each([
    [{}, 'h2'],
    [BOTH, 'spdy/3'],
    [H2, undefined],
    [H2, 'http/1.1'],
  ] as const)('%j answered by %s, which was not offered, or is too little: tls-alpn', (settings, answer) => {
    const play = secure(settings, answer)
    expect(play.error(1)).toMatchObject({ name: 'ConnectError', code: 'tls-alpn', phase: 'tls' })
    expect(play.stats().connections).toBe(0)
  })
  it('a request with Upgrade is dialled for with http/1.1 alone, and a peer that says h2 anyway is refused', () => {
    const play = new Play(BOTH)
    const id = play.request({ origin: https('10.0.0.1'), headers: [['Upgrade', 'websocket']] })
    const [target] = play.targets()
    expect(target?.tls?.alpn).toEqual(['http/1.1'])
    play.connected(1)
    play.secured(1, 'h2')
    expect(play.error(id).code).toBe('tls-alpn')
  })
  it('h2 is offered first', () => {
    const play = new Play(BOTH)
    play.request({ origin: https('10.0.0.1') })
    expect(play.targets()[0]?.tls?.alpn).toEqual(['h2', 'http/1.1'])
  })
})

it('a connection is given no more than the last one of its origin had streams for, until its own SETTINGS', () => {
  const play = new Play(H2)
  play.request()
  const peer = new Peer(play, play.connectAll()[0] as number, 'h2', { settings: { maxConcurrentStreams: 2 } })
  peer.sync().respond('/')
  play.received(peer.link, goaway(1))
  play.commands = []
  for (let i = 0; i < 5; i++) play.request()
  const [link] = play.connectAll()
  expect(play.take('assigned').filter((one) => one.link === link)).toHaveLength(2)
})

it('… also where limits are turned off', () => {
  const play = new Play({ ...H2, limits: { settingsTimeout: null } })
  play.request()
  const peer = new Peer(play, play.connectAll()[0] as number, 'h2', { settings: { maxConcurrentStreams: 1 } })
  peer.sync()
  const second = play.request()
  play.connectAll()
  expect(play.saidOf(second, 'assigned')).toEqual(['assigned'])
})

describe('extended CONNECT', () => {
  const socket = { origin: https('10.0.0.1'), method: 'CONNECT', protocol: 'websocket' } as const
  const upgrade = { origin: https('10.0.0.1'), headers: [['Upgrade', 'websocket'] as const] }
  const SETTINGS = Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0)
  /** A connection of HTTP/2 that was dialled for `asked` and has not told yet what it takes. */
  const untold = (settings: Partial<PoolSettings> = {}, asked: Asked = socket): { play: Play; id: number } => {
    const play = new Play({ ...BOTH, ...settings })
    const id = play.request(asked)
    play.connectAll()
    play.secured(1, 'h2')
    return { play, id }
  }
  it('is not refused by one that speaks HTTP/1.1 while another has yet to tell', () => {
    const play = new Play(BOTH)
    play.request({ origin: socket.origin })
    const id = play.request(socket)
    play.pass(250)
    for (const [link, alpn] of [
      [1, 'h2'],
      [2, 'http/1.1'],
    ] as const) {
      play.connected(link)
      play.secured(link, alpn)
    }
    expect(play.outcome(id)).toBeUndefined()
    play.received(1, Uint8Array.of(0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1))
    expect(play.take('assigned').at(-1)).toMatchObject({ id, link: 1 })
  })
  it('is allowed once and for all: later SETTINGS that say nothing of it refuse nobody', () => {
    const { play, id } = untold()
    const most = (streams: number): readonly number[] => [0, 3, 0, 0, 0, streams]
    const next = play.request(socket)
    play.received(1, Uint8Array.of(0, 0, 12, 4, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1, ...most(0)))
    play.received(1, Uint8Array.of(0, 0, 6, 4, 0, 0, 0, 0, 0, ...most(1)))
    expect(play.take('assigned').map((assigned) => assigned.id)).toEqual([id])
    expect(play.outcome(next)).toBeUndefined()
  })
  it('is refused where the first SETTINGS do not allow it, and nothing else is dialled for it', () => {
    const { play, id } = untold()
    play.received(1, SETTINGS)
    expect(play.error(id)).toMatchObject({ name: 'UnsupportedProtocol', rule: 'RFC 8441 §3' })
    expect([play.dials(), play.stats()]).toEqual([[], expect.objectContaining({ connections: 1, idle: 1 })])
  })
  it.each([
    ['its end', (play: Play) => play.eof(1), { code: 'server-disconnected' }],
    ['the end of its link', (play: Play) => play.closed(1), { code: 'server-disconnected' }],
    ['what is no HTTP/2', (play: Play) => play.received(1, 'HTTP/1.1 400 Bad\r\n\r\n'), { code: 'http1-peer' }],
  ])('fails where %s comes before SETTINGS, and nothing else is dialled for it', (_, end, expected) => {
    const { play, id } = untold()
    end(play)
    expect(play.error(id)).toMatchObject({ name: 'RemoteProtocolError', disposition: 'not-sent', ...expected })
    expect(play.dials()).toEqual([])
  })
  it.each([{ keepAliveExpiry: 0 }, { maxIdleConnections: 0 }])(
    'waits for SETTINGS on what is not idle: %o',
    (limit) => {
      const play = new Play({ ...BOTH, ...limit })
      const ids = [play.request(socket), play.request(socket)]
      play.connectAll()
      play.secured(1, 'h2')
      expect([play.dials(), play.has('close', 1)]).toEqual([[], false])
      play.cancel(ids[0] as number)
      play.received(1, Uint8Array.of(0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1))
      expect(play.take('assigned').map(({ id }) => id)).toEqual([ids[1]])
      expect(play.dials()).toEqual([])
    },
  )
  it('waited for by nobody any more, a connection is as idle as any other, once its SETTINGS have come', () => {
    const { play, id } = untold({ maxIdleConnections: 0 })
    play.cancel(id)
    play.received(1, SETTINGS)
    expect(play.has('close', 1)).toBe(true)
  })
  it.each<[string, Asked]>([
    ['another origin', { origin: http('10.0.0.2') }],
    ['who needs another kind at its own', upgrade],
  ])('waited for by nobody any more, a connection that does not tell is to spare for %s', (_, other) => {
    const { play, id } = untold({ maxConnections: 1 })
    play.request(other)
    expect([play.dials(), play.has('destroy', 1)]).toEqual([[], false])
    play.cancel(id)
    expect([play.dials(), play.has('destroy', 1)]).toEqual([[2], true])
  })
  it('waited for by nobody any more, such a connection is closed where none is to be idle', () => {
    const { play, id } = untold({ maxIdleConnections: 0 })
    play.cancel(id)
    expect(play.has('close', 1)).toBe(true)
  })
  it('waited for by nobody any more, such a connection is idle for as long as any other', () => {
    const { play, id } = untold({ keepAliveExpiry: 1_000 })
    play.pass(2_000)
    expect(play.has('close', 1)).toBe(false)
    play.cancel(id)
    expect(play.has('close', 1)).toBe(true)
  })
  it('and such a connection holds no process: who waits does', () => {
    const { play, id } = untold()
    play.cancel(id)
    expect(play.saidOf(1, 'ref', 'unref').at(-1)).toBe('unref')
  })
  it('waited for since it rests, such a connection is not to spare: nothing else is dialled', () => {
    const { play, id: first } = untold({ maxConnections: 1 }, { origin: socket.origin })
    play.cancel(first)
    play.request(socket)
    play.request({ origin: http('10.0.0.2') })
    expect([play.dials(), play.has('destroy', 1)]).toEqual([[], false])
  })
  it('and the pool ends while others wait for its room: nothing is dialled any more', () => {
    const { play } = untold({ maxConnections: 1 })
    for (const host of ['10.0.0.2', '10.0.0.3']) play.request({ origin: http(host) })
    play.tell({ type: 'destroy' })
    expect([play.dials(), play.stats()]).toEqual([[], expect.objectContaining({ connections: 0, requests: 0 })])
    expect([play.take('closed').length, play.pool.nextTimeout()]).toEqual([1, undefined])
  })
  it.each<[string, Partial<PoolSettings>, string]>([
    ['too old at once, before its SETTINGS have come', { maxConnectionAge: 0 }, ''],
    ['too old at once, and has no stream for now', { maxConnectionAge: 0 }, '\x01'],
    ['not to be idle, and has no stream for now', { keepAliveExpiry: 0 }, '\x01'],
    ['one idle too many, and has no stream for now', { maxIdleConnections: 0 }, '\x01'],
  ])('waited for, a connection is not closed that is %s: nothing else is dialled', (_, settings, first) => {
    const { play, id } = untold({ maxConnectionsPerOrigin: 10, ...settings })
    // No stream at first, then as many as it likes.
    const settingsOf = (streams: string): string => `\0\0\x0c\x04\0\0\0\0\0\0\x03\0\0\0${streams}\0\x08\0\0\0\x01`
    if (first !== '') play.received(1, settingsOf('\0'))
    play.pass(1_000)
    expect(play.dials()).toEqual([])
    play.received(1, settingsOf('\x09'))
    expect(play.take('assigned').map((one) => [one.id, one.link])).toEqual([[id, 1]])
  })
  it('is refused where the server speaks HTTP/1.1, and others waited with it: there is no dial that the pool forgets', () => {
    const play = new Play({ ...BOTH, maxConnections: 2 })
    play.request({ origin: socket.origin })
    const id = play.request(socket)
    play.connectAll()
    play.secured(1, 'http/1.1')
    expect(play.error(id)).toMatchObject({ name: 'UnsupportedProtocol' })
    expect([play.dials(), play.stats()]).toEqual([[], expect.objectContaining({ connections: 1, active: 1 })])
  })
  it('is refused where the server speaks HTTP/1.1, and nothing else is dialled for it', () => {
    const play = new Play(BOTH)
    const id = play.request(socket)
    play.connectAll()
    play.secured(1, 'http/1.1')
    expect(play.error(id)).toMatchObject({ name: 'UnsupportedProtocol' })
    expect([play.dials(), play.stats()]).toEqual([[], expect.objectContaining({ connections: 1, idle: 1 })])
  })
  it('is not refused because of a connection that was dialled for HTTP/1.1 alone', () => {
    const play = new Play(BOTH)
    const id = play.request(socket)
    play.request(upgrade)
    expect(play.targets().map(({ tls }) => tls?.alpn)).toEqual([['h2', 'http/1.1'], ['http/1.1']])
    play.connected(1)
    play.connected(2)
    play.secured(2, 'http/1.1')
    expect(play.outcome(id)).toBeUndefined()
    play.secured(1, 'h2')
    play.received(1, Uint8Array.of(0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1))
    expect(play.take('assigned').map(({ id: one, httpVersion }) => [one, httpVersion])).toContainEqual([id, 'HTTP/2'])
  })
  it('nor does such a connection make anybody forget to wait for the answer of the first dial', () => {
    const play = new Play({ ...BOTH, maxConnections: 10, maxConnectionsPerOrigin: 10 })
    play.request(upgrade)
    play.connectAll()
    play.secured(1, 'http/1.1')
    for (let n = 0; n < 3; n++) play.request({ origin: https('10.0.0.1') })
    expect(play.dials()).toEqual([2])
  })
})

describe('sharing the first dial', () => {
  it('a cancelled opener leaves it to who else waits for its answer', () => {
    const play = new Play(H2)
    const opener = play.request()
    const other = play.request()
    expect(play.dials()).toEqual([1])
    play.cancel(opener)
    expect(play.has('destroy', 1)).toBe(false)
    expect(play.dials()).toEqual([])
    play.connected(1)
    expect(play.take('assigned').map(({ id }) => id)).toEqual([other])
  })
  it('nobody waits for ever for what was dialled for one that set no deadline, and is gone', () => {
    const play = new Play({ ...H2, maxConnectionsPerOrigin: 1 })
    const opener = play.request({ timeouts: { connect: Infinity } })
    const other = play.request()
    expect(play.dials()).toEqual([1])
    play.pass(20_000)
    play.cancel(opener)
    expect(play.dials()).toEqual([])
    play.pass(10_000)
    expect([play.has('destroy', 1), play.dials().length]).toEqual([true, 1])
    expect(play.outcome(other)).toBeUndefined()
  })
  it('nobody else waits: it is destroyed with the request', () => {
    const play = new Play(H2)
    play.cancel(play.request())
    expect(play.has('destroy', 1)).toBe(true)
    expect(play.stats().connections).toBe(0)
  })
  it.each<[string, Partial<PoolSettings>]>([
    ['HTTP/2 that all share', H2],
    ['HTTP/1.1 in the one place that there is', { maxConnectionsPerOrigin: 1 }],
  ])(
    'nobody else waits any more: of %s it is destroyed with the last, though it was dialled for the first',
    (_, over) => {
      const play = new Play(over)
      const ids = [0, 1, 2].map(() => play.request({ timeouts: { connect: Infinity } }))
      expect(play.dials()).toEqual([1])
      for (const id of ids.slice(0, -1)) play.cancel(id)
      expect(play.has('destroy', 1)).toBe(false)
      play.cancel(ids[2] as number)
      expect(play.has('destroy', 1)).toBe(true)
      expect(play.stats().connections).toBe(0)
      expect(play.dials()).toEqual([])
    },
  )
  it('who has waited for shareTimeout dials for itself', () => {
    const play = new Play({ ...H2, maxConnections: 10, maxConnectionsPerOrigin: 10 })
    for (let i = 0; i < 3; i++) play.request({ origin: A })
    expect(play.dials()).toEqual([1])
    play.pass(250)
    expect(play.dials()).toEqual([2, 3])
  })
  it('of an origin that is known to speak HTTP/2 one dial is for a hundred, however long it takes', () => {
    const play = new Play({ ...H2, maxConnections: 10, maxConnectionsPerOrigin: 10 })
    play.request()
    play.connectAll()
    play.eof(1)
    for (let i = 0; i < 30; i++) play.request()
    expect(play.dials()).toHaveLength(1)
    play.pass(1_000)
    expect(play.dials()).toEqual([])
  })
  it('an answer of http/1.1 gives the connection to the first, and the others dial', () => {
    const play = new Play({ ...BOTH, maxConnections: 10, maxConnectionsPerOrigin: 10 })
    const ids = [0, 1, 2].map(() => play.request({ origin: https('10.0.0.1') }))
    play.connectAll()
    play.secured(1, 'http/1.1')
    expect(play.take('assigned').map(({ id }) => id)).toEqual([ids[0]])
    expect(play.dials()).toEqual([2, 3])
  })
  it('a connection that was dialled for HTTP/1.1 alone turns nobody away who waits for that answer', () => {
    const play = new Play({ ...BOTH, maxConnections: 10, maxConnectionsPerOrigin: 10, maxQueuedRequests: 0 })
    const origin = https('10.0.0.1')
    play.request({ origin })
    const other = play.request({ origin })
    play.request({ origin, headers: [['Upgrade', 'websocket']] })
    expect(play.connectAll()).toEqual([1, 2])
    play.secured(2, 'http/1.1')
    expect(play.outcome(other)).toBeUndefined()
    play.secured(1, 'h2')
    expect(play.take('assigned').map(({ id, link }) => [id, link])).toContainEqual([other, 1])
  })
  it('a failed dial fails only the request that it was opened for', () => {
    const play = new Play(H2)
    const opener = play.request()
    const other = play.request()
    play.dials()
    play.failed(1, 'connect')
    expect(play.error(opener).name).toBe('ConnectError')
    expect(play.outcome(other)).toBeUndefined()
    expect(play.dials()).toEqual([2])
  })
})
