// One request at a time, told step by step: what goes out, what is delivered, how it ends, what becomes of its connection.
import { describe, expect, it } from 'vitest'
import { Fields, type HttpCoreError } from '../../src/http/index.ts'
import { H2Connection } from '../../src/h2/index.ts'
import type { PoolSettings } from '../../src/pool/settings.ts'
import { A, B, bytes, goaway, H2, http, OK, Peer, Play, type Asked } from './play.ts'

const POST = { method: 'POST', content: { length: 6 } } as const

describe('a GET', () => {
  it('is dialled for, written in one piece, delivered in order, and leaves its connection idle', () => {
    const play = new Play()
    const id = play.request({ target: '/x', headers: [['Accept', '*/*']] })
    expect(play.targets()).toEqual([expect.objectContaining({ address: '10.0.0.1', port: 80, tls: undefined })])
    play.connected(1)
    expect(play.take('assigned')).toEqual([expect.objectContaining({ id, link: 1, reused: false })])
    expect(play.written(1)).toBe('GET /x HTTP/1.1\r\nHost: 10.0.0.1\r\nAccept: */*\r\n\r\n')
    play.drained(1)
    play.received(1, OK)
    expect(play.delivered(id)).toEqual({ events: ['response', 'data', 'end'], content: 'ok' })
    expect(play.outcome(id)).toBe('ok')
    expect(play.infos()).toEqual(["'http://10.0.0.1', HTTP/1.1, IDLE, Request Count: 1"])
    expect(play.saidOf(1, 'unref')).toHaveLength(1)
  })
  it('is known to have begun its response on a clock that starts at zero', () => {
    const play = new Play({}, 0)
    const id = play.request()
    play.connectAll()
    play.received(1, 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab')
    play.failed(1)
    const { length: bytesReceived } = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab'
    expect(play.error(id)).toMatchObject({ name: 'ReadError', disposition: 'response-started', bytesReceived })
  })
  it('is told what did not come in time: a response, or the rest of one', () => {
    const told = (answer: string): string => {
      const play = new Play()
      const id = play.request({ timeouts: { read: 1_000 } })
      play.connectAll()
      play.drained(1)
      if (answer !== '') play.received(1, answer)
      play.pass(1_000)
      return play.error(id).message
    }
    expect(told('')).toBe('no response came for 1000 ms')
    expect(told('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n')).toBe('no more content came for 1000 ms')
  })
  it('is timed, and its connection is asked whether it lives, on a clock below zero', () => {
    const stuck = new Play({}, -1_000_000)
    const id = stuck.request({ timeouts: { write: 1_000 } })
    stuck.connectAll()
    stuck.pass(1_000)
    expect(stuck.error(id).name).toBe('WriteTimeout')
    const silent = new Play({ ...H2, http2Options: { keepAlivePing: { after: 1_000, within: 500 } } }, -1_000_000)
    silent.request()
    silent.connectAll()
    silent.pass(1_500)
    expect(silent.has('destroy', 1)).toBe(true)
  })
  it('ends when its time is over, to the millisecond, however many connections age and requests wait to be sent again', () => {
    const many = { maxConnections: 200, maxConnectionsPerOrigin: 200 }
    const play = new Play({ ...H2, ...many, maxConnectionAge: 600_000 })
    for (let n = 1; n <= 100; n++) {
      const origin = http(`10.1.0.${n}`)
      for (const last of [0, 0]) {
        play.request({ origin })
        for (const link of play.connectAll()) play.received(link, goaway(last))
      }
    }
    const id = play.request({ timeouts: { total: 1_001 } })
    play.pass(1_000)
    expect(play.outcome(id)).toBeUndefined()
    play.pass(1)
    expect(play.error(id).code).toBe('total-timeout')
  })
  it('has its seat where another’s deadline came before its own, though a thread that was busy finds both are over', () => {
    const play = new Play({ maxConnections: 1, maxConnectionsPerOrigin: 1 })
    const silent = play.request({ timeouts: { read: 12_000 } })
    const waits = play.request({ origin: B })
    play.connectAll()
    play.drained(1)
    play.now = 60_000
    play.tell({ type: 'timeout' })
    expect(play.error(silent).name).toBe('ReadTimeout')
    expect([play.outcome(waits), play.dials()]).toEqual([undefined, [2]])
  })
  it('keeps its clock when the given time goes back', () => {
    const play = new Play({}, 5_000)
    const id = play.request({ timeouts: { read: 1_000 } })
    play.connectAll()
    play.now = 4_000
    play.drained(1)
    play.now = 6_000
    play.tell({ type: 'timeout' })
    expect(play.error(id).name).toBe('ReadTimeout')
  })
})

describe('a request that waits', () => {
  it('has nothing to be consumed', () => {
    const play = new Play()
    const id = play.request()
    play.tell({ type: 'consumed', id, bytes: 10 })
    play.connectAll()
    play.drained(1)
    play.received(1, OK)
    expect(play.delivered(id)).toEqual({ events: ['response', 'data', 'end'], content: 'ok' })
    expect(play.outcome(id)).toBe('ok')
  })
  it('and need not be read has its content dropped when it comes', () => {
    const play = new Play()
    const id = play.request()
    play.tell({ type: 'drain', id, limit: 10 })
    play.connectAll()
    play.drained(1)
    play.received(1, OK)
    expect(play.delivered(id)).toEqual({ events: ['response', 'end'], content: '' })
    expect(play.outcome(id)).toBe('ok')
  })
})

describe('a request that waits and need not be read', () => {
  it('is over without an error when it has waited for as long as it may be dropped', () => {
    const play = new Play({ maxConnections: 1 })
    play.request()
    play.connectAll()
    const id = play.request()
    play.tell({ type: 'drain', id, limit: 10 })
    play.pass(1_000)
    expect(play.outcome(id)).toBe('ok')
    expect(play.stats()).toMatchObject({ requests: 1, queued: 0 })
  })
})

describe('a request whose reused connection was lost', () => {
  it('may have been processed, for as long as it waits to be sent again', () => {
    const play = new Play()
    play.request()
    play.connectAll()
    play.received(1, OK)
    const id = play.request({ timeouts: { total: 1_000 } })
    play.drained(1)
    play.eof(1)
    expect(play.targets()).toHaveLength(1)
    play.pass(1_000)
    expect(play.error(id)).toMatchObject({
      code: 'total-timeout',
      disposition: 'maybe-processed',
      bytesSent: 'GET / HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n'.length,
      blockedOn: { want: 'dial' },
    })
  })

  it.each(['GET', 'POST'])('is one too where nothing was sent before, but it stood idle: %s', (method) => {
    // Also on a clock below zero.
    const play = new Play({ maxConnections: 2 }, -5_000)
    play.request()
    play.connectAll()
    // The second is dialled for who is then served by the first.
    play.request()
    for (let n = 0; n < 2; n++) {
      play.drained(1)
      play.received(1, OK)
    }
    play.connectAll()
    const id = play.request({ method })
    expect(play.written(2)).toContain(method)
    play.drained(2)
    play.eof(2)
    if (method === 'POST') return expect(play.error(id)).toMatchObject({ disposition: 'maybe-processed' })
    expect(play.outcome(id)).toBeUndefined()
    play.connectAll()
    play.drained(3)
    play.received(3, OK)
    expect(play.outcome(id)).toBe('ok')
  })

  /** Lost over HTTP/1.1, and dialled for again. */
  const lost = (play: Play, asked: Asked = {}): number => {
    const link = play.idle()
    const id = play.request(asked)
    play.drained(link)
    play.eof(link)
    return id
  }
  /** The same over HTTP/2. */
  const lostOverH2 = (play: Play, asked: Asked = {}): number => {
    play.request({ target: '/1' })
    play.connectAll()
    const peer = new Peer(play, 1, 'h2').sync()
    peer.respond('/1')
    const id = play.request({ target: '/2', ...asked })
    peer.sync()
    play.drained(1)
    play.eof(1)
    return id
  }
  it('waits for no seat where it has the dial of another that was lost with it, and has gone', () => {
    const play = new Play(H2)
    play.request({ target: '/1' })
    play.connectAll()
    const peer = new Peer(play, 1, 'h2').sync()
    const first = play.request({ target: '/2' })
    const second = play.request({ target: '/3', timeouts: { pool: 500 } })
    peer.sync().respond('/1')
    play.drained(1)
    play.eof(1)
    play.cancel(first)
    play.pass(1_000)
    expect(play.outcome(second)).toBeUndefined()
    const link = play.connectAll().at(-1) as number
    new Peer(play, link, 'h2').sync().respond('/3')
    expect(play.outcome(second)).toBe('ok')
  })
  it.each([
    ['more', Infinity, 500],
    ['less', 500, 2_000],
  ])('has its own time to connect there, where the other had %s', (_, others, own) => {
    const play = new Play(H2)
    play.request({ target: '/1' })
    play.connectAll()
    const peer = new Peer(play, 1, 'h2').sync()
    const first = play.request({ target: '/2', timeouts: { connect: others } })
    const second = play.request({ target: '/3', timeouts: { pool: 500, connect: own } })
    peer.sync().respond('/1')
    play.drained(1)
    play.eof(1)
    play.pass(400)
    play.cancel(first)
    play.pass(own - 1)
    expect(play.outcome(second)).toBeUndefined()
    play.pass(1)
    expect(play.error(second)).toMatchObject({ code: 'connect-timeout', blockedOn: { since: 400 } })
  })
  const MAYBE = { disposition: 'maybe-processed' }
  const versions = [
    ['HTTP/1.1', {}, lost],
    ['HTTP/2', H2, lostOverH2],
  ] as const
  describe.each(versions)('over %s may have been processed', (_, settings, lose) => {
    it('when its second dial fails', () => {
      const play = new Play(settings)
      const id = lose(play)
      play.failed(2, 'connect')
      expect(play.error(id)).toMatchObject({ name: 'ConnectError', ...MAYBE })
    })
    it('when its second dial takes too long', () => {
      const play = new Play(settings)
      const id = lose(play, { timeouts: { connect: 500 } })
      play.pass(500)
      expect(play.error(id)).toMatchObject({ name: 'ConnectTimeout', ...MAYBE })
    })
    it('when nothing of it has left on the second connection yet', () => {
      const play = new Play(settings)
      const id = lose(play)
      play.pool.handle({ type: 'connected', link: 2, info: {} }, play.now)
      play.tell({ type: 'destroy' })
      expect(play.error(id)).toMatchObject({ name: 'PoolClosed', bytesSent: 0, ...MAYBE })
    })
    it('when the second connection ends again and again before anything has left', () => {
      const play = new Play({ ...settings, limits: { maxReplays: 1 } })
      const id = lose(play)
      for (const link of [2, 3]) {
        play.pool.handle({ type: 'connected', link, info: {} }, play.now)
        play.failed(link)
      }
      expect(play.error(id)).toMatchObject({ code: 'server-disconnected', bytesSent: 0, ...MAYBE })
    })
  })
  it('may have been processed, though its second attempt was refused', () => {
    const play = new Play(H2)
    const id = lostOverH2(play, { timeouts: { total: 1_000 } })
    play.connected(2)
    const peer = new Peer(play, 2, 'h2').sync()
    peer.machine.cancel(peer.of('/2'), 7)
    peer.write()
    expect(play.outcome(id)).toBeUndefined()
    play.pass(1_000)
    expect(play.error(id)).toMatchObject({ code: 'total-timeout', ...MAYBE })
  })
  it('may have been processed, though the last of its attempts was refused for good', () => {
    const play = new Play({ ...H2, limits: { maxReplays: 0 } })
    const id = lostOverH2(play)
    play.connected(2)
    const peer = new Peer(play, 2, 'h2').sync()
    peer.machine.cancel(peer.of('/2'), 7)
    peer.write()
    expect(play.error(id)).toMatchObject({ code: 'stream-reset', ...MAYBE })
  })
  it('was not sent when its first attempt was refused', () => {
    const play = new Play(H2)
    play.request({ target: '/1' })
    play.connectAll()
    const peer = new Peer(play, 1, 'h2').sync()
    peer.respond('/1')
    const id = play.request({ target: '/2', timeouts: { total: 1_000 } })
    peer.sync()
    peer.machine.cancel(peer.of('/2'), 7)
    peer.write()
    play.pass(1_000)
    expect(play.error(id)).toMatchObject({ code: 'total-timeout', disposition: 'not-sent' })
  })
  it('has begun its response all the same', () => {
    const play = new Play()
    const id = lost(play)
    play.connected(2)
    play.received(2, 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab')
    play.failed(2)
    expect(play.error(id)).toMatchObject({ name: 'ReadError', disposition: 'response-started' })
  })
})

describe('a source that gives less than it promised, or more,', () => {
  it.each([
    ['HTTP/1.1', 'abc', {}],
    ['HTTP/1.1', 'abcdefghij', {}],
    ['HTTP/2', 'abc', H2],
    ['HTTP/2', 'abcdefghij', H2],
  ] as const)('over %s (%s) leaves a request that may have been processed', (_, content, settings) => {
    const play = new Play(settings)
    const id = play.request(POST)
    play.connectAll()
    play.drained(1)
    play.content(id, content)
    const { code, disposition, bytesSent, origin, phase } = play.error(id)
    expect([code, disposition, origin, phase]).toEqual([
      'content-length',
      'maybe-processed',
      'http://10.0.0.1',
      'req_body',
    ])
    expect(bytesSent).toBeGreaterThan(20)
  })
})

describe('what is told of an exchange when it is over', () => {
  const settled = (play: Play, id: number) => play.commands.find((one) => one.type === 'settle' && one.id === id)
  it('how long it was queued, sent, waited and took, in all', () => {
    const play = new Play()
    const id = play.request({ method: 'POST', content: { length: 3 } })
    play.pass(10)
    play.connectAll()
    play.pass(20)
    play.content(id, 'abc')
    play.drained(1)
    play.pass(300)
    play.received(1, 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n')
    play.pass(4_000)
    play.received(1, 'ok')
    expect(settled(play, id)).toMatchObject({ timings: { queued: 10, sent: 20, waiting: 300, total: 4_330 } })
  })
  it('waiting for no less than no time, where the response began before the request had left', () => {
    const play = new Play()
    const id = play.request({ method: 'POST', content: { length: 3 } })
    play.connectAll()
    play.received(1, 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n')
    play.pass(20)
    play.content(id, 'abc')
    play.drained(1)
    play.received(1, 'ok')
    expect(settled(play, id)).toMatchObject({ timings: { sent: 20, waiting: 0, total: 20 } })
  })
  it('what went and came over HTTP/1.1, framing and all', () => {
    const play = new Play()
    const id = play.request({ method: 'POST', content: 'unknown' })
    play.connectAll()
    play.content(id, 'abc')
    play.drained(1)
    const bytesSent = play.written(1).length
    play.received(1, OK)
    expect(settled(play, id)).toMatchObject({ bytesSent, bytesReceived: OK.length })
  })
  it('what went and came over HTTP/2, its heads too, and nothing of its siblings', () => {
    const play = new Play(H2)
    const [first, second] = [play.request({ target: '/1' }), play.request({ method: 'POST', target: '/2' })]
    play.connectAll()
    const peer = new Peer(play, 1, 'h2').sync()
    play.drained(1)
    play.received(1, Uint8Array.of(0, 0, 1, 1, 4, 0, 0, 0, peer.of('/1'), 0x88, 0, 0, 4, 0, 1, 0, 0, 0, 1, 1, 2, 3, 4))
    play.failed(1)
    const atMost = 9 + 3 + 2 + '10.0.0.1'.length + 2 + '/2'.length
    expect(play.error(second)).toMatchObject({ bytesReceived: 0, disposition: 'maybe-processed' })
    expect(play.error(second).bytesSent).toBeGreaterThan(9)
    expect(play.error(second).bytesSent).toBeLessThanOrEqual(atMost)
    expect(settled(play, first)).toMatchObject({ result: { ok: true }, bytesReceived: 10 + 13 })
  })
  it('of a tunnel too', () => {
    const play = new Play()
    const id = play.request({
      headers: [
        ['Upgrade', 'x'],
        ['Connection', 'upgrade'],
      ],
    })
    play.connectAll()
    const head = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'
    play.received(1, head)
    const bytesSent = play.written(1).length + 3
    play.content(id, 'out')
    play.received(1, 'in')
    play.eof(1)
    expect(settled(play, id)).toMatchObject({ bytesSent, bytesReceived: head.length + 2 })
  })
})

describe('what cannot be sent again and waits for a seat', () => {
  const wary = (...methods: string[]): { play: Play; ids: number[] } => {
    const play = new Play({ maxConnections: 1, catchUp: true })
    const ids = ['GET', ...methods].map((method) => play.request({ method }))
    play.connectAll()
    play.drained(1)
    play.received(1, OK)
    return { play, ids }
  }
  it('follows a response when all that came behind it was told', () => {
    const { play, ids } = wary('POST', 'GET')
    expect([play.saidOf(1, 'catchUp'), play.saidOf(1, 'unref')]).toEqual([['catchUp'], []])
    expect([play.stats().queued, play.stats().connections]).toEqual([2, 1])
    play.tell({ type: 'caughtUp', link: 1 })
    expect(play.written(1)).toMatch(/POST \/ HTTP\/1.1\r\n.*$/s)
    play.drained(1)
    play.received(1, OK)
    play.drained(1)
    play.received(1, OK)
    expect(ids.map((id) => play.outcome(id))).toEqual(['ok', 'ok', 'ok'])
    expect([play.saidOf(1, 'catchUp').length, play.saidOf(1, 'unref').length]).toEqual([1, 1])
  })
  it('and has followed it holds up nobody who comes later', () => {
    const play = new Play({ maxConnections: 2, catchUp: true })
    play.request()
    play.request({ origin: B })
    play.request({ method: 'POST' })
    play.connectAll()
    play.received(1, OK)
    play.tell({ type: 'caughtUp', link: 1 })
    play.received(2, OK)
    play.request()
    expect(play.dials()).toEqual([3])
  })
  it('is dialled for where that was the end of the connection', () => {
    const { play, ids } = wary('POST')
    play.eof(1)
    play.closed(1)
    play.tell({ type: 'caughtUp', link: 1 })
    expect(play.written(1)).not.toContain('POST')
    play.connectAll()
    expect(play.written(2)).toContain('POST')
    play.drained(2)
    play.received(2, OK)
    expect(ids.map((id) => play.outcome(id))).toEqual(['ok', 'ok'])
  })
  it('and is cancelled meanwhile leaves the connection idle', () => {
    const { play, ids } = wary('POST')
    play.cancel(ids[1] as number)
    play.tell({ type: 'caughtUp', link: 1 })
    expect([play.saidOf(1, 'unref').length, play.stats().idle]).toEqual([1, 1])
  })
  it('is dialled for where the connection has become too old meanwhile', () => {
    const play = new Play({ maxConnections: 1, catchUp: true, maxConnectionAge: 1_000 })
    const ids = ['GET', 'POST'].map((method) => play.request({ method }))
    play.connectAll()
    play.drained(1)
    play.pass(899)
    play.received(1, OK)
    play.pass(101)
    expect(play.saidOf(1, 'catchUp', 'destroy')).toEqual(['catchUp', 'destroy'])
    play.tell({ type: 'caughtUp', link: 1 })
    play.connectAll()
    play.drained(2)
    play.received(2, OK)
    expect(ids.map((id) => play.outcome(id))).toEqual(['ok', 'ok'])
  })
  it('says so in a trace, and is not idle for as long as the connection was before', () => {
    const play = new Play({ maxConnections: 1, catchUp: true, keepAliveExpiry: 4_000 })
    play.request()
    play.connectAll()
    play.drained(1)
    play.received(1, OK)
    play.pass(3_999)
    for (const method of ['GET', 'POST']) play.request({ method })
    play.drained(1)
    play.received(1, OK)
    play.pass(1)
    play.request({ trace: true })
    expect([play.saidOf(1, 'catchUp', 'close'), play.take('trace').at(-1)?.event.info]).toEqual([
      ['catchUp'],
      { reason: 'catching-up' },
    ])
  })
  it.each([
    ['at its own origin', { maxRequestsPerConnection: 1 }, [{ method: 'POST' }]],
    ['at another', {}, [{ origin: B }, { method: 'POST' }]],
  ] as const)('is not waited for on a connection that goes to make room for who waits %s', (_, settings, asked) => {
    const play = new Play({ maxConnections: 1, catchUp: true, ...settings })
    play.request()
    play.connectAll()
    for (const one of asked) play.request(one)
    play.drained(1)
    play.received(1, OK)
    expect([play.saidOf(1, 'catchUp', 'destroy'), play.dials()]).toEqual([['destroy'], [2]])
  })
  it('is not waited for where it can, or over HTTP/2', () => {
    expect(wary('GET', 'PUT').play.saidOf(1, 'catchUp')).toEqual([])
    const play = new Play({ ...H2, catchUp: true, maxConnections: 1 })
    const ids = ['GET', 'POST'].map((method) => play.request({ method, target: `/${method}` }))
    play.connectAll()
    const peer = new Peer(play, 1, 'h2', { limits: { maxConcurrentStreams: 1 } }).sync()
    for (const method of ['GET', 'POST']) peer.respond(`/${method}`).sync()
    expect(ids.map((id) => play.outcome(id))).toEqual(['ok', 'ok'])
    expect(play.saidOf(1, 'catchUp')).toEqual([])
  })
})

describe('a tunnel within HTTP/2', () => {
  it('that is refused is over with that response', () => {
    const play = new Play(H2)
    const id = play.request({ method: 'CONNECT', target: 'b.test:443' })
    play.connectAll()
    const peer = new Peer(play, 1, 'h2').sync()
    peer.respond([...peer.exchanges.keys()][0] as string, 'no', 300)
    expect([play.outcome(id), play.delivered(id).content]).toEqual(['ok', 'no'])
  })
  it('leaves its stream to who comes next, though its own end is the last', () => {
    const play = new Play({ ...H2, maxConnections: 1, maxConnectionsPerOrigin: 1 })
    const tunnel = play.request({ method: 'CONNECT', target: 'inner.test:1' })
    play.connectAll()
    const peer = new Peer(play, 1, 'h2', { limits: { maxConcurrentStreams: 2 } }).sync()
    const exchange = peer.of('inner.test:1')
    peer.machine.sendResponse(exchange, { status: 200, headers: [] })
    peer.machine.end(exchange)
    peer.sync()
    play.tell({ type: 'contentEnd', id: tunnel })
    expect(play.outcome(tunnel)).toBe('ok')
    const ids = ['/a', '/b'].map((target) => play.request({ target }))
    peer.sync().respond('/b').respond('/a')
    expect(ids.map((id) => play.outcome(id))).toEqual(['ok', 'ok'])
  })

  /** Both sides have ended it, and the peer has no room for all that was written. */
  const ended = (settings: Partial<PoolSettings>): { play: Play; peer: Peer; exchange: number } => {
    const play = new Play({ ...H2, ...settings })
    const tunnel = play.request({ method: 'CONNECT', target: 'inner.test:1' })
    play.connectAll()
    const peer = new Peer(play, 1, 'h2').sync()
    const exchange = peer.of('inner.test:1')
    peer.machine.sendResponse(exchange, { status: 200, headers: [] })
    peer.machine.end(exchange)
    peer.reads = false
    peer.sync()
    play.tell({ type: 'content', id: tunnel, data: bytes('x'.repeat(5_000_000)) })
    play.tell({ type: 'contentEnd', id: tunnel })
    play.drained(1)
    peer.sync()
    return { play, peer, exchange }
  }
  it.each([
    ['one request is all that it carries', { maxRequestsPerConnection: 1 }, undefined],
    ['it may not be idle', { keepAliveExpiry: 0 }, undefined],
    ['none may be idle', { maxIdleConnections: 0 }, undefined],
    ['the pool is closed', {}, { type: 'close', grace: 0 }],
  ] as const)('is let through whole before its connection is closed, though %s', (_, settings, then) => {
    const { play, peer, exchange } = ended(settings)
    if (then !== undefined) play.tell(then)
    peer.sync()
    expect(play.has('close', 1)).toBe(false)
    for (let i = 0; i < 100 && !peer.ended.has(exchange); i++) {
      peer.machine.consume(exchange, peer.unread)
      peer.unread = 0
      peer.sync()
      play.drained(1)
    }
    expect([peer.ended.has(exchange), play.has('close', 1)]).toEqual([true, true])
  })
  it.each([{ maxRequestsPerConnection: 1 }, {}])(
    'has as long for that as a connection may take to close, whoever waits for its room: %o',
    (settings) => {
      const { play } = ended({ ...settings, maxConnections: 1, maxConnectionsPerOrigin: 1 })
      play.take('connect')
      play.request({ origin: B })
      play.pass(999)
      expect([play.has('destroy', 1), play.dials()]).toEqual([false, []])
      play.pass(1)
      expect([play.has('destroy', 1), play.dials().length]).toEqual([true, 1])
    },
  )
  it('and once it is, its connection makes room for others as any other does', () => {
    const { play, peer, exchange } = ended({ maxConnections: 1, maxConnectionsPerOrigin: 1 })
    while (!peer.ended.has(exchange)) {
      peer.machine.consume(exchange, peer.unread)
      peer.unread = 0
      peer.sync()
      play.drained(1)
    }
    play.take('connect')
    play.request({ origin: B })
    expect([play.has('destroy', 1), play.dials().length]).toEqual([true, 1])
  })
})

describe('a connection of HTTP/2 that is never without a request', () => {
  it.each([
    ['no other', {}, 1],
    ['who waits for another origin', { maxRequestsPerConnection: 3 }, 2],
    ['who waits for another origin', { maxConnectionAge: 2_000 }, 2],
  ])('leaves its place to %s: %o', (_, settings, links) => {
    const play = new Play({ ...H2, maxConnections: 1, ...settings })
    play.request({ target: '/0' })
    play.connectAll()
    play.request({ origin: B, target: '/b' })
    const peer = new Peer(play, 1, 'h2').sync()
    for (let i = 0; i < 4; i++) {
      play.request({ target: `/${i + 1}` })
      peer.sync()
      if (peer.exchanges.has(`/${i}`)) peer.respond(`/${i}`).sync()
      play.pass(1_000)
    }
    expect(play.take('connect').map(({ target }) => target.address)).toEqual([B.host].slice(0, links - 1))
  })
})

describe('an early response', () => {
  it.each(['413 Content Too Large', '400 Bad Request'])('stops the upload as soon as it says no (%s)', (status) => {
    const play = new Play()
    const id = play.request(POST)
    play.connectAll()
    play.content(id, 'abc', false)
    play.received(1, `HTTP/1.1 ${status}\r\nContent-Length: 2\r\n\r\n`)
    expect(play.saidOf(id, 'stopContent')).toHaveLength(1)
    play.received(1, 'no')
    expect(play.delivered(id).content).toBe('no')
    expect(play.outcome(id)).toBe('ok')
    expect(play.stats().connections).toBe(0)
  })
  it.each([
    ['while it lasts (200)', [], 'HTTP/1.1 200 OK', { idle: 1, closed: 0 }],
    [
      'where it is the request that asked for the end of the connection',
      [['Connection', 'close']],
      'HTTP/1.1 200 OK\r\nConnection: close',
      { idle: 0, closed: 1 },
    ],
    ['where the connection ends with a server of HTTP/1.0', [], 'HTTP/1.0 200 OK', { idle: 0, closed: 1 }],
  ] as const)('lets the upload go on %s', (_, headers, head, after) => {
    const play = new Play()
    const id = play.request({ ...POST, headers })
    play.connectAll()
    play.content(id, 'abc', false)
    play.received(1, `${head}\r\nContent-Length: 2\r\n\r\no`)
    expect(play.saidOf(id, 'stopContent')).toEqual([])
    play.content(id, 'def')
    play.received(1, 'k')
    expect(play.outcome(id)).toBe('ok')
    expect({ idle: play.stats().idle, closed: play.take('close').length }).toEqual(after)
  })
  it('of HTTP/2 lets it go on whatever it says: to end the stream is for the server', () => {
    const play = new Play(H2)
    const id = play.request(POST)
    play.connectAll()
    const peer = new Peer(play, 1, 'h2').sync()
    peer.machine.sendResponse([...peer.exchanges.values()][0] as number, {
      status: 413,
      headers: [],
      content: 'unknown',
    })
    peer.write()
    expect([play.delivered(id).events, play.saidOf(id, 'stopContent')]).toEqual([['response'], []])
  })
  it('is read under the deadline of reading, though the request is still leaving', () => {
    const play = new Play()
    const id = play.request({ ...POST, timeouts: { write: 60_000, read: 1_000 } })
    play.connectAll()
    play.content(id, 'abc', false)
    play.received(1, 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n')
    play.pass(1_000)
    expect(play.error(id).name).toBe('ReadTimeout')
  })
  it('stops the upload where the server ends the connection by its own wish', () => {
    const play = new Play()
    const id = play.request(POST)
    play.connectAll()
    play.content(id, 'abc', false)
    play.received(1, 'HTTP/1.1 200 OK\r\nConnection: x, Close\r\n\r\n')
    expect(play.saidOf(id, 'stopContent')).toHaveLength(1)
  })
  it('wins over a failed write, and the connection is not used again', () => {
    const play = new Play()
    const id = play.request(POST)
    play.connectAll()
    play.content(id, 'abc', false)
    play.failed(1, 'write')
    expect(play.saidOf(id, 'stopContent')).toHaveLength(1)
    play.received(1, 'HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno')
    expect(play.outcome(id)).toBe('ok')
    expect(play.stats().connections).toBe(0)
  })
  it.each([200, 413])('%i that leaves an upload unread ends the connection: nobody is to wait behind it', (status) => {
    const play = new Play({ maxConnections: 1, maxConnectionsPerOrigin: 1 })
    const id = play.request({ method: 'POST', content: { length: 1_000_000 } })
    play.connectAll()
    play.content(id, 'x'.repeat(1_000_000))
    play.received(1, `HTTP/1.1 ${status} Read Nothing\r\nContent-Length: 2\r\n\r\nno`)
    expect(play.outcome(id)).toBe('ok')
    expect(play.stats().idle).toBe(0)
    play.request()
    expect(play.dials()).toEqual([2])
  })
  it('frees its stream where the rest of the request waits for a window that nobody opens', () => {
    const play = new Play(H2)
    const id = play.request({ method: 'POST', target: '/up', content: { length: 100_000 } })
    play.connectAll()
    const peer = new Peer(play, 1, 'h2', { limits: { connectionWindow: 65_535, maxUnreadBytes: 1 } }).sync()
    peer.reads = false
    play.content(id, 'x'.repeat(100_000))
    peer.sync().respond('/up').sync()
    expect(play.outcome(id)).toBe('ok')
    expect(peer.failed.has(peer.of('/up'))).toBe(true)
  })
  it('of a tunnel ends one side only: what waits for a window still leaves', () => {
    const play = new Play(H2)
    const id = play.request({ method: 'CONNECT', target: 'b:1', content: 'unknown' })
    play.connectAll()
    const peer = new Peer(play, 1, 'h2', { limits: { connectionWindow: 65_535, maxUnreadBytes: 1 } }).sync()
    peer.reads = false
    const tunnel = peer.of('b:1')
    peer.machine.sendResponse(tunnel, { status: 200, headers: [] })
    peer.sync()
    play.content(id, 'x'.repeat(100_000))
    peer.machine.end(tunnel)
    peer.sync()
    expect(play.outcome(id)).toBe('ok')
    peer.machine.consume(tunnel, 65_535)
    peer.sync()
    expect([peer.ended.has(tunnel), peer.failed.has(tunnel)]).toEqual([true, false])
  })
  it('whose head comes within the grace is read to its end, however long that takes and its reader waits', () => {
    const play = new Play()
    const id = play.request(POST)
    play.connectAll()
    play.content(id, 'abc', false)
    play.failed(1, 'write')
    play.received(1, 'HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nno')
    play.pass(5_000)
    play.tell({ type: 'consumed', id, bytes: 2 })
    play.received(1, '!!')
    expect([play.outcome(id), play.delivered(id).content]).toEqual(['ok', 'no!!'])
    expect(play.stats().connections).toBe(0)
  })
  it('over HTTP/2 is read on, while those without a head are lost; a tunnel, of which nothing leaves, is too', () => {
    const play = new Play(H2)
    const [read, silent, tunnel] = [
      play.request({ target: '/read' }),
      play.request({ target: '/silent', method: 'POST' }),
      play.request({ method: 'CONNECT', target: 'b:1' }),
    ]
    play.connectAll()
    const peer = new Peer(play, 1, 'h2').sync()
    play.drained(1)
    peer.machine.sendResponse(peer.of('/read'), { status: 200, headers: [], content: { length: 2 } })
    peer.machine.sendResponse(peer.of('b:1'), { status: 200, headers: [] })
    peer.sync()
    play.failed(1, 'write')
    play.pass(1_000)
    expect([play.outcome(read), play.error(silent).code, play.error(tunnel).code]).toEqual([
      undefined,
      'server-disconnected',
      'connection-lost',
    ])
    peer.machine.sendData(peer.of('/read'), bytes('ok'), true)
    peer.write()
    expect(play.outcome(read)).toBe('ok')
    play.pass(1_000)
    expect(play.stats().connections).toBe(0)
  })
  it('that does not come within the grace leaves the error of the write', () => {
    const play = new Play()
    const id = play.request(POST)
    play.connectAll()
    play.failed(1, 'write')
    play.pass(999)
    expect(play.outcome(id)).toBeUndefined()
    play.pass(1)
    expect(play.error(id)).toMatchObject({ name: 'WriteError', disposition: 'maybe-processed' })
  })
  it.each([
    ['HTTP/1.1', {}],
    ['HTTP/2', H2],
  ] as const)(
    'over %s that does not come in time leaves it as well, where there is no end to the grace',
    (_, settings) => {
      const play = new Play({ ...settings, limits: { earlyResponseGrace: null } })
      const asked = (read: number, write: number): number => play.request({ ...POST, timeouts: { read, write } })
      const id = asked(500, Infinity)
      play.connectAll()
      const another = settings === H2 ? asked(2_000, 100) : undefined
      play.failed(1, 'write')
      play.pass(499)
      expect(play.outcome(id)).toBeUndefined()
      play.pass(1)
      expect(play.error(id)).toMatchObject({ name: 'WriteError', disposition: 'maybe-processed' })
      if (another === undefined) return
      play.pass(1_499)
      expect(play.outcome(another)).toBeUndefined()
      play.pass(1)
      expect(play.error(another)).toMatchObject({ name: 'WriteError' })
      expect([play.stats().connections, play.pool.nextTimeout()]).toEqual([0, undefined])
    },
  )
  it('is no error of the write where all of the request had left: the write was of something else', () => {
    const play = new Play(H2)
    const id = play.request({ method: 'POST', target: '/thing' })
    play.connectAll()
    new Peer(play, 1, 'h2').sync()
    play.drained(1)
    play.failed(1, 'write')
    play.pass(1_000)
    expect(play.error(id)).toMatchObject({ code: 'server-disconnected', phase: 'waiting' })
  })
})

describe('Expect: 100-continue', () => {
  const asked = { ...POST, content: { length: 3 }, expectContinue: true } as const
  it('holds the content until 100', () => {
    const play = new Play()
    const id = play.request(asked)
    play.connectAll()
    expect(play.written(1)).toContain('Expect: 100-continue\r\n')
    expect(play.saidOf(id, 'pullContent')).toEqual([])
    play.received(1, 'HTTP/1.1 100 Continue\r\n\r\n')
    expect(play.saidOf(id, 'pullContent')).toHaveLength(1)
    play.content(id, 'abc')
    expect(play.written(1)).toBe('abc')
    expect(play.delivered(id).events).toEqual(['informational'])
  })
  // RFC 7541 §6.2.3.
  it('is added to fields of which none that was never indexed is now', () => {
    const play = new Play(H2)
    play.request({ ...asked, headers: new Fields(['x-a', '1', 'x-b', '2'], undefined, new Set([1])) })
    play.connectAll()
    const server = new H2Connection('server', { now: 0 })
    for (const chunk of play.takenBytes(1)) server.receiveData(chunk, 0)
    let event = server.nextEvent()
    while (event !== undefined && event.type !== 'request') event = server.nextEvent()
    expect([...(event?.headers ?? [])].map(([name]) => name)).toEqual(['x-a', 'x-b', 'expect', 'content-length'])
    expect([0, 1, 2, 3].map((i) => event?.headers.isSensitive(i))).toEqual([false, true, false, false])
  })
  it('is asked beside what else the caller expects, and once', () => {
    for (const [own, lines] of [
      ['more', 2],
      ['more, 100-Continue', 1],
    ] as const) {
      const play = new Play()
      play.request({ ...asked, headers: [['Expect', own]] })
      play.connectAll()
      const written = play.written(1)
      expect([written.match(/^Expect: /gm)?.length, /100-continue/i.test(written)]).toEqual([lines, true])
    }
  })
  it('is not asked where the content is empty', () => {
    const play = new Play()
    const id = play.request({ ...asked, content: { length: 0 } })
    play.connectAll()
    play.tell({ type: 'contentEnd', id })
    expect(play.written(1)).toMatch(/\r\nContent-Length: 0\r\n\r\n$/)
    play.received(1, 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
    expect(play.outcome(id)).toBe('ok')
  })
  it('sends the content when nothing comes for expectTimeout', () => {
    const play = new Play()
    const id = play.request(asked)
    play.connectAll()
    play.pass(1_000)
    expect(play.saidOf(id, 'pullContent')).toHaveLength(1)
  })
  it('sends the content before a switch that left 100 out', () => {
    const play = new Play()
    const headers = [['Upgrade', 'x'] as const, ['Connection', 'upgrade'] as const]
    const id = play.request({ ...asked, headers })
    play.connectAll()
    play.written(1)
    play.received(1, 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n')
    play.content(id, 'abc')
    play.tell({ type: 'contentEnd', id })
    expect(play.written(1)).toBe('abc')
    expect(play.delivered(id).events).toEqual(['response', 'switched'])
  })
  it('is no word to a tunnel, which was not asked to continue: its content waits for 2xx', () => {
    const play = new Play(H2)
    const id = play.request({ method: 'CONNECT', target: 'b:1' })
    play.connectAll()
    const peer = new Peer(play, 1, 'h2').sync()
    peer.machine.sendInformational(peer.of('b:1'), 100)
    peer.sync()
    expect(play.saidOf(id, 'pullContent')).toEqual([])
    peer.machine.sendResponse(peer.of('b:1'), { status: 200, headers: [] })
    peer.sync()
    expect(play.saidOf(id, 'pullContent')).toHaveLength(1)
  })
  it.each([{}, H2])('that is awaited without end is awaited as a response is: %o', (settings) => {
    const play = new Play({ ...settings, limits: { expectTimeout: null } })
    const id = play.request({ ...asked, timeouts: { write: Infinity, read: 500 } })
    play.connectAll()
    play.drained(1)
    play.pass(499)
    expect(play.outcome(id)).toBeUndefined()
    play.pass(1)
    expect(play.error(id)).toMatchObject({ name: 'ReadTimeout', phase: 'waiting' })
  })
  it('that came at last leaves the content as long as any other', () => {
    const play = new Play({ limits: { expectTimeout: null } })
    const id = play.request({ ...asked, timeouts: { write: 100, read: 500 } })
    play.connectAll()
    play.drained(1)
    play.pass(400)
    play.received(1, 'HTTP/1.1 100 Continue\r\n\r\n')
    play.pass(1_000)
    play.content(id, 'abc')
    play.pass(100)
    expect(play.error(id)).toMatchObject({ name: 'WriteTimeout' })
  })
  it.each(['417 Expectation Failed', '200 OK'])(
    'never sends it after a final response; the connection is not used again, nor does it hold a seat: %s',
    (status) => {
      const play = new Play()
      const id = play.request(asked)
      play.connectAll()
      play.received(1, `HTTP/1.1 ${status}\r\nContent-Length: 1\r\n\r\n`)
      play.pass(1_000)
      expect(play.saidOf(id, 'pullContent')).toEqual([])
      play.received(1, '-')
      expect(play.outcome(id)).toBe('ok')
      expect(play.stats().connections).toBe(0)
    },
  )
})

describe('after a switch', () => {
  const upgrade = { headers: [['Upgrade', 'x'] as const, ['Connection', 'upgrade'] as const] }
  const switched = (play: Play): number => {
    const id = play.request(upgrade)
    play.connectAll()
    play.received(1, 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nhi')
    return id
  }
  it('bytes go both ways under the same id, and no deadline of reading is left', () => {
    const play = new Play()
    const id = switched(play)
    expect(play.delivered(id).events).toEqual(['response', 'switched'])
    play.received(1, 'you')
    expect(play.delivered(id).content).toBe('you')
    play.written(1)
    play.content(id, 'me', false)
    expect(play.written(1)).toBe('me')
    play.pass(1e9)
    expect(play.outcome(id)).toBeUndefined()
  })
  it.each([0, 300 * 1024])(
    'what was said before it leaves first, though %i bytes ahead of it were not accepted yet',
    (much) => {
      const play = new Play()
      const id = play.request({ ...upgrade, method: 'POST', content: { length: much + 3 } })
      play.connectAll()
      if (much > 0) play.content(id, '-'.repeat(much), false)
      play.received(1, 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n')
      // A driver may give what was pulled before it takes the next command.
      play.pool.handle({ type: 'content', id, data: bytes('end') }, play.now)
      play.pool.handle({ type: 'contentEnd', id }, play.now)
      play.pool.handle({ type: 'content', id, data: bytes('raw') }, play.now)
      play.drained(1)
      play.content(id, 'raw')
      const said = play.saidOf(1, 'write', 'end')
      const written = play.written(1)
      expect(written.slice(written.indexOf('\r\n\r\n') + 4 + much)).toMatch(/^end(raw){1,2}$/)
      expect(said.at(-1)).toBe('end')
      play.cancel(id)
      expect(play.take('settle')[0]?.bytesSent).toBe(written.length)
    },
  )
  it('what was written leaves before the connection closes, when both sides have ended', () => {
    const play = new Play()
    const id = switched(play)
    play.eof(1)
    play.content(id, 'bye')
    expect(play.outcome(id)).toBe('ok')
    expect(play.saidOf(1, 'write', 'end', 'close', 'destroy').slice(-3)).toEqual(['write', 'end', 'close'])
    play.closed(1)
    expect(play.stats().connections).toBe(0)
  })
  it('nor is it cut short to make room for another origin', () => {
    const play = new Play({ maxConnections: 1 })
    const id = switched(play)
    play.eof(1)
    play.content(id, 'bye')
    play.request({ origin: B })
    expect([play.has('destroy', 1), play.dials()]).toEqual([false, []])
    play.closed(1)
    expect(play.dials()).toHaveLength(1)
  })
  it.each([
    [true, 'close'],
    [false, 'destroy'],
  ])('what was written still leaves when it is given up, where its own side was ended (%s): %s', (ended, expected) => {
    const play = new Play()
    const id = switched(play)
    play.drained(1)
    play.content(id, 'out', ended)
    play.cancel(id)
    expect(play.saidOf(1, 'close', 'destroy')).toEqual([expected])
  })
  it('what was given up is destroyed, though the peer has ended its side', () => {
    const play = new Play()
    const id = switched(play)
    play.eof(1)
    play.cancel(id)
    expect(play.saidOf(1, 'close', 'destroy')).toEqual(['destroy'])
  })
  it('a write that failed is what it broke of, though the socket only closes after it', () => {
    const play = new Play()
    const id = switched(play)
    const broken = new Error('broken pipe')
    play.content(id, 'out', false)
    play.failed(1, 'write', broken)
    play.closed(1)
    expect(play.error(id)).toMatchObject({ code: 'connection-lost', cause: broken })
  })
  it('nobody hears of its end, or of a handshake, who gave it up while it was closed', () => {
    const play = new Play()
    const id = switched(play)
    play.content(id, 'out')
    play.cancel(id)
    expect(play.saidOf(1, 'close', 'destroy')).toEqual(['close'])
    const { events } = play.delivered(id)
    play.tell({ type: 'secured', link: 1, info: {} })
    play.received(1, 'late')
    play.eof(1)
    expect(play.delivered(id).events).toEqual(events)
    play.closed(1)
    expect(play.stats().connections).toBe(0)
  })
  it('the source of the content before it, which gave all, is not stopped', () => {
    const play = new Play()
    const id = play.request({ ...upgrade, method: 'POST', content: { length: 3 } })
    play.connectAll()
    play.content(id, 'abc')
    play.received(1, 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n')
    play.cancel(id)
    expect(play.saidOf(id, 'openContent', 'stopContent')).toEqual(['openContent'])
  })
  describe('that came before the request was whole', () => {
    const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'
    const early = (play: Play): number => {
      const id = play.request({ ...upgrade, method: 'PUT', content: { length: 3 }, timeouts: { read: 500 } })
      play.connectAll()
      play.drained(1)
      play.received(1, SWITCH)
      return id
    }
    it('the end of the peer is told, though it came before it too', () => {
      const play = new Play()
      const id = early(play)
      play.eof(1)
      play.content(id, 'abc')
      expect(play.delivered(id).events).toEqual(['response', 'switched', 'end'])
      play.content(id, 'out')
      expect(play.outcome(id)).toBe('ok')
      expect(play.saidOf(1, 'close', 'destroy')).toEqual(['close'])
    })
    it('a slow source is not the fault of the peer', () => {
      const play = new Play()
      const id = early(play)
      play.pass(2_000)
      expect(play.outcome(id)).toBeUndefined()
      play.content(id, 'abc')
      expect(play.delivered(id).events).toEqual(['response', 'switched'])
    })
    it('it is lost when the rest of it cannot be written', () => {
      const play = new Play()
      const id = early(play)
      play.failed(1, 'write')
      play.pass(1_000)
      expect(play.error(id)).toMatchObject({ name: 'ReadError', disposition: 'response-started' })
    })
  })
  it('counts until it is closed', () => {
    const play = new Play({ maxConnections: 1, maxConnectionsPerOrigin: 1 })
    const id = switched(play)
    const next = play.request()
    expect(play.dials()).toEqual([])
    play.cancel(id)
    expect(play.dials()).toEqual([2])
    expect(play.outcome(next)).toBeUndefined()
  })
})

describe('the end of a connection', () => {
  it.each([
    ['breaks a rule', (play: Play): void => play.received(1, Uint8Array.of(0, 0, 0, 6, 0, 0, 0, 0, 0))],
    ['ends', (play: Play): void => play.eof(1)],
  ] as const)(
    'that reads nothing any more, and then %s, gets no request, though there is more to write to it',
    (_, end) => {
      const play = new Play(H2)
      play.request({ target: '/first' })
      play.connectAll()
      const peer = new Peer(play, 1, 'h2').sync().respond('/first')
      play.drained(1)
      const upload = play.request({ method: 'POST', target: '/early', content: { length: 600_000 } })
      play.content(upload, 'x'.repeat(600_000))
      peer.read().respond('/early')
      expect([play.outcome(upload), play.stats().idle]).toEqual(['ok', 1])
      end(play)
      const id = play.request({ target: '/next' })
      const [link = 0] = play.connectAll()
      new Peer(play, link, 'h2').sync().respond('/next')
      expect(play.outcome(id)).toBe('ok')
      play.pass(1_000)
      expect(play.has('destroy', 1)).toBe(true)
    },
  )
  it('is no handshake that failed, for a request that is on its way, whatever side the network names', () => {
    const play = new Play()
    const id = play.request({ method: 'POST' })
    play.connectAll()
    play.drained(1)
    play.failed(1, 'tls')
    expect(play.error(id)).toMatchObject({ code: 'server-disconnected', disposition: 'maybe-processed' })
  })
  it('after GOAWAY is that of a server that is gone, for who was still to be answered', () => {
    const play = new Play(H2)
    const id = play.request({ method: 'POST', target: '/a' })
    play.connectAll()
    const peer = new Peer(play, 1, 'h2').sync()
    peer.machine.close(play.now)
    peer.write()
    play.eof(1)
    expect(play.error(id)).toMatchObject({ code: 'server-disconnected', disposition: 'maybe-processed' })
    expect(play.dials()).toEqual([])
  })
  it('after GOAWAY with an error says which', () => {
    const play = new Play(H2)
    const id = play.request({ method: 'POST', target: '/a' })
    play.connectAll()
    new Peer(play, 1, 'h2').sync()
    play.received(1, goaway(1, 11))
    play.eof(1)
    expect(play.error(id)).toMatchObject({
      code: 'server-disconnected',
      rule: 'RFC 9113 §6.8',
      message: expect.stringContaining('ENHANCE_YOUR_CALM') as string,
      fault: { h2Code: 11 },
      disposition: 'maybe-processed',
    })
  })
  const within = (before?: Uint8Array): HttpCoreError => {
    const play = new Play(H2)
    const id = play.request({ target: '/a' })
    play.connectAll()
    const peer = new Peer(play, 1, 'h2').sync()
    peer.machine.sendResponse(peer.of('/a'), { status: 200, headers: [], content: 'unknown' })
    peer.write()
    if (before !== undefined) play.received(1, before)
    play.eof(1)
    return play.error(id)
  }
  it('within a response of HTTP/2 leaves an incomplete message', () => {
    expect(within()).toMatchObject({
      code: 'incomplete-message',
      message: 'the connection ended within the response',
      disposition: 'response-started',
    })
  })
  it('within a response after GOAWAY with an error says which, too', () => {
    expect(within(goaway(1, 2))).toMatchObject({
      code: 'incomplete-message',
      message: expect.stringContaining('INTERNAL_ERROR') as string,
      fault: { h2Code: 2 },
      disposition: 'response-started',
    })
  })
  it('after 1xx is no reason to send an idempotent request again, in HTTP/2 either', () => {
    const play = new Play(H2)
    play.request({ target: '/first' })
    play.connectAll()
    const peer = new Peer(play, 1, 'h2').sync().respond('/first')
    const id = play.request({ target: '/a' })
    peer.read()
    peer.machine.sendInformational(peer.of('/a'), 103)
    peer.write()
    play.failed(1)
    expect(play.dials()).toEqual([])
    expect(play.error(id).disposition).toBe('maybe-processed')
  })
})

describe('a stream that is refused', () => {
  it('is not tried again on that connection before it has shown a slot', () => {
    const play = new Play({ ...H2, maxConnections: 1, maxConnectionsPerOrigin: 1 })
    const a = play.request({ target: '/a' })
    const b = play.request({ target: '/b' })
    play.connectAll()
    const peer = new Peer(play, 1, 'h2').sync()
    peer.machine.cancel(peer.of('/a'), 7)
    peer.write().read()
    expect(play.take('assigned').map(({ id }) => id)).toEqual([a, b])
    peer.respond('/b')
    expect(play.take('assigned').map(({ id }) => id)).toEqual([a])
  })
  it('after its response has begun has failed: what was delivered is not delivered again', () => {
    const play = new Play(H2)
    const id = play.request({ target: '/a' })
    play.connectAll()
    const peer = new Peer(play, 1, 'h2').sync()
    peer.machine.sendResponse(peer.of('/a'), { status: 200, headers: [], content: 'unknown' })
    peer.write()
    peer.machine.cancel(peer.of('/a'), 7)
    peer.write()
    expect(play.error(id)).toMatchObject({ code: 'stream-reset', disposition: 'response-started' })
    expect(play.take('assigned')).toHaveLength(1)
    play.request()
    expect(play.take('assigned'), 'nor does the connection refuse others').toHaveLength(1)
  })
  it('is not one that is reset otherwise: that leaves its connection to others', () => {
    const play = new Play(H2)
    const id = play.request({ target: '/a' })
    play.connectAll()
    const peer = new Peer(play, 1, 'h2').sync()
    peer.machine.cancel(peer.of('/a'), 2)
    peer.write()
    expect(play.error(id)).toMatchObject({ code: 'stream-reset', disposition: 'maybe-processed' })
    play.request()
    expect([play.dials(), play.take('assigned').length]).toEqual([[], 2])
  })
  it('is not sent again by a pool that closes', () => {
    const play = new Play(H2)
    const id = play.request({ target: '/a' })
    play.connectAll()
    const peer = new Peer(play, 1, 'h2').sync()
    play.tell({ type: 'close', grace: 10_000 })
    peer.machine.cancel(peer.of('/a'), 7)
    peer.write()
    expect(play.error(id)).toMatchObject({ code: 'stream-reset', disposition: 'refused' })
    expect(play.dials()).toEqual([])
  })
  it('on a connection that has nothing else to do is tried on another', () => {
    const play = new Play({ ...H2, maxConnections: 1, maxConnectionsPerOrigin: 1 })
    const id = play.request({ method: 'POST', target: '/a' })
    play.connectAll()
    const peer = new Peer(play, 1, 'h2').sync()
    peer.machine.cancel(peer.of('/a'), 7)
    peer.write()
    expect(play.dials()).toEqual([2])
    play.connected(2)
    const other = new Peer(play, 2, 'h2').sync().respond('/a')
    expect(other.exchanges.size).toBe(1)
    expect(play.outcome(id)).toBe('ok')
  })
  it('by a server of few streams is asked of each later connection no more than they are', () => {
    const play = new Play({ ...H2, maxConnections: 10, maxConnectionsPerOrigin: 10 })
    const ids = Array.from({ length: 8 }, (_, i) => play.request({ target: `/${i}` }))
    const settings = { maxConcurrentStreams: 1 }
    const perLink: number[] = []
    for (let i = 0; i < 10; i++) {
      play.pass(1_000)
      for (const link of play.connectAll()) {
        const peer = new Peer(play, link, 'h2', { settings }).read()
        perLink.push(peer.exchanges.size + peer.failed.size)
        peer.write().sync()
      }
    }
    expect(ids.filter((id) => play.outcome(id) !== undefined)).toEqual([])
    expect(play.stats()).toMatchObject({ active: 8, connections: 8 })
  })
  it('and a server that no longer says how many it takes is believed again to take many', () => {
    const play = new Play({ ...H2, maxConnections: 10, maxConnectionsPerOrigin: 10 })
    play.request({ target: '/a' })
    const [first = 0] = play.connectAll()
    const peer = new Peer(play, first, 'h2', { settings: { maxConcurrentStreams: 1 } }).sync()
    play.request({ target: '/b' })
    const [second = 0] = play.connectAll()
    const settings = new Uint8Array([0, 0, 0, 4, 0, 0, 0, 0, 0])
    play.received(second, settings)
    play.received(second, goaway(1))
    for (let i = 0; i < 5; i++) play.request({ target: `/${i}` })
    play.connectAll()
    expect([peer.exchanges.size, play.stats()['connections']]).toEqual([1, 3])
  })
  it.each([false, true])('is given up after maxReplays, whether others are answered or not: %s', (answers) => {
    const play = new Play({ ...H2, maxConnections: 1, maxConnectionsPerOrigin: 1, limits: { maxReplays: 2 } })
    const id = play.request({ method: 'POST', target: '/a' })
    let links = 0
    for (let i = 0; i < 10 && play.outcome(id) === undefined; i++) {
      play.pass(1_000)
      for (const link of play.connectAll()) {
        links++
        if (answers) play.request({ target: '/b' })
        const peer = new Peer(play, link, 'h2').sync()
        if (answers) peer.respond('/b')
        peer.machine.cancel(peer.of('/a'), 7)
        peer.write()
      }
    }
    expect(links).toBe(3)
    expect(play.error(id)).toMatchObject({ name: 'RemoteProtocolError', disposition: 'refused' })
  })
})

describe('what a connection sends back', () => {
  const wave = (play: Play): number => {
    const [link] = play.connectAll()
    new Peer(play, link as number, 'h2').sync()
    play.received(link as number, goaway(0))
    play.closed(link as number)
    return play.stats().queued
  }
  it('is dialled for at once the first time, then after 100, 200, 400 ms, all of it alike (seeded jitter shortens it)', () => {
    const play = new Play(H2)
    const ids = [0, 1, 2].map((i) => play.request({ method: 'POST', target: `/${i}` }))
    expect(wave(play)).toBe(2)
    for (const delay of [100, 200, 400]) {
      expect(wave(play)).toBe(3)
      const before = play.now
      play.pass(delay * 0.9 - 1)
      expect(play.take('connect')).toEqual([])
      play.pass(delay * 0.1 + 1)
      expect(play.commands.filter(({ type }) => type === 'connect')).toHaveLength(1)
      expect(play.now - before).toBe(delay)
    }
    expect(ids.map((id) => play.outcome(id))).toEqual([undefined, undefined, undefined])
  })
  it('without a byte of it having left, and after other answers, is neither counted nor held back', () => {
    const play = new Play({ ...H2, maxConnections: 7, maxConnectionsPerOrigin: 7 })
    const settings = { maxConcurrentStreams: 1 }
    const peers = Array.from({ length: 7 }, (_, i) => {
      play.request({ target: `/${i}` })
      return new Peer(play, play.connectAll()[0] as number, 'h2', { settings }).sync()
    })
    const late = play.request({ method: 'POST', target: '/late' })
    // A server that is restarted: each connection goes away behind the answer that freed its seat.
    for (const { machine, link } of peers) {
      machine.sendResponse(1, { status: 204, headers: [], content: 'none' }, { end: true })
      play.received(link, Buffer.concat([...machine.takeOutput(), goaway(1)]))
      play.closed(link)
    }
    const [link] = play.connectAll()
    new Peer(play, link as number, 'h2').sync().respond('/late')
    expect(play.outcome(late)).toBe('ok')
  })
  it('in the very read that gave it its seat, is as it was, even if its content can be read only once', () => {
    const play = new Play({ ...H2, maxConnections: 1, maxConnectionsPerOrigin: 1 })
    play.request({ target: '/first' })
    play.connectAll()
    const peer = new Peer(play, 1, 'h2', { settings: { maxConcurrentStreams: 1 } }).sync()
    const id = play.request({ method: 'POST', target: '/late', content: { length: 3 }, replayable: false })
    const said = [2, 1].flatMap((most) => {
      ;(peer.machine as H2Connection).updateSettings({ maxConcurrentStreams: most }, play.now)
      return peer.machine.takeOutput()
    })
    play.received(1, Buffer.concat(said))
    expect([play.outcome(id), play.saidOf(id, 'openContent', 'pullContent', 'stopContent')]).toEqual([undefined, []])
    peer.sync().respond('/first').sync()
    play.content(id, 'abc')
    peer.sync().respond('/late').sync()
    expect([play.outcome(id), play.saidOf(id, 'openContent')]).toEqual(['ok', ['openContent']])
  })
  it('in the very step that gave it its seat, is as it was, though it does not wait for 100 (Continue)', () => {
    const limits = { expectTimeout: 0 }
    const http2Options = { keepAlivePing: { after: 500, within: 500 } }
    const play = new Play({ ...H2, maxConnections: 1, maxConnectionsPerOrigin: 1, limits, http2Options })
    // Of what is due at one moment that comes first whose duration was used first.
    play.request({ origin: B, timeouts: { total: 0 } })
    play.pass(0)
    play.take('connect')
    play.request({ target: '/first' })
    const settings = { maxConcurrentStreams: 1 }
    const peer = new Peer(play, play.connectAll()[0] as number, 'h2', { settings }).sync().respond('/first')
    play.request({ target: '/slow', timeouts: { read: 900 } })
    peer.read()
    play.drained(peer.link)
    const content = { length: 3 }
    const id = play.request({ method: 'POST', target: '/late', content, replayable: false, expectContinue: true })
    const other = play.request({ target: '/other', timeouts: { total: 950 } })
    play.pass(899)
    play.now = 1_000
    play.tell({ type: 'timeout' })
    expect(play.error(other)).toMatchObject({ code: 'total-timeout' })
    expect([play.outcome(id), play.saidOf(id, 'openContent', 'pullContent', 'stopContent')]).toEqual([undefined, []])
    new Peer(play, play.connectAll()[0] as number, 'h2').sync()
    play.pass(0)
    expect([play.outcome(id), play.saidOf(id, 'openContent', 'pullContent')]).toEqual([
      undefined,
      ['openContent', 'pullContent'],
    ])
  })
  function lostTogether(count: number): { play: Play; ids: number[] } {
    const play = new Play(H2)
    play.request({ target: '/first' })
    const [link] = play.connectAll()
    const peer = new Peer(play, link as number, 'h2').sync().respond('/first')
    const ids = Array.from({ length: count }, (_, i) => play.request({ target: `/${i}` }))
    peer.read()
    play.failed(link as number)
    return { play, ids }
  }
  it('lost together is dialled for together, and not carried by what was there', () => {
    const { play, ids } = lostTogether(50)
    const dials = play.connectAll()
    expect(dials).toHaveLength(1)
    const next = new Peer(play, dials[0] as number, 'h2').sync()
    for (let i = 0; i < 50; i++) next.respond(`/${i}`)
    expect(new Set(ids.map((id) => play.outcome(id)))).toEqual(new Set(['ok']))
  })
  it('lost together is not sent a third time, whoever had the new connection first', () => {
    const { play, ids } = lostTogether(2)
    const [link] = play.connectAll()
    new Peer(play, link as number, 'h2').sync()
    play.eof(link as number)
    expect(ids.map((id) => play.error(id).name)).toEqual(['RemoteProtocolError', 'RemoteProtocolError'])
    expect(play.dials()).toEqual([])
  })
  it('after a response is dialled for at once again, as the first time', () => {
    const play = new Play(H2)
    play.request({ method: 'POST', target: '/late' })
    wave(play)
    play.request({ target: '/well' })
    const [link] = play.connectAll()
    new Peer(play, link as number, 'h2').sync().respond('/well')
    play.received(link as number, goaway(0))
    expect(play.dials()).toHaveLength(1)
  })
  it('lost together goes on with the dial of one that gives up', () => {
    const { play, ids } = lostTogether(3)
    play.cancel(ids[0] as number)
    const peers = play.connectAll().map((fresh) => new Peer(play, fresh, 'h2').sync())
    expect(peers).toHaveLength(1)
    for (const next of peers) next.read()
    for (const i of [1, 2]) peers.at(-1)?.respond(`/${i}`)
    expect(ids.slice(1).map((id) => play.outcome(id))).toEqual(['ok', 'ok'])
  })
  it.each(['failed', 'eof'] as const)(
    'goes before who came after it, where there is room for one connection (%s)',
    (how) => {
      const play = new Play({ maxConnections: 1, maxConnectionsPerOrigin: 1 })
      play.request()
      for (const link of play.connectAll()) play.received(link, OK)
      const ids = ['/lost', '/waits', '/late'].map((target) => play.request({ target }))
      play[how](1)
      const [link = 0] = play.connectAll()
      for (const target of ['/lost', '/waits', '/late']) {
        expect(play.written(link)).toContain(`GET ${target} `)
        play.received(link, OK)
      }
      expect(ids.map((id) => play.outcome(id))).toEqual(['ok', 'ok', 'ok'])
    },
  )
  it('never holds back a request of the caller’s own', () => {
    const play = new Play(H2)
    play.request({ method: 'POST', target: '/0' })
    wave(play)
    wave(play)
    play.take('connect')
    play.request({ target: '/1' })
    expect(play.dials()).toHaveLength(1)
  })
})

describe('a timeout in HTTP/2', () => {
  it('of SETTINGS that do not come ends the connection', () => {
    const play = new Play({ ...H2, limits: { settingsTimeout: 5_000 } })
    const id = play.request()
    play.connectAll()
    play.pass(4_999)
    expect(play.outcome(id)).toBeUndefined()
    play.pass(1)
    expect(play.error(id)).toMatchObject({ name: 'RemoteProtocolError', code: 'settings-timeout' })
  })
  const stalled = (
    timeouts: NonNullable<Asked['timeouts']> = { read: 1_000 },
  ): { play: Play; id: number; peer: Peer } => {
    const play = new Play({ ...H2, maxConnections: 1, maxConnectionsPerOrigin: 1 })
    const id = play.request({ target: '/slow', timeouts })
    play.connectAll()
    play.drained(1)
    const peer = new Peer(play, 1, 'h2').sync()
    play.drained(1)
    play.pass(1_000)
    return { play, id, peer }
  }
  it('fails its own stream; the connection that answers the PING after it lives', () => {
    const { play, id, peer } = stalled()
    expect(play.error(id)).toMatchObject({ name: 'ReadTimeout', blockedOn: { want: 'readable' } })
    peer.sync()
    expect(peer.failed.size).toBe(1)
    play.pass(15_000)
    expect(play.stats()).toMatchObject({ connections: 1, idle: 1 })
  })
  it('asks once: who is late after it gives the connection no more time to answer', () => {
    const { play } = stalled()
    play.request({ target: '/next', timeouts: { read: 5_000 } })
    play.drained(1)
    play.pass(14_999)
    expect(play.has('destroy', 1)).toBe(false)
    play.pass(1)
    expect(play.has('destroy', 1)).toBe(true)
  })
  it.each([{ read: 1_000 }, { total: 1_000 }])('of %o ends a connection that does not answer the PING', (timeouts) => {
    const { play } = stalled(timeouts)
    const id = play.request({ target: '/next' })
    play.pass(15_000)
    expect(play.has('destroy', 1)).toBe(true)
    expect(play.dials()).toEqual([2])
    expect(play.outcome(id)).toBeUndefined()
  })
  it.each([
    [999, false],
    [1_000, true],
  ])('of the caller’s own, after %i ms of silence, asks (%o)', (patience, asked) => {
    const play = new Play({ ...H2, maxConnections: 1, maxConnectionsPerOrigin: 1 })
    const id = play.request({ target: '/slow' })
    play.connectAll()
    play.drained(1)
    new Peer(play, 1, 'h2').sync()
    play.pass(patience)
    play.cancel(id, new Error('enough'))
    const next = play.request({ target: '/next' })
    play.pass(15_000)
    expect(play.has('destroy', 1)).toBe(asked)
    expect(play.outcome(next)).toBeUndefined()
  })
  it('of a whole request asks nothing of a connection over which something has come since', () => {
    const play = new Play({ ...H2 })
    play.request({ target: '/other' })
    play.connectAll()
    const peer = new Peer(play, 1, 'h2').sync()
    play.pass(10)
    const id = play.request({ target: '/slow', timeouts: { total: 1_000 } })
    play.pass(10)
    peer.read().respond('/other')
    play.pass(990)
    expect(play.error(id)).toMatchObject({ name: 'TimeoutException' })
    play.pass(15_000)
    expect(play.stats()).toMatchObject({ connections: 1, idle: 1 })
  })
})

describe('the option keepAlivePing', () => {
  const ping = { http2Options: { keepAlivePing: { after: 5_000, within: 1_000 } } }
  it('asks a connection only when nothing has come for so long', () => {
    const play = new Play({ ...H2, ...ping })
    play.request({ target: '/a' })
    play.connectAll()
    const peer = new Peer(play, 1, 'h2').sync()
    play.pass(3_000)
    peer.machine.sendInformational(peer.of('/a'), 103)
    peer.write()
    play.written(1)
    play.pass(4_999)
    expect(play.written(1)).toBe('')
    play.pass(1)
    expect(play.written(1)).not.toBe('')
    play.pass(1_000)
    expect(play.has('destroy', 1)).toBe(true)
  })
  it.each([
    [undefined, false],
    [true, true],
  ])('with whileIdle: %s asks an idle connection: %s', (whileIdle, asks) => {
    const play = new Play({ ...H2, http2Options: { keepAlivePing: { after: 5_000, within: 1_000, whileIdle } } })
    play.request({ target: '/a' })
    play.connectAll()
    new Peer(play, 1, 'h2').sync().respond('/a').sync()
    expect(play.stats()).toMatchObject({ idle: 1 })
    play.pass(5_000)
    expect(play.written(1) !== '').toBe(asks)
    play.pass(1_000)
    expect(play.has('destroy', 1)).toBe(asks)
    expect(play.stats()).toMatchObject({ connections: asks ? 0 : 1 })
  })
  it('does not say that the server ended what it only left unanswered', () => {
    const play = new Play({ ...H2, ...ping })
    const id = play.request()
    play.connectAll()
    new Peer(play, 1, 'h2').sync()
    play.pass(6_000)
    expect(play.error(id)).toMatchObject({
      code: 'server-disconnected',
      message: 'the connection was lost without a response',
      cause: { message: 'the server did not answer a PING in time' },
    })
  })
  it('looks no more at a connection that was given up before its answer, in the same read', () => {
    const play = new Play({ ...H2, ...ping, maxConnections: 1 })
    const id = play.request({ target: '/a' })
    play.connectAll()
    const peer = new Peer(play, 1, 'h2').sync()
    play.pass(5_000)
    play.request({ origin: B, timeouts: { pool: Infinity } })
    peer.machine.cancel(peer.of('/a'), 2)
    peer.read()
    play.received(1, Buffer.concat(peer.machine.takeOutput()))
    expect(play.error(id)).toMatchObject({ code: 'stream-reset' })
    expect(play.has('destroy', 1)).toBe(true)
    expect(play.pool.nextTimeout()).toBe(play.now + 250)
    const dialled = play.now
    play.pass(250)
    expect(play.pool.nextTimeout(), 'that of the dial').toBe(dialled + 10_000)
  })
  it('comes to an end of looking at an idle connection, however often it is to be looked at', () => {
    const play = new Play({ ...H2, http2Options: { keepAlivePing: { after: 0, within: 1_000 } } })
    const id = play.request({ target: '/a' })
    play.connectAll()
    new Peer(play, 1, 'h2').sync().respond('/a')
    expect(play.outcome(id)).toBe('ok')
    play.pass(1)
    expect(play.pool.nextTimeout()).toBe(play.now + 1)
    expect(play.stats()).toMatchObject({ idle: 1 })
  })
})

describe('stats', () => {
  it('count requests and connections, of each origin too', () => {
    const play = new Play({ maxConnections: 2, maxConnectionsPerOrigin: 1 })
    for (const origin of [A, A, B]) play.request({ origin })
    expect(play.stats()).toMatchObject({ requests: 3, connections: 2, idle: 0, active: 0 })
    play.connectAll()
    play.received(2, OK)
    expect(play.stats()).toMatchObject({
      requests: 2,
      connections: 2,
      idle: 1,
      active: 1,
      queued: 1,
      origins: {
        'http://10.0.0.1': { connections: 1, active: 1, waiting: 1 },
        'http://10.0.0.2': { connections: 1, active: 0, waiting: 0 },
      },
    })
    play.received(1, OK)
    play.received(1, OK)
    play.pass(60_000)
    expect(play.stats()).toMatchObject({ requests: 0, connections: 0, origins: {} })
  })
})

describe('destroy', () => {
  it('fails who waits and who runs with PoolClosed, dials nothing more and leaves nothing behind', () => {
    const play = new Play({ maxConnections: 1, maxConnectionsPerOrigin: 1 })
    const ids = [play.request(), play.request(), play.request({ origin: B }), play.request({ origin: B })]
    play.connectAll()
    play.tell({ type: 'destroy', reason: 'why' })
    expect(play.dials()).toEqual([])
    for (const id of ids) expect(play.error(id)).toMatchObject({ name: 'PoolClosed', cause: 'why' })
    expect(play.take('closed')).toHaveLength(1)
    expect(play.pool.nextTimeout()).toBeUndefined()
    expect(play.stats()).toMatchObject({ requests: 0, connections: 0, active: 0, queued: 0 })
  })
  it('refuses later requests', () => {
    const play = new Play()
    play.tell({ type: 'destroy' })
    expect(play.error(play.request({ origin: A })).name).toBe('PoolClosed')
  })
})
