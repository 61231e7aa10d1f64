// HTTP/2 without a socket: what one request costs, and a MiB of content, in frames of 16 KiB.
//
// The cases of a client alone answer every peer from the same responder (lib/h2-responder.mjs), which decodes nothing:
// what is on the clock is the client. `project` is given its bytes by calls, as a machine is; `node:http2` has no form
// without a stream, so it gets one in memory, and `project, stream pair` the very same one. Windows are alike for all.
import * as http2 from 'node:http2'
import { concurrentlyWithCallbacks } from '../lib/concurrently.mjs'
import { Responder } from '../lib/h2-responder.mjs'
import { project } from '../lib/project.mjs'
import { streamPair, streamTo } from '../lib/stream-pair.mjs'

const MiB = 1024 * 1024
const STREAM_WINDOW = 4 * MiB
const CONNECTION_WINDOW = 16 * MiB

const AUTHORITY = 'a.example'
const PATH = '/items/1842?view=full'
const REQUEST = [
  ['accept', 'application/json'],
  ['accept-encoding', 'gzip, br'],
  ['user-agent', 'bench/1.0'],
  ['x-request-id', '7b1c2d'],
]
const response = (length) => [
  ['content-type', 'application/json'],
  ['content-length', `${length}`],
  ['date', 'Mon, 06 Jul 2026 10:00:00 GMT'],
  ['server', 'bench'],
  ['cache-control', 'max-age=60'],
  ['etag', '"5f3a-1842"'],
  ['vary', 'accept-encoding'],
]

const KiB1 = Buffer.alloc(1024, 'x')
const MiB1 = Buffer.alloc(MiB, 'y')
const NOTHING = Buffer.alloc(0)
const get = (name, content, width, more) => ({ name, content, upload: NOTHING, width, ...more })

export default {
  title: 'HTTP/2 without a socket',
  unit: 'request',
  baseline: 'node:http2',
  cases: [
    get('client: 1 KiB, concurrency 100', KiB1, 100, { quick: true }),
    get('client: no content, concurrency 100', NOTHING, 100),
    get('client: 1 KiB, concurrency 1', KiB1, 1),
    get('client: 1 MiB received', MiB1, 1, { unit: 'MiB', quick: true }),
    { name: 'client: 1 MiB sent', content: NOTHING, upload: MiB1, width: 1, unit: 'MiB', quick: true },
    get('client and server: 1 KiB, concurrency 100', KiB1, 100, { server: true, quick: true }),
    get('client and server: 1 MiB', MiB1, 1, { server: true, unit: 'MiB' }),
  ],
  peers: {
    project: peer(async (theCase) => inMemory(await machines(), theCase)),
    'project, stream pair': peer(async (theCase) => overStream(await machines(), theCase)),
    'node:http2': peer(nodeHttp2),
  },
}

const machines = async () => (await project('h2')).H2Connection

/** A peer connects per case, and makes requests: `ask(done)` calls back with what was seen. */
function peer(connect) {
  return {
    open: () => ({
      async prepare(theCase) {
        const client = await connect(theCase)
        const one = (done) => client.ask((seen) => done(undefined, seen))
        return {
          result: () =>
            new Promise((resolve) => {
              // The second answer is the one that all later ones are like.
              client.ask(() => one((_, seen) => resolve(seen)))
              client.turn()
            }),
          run: (n) => {
            const all = concurrentlyWithCallbacks(n, theCase.width, one)
            client.turn()
            return all
          },
          close: () => client.close(),
        }
      },
    }),
  }
}

async function responderFor({ content }) {
  const { HpackEncoder } = await project('hpack')
  const encoder = new HpackEncoder()
  const fields = [[':status', '200'], ...response(content.length)]
  return new Responder([encoder.encode(fields), encoder.encode(fields)], content)
}

// ── the project's machines ──

