// What a trace tells: httpcore's names, in their order, to the request, the pool and the diagnostics channel alike.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, expect, it, vi } from 'vitest'
import type { Response, TraceEvent } from '../../src/index.ts'
import { collect } from '../fixtures/collect.ts'
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

it('tells of a response that is closed early as of any step that failed: with an error', async () => {
  const head = 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n'
  const url = await serveTcp((socket) => socket.once('data', () => socket.write(head)))
  const failed: unknown[] = []
  const trace = ({ name, info }: TraceEvent): void => {
    if (name.endsWith('.failed')) failed.push(name, info?.['exception'])
  }
  const response = await makePool().stream('GET', url, { trace })
  await response.close()
  expect(failed).toEqual(['http11.receive_response_body.failed', expect.any(Error)])
  expect(failed[1]).toMatchObject({ code: 'response-closed' })
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

it('tells on httpcore:trace whose request and connection it is: each pool numbers them for itself', async () => {
  const { url } = await serveHttp((_, response) => response.end('ok'))
  const heard: (TraceEvent & { pool?: number })[] = []
  const listen = (message: unknown): void => void heard.push(message as TraceEvent)
  subscribe('httpcore:trace', listen)
  const own: TraceEvent[] = []
  await Promise.all(
    [makePool({ trace: (event) => own.push(event) }), makePool()].map((pool) => pool.request('GET', url)),
  )
  unsubscribe('httpcore:trace', listen)
  const numbers = [...new Set(heard.map(({ pool }) => pool))]
  expect(numbers).toEqual([expect.any(Number), expect.any(Number)])
  for (const number of numbers) {
    const names = heard.filter(({ pool }) => pool === number).map(({ name }) => name)
    expect(names.filter((name) => EXCHANGE.includes(name))).toEqual(EXCHANGE)
  }
  expect(own[0]).not.toHaveProperty('pool')
})

it('what a callback of the pool throws about no request is thrown by itself', async () => {
  const { url } = await serveHttp((_, response) => response.end('ok'))
  const own = new Error('mine')
  const alone: (() => void)[] = []
  const pool = makePool({
    trace: ({ request }) => {
      if (request === undefined) throw own
    },
  })
  await pool.request('GET', url)
  const queue = vi.spyOn(globalThis, 'queueMicrotask').mockImplementation((callback) => void alone.push(callback))
  try {
    pool.closeIdle()
    await vi.waitFor(() => expect(pool.stats['connections']).toBe(0))
  } finally {
    queue.mockRestore()
  }
  expect(alone.length).toBeGreaterThan(0)
  for (const one of alone) expect(one).toThrow(own)
})

describe('a response that is dropped unread', () => {
  const large = async (): Promise<string> =>
    (await serveHttp((_, response) => response.end(new Uint8Array(2_000_000)))).url
  /** Until somebody was warned, or for long enough that nobody will be. */
  async function collected(warned: readonly unknown[]): Promise<void> {
    for (let n = 0; n < 20 && warned.length === 0; n++) {
      collect()
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
  async function warnings(use: (response: Response) => Promise<unknown>): Promise<TraceEvent[]> {
    const warned: TraceEvent[] = []
    const pool = makePool({ trace: (event) => void (event.name === 'response.dropped' && warned.push(event)) })
    const url = await large()
    const held = await (async () => use(await pool.stream('GET', url)))()
    await collected(warned)
    expect(pool.stats['requests']).toBe(held === 'closed' ? 0 : 1)
    await pool.destroy()
    return warned
  }

  it('is reported with the request that it belongs to: its connection is taken', async () => {
    const [warning, ...more] = await warnings(() => Promise.resolve())
    expect(more).toEqual([])
    expect(warning?.info).toEqual({
      method: 'GET',
      origin: expect.stringMatching(/^http:\/\/localhost:\d+$/) as unknown,
      warning: expect.any(String) as unknown,
    })
    expect([warning?.request, warning?.connection].map((id) => typeof id)).toEqual(['number', 'number'])
  })
  it('whatever it was read with, if that is dropped half-way', async () => {
    const read = await warnings(async (response) => void (await response[Symbol.asyncIterator]().next()))
    const streamed = await warnings(async (response) => void (await response.readable().getReader().read()))
    expect([read.length, streamed.length]).toEqual([1, 1])
  })
  it('is none while somebody may read on, nor after it was closed', async () => {
    expect(await warnings(async (response) => Promise.resolve({ iterator: response[Symbol.asyncIterator]() }))).toEqual(
      [],
    )
    expect(await warnings((response) => response.close().then(() => 'closed'))).toEqual([])
  })
})
