// What another runtime is asked to do: the checks of every network on its sockets, then each kind of request, from both
// interfaces. Prints one line for each thing that was done or failed; it ends by itself, with a pool still open.
//
//   bun run test/interop/runtime.ts SOURCE WAYS    SOURCE: src/ as JavaScript; WAYS: JSON of `Way[]`
import type * as Conformance from '../../src/conformance.ts'
import type * as Async from '../../src/index.ts'
import type * as Blocking from '../../src/sync.ts'
import { socketSubject } from '../networks/sockets.ts'

export interface Way {
  readonly name: string
  readonly url: string
  readonly options: {
    readonly http1?: boolean
    readonly http2?: boolean
    readonly proxy?: string | { readonly url: string; readonly tls: { readonly ca: string } }
    readonly tls?: { readonly ca: string }
  }
}

const [source, ways] = process.argv.slice(-2) as [string, string]
const { conformance } = (await import(`${source}/conformance.js`)) as typeof Conformance
const { ConnectionPool, nodeNetwork } = (await import(`${source}/index.js`)) as typeof Async
const blocking = (await import(`${source}/sync.js`)) as typeof Blocking

async function attempt(name: string, act: () => unknown): Promise<void> {
  try {
    await act()
    console.log(`done: ${name}`)
  } catch (error) {
    console.log(`failed: ${name}: ${String(error)}`)
  }
}
function holds(what: unknown, wanted: unknown): void {
  if (JSON.stringify(what) !== JSON.stringify(wanted)) throw new Error(`${JSON.stringify(what)}, not ${String(wanted)}`)
}

const ends: (() => Promise<void>)[] = []
const network = nodeNetwork()
const open = socketSubject(network, (end) => ends.push(end))
for (const { name, run } of conformance(network.can)) await attempt(name, async () => run(await open()))
for (const end of ends) await end()

const UPLOAD = new Uint8Array(3_000_000).fill(7)
const BIG = 5_000_000
const said = (response: Pick<Async.Response, 'status' | 'content'>): unknown => [
  response.status,
  new TextDecoder().decode(response.content),
]

for (const { name, url, options } of JSON.parse(ways) as Way[]) {
  const pool = new ConnectionPool(options)
  await attempt(`${name}: GET`, async () => holds(said(await pool.request('GET', url)), [200, 'GET 0']))
  await attempt(`${name}: POST`, async () => {
    holds(said(await pool.request('POST', url, { content: UPLOAD })), [200, `POST ${UPLOAD.length}`])
  })
  await attempt(`${name}: in pieces`, async () => {
    let bytes = 0
    for await (const chunk of await pool.stream('GET', `${url}big`)) bytes += chunk.length
    holds(bytes, BIG)
  })
  // Each piece goes with its buffer: no two may share one.
  await attempt(`${name}: as a stream`, async () => {
    let bytes = 0
    for await (const chunk of (await pool.stream('GET', `${url}big`)).readable()) bytes += chunk.length
    holds(bytes, BIG)
  })
  await attempt(`${name}: a hundred at once`, async () => {
    const all = await Promise.all(Array.from({ length: 100 }, () => pool.request('GET', url)))
    holds(
      all.map(said),
      all.map(() => [200, 'GET 0']),
    )
  })
  await attempt(`${name}: too slow`, async () => {
    const late = await pool.request('GET', `${url}never`, { timeout: { read: 100 } }).catch((error: unknown) => error)
    holds((late as Error).name, 'ReadTimeout')
  })
  await attempt(`${name}: aborted`, async () => {
    const cause = await pool
      .request('GET', `${url}never`, { signal: AbortSignal.timeout(100) })
      .catch((error: unknown) => error)
    holds((cause as Error).name, 'TimeoutError')
  })
  await attempt(`${name}: blocking`, () => {
    const own = new blocking.ConnectionPool(options)
    holds(said(own.request('GET', url)), [200, 'GET 0'])
    holds(said(own.request('POST', url, { content: UPLOAD })), [200, `POST ${UPLOAD.length}`])
    holds(own.request('GET', `${url}big`).content.length, BIG)
    own.close()
  })
}