/** A client machine, as its user would write it. */
function ours(H2Connection, { upload }) {
  const limits = { streamWindow: STREAM_WINDOW, connectionWindow: CONNECTION_WINDOW }
  const machine = new H2Connection('client', { now: 0, limits })
  const head = { method: upload.length > 0 ? 'POST' : 'GET', scheme: 'http', authority: AUTHORITY, target: PATH }
  const running = new Map()
  return {
    machine,
    ask(done) {
      const id = machine.sendRequest({ ...head, headers: REQUEST }, { end: upload.length === 0 })
      if (upload.length > 0) machine.sendData(id, upload, true)
      running.set(id, { status: 0, headers: [], bytes: 0, done })
    },
    receive(bytes) {
      machine.receiveData(bytes, 0)
      for (let event = machine.nextEvent(); event !== undefined; event = machine.nextEvent()) {
        if (event.type === 'data') {
          running.get(event.exchange).bytes += event.data.length
          machine.consume(event.exchange, event.data.length)
        } else if (event.type === 'response') {
          const seen = running.get(event.exchange)
          seen.status = event.status
          const { headers } = event
          for (let i = 0; i < headers.length; i++) seen.headers.push(headers.name(i), headers.value(i))
        } else if (event.type === 'end') {
          const { done, ...seen } = running.get(event.exchange)
          running.delete(event.exchange)
          done(seen)
        } else if (event.type === 'failed' || event.type === 'error') throw new Error(event.fault.message)
      }
    },
  }
}

/** A server machine with the interface of the responder. */
function oursServing(H2Connection, { content }) {
  const limits = { streamWindow: STREAM_WINDOW, connectionWindow: CONNECTION_WINDOW }
  const machine = new H2Connection('server', { now: 0, limits })
  const headers = response(content.length)
  return {
    receive(bytes) {
      machine.receiveData(bytes, 0)
      for (let event = machine.nextEvent(); event !== undefined; event = machine.nextEvent()) {
        if (event.type === 'request') {
          machine.sendResponse(event.exchange, { status: 200, headers })
          machine.sendData(event.exchange, content, true)
        } else if (event.type === 'failed' || event.type === 'error') throw new Error(event.fault.message)
      }
    },
    take: () => machine.takeOutput(),
  }
}

async function inMemory(H2Connection, theCase) {
  const client = ours(H2Connection, theCase)
  const server = theCase.server ? oursServing(H2Connection, theCase) : await responderFor(theCase)
  return {
    ask: client.ask,
    turn() {
      for (let moved = true; moved; ) {
        moved = false
        for (const bytes of client.machine.takeOutput()) server.receive(bytes)
        for (const bytes of server.take()) {
          moved = true
          client.receive(bytes)
        }
      }
    },
    close() {},
  }
}

async function overStream(H2Connection, theCase) {
  const client = ours(H2Connection, theCase)
  const flush = (stream, chunks) => {
    stream.cork()
    for (const bytes of chunks) stream.write(bytes)
    stream.uncork()
  }
  let stream
  if (theCase.server) {
    const server = oursServing(H2Connection, theCase)
    const [near, far] = streamPair()
    stream = near
    far.on('data', (bytes) => {
      server.receive(bytes)
      flush(far, server.take())
    })
    flush(far, server.take())
  } else stream = streamTo(await responderFor(theCase))
  const turn = () => flush(stream, client.machine.takeOutput())
  stream.on('data', (bytes) => {
    client.receive(bytes)
    turn()
  })
  return { ask: client.ask, turn, close: () => stream.destroy() }
}

// ── node:http2 ──

async function nodeHttp2(theCase) {
  const settings = { initialWindowSize: STREAM_WINDOW, enablePush: false }
  let stream
  if (theCase.server) {
    const server = http2.createServer({ settings })
    const headers = { ':status': 200, ...Object.fromEntries(response(theCase.content.length)) }
    server.on('stream', (exchange) => {
      exchange.respond(headers)
      exchange.end(theCase.content)
    })
    const [near, far] = streamPair()
    stream = near
    server.emit('connection', far)
  } else stream = streamTo(await responderFor(theCase))
  const session = http2.connect(`http://${AUTHORITY}`, { createConnection: () => stream, settings })
  await new Promise((resolve) => session.once('remoteSettings', resolve))
  session.setLocalWindowSize(CONNECTION_WINDOW)
  const { upload } = theCase
  const method = upload.length > 0 ? 'POST' : 'GET'
  const head = { ':method': method, ':scheme': 'http', ':authority': AUTHORITY, ':path': PATH }
  return {
    ask(done) {
      const seen = { status: 0, headers: [], bytes: 0 }
      const exchange = session.request({ ...head, ...Object.fromEntries(REQUEST) }, { endStream: upload.length === 0 })
      if (upload.length > 0) exchange.end(upload)
      exchange.on('response', (headers) => {
        seen.status = headers[':status']
        for (const name in headers) if (name !== ':status') seen.headers.push(name, headers[name])
      })
      exchange.on('data', (bytes) => {
        seen.bytes += bytes.length
      })
      exchange.on('end', () => done(seen))
      exchange.on('error', (error) => {
        throw error
      })
    },
    turn() {},
    close: () => session.destroy(),
  }
}
