// What a trace tells: httpcore's names, in their order, to the request, the pool and the diagnostics channel alike.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { expect, it } from 'vitest'
import type { TraceEvent } from '../../src/index.ts'
import { makePool, serveHttp, serveTcp } from './servers.ts'

const names = (events: readonly TraceEvent[]): string[] => events.map(({ name }) => name)
const EXCHANGE = [
  'http11.send_request_headers.started',
  'http11.send_request_headers.complete',
  'http11.send_request_body.started',
  'http11.send_request_body.complete',
  'http11.receive_response_headers.started',
  'http11.receive_response_headers.complete',
  'http11.receive_response_body.started',
  'http11.receive_response_body.complete',
  'http11.response_closed.started',
  'http11.response_closed.complete',
]

it('tells a first request and the next on the same connection', async () => {
  const { url } = await serveHttp((_, response) => response.end('ok'))
  const pooled: TraceEvent[] = []
  const pool = makePool({ trace: (event) => pooled.push(event) })
  for (const expected of [
    ['pool.open', 'connection.resolve', 'connection.connect_tcp'].flatMap((name) =>
      name === 'pool.open' ? [name] : [`${name}.started`, `${name}.complete`],
    ),
    [],
  ]) {
    const own: TraceEvent[] = []
    await pool.request('GET', url, { trace: (event) => own.push(event) })
    expect(names(own).filter((name) => !/^pool\.(queued|assigned)/.test(name))).toEqual([...expected, ...EXCHANGE])
    const times = own.map(({ time }) => time)
    expect(times).toEqual([...times].sort((a, b) => a - b))
    expect(new Set(own.map(({ request }) => request)).size).toBe(1)
  }
  expect(names(pooled).filter((name) => EXCHANGE.includes(name))).toEqual([...EXCHANGE, ...EXCHANGE])
})

it('tells the step that failed', async () => {
  const url = await serveTcp((socket) => socket.once('data', () => socket.end()))
  const own: TraceEvent[] = []
  await expect(makePool().request('GET', url, { trace: (event) => own.push(event) })).rejects.toThrow()
  expect(own.at(-1)).toMatchObject({ name: 'http11.receive_response_headers.failed' })
  expect(own.at(-1)?.info?.['exception']).toBeInstanceOf(Error)
})

it('is published on httpcore:trace, and fails only the request whose own callback throws', async () => {
  const { url } = await serveHttp((_, response) => response.end('ok'))
  const heard: unknown[] = []
  const listen = (message: unknown): void => void heard.push((message as TraceEvent).name)
  subscribe('httpcore:trace', listen)
  const pool = makePool()
  await pool.request('GET', url)
  unsubscribe('httpcore:trace', listen)
  expect(heard).toEqual(expect.arrayContaining(EXCHANGE))
  const own = new Error('mine')
  const throwing = (): void => {
    throw own
  }
  await expect(pool.request('GET', url, { trace: throwing })).rejects.toBe(own)
  expect((await pool.request('GET', url)).status).toBe(200)
})
