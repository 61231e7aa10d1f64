// What a trace hears: every step begun and ended, under httpcore's names; decisions with their reasons; never a secret.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { Fields } from '../../src/http/index.ts'
import type { PoolSettings, ProxyTarget } from '../../src/pool/index.ts'
import { A, B, bytes, goaway, H2, http, https, OK, Peer, Play, type Asked } from './play.ts'

const names = (play: Play): string[] => play.take('trace').map(({ event }) => event.name)
const PLACE = { host: '10.9.9.9', port: 1, tls: undefined, tunnel: 'https' } as const

describe('a trace', () => {
  it('of a dial, its race and its TLS', () => {
    const play = new Play({ http2: true })
    play.request({ origin: https('a.test'), trace: true })
    play.tell({ type: 'resolved', host: 'a.test', addresses: ['1.1.1.1', '1.1.1.2'] })
    play.failed(1, 'connect')
    play.connected(2)
    play.secured(2, 'h2')
    expect(names(play)).toEqual([
      'pool.open',
      'connection.resolve.started',
      'pool.queued',
      'connection.resolve.complete',
      'connection.connect_tcp.started',
      'connection.connect_tcp.failed',
      'connection.connect_tcp.started',
      'connection.connect_tcp.complete',
      'connection.start_tls.started',
      'connection.start_tls.complete',
      'http2.send_connection_init.started',
      'http2.send_connection_init.complete',
      'pool.assigned',
      'http2.send_request_headers.started',
      'http2.send_request_headers.complete',
      'http2.send_request_body.started',
      'http2.send_request_body.complete',
      'http2.receive_response_headers.started',
    ])
  })
  it('of an address that was dialled beside the one that answered: it has an end, too', () => {
    const play = new Play()
    play.request({ origin: http('a.test'), trace: true })
    play.tell({ type: 'resolved', host: 'a.test', addresses: ['1.1.1.1', '1.1.1.2'] })
    play.pass(250)
    play.connected(2)
    const dials = play.take('trace').filter(({ event }) => event.name.startsWith('connection.connect_tcp'))
    expect(dials.map(({ event }) => [event.connection, event.name.split('.')[2]])).toEqual([
      [1, 'started'],
      [2, 'started'],
      [1, 'failed'],
      [2, 'complete'],
    ])
  })
  it.each<[string, Partial<PoolSettings>, (play: Play) => void, [string, object?][]]>([
    [
      'a Unix socket',
      { unixSocket: '/tmp/x' },
      () => undefined,
      [['connection.connect_unix_socket', { path: '/tmp/x' }]],
    ],
    [
      'a tunnel',
      { proxies: [{ ...PLACE, kind: 'http', tunnel: 'always', headers: Fields.from([]) }] },
      (play) => play.received(1, 'HTTP/1.1 200 OK\r\n\r\n'),
      [
        ['connection.connect_tcp', { address: '10.9.9.9', port: 1 }],
        ['proxy.connect', { target: '10.0.0.1:80' }],
      ],
    ],
    [
      'SOCKS',
      { proxies: [{ ...PLACE, kind: 'socks5', credentials: undefined }] },
      (play) => {
        play.received(1, '\x05\x00')
        play.received(1, '\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00')
      },
      [
        ['socks.connect_tcp', { address: '10.9.9.9', port: 1 }],
        ['socks.setup_socks5_connection', { host: '10.0.0.1', port: 80 }],
      ],
    ],
  ])('of a way through %s', (_, settings, answer, steps) => {
    const play = new Play(settings)
    play.request({ origin: http('10.0.0.1'), trace: true })
    play.connected(1)
    answer(play)
    const heard = play.take('trace').map(({ event }) => event)
    const way = heard.filter(({ name }) => !/^(?:pool|http)/.test(name))
    expect(way.map(({ name }) => name)).toEqual(steps.flatMap(([step]) => [`${step}.started`, `${step}.complete`]))
    const begun = way.filter(({ name }) => name.endsWith('started'))
    for (const [i, [, info]] of steps.entries()) expect(begun[i]?.info).toMatchObject(info as object)
  })
  it('of the settings of a server, as often as it says them', () => {
    const play = new Play({ http1: false, http2: true })
    play.request({ trace: true })
    const [link] = play.connectAll()
    const peer = new Peer(play, link as number, 'h2', { settings: { maxConcurrentStreams: 7 } })
    peer.sync()
    const heard = play.take('trace').map(({ event }) => event)
    const settings = heard.filter(({ name }) => name.startsWith('http2.receive_remote_settings'))
    expect(settings.map(({ name, request }) => [name, request])).toEqual([
      ['http2.receive_remote_settings.started', undefined],
      ['http2.receive_remote_settings.complete', undefined],
    ])
    expect(settings[0]?.info).toMatchObject({ settings: { maxConcurrentStreams: 7 } })
  })
  it('of an address that cannot be dialled with these options, and of the one beside it', () => {
    const play = new Play()
    const id = play.request({ origin: https('a.test'), trace: true })
    play.tell({ type: 'resolved', host: 'a.test', addresses: ['1.1.1.1', '1.1.1.2'] })
    play.pass(250)
    const error = new Error('no such cipher')
    play.failed(1, 'tls', error)
    const failed = play.take('trace').filter(({ event }) => event.name === 'connection.connect_tcp.failed')
    expect(failed.map(({ event }) => event.info?.['address'])).toEqual(['1.1.1.1', '1.1.1.2'])
    expect(play.error(id)).toMatchObject({ code: 'tls-handshake', attempts: [{ address: '1.1.1.1', error }] })
  })
  it('of a failed dial that is tried again', () => {
    const play = new Play({ retries: 1 })
    play.request({ trace: true })
    play.failed(1, 'connect')
    play.pass(0)
    play.connectAll()
    const retry = play.commands.find((one) => one.type === 'trace' && one.event.name === 'connection.retry.started')
    expect(retry).toMatchObject({ event: { info: { exception: { attempts: [{ address: '10.0.0.1' }] } } } })
    expect(names(play).filter((name) => name.startsWith('connection'))).toEqual([
      'connection.connect_tcp.started',
      'connection.connect_tcp.failed',
      'connection.retry.started',
      'connection.retry.complete',
      'connection.connect_tcp.started',
      'connection.connect_tcp.complete',
    ])
  })
  describe('of a dial that is given up hears that each step has failed, and of what', () => {
    const ENDS: [string, (play: Play, id: number) => void, string][] = [
      ['out of time', (play) => play.pass(10_000), 'ConnectTimeout'],
      ['out of all its time', (play) => play.pass(9_000), 'TimeoutException'],
      ['cancelled', (play, id) => play.tell({ type: 'cancel', id, reason: new RangeError('enough') }), 'RangeError'],
      ['the pool closed', (play) => play.tell({ type: 'close', grace: 0 }), 'PoolClosed'],
      ['the pool destroyed', (play) => play.tell({ type: 'destroy' }), 'PoolClosed'],
    ]
    const STEPS: [string, (play: Play) => void, readonly string[]][] = [
      ['resolve', () => undefined, ['connection.resolve.failed']],
      [
        'connect_tcp',
        (play) => {
          play.tell({ type: 'resolved', host: 'a.test', addresses: ['1.1.1.1', '1.1.1.2'] })
          play.pass(250)
        },
        ['connection.connect_tcp.failed', 'connection.connect_tcp.failed'],
      ],
      [
        'start_tls',
        (play) => {
          play.tell({ type: 'resolved', host: 'a.test', addresses: ['1.1.1.1'] })
          play.connected(1)
        },
        ['connection.start_tls.failed'],
      ],
    ]
    it.each(STEPS.flatMap((step) => ENDS.map((end) => [step[0], end[0], step, end] as const)))(
      '%s, %s',
      (_, __, [, reach, failed], [how, end, exception]) => {
        const play = new Play()
        const total = how === 'out of all its time' ? 9_000 : Infinity
        const id = play.request({ origin: https('a.test'), timeouts: { total }, trace: true })
        reach(play)
        names(play)
        end(play, id)
        const told = play.take('trace').map(({ event }) => event)
        expect(told.map(({ name }) => name)).toEqual(failed)
        for (const { request, info } of told) {
          expect(request).toBe(id)
          expect(info?.['exception']).toMatchObject({ name: exception })
        }
      },
    )
  })
  it.each([
    ['cancelled', { type: 'cancel', id: 1, reason: 'enough' }],
    ['destroyed', { type: 'destroy' }],
  ] as const)('of a connection that is %s with content still to be written has one end', (_, input) => {
    const play = new Play()
    const id = play.request({ method: 'POST', content: 'unknown', trace: true })
    play.connectAll()
    play.pool.handle({ type: 'content', id, data: bytes('x') }, play.now)
    play.tell(input)
    const closing = names(play).filter((name) => name.startsWith('connection.close'))
    expect(closing).toEqual(['connection.close.started', 'connection.close.complete'])
  })
  it('of a dial names the request that it was begun for, also when that was served otherwise', () => {
    const play = new Play()
    play.request()
    play.connectAll()
    const id = play.request({ trace: true })
    play.received(1, OK)
    expect(play.outcome(id)).toBe(undefined)
    play.connected(2)
    const told = play.take('trace').map(({ event }) => event)
    expect(told.filter(({ name }) => name.startsWith('connection.connect_tcp')).map(({ request }) => request)).toEqual([
      id,
      id,
    ])
  })
  it('of a request that is sent again: what was begun has failed, before it is begun again', () => {
    const play = new Play()
    const first = play.request()
    play.connectAll()
    play.received(1, OK)
    expect(play.outcome(first)).toBe('ok')
    play.request({ trace: true })
    play.drained(1)
    names(play)
    play.eof(1)
    play.connected(2)
    expect(names(play).filter((name) => /^http11|^pool.(retry|assigned)/.test(name))).toEqual([
      'http11.receive_response_headers.failed',
      'pool.retry',
      'pool.assigned',
      'http11.send_request_headers.started',
      'http11.send_request_headers.complete',
      'http11.send_request_body.started',
      'http11.send_request_body.complete',
      'http11.receive_response_headers.started',
    ])
  })
  it('of a response that is dropped after the limit of its draining ends what was begun', () => {
    const play = new Play()
    const id = play.request({ trace: true })
    play.connectAll()
    play.drained(1)
    play.received(1, 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n')
    play.tell({ type: 'drain', id, limit: 1 })
    play.received(1, 'abc')
    expect(play.outcome(id)).toBe('ok')
    expect(names(play).filter((name) => name.includes('receive_response_body'))).toEqual([
      'http11.receive_response_body.started',
      'http11.receive_response_body.complete',
    ])
  })
  it.each([
    ['http11', {}],
    ['http2', H2],
  ])('of a request that a connection refuses to write, over %s', (version, settings) => {
    const play = new Play(settings)
    const id = play.request({ target: '/', headers: [['Bad Name', 'x']], trace: true })
    const [link] = play.connectAll()
    const steps = play.take('trace').filter(({ event }) => event.name.includes('.send_request'))
    expect(steps.map(({ event }) => [event.name, event.connection])).toEqual([
      [`${version}.send_request_headers.started`, link],
      [`${version}.send_request_headers.failed`, link],
    ])
    expect(play.error(id).disposition).toBe('not-sent')
  })
  it('V-22: of a connection hears that it closes', () => {
    const play = new Play()
    play.request({ trace: true })
    play.connectAll()
    play.received(1, OK)
    names(play)
    play.tell({ type: 'closeIdle' })
    expect(names(play)).toEqual(['pool.close', 'connection.close.started'])
    play.closed(1)
    expect(names(play)).toEqual(['connection.close.complete'])
  })
  it('of a switched connection that breaks hears that it closes once', () => {
    const play = new Play()
    const id = play.request({ headers: { upgrade: 'x', connection: 'upgrade' }, trace: true })
    play.connectAll()
    play.received(1, 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n')
    names(play)
    play.failed(1)
    expect(play.error(id).code).toBe('connection-lost')
    expect(names(play).filter((name) => name.startsWith('connection'))).toEqual([
      'connection.close.started',
      'connection.close.complete',
    ])
  })
  it('names the link and the request', () => {
    const play = new Play()
    const id = play.request({ trace: true })
    play.connectAll()
    const [, started] = play.take('trace')
    expect(started?.event).toMatchObject({
      name: 'connection.connect_tcp.started',
      request: id,
      connection: 1,
      time: 0,
    })
  })
  it('V-25: never holds a secret', () => {
    const secret = 'c2VjcmV0OnNlY3JldA=='
    const http_: ProxyTarget = {
      kind: 'http',
      ...PLACE,
      headers: Fields.from([['Proxy-Authorization', `Basic ${secret}`]]),
    }
    const credentials = { username: bytes('user'), password: bytes('hunter22') }
    const socks: ProxyTarget = { kind: 'socks5h', ...PLACE, credentials }
    for (const proxy of [http_, socks]) {
      const play = new Play({ proxies: [proxy] })
      play.request({ origin: https('a.test'), headers: [['Authorization', secret]], trace: true })
      play.connectAll()
      if (proxy === socks) {
        play.received(1, '\x05\x02')
        play.received(1, '\x01\x00')
        play.received(1, '\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00')
      } else play.received(1, 'HTTP/1.1 200 OK\r\n\r\n')
      play.secured(1, 'http/1.1')
      play.received(1, `HTTP/1.1 200 OK\r\nSet-Cookie: ${secret}\r\nContent-Length: 0\r\n\r\n`)
      const told = play.take('trace').map(({ event }) => event)
      const step = proxy === socks ? 'socks' : 'proxy'
      expect(told.map(({ name }) => name)).toEqual(
        expect.arrayContaining([`${step}.start_tls.started`, `${step}.start_tls.complete`]),
      )
      expect(JSON.stringify(told)).not.toMatch(/c2VjcmV0|hunter22|104,117,110,116/)
    }
  })
  it('costs no command when nobody listens', () => {
    const play = new Play({ retries: 1 })
    play.request({ origin: http('10.0.0.7') })
    play.failed(1, 'connect')
    play.pass(0)
    play.connectAll()
    play.tell({ type: 'destroy' })
    expect(play.take('trace')).toEqual([])
  })
})

/** `pool.open: no-connection` … */
const DOCUMENTED = Array.from(
  readFileSync('docs/seeing-in.md', 'utf8').matchAll(/^\| `(pool\.\w+)` +\|(.+)\|$/gm),
  ([, name = '', reasons = '']) => Array.from(reasons.matchAll(/`([a-z-]+)`/g), ([, reason]) => `${name}: ${reason}`),
).flat()

describe('the reason of every decision', () => {
  it('is in docs/seeing-in.md', () => expect(DOCUMENTED.length).toBeGreaterThan(20))
  const reasons = (play: Play): string[] =>
    play
      .take('trace')
      .flatMap(({ event }) => (event.info?.['reason'] ? [`${event.name}: ${String(event.info['reason'])}`] : []))
  const ask = (play: Play, asked: Asked = {}): number => play.request({ trace: true, ...asked })
  const one = { maxConnections: 1, maxConnectionsPerOrigin: 1 }
  const told = (settings: Partial<PoolSettings>, act: (play: Play) => void): string[] => {
    const play = new Play(settings)
    act(play)
    return reasons(play)
  }
  const busy = (play: Play): void => {
    ask(play)
    play.connectAll()
  }
  const answered = (play: Play): void => {
    busy(play)
    play.drained(1)
    play.received(1, OK)
    reasons(play)
  }
  const refuse = (play: Play): void => {
    const [link] = play.connectAll() as [number]
    new Peer(play, link, 'h2').sync()
    play.received(link, goaway(0))
    play.closed(link)
  }
  it.each<[what: string, settings: Partial<PoolSettings>, act: (play: Play) => void, reasons: string[]]>([
    ['a first request', {}, busy, ['pool.open: no-connection', 'pool.queued: dialling', 'pool.assigned: dialled']],
    ['the next', {}, (play) => (answered(play), void ask(play)), ['pool.assigned: reused']],
    [
      'one beside it',
      {},
      (play) => (busy(play), reasons(play), void ask(play)),
      ['pool.open: all-taken', 'pool.queued: dialling'],
    ],
    [
      'one too many for its origin',
      one,
      (play) => (busy(play), reasons(play), void ask(play)),
      ['pool.queued: origin-limit'],
    ],
    [
      'one too many in all',
      { ...one, maxConnectionsPerOrigin: 2 },
      (play) => (busy(play), reasons(play), void ask(play)),
      ['pool.queued: pool-limit'],
    ],
    [
      'who waits for the first dial',
      H2,
      (play) => (ask(play), reasons(play), void ask(play)),
      ['pool.queued: sharing-dial'],
    ],
    [
      'who waits for a server that takes nothing for now',
      H2,
      (play) => {
        ask(play)
        const [link] = play.connectAll() as [number]
        const peer = new Peer(play, link, 'h2').sync()
        peer.respond('/').sync()
        play.received(link, Uint8Array.of(0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0))
        reasons(play)
        ask(play)
      },
      ['pool.queued: no-streams'],
    ],
    [
      'who was sent back',
      { ...H2, ...one },
      (play) => (ask(play), refuse(play), reasons(play), refuse(play)),
      ['pool.assigned: dialled', 'pool.retry: replay', 'pool.queued: backoff', 'connection.close.started: goaway'],
    ],
    [
      'a stale connection',
      {},
      (play) => (answered(play), ask(play), reasons(play), play.eof(1)),
      [
        'pool.retry: fresh',
        'pool.open: stale-retry',
        'pool.queued: dialling',
        'connection.close.started: server-disconnected',
      ],
    ],
    ['room for another origin', one, (play) => (answered(play), void ask(play, { origin: B })), ['pool.close: room']],
    [
      'the limit of idle ones',
      { maxIdleConnections: 0 },
      (play) => (busy(play), reasons(play), play.received(1, OK)),
      ['pool.close: idle-limit'],
    ],
    ['time', {}, (play) => (answered(play), play.pass(4_000)), ['pool.close: idle-expired']],
    ['age', { maxConnectionAge: 1_000 }, (play) => (answered(play), play.pass(1_000)), ['pool.close: max-age']],
    [
      'requests',
      { maxRequestsPerConnection: 1 },
      (play) => (busy(play), reasons(play), play.received(1, OK)),
      ['pool.close: max-requests'],
    ],
    [
      'the server’s wish',
      {},
      (play) => (busy(play), reasons(play), play.received(1, 'HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n')),
      ['connection.close.started: connection-close'],
    ],
    [
      'a connection that cannot be written to',
      H2,
      (play) => {
        busy(play)
        const peer = new Peer(play, 1, 'h2').sync()
        play.failed(1, 'write')
        peer.respond('/')
      },
      ['pool.close: no-longer-usable'],
    ],
    ['closeIdle', {}, (play) => (answered(play), play.tell({ type: 'closeIdle' })), ['pool.close: close-idle']],
    ['close', {}, (play) => (answered(play), play.tell({ type: 'close', grace: 0 })), ['pool.close: pool-closing']],
  ])('%s', (_, settings, act, expected) => {
    const all = told(settings, act)
    expect(all).toEqual(expect.arrayContaining(expected))
    for (const one of all) if (one.startsWith('pool.')) expect(DOCUMENTED).toContain(one)
  })
  it('who waits at its own turn for room that another origin holds', () => {
    const play = new Play({ ...one })
    ask(play, { origin: A })
    play.connectAll()
    reasons(play)
    ask(play, { origin: B })
    ask(play, { origin: A })
    play.received(1, OK)
    expect(reasons(play)).toEqual(expect.arrayContaining(['pool.close: fairness', 'pool.open: no-connection']))
  })
})
