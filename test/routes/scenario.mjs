// One scenario for both interfaces, run in a thread of its own: proxies and origins answer on the thread of the test,
// which a blocking call must not block. What is yielded is awaited, where it is a promise.
import { parentPort, workerData } from 'node:worker_threads'

function* scenario(pool, url, log) {
  const text = (bytes) => new TextDecoder().decode(bytes)
  const told = ({ status, httpVersion, headers, content, connection }) =>
    log.push([status, httpVersion, headers.get('content-type'), text(content), connection.reused])
  function* failing(step) {
    try {
      yield* step()
      log.push('it did not fail')
    } catch ({ name, code, phase, disposition }) {
      log.push([name, code, phase, disposition])
    }
  }

  told(yield pool.request('GET', `${url}/`))
  told(yield pool.request('GET', `${url}/again`, { headers: { 'X-Mine': 'yes' } }))
  const piece = new Uint8Array(65_536)
  for (const content of ['abc', new Uint8Array(3), [piece, piece], () => [piece, new Uint8Array(1)]]) {
    told(yield pool.request('POST', `${url}/`, { content }))
  }
  const read = yield pool.stream('GET', `${url}/large`)
  log.push([(yield read.read()).byteLength, read.complete, read.framing])
  const lent = yield pool.stream('GET', `${url}/large`)
  let bytes = 0
  yield lent.forEach((chunk) => void (bytes += chunk.byteLength))
  log.push(bytes)
  const drained = yield pool.stream('GET', `${url}/`)
  yield drained.drain()
  const closed = yield pool.stream('GET', `${url}/endless`)
  yield closed.close()
  yield* failing(function* () {
    yield pool.request('GET', `${url}/silent`, { timeout: { read: 30 } })
  })
  yield* failing(function* () {
    yield pool.request('GET', `${url}/endless`, { maxContentBytes: 1_000 })
  })
  yield* failing(function* () {
    yield pool.request('GET', `${url}/`, { headers: { 'Bad Name': '' } })
  })
  yield* failing(function* () {
    yield pool.request('GET', 'nowhere')
  })
  const last = yield pool.request('GET', `${url}/last`)
  log.push([last.status, text(last.content)])
  const { requests, active, queued } = pool.stats
  log.push({ requests, active, queued })
  yield pool.close()
}

/** The same for both: a step that fails throws where it was yielded. */
async function play(steps) {
  let next = steps.next()
  while (!next.done) {
    try {
      next = steps.next(await next.value)
    } catch (error) {
      next = steps.throw(error)
    }
  }
}

const { module, options, url } = workerData
const { ConnectionPool } = await import(module)
const log = []
const names = []
const pool = new ConnectionPool({ ...options, trace: ({ name, request }) => request && names.push(name) })
await play(scenario(pool, url, log))
parentPort.postMessage({ log, names })
