// One scenario (scenario.mjs) under both interfaces, over every route, to every kind of origin: the same statuses, bytes,
// errors and trace names.
import { once } from 'node:events'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { builtSource } from '../blocking/worker-build.ts'
import { certificates } from '../fixtures/certificates.ts'
import { ORIGIN_NAMES, ORIGINS, startOrigins, type Origins } from '../fixtures/origins.ts'
import { ROUTES, type Opened } from '../fixtures/routes.ts'

const MIB = 1 << 20
let origins: Origins
beforeAll(async () => {
  origins = await startOrigins((request, respond) => {
    const path = request.url as string
    if (path.endsWith('/silent')) return
    if (path.endsWith('/endless')) return respond('x'.repeat(10_000), false)
    let bytes = 0
    request.on('data', (chunk: Buffer) => (bytes += chunk.byteLength))
    request.on('end', () => {
      const mine = String(request.headers['x-mine'] ?? 'none')
      respond(path.endsWith('/large') ? 'x'.repeat(MIB) : `${request.method} ${bytes} ${mine}`)
    })
  })
})
afterAll(() => origins.stop())

interface Played {
  readonly log: readonly unknown[]
  readonly names: readonly string[]
}
async function play(file: 'index' | 'sync', options: object, url: string): Promise<Played> {
  const module = pathToFileURL(join(builtSource(), `${file}.js`)).href
  const worker = new Worker(new URL('./scenario.mjs', import.meta.url), { workerData: { module, options, url } })
  try {
    return ((await once(worker, 'message')) as [Played])[0]
  } finally {
    await worker.terminate()
  }
}

describe.each(Object.entries(ROUTES))('%s', (_, route) => {
  let way: Opened = { missing: 'not started' }
  beforeAll(async () => {
    way = await route.open()
  })
  afterAll(async () => {
    if ('stop' in way) await way.stop()
  })

  it.for(ORIGIN_NAMES)('%s', async (name, context) => {
    if ('missing' in way) return context.skip(way.missing)
    const { ca } = await certificates()
    const { url, unixSocket } = origins.at(route, name)
    const timeout = { connect: 5_000, read: 5_000, pool: 5_000 }
    // What ends each connection after a response would race with the next request.
    const reused = !(route.plain === true && name === 'http, HTTP/1.1')
    const options = {
      ...ORIGINS[name].options,
      ...way.options,
      unixSocket,
      tls: { ca },
      timeout,
      maxConnections: 1,
      maxRequestsPerConnection: reused ? undefined : 1,
    }
    const [awaited, blocked] = await Promise.all([play('index', options, url), play('sync', options, url)])
    expect(blocked).toEqual(awaited)

    const version = name.split(', ')[1]
    const response = (content: string, again = reused): unknown[] => [200, version, undefined, content, again]
    expect(awaited.log.slice(0, 6)).toEqual([
      response('GET 0 none', false),
      response('GET 0 yes'),
      ...[3, 3, 131_072, 65_537].map((length) => response(`POST ${length} none`)),
    ])
    const framing = version === 'HTTP/2' ? 'frames' : expect.stringMatching(/^(?:length|chunked|close-delimited)$/)
    expect(awaited.log.slice(6)).toEqual([
      [MIB, true, framing],
      MIB,
      ['ReadTimeout', 'read-timeout', 'waiting', 'maybe-processed'],
      ['RemoteProtocolError', 'limit-content', 'resp_body', 'response-started'],
      ['LocalProtocolError', expect.any(String), expect.any(String), 'not-sent'],
      ['UnsupportedProtocol', 'missing-scheme', '', 'not-sent'],
      [200, 'GET 0 none'],
      { requests: 0, active: 0, queued: 0 },
    ])
  })
})
