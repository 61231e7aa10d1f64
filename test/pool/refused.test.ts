// What the pool does not take: requests that no route could carry, settings that exclude each other, and what is said of
// links and requests that it does not know (any more).
import { describe, expect, it } from 'vitest'
import { Fields } from '../../src/http/index.ts'
import type { PoolInput, PoolSettings } from '../../src/pool/index.ts'
import { A, H2, http, https, Peer, Play, type Asked } from './play.ts'

const PROXY = { host: '10.9.9.9', port: 1, tls: undefined, tunnel: 'https' } as const
const FORWARDING = { kind: 'http', ...PROXY, headers: Fields.empty } as const
const SOCKS = { kind: 'socks5h', ...PROXY, credentials: undefined } as const

describe('a request is refused before anything is dialled', () => {
  const credentials: Asked = { headers: { 'Proxy-Authorization': 'Basic YTpi' } }
  it.each<[string, Asked, Partial<PoolSettings>, object]>([
    [
      'an upgrade without HTTP/1.1',
      { headers: { Upgrade: 'websocket' } },
      H2,
      { name: 'UnsupportedProtocol', rule: 'RFC 9113 §8.6' },
    ],
    [
      'extended CONNECT without HTTP/2',
      { method: 'CONNECT', protocol: 'websocket' },
      {},
      { name: 'UnsupportedProtocol', rule: 'RFC 8441 §4' },
    ],
    [
      'credentials for a proxy that would reach the origin through its tunnel',
      { ...credentials, origin: https('10.0.0.1') },
      { proxies: [FORWARDING] },
      { name: 'LocalProtocolError', code: 'proxy-authorization' },
    ],
    [
      'the same through a SOCKS proxy',
      credentials,
      { proxies: [SOCKS] },
      { name: 'LocalProtocolError', code: 'proxy-authorization' },
    ],
  ])('%s', (_, asked, settings, expected) => {
    const play = new Play(settings)
    const id = play.request(asked)
    expect(play.error(id)).toMatchObject({
      disposition: 'not-sent',
      phase: 'pool',
      origin: expect.stringContaining('://10.0.0.1') as string,
      ...expected,
    })
    expect([play.dials(), play.stats().requests]).toEqual([[], 0])
  })

  it.each<[string, Asked, Partial<PoolSettings>]>([
    ['to a proxy that forwards the request', credentials, { proxies: [FORWARDING] }],
    ['to an origin that is a proxy itself', credentials, {}],
  ])('but not credentials %s', (_, asked, settings) => {
    const play = new Play(settings)
    play.request(asked)
    const [link] = play.connectAll()
    expect(play.written(link as number)).toContain('\r\nProxy-Authorization: Basic YTpi\r\n')
  })
})

describe('a pool is not made', () => {
  it.each<[string, Partial<PoolSettings>, string]>([
    ['that could speak nothing', { http1: false, http2: false }, 'no-version'],
    ['that had two ways to go', { unixSocket: '/s', proxies: [FORWARDING] }, 'route'],
    ['whose way has no name', { unixSocket: '' }, 'route'],
  ])('%s', (_, settings, code) => {
    expect(() => new Play(settings)).toThrow(expect.objectContaining({ name: 'LocalProtocolError', code }) as Error)
  })
})

