// The fault matrix: every fault in every phase over every protocol, one generated test per cell. The phase is entered by
// script, the fault is injected, and then the cell says which error the request gets, whether it is sent again, and what
// becomes of the connection. Where a connection that was used before makes a difference, both are played.
import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { Fields, type HttpCoreError } from '../../src/http/index.ts'
import type { PoolSettings, ProxyTarget } from '../../src/pool/index.ts'
import { http, https, OK, Peer, Play, type Asked } from './play.ts'

interface Cell {
  readonly protocol: 'h1' | 'h2' | 'forward' | 'connect' | 'socks5'
  readonly fault: string
  readonly phase: string
  readonly error: string | null
  readonly retry: string
  readonly conn: 'closed' | 'kept' | 'none'
}
const PATH = new URL('../../../shared/reference/fault-matrix.json', import.meta.url)
const MATRIX = existsSync(PATH)
  ? (JSON.parse(readFileSync(PATH, 'utf8')) as { cells: Cell[]; phases: string[] })
  : undefined

const PROXY = { host: '10.9.9.9', port: 3128, tls: undefined, tunnel: 'https' } as const
const HTTP_PROXY: ProxyTarget = { kind: 'http', ...PROXY, headers: Fields.empty }
const HTTPS_PROXY: ProxyTarget = { ...HTTP_PROXY, kind: 'https' }
const SOCKS: ProxyTarget = { kind: 'socks5h', ...PROXY, credentials: undefined }
/** What it takes to be there: the pool's settings, the scheme, the version that is spoken in the end. */
const PROTOCOLS = {
  h1: { settings: {}, secure: true, version: 'h1' },
  h2: { settings: { http2: true }, secure: true, version: 'h2' },
  forward: { settings: { proxies: [HTTP_PROXY] }, secure: false, version: 'h1' },
  connect: { settings: { proxies: [HTTP_PROXY] }, secure: true, version: 'h1' },
  socks5: { settings: { proxies: [SOCKS] }, secure: true, version: 'h1' },
} as const satisfies Record<
  Cell['protocol'],
  { settings: Partial<PoolSettings>; secure: boolean; version: 'h1' | 'h2' }
>
const SMALL_LIMITS = { maxHeadBytes: 512, maxTrailerBytes: 64, maxChunkLineBytes: 64, maxHeaderListBytes: 2048 }
/** A server that breaks rules: it sends more than the client said it takes. */
const BROKEN = { validateOutbound: false }
const CERTIFICATE = Object.assign(new Error('expired'), { code: 'CERT_HAS_EXPIRED' })
const RESET = Object.assign(new Error('reset'), { code: 'ECONNRESET' })
const SOURCE = new Error('the source failed')
const THROWN = new Error('thrown by a callback')
const CANCELLED = 'the reason of the signal'

/** Where in the bytes of its phase the fault comes. */
type Where = 'first' | 'middle' | 'last'
function cut<T extends string | Uint8Array>(bytes: T, where: Where): T {
  const to = { first: 1, middle: bytes.length >> 1, last: bytes.length - 1 }[where]
  return bytes.slice(0, to) as T
}

class Scene {
  readonly play: Play
  readonly cell: Cell
  readonly multiplexed: boolean
  id = 0
  link = 0
  peer: Peer | undefined
  readonly #used: boolean
  readonly #asked: Asked
  readonly #where: Where

  constructor(cell: Cell, used: boolean, where: Where, asked: Asked = {}) {
    this.#where = where
    const protocol = PROTOCOLS[cell.protocol]
    let settings: Partial<PoolSettings> = { maxConnections: 4, maxConnectionsPerOrigin: 4, limits: SMALL_LIMITS }
    settings = { ...settings, ...protocol.settings }
    if (cell.phase === 'tls' && cell.protocol === 'forward') settings = { ...settings, proxies: [HTTPS_PROXY] }
    // Who has sent its SETTINGS in vain has another deadline.
    if (cell.fault === 'F03') settings = { ...settings, limits: { ...SMALL_LIMITS, settingsTimeout: null } }
    if (cell.phase === 'pool') settings = { ...settings, maxConnections: 1, maxConnectionsPerOrigin: 1 }
    if (cell.fault === 'F08' && cell.phase === 'pool') settings = { ...settings, maxQueuedRequests: 0 }
    this.cell = cell
    this.#used = used
    this.play = new Play(settings)
    this.multiplexed = protocol.version === 'h2'
    const named = cell.phase === 'dns'
    const host = named ? 'a.test' : '10.0.0.1'
    // A name is resolved for the proxy, where there is one.
    if (named && settings.proxies !== undefined) {
      this.play = new Play({ ...settings, proxies: settings.proxies.map((proxy) => ({ ...proxy, host: 'a.test' })) })
    }
    // What comes behind the answer of a proxy is the tunnel's first bytes, unless TLS is to come.
    const plain = cell.fault === 'F17' && cell.phase === 'proxy'
    if (plain) {
      settings = { ...settings, proxies: (settings.proxies ?? []).map((proxy) => ({ ...proxy, tunnel: 'always' })) }
      this.play = new Play(settings)
    }
    this.#asked = { origin: protocol.secure && !plain ? https(host) : http(host), ...asked }
  }

