// What a trace hears: every step begun and ended, under httpcore's names; decisions with their reasons; never a secret.
import { describe, expect, it } from 'vitest'
import { Fields } from '../../src/http/index.ts'
import type { ProxyTarget } from '../../src/pool/index.ts'
import { bytes, http, https, OK, Play } from './play.ts'

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
  it('of a failed dial that is tried again', () => {
    const play = new Play({ retries: 1 })
    play.request({ trace: true })
    play.failed(1, 'connect')
    play.pass(0)
    play.connectAll()
    expect(names(play).filter((name) => name.startsWith('connection'))).toEqual([
      'connection.connect_tcp.started',
      'connection.connect_tcp.failed',
      'connection.retry.started',
      'connection.retry.complete',
      'connection.connect_tcp.started',
      'connection.connect_tcp.complete',
    ])
  })
  it('V-22: of a connection hears that it closes', () => {
    const play = new Play()
    play.request({ trace: true })
    play.connectAll()
    play.received(1, OK)
    names(play)
    play.tell({ type: 'closeIdle' })
    expect(names(play)).toEqual(['connection.close.started'])
    play.closed(1)
    expect(names(play)).toEqual(['connection.close.complete'])
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
    const http_: ProxyTarget = { kind: 'http', ...PLACE, headers: Fields.empty, authorization: `Basic ${secret}` }
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
