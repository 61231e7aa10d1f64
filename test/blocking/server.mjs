// The other side of a blocked thread: servers on a thread of their own. They post their ports.
import { createServer } from 'node:http'
import { createServer as createH2c, createSecureServer } from 'node:http2'
import { createServer as createSecure } from 'node:https'
import { TLSSocket } from 'node:tls'
import { parentPort, workerData } from 'node:worker_threads'

// No two places of it look alike for long.
const MIB = Buffer.from(Uint8Array.from({ length: 1 << 20 }, (_, i) => i * 31 + (i >>> 8)))

/** Connections that have had a request. */
const met = new WeakSet()

function answer(request, response) {
  const [, what, count] = request.url.split('/')
  if (what === 'silent') return
  if (what === 'once' && met.has(request.socket)) return void setTimeout(() => request.socket.resetAndDestroy(), 20)
  met.add(request.socket)
  if (what === 'large') {
    let left = Number(count)
    const more = () => {
      while (left > 0) if ((left--, !response.write(MIB))) return void response.once('drain', more)
      response.end()
    }
    return more()
  }
  if (what === 'late') return void setTimeout(() => response.end('late'), Number(count))
  if (what === 'halves') {
    request.resume()
    response.write('half')
    return void setTimeout(() => response.end('half'), Number(count))
  }
  if (what === 'hints') {
    request.socket.cork()
    response.writeEarlyHints({ link: '</style.css>; rel=preload' })
    response.end('hinted')
    return request.socket.uncork()
  }
  // Over HTTP/1.1: a response as it is given, in one write, and then the end.
  if (what === 'raw') return void request.socket.end(decodeURIComponent(count))
  const chunks = []
  request.on('data', (chunk) => chunks.push(chunk))
  request.on('end', () => {
    const { method, headers, trailers } = request
    const content = Buffer.concat(chunks).toString('latin1')
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ method, length: headers['content-length'], trailers, content }))
  })
}

/** What comes goes back: to the end, where it is asked for that; within TLS, where it is asked for that. */
function echo(request, socket) {
  const { upgrade } = request.headers
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${upgrade}\r\n\r\n`)
  socket.on('error', () => socket.destroy())
  const stream = upgrade === 'tls' ? new TLSSocket(socket, { isServer: true, ...identity }) : socket
  stream.on('error', () => stream.destroy()).pipe(stream, { end: upgrade !== 'echo' })
}

const listen = (server, where) => new Promise((resolve) => server.listen(where, () => resolve(server.address().port)))
const here = { host: '127.0.0.1', port: 0 }
const { identity, unix } = workerData
await listen(createServer(answer), { path: unix })
parentPort.postMessage({
  http: await listen(createServer(answer).on('upgrade', echo), here),
  https: await listen(createSecure(identity, answer), here),
  http2: await listen(createSecureServer(identity, answer), here),
  h2c: await listen(createH2c(answer), here),
})