  request(asked: Asked = {}): number {
    return this.play.request({ ...this.#asked, ...asked })
  }
  /** The last dial, as far as the phase. */
  establish(until: 'connect' | 'tls' | 'proxy' | 'done'): void {
    const { play, cell } = this
    this.link = play.dials().at(-1) as number
    if (until === 'connect') return
    play.connected(this.link)
    if (cell.protocol === 'connect' || cell.protocol === 'socks5') {
      play.written(this.link)
      if (until === 'proxy') return
      if (cell.protocol === 'connect') play.received(this.link, 'HTTP/1.1 200 OK\r\n\r\n')
      else {
        play.received(this.link, '\x05\x00')
        play.received(this.link, '\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00')
        play.written(this.link)
      }
    }
    if (until === 'tls' || cell.protocol === 'forward') return
    play.secured(this.link, this.multiplexed ? 'h2' : 'http/1.1')
    if (this.multiplexed) this.peer = new Peer(play, this.link, 'h2', BROKEN)
  }
  /** A connection that has served a request already, when there is to be one. */
  warm(): void {
    if (!this.#used) return
    const id = this.request({ target: '/warm', method: 'GET', content: 'none' })
    this.establish('done')
    this.play.drained(this.link)
    if (this.peer !== undefined) this.peer.sync().respond('/warm')
    else this.play.received(this.link, OK)
    this.play.drained(this.link)
    expect(this.play.outcome(id)).toBe('ok')
    this.play.written(this.link)
  }
  begin(asked: Asked = {}): void {
    this.warm()
    this.id = this.request({ target: '/x', ...asked })
    if (!this.#used) this.establish('done')
  }
  head(framing: string): void {
    this.play.received(this.link, `HTTP/1.1 200 OK\r\n${framing}\r\n\r\n`)
  }

  enter(): void {
    const { play, cell } = this
    switch (cell.phase) {
      case 'pool':
        this.request({ target: '/busy' })
        this.establish('done')
        this.id = this.request({ target: '/x', ...(this.multiplexed ? { headers: [['Upgrade', 'x']] } : {}) })
        return
      case 'dns':
        this.id = this.request()
        expect(play.take('resolve')).toHaveLength(1)
        return
      case 'connect':
      case 'tls':
        this.id = this.request({ target: '/x' })
        return this.establish(cell.phase)
      case 'proxy':
        this.id = this.request({ target: '/x' })
        this.establish(cell.phase)
        // What says something itself says it in place of the answer.
        if (ANYWHERE.has(cell.fault)) this.#receive(PROXY_ANSWERS[cell.protocol] as string)
        return
      case 'req_head':
        this.begin()
        play.accepted(this.link, this.#where)
        return
      case 'req_body':
        this.begin({ method: this.#asked.method ?? 'PUT', content: { length: 6 }, replayable: true })
        play.content(this.id, cut('abcdef', this.#where), false)
        if (this.multiplexed) this.peer?.read()
        return
      case 'waiting':
        this.begin()
        play.drained(this.link)
        this.peer?.sync()
        play.drained(this.link)
        return
      case 'resp_head':
        this.begin()
        play.drained(this.link)
        if (this.peer === undefined) {
          if (ANYWHERE.has(cell.fault)) return this.#receive('HTTP/1.1 200 OK\r\n\r\n')
          return play.received(this.link, 'HTTP/1.1 200 O')
        }
        this.peer.sync()
        play.drained(this.link)
        this.peer.machine.sendResponse(this.peer.of('/x'), { status: 200, headers: HEADERS, content: { length: 6 } })
        this.#answer()
        return
      case 'resp_body':
      case 'trailers':
        this.begin()
        play.drained(this.link)
        this.#respond(cell.phase)
        return
      case 'idle':
        this.begin()
        this.#finish('Content-Length: 2\r\n')
        return
      case 'closing':
        this.begin()
        this.#finish('Content-Length: 2\r\nConnection: close\r\n')
        if (this.multiplexed) play.tell({ type: 'closeIdle' })
        expect(play.has('close', this.link) || play.has('destroy', this.link)).toBe(true)
        return
      default:
        throw new Error(`there is no phase ${cell.phase}`)
    }
  }
  #respond(phase: string): void {
    const { play, peer } = this
    if (peer === undefined) {
      this.head('Transfer-Encoding: chunked')
      play.received(this.link, phase === 'trailers' ? '3\r\nabc\r\n0\r\n' : '6\r\n')
      this.#receive(phase === 'trailers' ? 'X: y\r\n\r\n' : 'abcdef')
    } else {
      peer.sync()
      const exchange = peer.of('/x')
      peer.machine.sendResponse(exchange, { status: 200, headers: [], content: 'unknown' })
      if (phase === 'trailers') peer.machine.sendData(exchange, Uint8Array.of(1, 2, 3))
      peer.write()
      if (phase !== 'trailers') peer.machine.sendData(exchange, Uint8Array.of(1, 2, 3, 4, 5, 6))
      else if (ANYWHERE.has(this.cell.fault)) peer.machine.end(exchange, HEADERS)
      this.#answer()
      play.drained(this.link)
    }
    play.tell({ type: 'consumed', id: this.id, bytes: play.delivered(this.id).content.length })
  }
  /** So far as the phase goes. */
  #receive(bytes: string): void {
    this.play.received(this.link, cut(bytes, this.#where))
  }
  /** One frame of the peer, as far as the phase goes; whole where frames of others are to follow it. */
  #answer(): void {
    const frame = Buffer.concat(this.peer?.machine.takeOutput() ?? [])
    if (frame.length === 0) return
    const whole = !ANYWHERE.has(this.cell.fault)
    const payload = whole ? frame.subarray(9) : cut(new Uint8Array(frame.subarray(9)), this.#where)
    this.play.received(this.link, new Uint8Array(Buffer.concat([frame.subarray(0, 9), payload])))
  }
  #finish(fields: string): void {
    const { play, peer } = this
    play.drained(this.link)
    if (peer === undefined) play.received(this.link, `HTTP/1.1 200 OK\r\n${fields}\r\nok`)
    else peer.sync().respond('/x')
    play.drained(this.link)
    expect(play.outcome(this.id)).toBe('ok')
  }
}

/** A frame of a peer that does as it likes. */
function frame(type: number, flags: number, stream: number, payload: readonly number[]): Uint8Array {
  const length = payload.length
  return Uint8Array.of(0, length >> 8, length & 255, type, flags, 0, 0, 0, stream, ...payload)
}
const streamOf = (scene: Scene): number => scene.peer?.exchanges.get('/x') ?? 1
const u32 = (n: number): number[] => [n >>> 24, (n >> 16) & 255, (n >> 8) & 255, n & 255]

const INJECT: Record<string, (scene: Scene) => void> = {
  F01: ({ play }) => play.tell({ type: 'resolveFailed', host: 'a.test', error: new Error('ENOTFOUND') }),
  F02: ({ play, link }) => play.failed(link, 'connect'),
  F03: (scene) => {
    const { play, cell } = scene
    const HOWEVER_LONG: Record<string, number> = {
      pool: 30_000,
      dns: 10_000,
      connect: 10_000,
      tls: 10_000,
      proxy: 10_000,
      req_head: 60_000,
      req_body: 60_000,
    }
    if (cell.phase === 'idle') play.pass(60_000)
    else if (cell.phase === 'closing') play.pass(1_000)
    else play.pass(HOWEVER_LONG[cell.phase] ?? 300_000)
  },
  F04: ({ play, link, cell }) =>
    play.failed(link, cell.phase === 'connect' ? 'connect' : cell.phase === 'tls' ? 'tls' : 'read', RESET),
  F05: ({ play, link }) => play.eof(link),
  F06: ({ play, link }) => play.eof(link, false),
  F07: ({ play, link, multiplexed, cell, peer }) => {
    if (cell.phase === 'tls') return play.failed(link, 'tls', new Error('wrong version number'))
    if (peer !== undefined && cell.phase === 'req_head') peer.sync()
    play.received(link, multiplexed ? frame(0, 0, 0, [1, 2, 3]) : 'garbage: \x00\r\nin, garbage out\r\n\r\n')
  },
  F08: (scene) => {
    const { play, link, multiplexed, cell, peer } = scene
    if (cell.phase === 'pool') return
    if (cell.phase === 'proxy') {
      return play.received(
        link,
        cell.protocol === 'connect' ? `HTTP/1.1 200 ${'x'.repeat(70_000)}` : '\x05\x00\x05\x00\x00\x09',
      )
    }
    const long = 'x'.repeat(600)
    if (!multiplexed) {
      const surplus: Record<string, string> = {
        waiting: `HTTP/1.1 200 OK\r\nX: ${long}`,
        resp_head: `K\r\nX: ${long}`,
        resp_body: `def\r\n1;${long}`,
        trailers: `: ${long}`,
      }
      return play.received(link, surplus[cell.phase] as string)
    }
    if (cell.phase === 'idle' || cell.phase.startsWith('req')) {
      peer?.sync()
      for (let i = 0; i < 40; i++)
        play.received(
          link,
          frame(
            4,
            0,
            0,
            Array.from({ length: 33 * 6 }, () => 0),
          ),
        )
      return
    }
    const exchange = streamOf(scene)
    const headers = Array.from({ length: 4 }, (_, i): [string, string] => [`x-${i}`, long])
    if (cell.phase === 'waiting') peer?.machine.sendResponse(exchange, { status: 200, headers, content: 'unknown' })
    else {
      if (cell.phase === 'resp_head') peer?.machine.sendData(exchange, new Uint8Array(6))
      peer?.machine.end(exchange, headers)
    }
    peer?.write()
  },
  F09: ({ play, id }) => play.cancel(id, CANCELLED),
  F10: ({ play, id }) => play.tell({ type: 'contentFailed', id, error: SOURCE }),
  F11: ({ play, link }) => {
    play.failed(link, 'write')
    play.pass(1_000)
  },
  F12: (scene) => {
    scene.peer?.sync()
    scene.play.received(scene.link, frame(7, 0, 0, [...u32(streamOf(scene)), 0, 0, 0, 0]))
  },
  F13: (scene) => {
    scene.peer?.sync()
    scene.play.received(scene.link, frame(7, 0, 0, [...u32(Math.max(0, streamOf(scene) - 2)), 0, 0, 0, 0]))
  },
  F14: (scene) => {
    scene.peer?.sync()
    scene.play.received(scene.link, frame(3, 0, streamOf(scene), u32(7)))
  },
  F15: (scene) => {
    scene.peer?.sync()
    scene.play.received(scene.link, frame(3, 0, streamOf(scene), u32(2)))
  },
  F16: ({ play, link, peer }) => {
    if (peer === undefined) return play.received(link, OK)
    peer.sync().respond('/x')
  },
  F17: (scene) => {
    const { play, link, cell, multiplexed } = scene
    if (multiplexed) {
      scene.peer?.sync()
      return play.received(link, frame(0, 0, 99, [1]))
    }
    const rest: Record<string, string> = { resp_body: 'def\r\n0\r\n\r\n', trailers: '\r\n\r\n', idle: '', closing: '' }
    const reply =
      cell.protocol === 'connect' ? 'HTTP/1.1 200 OK\r\n\r\n' : '\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00'
    if (cell.phase === 'proxy') play.received(link, reply + OK)
    else play.received(link, rest[cell.phase] + OK)
  },
  F19: ({ play, link }) => play.failed(link, 'tls', CERTIFICATE),
  F20: ({ play, link }) => play.secured(link, undefined),
  F21: (scene) => {
    const { play, link, cell } = scene
    if (cell.protocol === 'socks5') play.received(link, '\x05\x00\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00')
    else if (cell.phase === 'resp_head') play.received(link, 'K\r\nContent-Length: 2\r\n\r\nno')
    else play.received(link, 'HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2\r\n\r\nno')
  },
  F22: ({ play }) => play.tell({ type: 'destroy' }),
  // A driver hands what a callback threw to the pool as the reason to give the request up.
  F25: ({ play, id }) => play.cancel(id, THROWN),
}

const ERRORS: Record<string, (error: HttpCoreError) => void> = {
  Cancelled: (error) => expect(error).toBe(CANCELLED),
  'the thrown error': (error) => expect(error).toBe(THROWN),
  'RequestBodyError(cause)': (error) => expect(error).toBe(SOURCE),
  PoolClosed: (error) => expect(error.name).toBe('PoolClosed'),
  RemoteProtocolError: (error) => expect(error.name).toBe('RemoteProtocolError'),
  ServerDisconnected: (error) =>
    expect(error).toMatchObject({ name: 'RemoteProtocolError', code: 'server-disconnected' }),
  'ServerDisconnected(reset)': (error) => {
    expect(error).toMatchObject({ name: 'RemoteProtocolError', code: 'server-disconnected' })
    expect(error.cause).toBeInstanceOf(Error)
  },
  IncompleteMessage: (error) =>
    expect(error).toMatchObject({ name: 'RemoteProtocolError', code: 'incomplete-message' }),
  LimitExceeded: (error) =>
    expect([error.name, error.code]).toEqual(['RemoteProtocolError', expect.stringMatching(/^limit/)]),
  ConnectTimeout: (error) =>
    expect(error).toMatchObject({ name: 'ConnectTimeout', blockedOn: expect.anything() as unknown }),
  ConnectError: (error) => expect(error.name).toBe('ConnectError'),
  'ConnectError(tls)': (error) => expect(error).toMatchObject({ name: 'ConnectError', phase: 'tls' }),
  'ConnectError(dns)': (error) => expect(error).toMatchObject({ name: 'ConnectError', phase: 'dns' }),
  ReadError: (error) => expect(error).toMatchObject({ name: 'ReadError' }),
  WriteError: (error) => expect(error.name).toBe('WriteError'),
  WriteTimeout: (error) =>
    expect(error).toMatchObject({ name: 'WriteTimeout', blockedOn: expect.anything() as unknown }),
  'ReadTimeout(head)': (error) => expect(error).toMatchObject({ name: 'ReadTimeout', blockedOn: { want: 'readable' } }),
  'ReadTimeout(body)': (error) => expect(error).toMatchObject({ name: 'ReadTimeout', disposition: 'response-started' }),
  ProxyError: (error) => expect(error).toMatchObject({ name: 'ProxyError', phase: 'proxy' }),
  'ProxyError(limit)': (error) => expect(error.name).toBe('ProxyError'),
  'ProxyError(status)': (error) => expect(error).toMatchObject({ name: 'ProxyError', answer: { status: 407 } }),
  'ProxyError(reply code)': (error) => expect(error.name).toBe('ProxyError'),
  'ProxyError(TlsError)': (error) =>
    expect([error.name, error.code]).toEqual(['ProxyError', expect.stringMatching(/^tls-/)]),
  'ProxyError(TlsError)(certificate)': (error) =>
    expect(error).toMatchObject({ name: 'ProxyError', code: 'tls-certificate' }),
  TlsError: (error) => expect([error.name, error.code]).toEqual(['ConnectError', expect.stringMatching(/^tls-/)]),
  'TlsError(certificate)': (error) => expect(error).toMatchObject({ name: 'ConnectError', code: 'tls-certificate' }),
  PoolTimeout: (error) => expect(error).toMatchObject({ name: 'PoolTimeout', blockedOn: { want: 'slot' } }),
  'ConnectionNotAvailable queue-full': (error) =>
    expect(error).toMatchObject({ name: 'ConnectionNotAvailable', code: 'queue-full' }),
  'StreamReset(REFUSED_STREAM)': (error) =>
    expect(error).toMatchObject({ name: 'RemoteProtocolError', code: 'stream-reset' }),
  'StreamReset(code)': (error) => expect(error).toMatchObject({ name: 'RemoteProtocolError', code: 'stream-reset' }),
  'GoAway(unprocessed)': (error) => expect(error).toMatchObject({ name: 'RemoteProtocolError', code: 'goaway' }),
}

/** What is cut off where it stands, by the peer or by us: its error says in which phase. */
const CUT_OFF: ReadonlySet<string> = new Set(['F03', 'F04', 'F05', 'F06', 'F22'])

/** Cells that are played elsewhere, with the reason. */
const ELSEWHERE: Record<string, string> = {
  F18: 'backpressure: flow.test.ts; through proxies routes/sim.test.ts',
  F23: 'cutting: laws C1 of the machines; flow.test.ts for the pool; through proxies routes/sim.test.ts',
  F24: 'order between connections: laws.test.ts plays every order; through proxies routes/sim.test.ts',
}
/** They need nothing of what came before them, and so come at the first, a middle and the last byte of a phase. */
const ANYWHERE: ReadonlySet<string> = new Set(['F03', 'F04', 'F05', 'F06', 'F09', 'F10', 'F11', 'F22', 'F25'])
const WITH_BYTES: ReadonlySet<string> = new Set(['proxy', 'req_head', 'req_body', 'resp_head', 'resp_body', 'trailers'])
const PROXY_ANSWERS: Record<string, string> = {
  connect: 'HTTP/1.1 200 OK\r\n\r\n',
  socks5: '\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00',
}
const HEADERS = [['x', 'y']] as const
const NOBODY = 'no callback runs for a connection that nobody uses'
const AFTERWARDS: ReadonlySet<string> = new Set(['idle', 'closing'])

function expectConnection(scene: Scene): void {
  const { cell, play, link } = scene
  const gone = play.has('destroy', link) || play.has('close', link)
  if (cell.conn === 'none' || cell.phase === 'pool' || cell.phase === 'dns') return
  if (cell.phase === 'connect' && cell.fault !== 'F09' && cell.fault !== 'F25' && cell.fault !== 'F22') return
  if (cell.conn === 'closed') expect(gone, 'closed').toBe(true)
  else if (cell.fault === 'F13' || cell.fault === 'F12')
    expect(play.has('destroy', link), 'kept while it drains').toBe(false)
  else expect(gone, 'kept').toBe(false)
}

function run(cell: Cell, used: boolean, where: Where, asked: Asked, again: boolean): void {
  const scene = new Scene(cell, used, where, asked)
  scene.enter()
  const { play } = scene
  const before = play.commands.length
  const inject = INJECT[cell.fault]
  if (inject === undefined) throw new Error(`there is no fault ${cell.fault}`)
  inject(scene)
  const outcome = play.outcome(scene.id)
  if (AFTERWARDS.has(cell.phase)) expect(outcome, 'its result is final').toBe('ok')
  else if (again) {
    play.pass(0)
    expect(outcome, 'it is sent again').toBeUndefined()
    const sent = play.dials().length + play.commands.slice(before).filter(({ type }) => type === 'assigned').length
    expect(sent, 'somewhere').toBeGreaterThan(0)
  } else if (cell.error === null) expect(outcome instanceof Error ? outcome : 'well').toBe('well')
  else {
    expect(outcome, 'it has failed').toBeDefined()
    ERRORS[cell.error]?.(outcome as HttpCoreError)
    expect(ERRORS[cell.error], cell.error).toBeDefined()
    const phase = cell.phase === 'trailers' ? 'resp_body' : cell.phase
    if (CUT_OFF.has(cell.fault)) expect(outcome).toMatchObject({ phase })
    expect(play.dials(), 'it is not sent again').toEqual([])
  }
  expectConnection(scene)
  // Nothing is left behind.
  play.tell({ type: 'destroy' })
  expect(play.pool.nextTimeout(), 'no deadline is left').toBeUndefined()
  expect(play.stats()).toMatchObject({ requests: 0, connections: 0, active: 0, queued: 0 })
}

describe('the fault matrix', () => {
  for (const protocol of Object.keys(PROTOCOLS) as Cell['protocol'][]) {
    describe(protocol, () => {
      if (MATRIX === undefined) it.skip('../shared/reference/fault-matrix.json is not there', () => undefined)
      for (const cell of MATRIX?.cells.filter((one) => one.protocol === protocol) ?? []) {
        const name = `${cell.fault} in ${cell.phase}: ${cell.error ?? 'no error'}, ${cell.retry}, ${cell.conn}`
        const elsewhere = cell.fault === 'F25' && AFTERWARDS.has(cell.phase) ? NOBODY : ELSEWHERE[cell.fault]
        if (elsewhere !== undefined) {
          it.skip(`${name} (${elsewhere})`, () => undefined)
          continue
        }
        // A request that nothing was done for yet cannot have been on a used connection.
        const early = ['pool', 'dns', 'connect', 'tls', 'proxy'].includes(cell.phase)
        const once = cell.retry === 'idempotent-on-reused' || cell.retry === 'safe-once'
        const everywhere = ANYWHERE.has(cell.fault) && WITH_BYTES.has(cell.phase)
        for (const where of everywhere ? (['first', 'middle', 'last'] as const) : (['middle'] as const)) {
          const at = everywhere ? `, at the ${where} byte` : ''
          it(`${name}: first connection${at}`, () => run(cell, false, where, {}, cell.retry === 'safe-once'))
          if (early) continue
          it(`${name}: used connection${at}`, () => run(cell, true, where, {}, once))
          if (once) {
            it(`${name}: used connection, not idempotent${at}`, () =>
              run(cell, true, where, { method: 'POST' }, cell.retry === 'safe-once'))
          }
        }
      }
    })
  }
})