describe('what is said of whom the pool does not know changes nothing', () => {
  const data = new Uint8Array(1)
  const info = {}
  const links: readonly ((link: number) => PoolInput)[] = [
    (link) => ({ type: 'connected', link, info }),
    (link) => ({ type: 'secured', link, info }),
    (link) => ({ type: 'received', link, data }),
    (link) => ({ type: 'drained', link, bytes: 1 }),
    (link) => ({ type: 'eof', link }),
    (link) => ({ type: 'failed', link, error: new Error('late'), side: 'read' }),
    (link) => ({ type: 'caughtUp', link }),
    (link) => ({ type: 'closed', link }),
  ]
  const requests: readonly ((id: number) => PoolInput)[] = [
    (id) => ({ type: 'content', id, data }),
    (id) => ({ type: 'contentEnd', id }),
    (id) => ({ type: 'contentFailed', id, error: new Error('late') }),
    (id) => ({ type: 'consumed', id, bytes: 1 }),
    (id) => ({ type: 'drain', id, limit: undefined }),
    (id) => ({ type: 'startTls', id, tls: { serverName: undefined, alpn: [], options: undefined } }),
    (id) => ({ type: 'cancel', id, reason: 'late' }),
  ]
  const silent = (play: Play, inputs: readonly PoolInput[]): void => {
    play.commands = []
    const before = play.stats()
    for (const input of inputs) play.tell(input)
    expect([play.commands, play.stats()]).toEqual([[], before])
  }

  it('of links and requests that never were', () => {
    const play = new Play()
    silent(play, [...links.map((say) => say(7)), ...requests.map((say) => say(7))])
  })
  it('of a link that was destroyed, and of its request, which has settled', () => {
    const play = new Play()
    const id = play.request()
    const [link] = play.connectAll()
    play.cancel(id)
    expect([play.has('destroy', link as number), play.outcome(id)]).toEqual([true, 'cancelled'])
    silent(play, [...links.map((say) => say(link as number)), ...requests.map((say) => say(id))])
  })
  it('of a link that lost the race to another address', () => {
    const play = new Play()
    const id = play.request({ origin: http('a.test') })
    play.tell({ type: 'resolved', host: 'a.test', addresses: ['10.0.0.1', '10.0.0.2'] })
    play.pass(250)
    const [first, second] = play.dials() as [number, number]
    play.connected(second)
    expect(play.has('destroy', first)).toBe(true)
    silent(
      play,
      links.map((say) => say(first)),
    )
    play.received(second, 'HTTP/1.1 204 No Content\r\n\r\n')
    expect(play.outcome(id)).toBe('ok')
  })
  it('nor does what comes twice', () => {
    const play = new Play()
    const id = play.request({ origin: http('a.test') })
    const resolved = { type: 'resolved', host: 'a.test', addresses: ['10.0.0.1'] } as const
    play.tell(resolved)
    const [link] = play.dials() as [number]
    silent(play, [resolved])
    play.connected(link)
    silent(play, [
      { type: 'connected', link, info },
      { type: 'secured', link, info },
    ])
    expect(play.outcome(id)).toBeUndefined()
    play.tell({ type: 'drain', id, limit: undefined })
    silent(play, [{ type: 'drain', id, limit: undefined }])
  })
  it.each(['h1', 'h2'] as const)('%s: a tunnel that is drained has no end to wait for', (version) => {
    const play = new Play(version === 'h2' ? H2 : {})
    const id = play.request({ origin: A, method: 'CONNECT', target: 'a.test:1' })
    const [link] = play.connectAll() as [number]
    const peer = new Peer(play, link, version).sync()
    peer.machine.sendResponse(peer.of('a.test:1'), { status: 200, headers: [] })
    peer.sync()
    play.tell({ type: 'drain', id, limit: undefined })
    expect([play.outcome(id), play.stats().active]).toEqual(['ok', 0])
    // The connection of HTTP/2 goes on, without that stream.
    peer.sync()
    expect([play.stats().idle, peer.failed.size]).toEqual(version === 'h2' ? [1, 1] : [0, 0])
  })
  it('an end of a tunnel is told once', () => {
    const play = new Play()
    const id = play.request({ origin: A, method: 'CONNECT', target: 'a.test:1' })
    const [link] = play.connectAll() as [number]
    play.received(link, 'HTTP/1.1 200 OK\r\n\r\n')
    play.eof(link)
    play.eof(link)
    expect(play.delivered(id).events).toEqual(['response', 'switched', 'end'])
  })
})
