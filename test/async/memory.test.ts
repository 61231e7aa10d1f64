// What is kept of a request that is over, and of a pool.
import { expect, it, vi } from 'vitest'
import { nodeNetwork } from '../../src/drivers/networks/node.ts'
import { originOf } from '../../src/drivers/shared/options.ts'
import { Fields, type Response } from '../../src/index.ts'
import { collect } from '../fixtures/collect.ts'
import { makePool, serveHttp, serveTcp } from './servers.ts'

function heapUsed(): number {
  collect()
  return process.memoryUsage().heapUsed
}

it('what is known of an origin holds none of the URLs that led to it', () => {
  const visit = (i: number): unknown => originOf(`http://an-origin-of-a-long-name-${i}.test/?${'q'.repeat(50_000)}`)
  visit(0)
  const before = heapUsed()
  for (let i = 1; i <= 400; i++) visit(i)
  expect(heapUsed() - before).toBeLessThan(5_000_000)
})

it('what is known of field names holds none of the texts that they were cut out of', () => {
  const before = heapUsed()
  for (let i = 0; i < 200; i++) {
    const text = `A-Name-In-A-Long-Text-${i}: ${'v'.repeat(50_000)}`
    Fields.from([[text.slice(0, text.indexOf(':')), 'v']])
  }
  expect(heapUsed() - before).toBeLessThan(5_000_000)
})

it.each([
  ['bytes', (chunk: Uint8Array) => chunk],
  ['an iterable', (chunk: Uint8Array) => [chunk]],
  ['a function', (chunk: Uint8Array) => () => [chunk]],
  ['a function that gives bytes', (chunk: Uint8Array) => () => chunk],
])('a response that is kept holds nothing of what was sent for it: %s', async (_, content) => {
  const { url } = await serveHttp((request, response) => {
    request.resume().on('end', () => response.end())
  })
  const pool = makePool()
  const send = async (): Promise<readonly [Response, WeakRef<Uint8Array>]> => {
    const chunk = new Uint8Array(100_000)
    return [await pool.request('POST', url, { content: content(chunk) }), new WeakRef(chunk)]
  }
  const [response, sent] = await send()
  await new Promise((resolve) => setTimeout(resolve, 10))
  collect()
  expect(sent.deref()).toBeUndefined()
  expect(response.status).toBe(200)
})

it('a pool holds nothing of what was read of it', async () => {
  const { url } = await serveHttp((_, response) => response.end(new Uint8Array(100_000)))
  const pool = makePool()
  const read = async (): Promise<WeakRef<object>> => new WeakRef((await pool.request('GET', url)).content)
  const content = await read()
  await new Promise((resolve) => setTimeout(resolve, 10))
  collect()
  expect(content.deref()).toBeUndefined()
})

it('a large content of known length stands in one piece from early on; a length is not believed long before it is there', async () => {
  const MiB = 1024 * 1024
  const piece = Uint8Array.from({ length: MiB }, (_, i) => i % 251)
  const { url } = await serveHttp((request, response) => {
    const [, said, sent] = (request.url as string).split('/').map(Number) as [number, number, number]
    response.writeHead(200, { 'content-length': said * MiB })
    for (let i = 1; i < sent; i++) response.write(piece)
    response.write(piece, () => (sent < said ? response.destroy() : response.end()))
  })
  const allocated = vi.spyOn(Buffer, 'allocUnsafeSlow')
  const large = (): readonly number[] => allocated.mock.calls.map(([size]) => size / MiB).filter((size) => size > 1)
  const pool = makePool()
  await expect(pool.request('GET', new URL('/600/20', url))).rejects.toMatchObject({ code: 'incomplete-message' })
  expect(large()).toEqual([])
  const { content } = await pool.request('GET', new URL('/40/40', url))
  expect(large()).toEqual([40])
  expect(content.buffer.byteLength).toBe(40 * MiB)
  for (let i = 0; i < 40; i++) expect(Buffer.compare(content.subarray(i * MiB, (i + 1) * MiB), piece)).toBe(0)
  allocated.mockRestore()
})

it('a pool that is destroyed is held by no timer', async () => {
  const url = await serveTcp(() => undefined)
  const network = nodeNetwork()
  const armed = new Set<() => void>()
  const pool = makePool({
    networkBackend: {
      can: network.can,
      now: () => network.now(),
      timer: (at, fire, keepAlive) => {
        const cancel = network.timer(at, fire, keepAlive)
        armed.add(cancel)
        return () => {
          armed.delete(cancel)
          cancel()
        }
      },
      resolve: (host, done) => network.resolve(host, done),
      connect: (target, sink) => network.connect(target, sink),
    },
  })
  const lost = pool.request('GET', url).catch(() => undefined)
  await expect.poll(() => armed.size).toBe(1)
  await pool.destroy()
  await lost
  expect(armed.size).toBe(0)
})
