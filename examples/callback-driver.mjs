// An interface of one's own: callbacks instead of promises, on the pool's machine and any network. What a driver has to
// know stands beside the lines that do it; what goes in and comes out is in the types PoolInput and PoolCommand. Callbacks
// may do what they like with the pool, but must not throw.
// node examples/callback-driver.mjs http://127.0.0.1:8080/
import { pathToFileURL } from 'node:url'
import { formatAuthority, nodeNetwork, splitUrl } from 'httpcore'
import { PoolMachine } from 'httpcore/pool'

const timeouts = { pool: 30_000, connect: 10_000, write: 60_000, read: 300_000, total: Infinity }
// The settings have no defaults: those that an interface gives by itself, and what is off, or the limits' own.
const plain = { maxConnections: 100, maxConnectionsPerOrigin: 100, maxIdleConnections: 100, maxQueuedRequests: 10_000 }
const off = { keepAliveExpiry: undefined, maxConnectionAge: undefined, limits: undefined, http2Options: undefined }
const routes = { tls: undefined, localAddress: undefined, unixSocket: undefined, socketOptions: undefined, proxies: [] }
const defaults = {
  ...plain,
  ...off,
  ...routes,
  maxRequestsPerConnection: Infinity,
  http1: true,
  http2: false,
  retries: 0,
}

export function callbackPool(network = nodeNetwork(), settings = {}) {
  const asked = { ...defaults, catchUp: network.caughtUp !== undefined, ...settings }
  const machine = new PoolMachine(asked, { now: network.now(), seed: Math.trunc(Math.random() * 2 ** 32) })
  const links = new Map()
  const requests = new Map()
  let [ids, running, writes, disarm, closed] = [0, false, [], () => {}, () => {}]

  /** An input, then every command that follows from it. A command that leads to another input is not interrupted. */
  function tell(input) {
    machine.handle(input, network.now())
    if (running) return
    running = true
    for (let command = machine.poll(); command !== undefined; command = machine.poll()) perform(command)
    running = false
    disarm() // one timer; it holds the process only while somebody waits
    const at = machine.nextTimeout()
    if (at !== undefined) disarm = network.timer(at, () => tell({ type: 'timeout' }), requests.size > 0)
  }

  /** What is written in one turn leaves together, and before what is said of the link after it. */
  function flush() {
    for (const { link, chunks } of writes.splice(0)) links.get(link)?.write(chunks)
  }

  function perform({ type, link, id, ...rest }) {
    const request = requests.get(id)
    if (type === 'write') {
      if (writes.push({ link, chunks: rest.chunks }) === 1) queueMicrotask(flush)
    } else if (type === 'deliver') {
      request?.onEvent(rest.event) // bytes in it are lent until this returns
      // Reading goes on when they are used: at once here, later for who has to wait.
      if (rest.event.type === 'data') tell({ type: 'consumed', id, bytes: rest.event.data.length })
    } else if (type === 'settle') {
      requests.delete(id)
      request?.onDone(rest.result.error)
    } else if (type === 'openContent') {
      request.source = request.content() // again when the request is sent again
    } else if (type === 'pullContent') {
      const source = request?.source // room for one chunk of this one; who sends again opens another
      queueMicrotask(() => source !== undefined && source === request.source && pull(id, source))
    } else if (type === 'stopContent') {
      request?.source?.return?.()
      if (request !== undefined) request.source = undefined
    } else if (type === 'resolve') {
      network.resolve(rest.host, (error, addresses) => {
        if (error) tell({ type: 'resolveFailed', host: rest.host, error })
        else tell({ type: 'resolved', host: rest.host, addresses })
      })
    } else if (type === 'connect') connect(link, rest.target)
    else if (type === 'catchUp') network.caughtUp(() => tell({ type: 'caughtUp', link }))
    else if (type === 'closed') closed()
    else if (type === 'pauseReading') links.get(link)?.pause()
    else if (type === 'resumeReading') links.get(link)?.resume()
    else if (link !== undefined && type !== 'assigned') {
      flush()
      links.get(link)?.[type](rest.tls) // startTls, end, close, destroy, ref, unref
    }
  }

  function connect(link, target) {
    try {
      links.set(link, network.connect(target, sink(link)))
    } catch (error) {
      tell({ type: 'failed', link, error, side: 'connect' }) // options that the platform refuses
      tell({ type: 'closed', link })
    }
  }

  function pull(id, source) {
    try {
      const { done, value } = source.next()
      tell(done ? { type: 'contentEnd', id } : { type: 'content', id, data: value })
    } catch (error) {
      tell({ type: 'contentFailed', id, error })
    }
  }

  const sink = (link) => ({
    connected: (info) => tell({ type: 'connected', link, info }),
    secured: (info) => tell({ type: 'secured', link, info }),
    received: (data) => (tell({ type: 'received', link, data }), false),
    drained: (bytes) => tell({ type: 'drained', link, bytes }),
    eof: (clean) => tell({ type: 'eof', link, clean }),
    failed: (error, side) => tell({ type: 'failed', link, error, side }),
    closed: () => (links.delete(link), tell({ type: 'closed', link })),
  })

  return {
    /** `content` gives an iterator of bytes, each time it is called. Returns the way to give the request up. */
    request(method, url, { headers = [], content, onEvent, onDone }) {
      const id = ++ids
      const { origin, target } = splitUrl(url)
      const head = { method, scheme: origin.scheme, authority: formatAuthority(origin), target, headers }
      requests.set(id, { content, onEvent, onDone })
      const plan = { content: content === undefined ? 'none' : 'unknown', replayable: true, expectContinue: false }
      tell({ type: 'request', id, origin, head, ...plan, timeouts, trace: false })
      return (reason) => tell({ type: 'cancel', id, reason })
    },
    close(done) {
      closed = done
      tell({ type: 'close', grace: 30_000 })
    },
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const pool = callbackPool()
  let bytes = 0
  pool.request('POST', process.argv[2], {
    content: () => ['some', 'content'].map((text) => new TextEncoder().encode(text)).values(),
    onEvent: (event) => {
      if (event.type === 'response') console.log(event.status)
      if (event.type === 'data') bytes += event.data.length
    },
    onDone: (error) => pool.close(() => console.log(error?.message ?? `${bytes} bytes`)),
  })
}
