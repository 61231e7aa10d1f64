// HTTP/2 comes with the first request that may need it: what happens to requests until then.
import { beforeEach, expect, test, vi } from 'vitest'
import type { H2Event } from '../../src/http/index.ts'
import type { RequestOptions } from '../../src/index.ts'

let modules: Awaited<ReturnType<typeof load>>
/** Anew for each test, so that HTTP/2 has to be loaded again. */
async function load() {
  vi.resetModules()
  const [{ ConnectionPool, PoolClosed, pump }, { SimNetwork }, { H2Connection }] = await Promise.all([
    import('../../src/index.ts'),
    import('../../src/sim.ts'),
    import('../../src/h2/index.ts'),
  ])
  return { ConnectionPool, PoolClosed, pump, SimNetwork, H2Connection }
}
beforeEach(async () => {
  modules = await load()
})

/** A pool, and a server that notes the paths in their order. */
function start() {
  const { ConnectionPool, pump, SimNetwork, H2Connection } = modules
  const sim = new SimNetwork()
  const paths: string[] = []
  sim.listen('h', 80, (link) => {
    const machine = new H2Connection('server', { now: sim.now() })
    const serve = (event: H2Event): void => {
      if (event.type !== 'request') return
      paths.push(event.target)
      machine.sendResponse(event.exchange, { status: 204, headers: [] }, { end: true })
    }
    const joined = pump<H2Event>(machine, () => sim.now(), serve)
    joined.attach(link)
    return joined
  })
  return { sim, paths, pool: new ConnectionPool({ http1: false, http2: true, networkBackend: sim }) }
}

test('requests leave in the order in which they were made', async () => {
  const { sim, paths, pool } = start()
  const responses = Promise.all(['/1', '/2', '/3'].map((path) => pool.request('GET', `http://h${path}`)))
  await sim.run(responses)
  expect((await responses).map(({ status, httpVersion, streamId }) => [status, httpVersion, streamId])).toEqual(
    [1, 3, 5].map((id) => [204, 'HTTP/2', id]),
  )
  expect(paths).toEqual(['/1', '/2', '/3'])
})

test('a pool that is destroyed meanwhile takes them no more', async () => {
  const { sim, pool } = start()
  const response = pool.request('GET', 'http://h/')
  await pool.destroy()
  await expect(response).rejects.toBeInstanceOf(modules.PoolClosed)
  expect(sim.openLinks).toBe(0)
})

test('a signal that is aborted meanwhile is heard', async () => {
  const { sim, pool } = start()
  const controller = new AbortController()
  const response = pool.request('GET', 'http://h/', { signal: controller.signal })
  controller.abort('enough')
  await expect(response).rejects.toBe('enough')
  expect(sim.openLinks).toBe(0)
})

test('what becomes of the options meanwhile is of no interest', async () => {
  const { sim, pool } = start()
  const options: RequestOptions = { signal: new AbortController().signal }
  const response = pool.request('GET', 'http://h/', options)
  options.signal = AbortSignal.abort('another')
  await sim.run(response)
  expect((await response).status).toBe(204)
})

test('what could not be loaded is tried again', async () => {
  vi.resetModules()
  vi.doMock('../../src/h2/connection.ts', () => {
    throw new Error('too many open files')
  })
  const { http2, loadHttp2 } = await import('../../src/drivers/async/http2.ts')
  await expect(loadHttp2()).rejects.toThrow()
  vi.doUnmock('../../src/h2/connection.ts')
  await loadHttp2()
  expect(http2().name).toBe('H2Connection')
  expect(loadHttp2()).toBeUndefined()
})
