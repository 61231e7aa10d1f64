// An HTTP/2 server over plain TCP (prior knowledge), held by hand: bytes in, events out, bytes out.
// node examples/h2c-server.mjs 8080   then   curl --http2-prior-knowledge http://127.0.0.1:8080/
import { createServer } from 'node:net'
import { H2Connection } from 'httpcore/h2'

const hello = new TextEncoder().encode('hello, world\n')
const now = () => performance.now()

const server = createServer({ noDelay: true }, (socket) => {
  const h2 = new H2Connection('server', { now: now() })

  const flush = () => {
    socket.cork()
    for (const chunk of h2.takeOutput()) socket.write(chunk)
    socket.uncork()
    if (h2.wantsClose !== 'no') socket.end()
  }
  const serve = () => {
    for (let event = h2.nextEvent(); event !== undefined; event = h2.nextEvent()) {
      if (event.type === 'data') h2.consume(event.exchange, event.data.length)
      if (event.type !== 'request') continue
      const { exchange, method } = event
      const status = method === 'CONNECT' ? 501 : 200
      const headers = { 'content-type': 'text/plain' }
      h2.sendResponse(exchange, { status, headers, content: { length: hello.length } })
      h2.sendData(exchange, method === 'HEAD' ? new Uint8Array() : hello, true)
    }
    flush()
  }

  flush()
  socket.on('data', (bytes) => (h2.receiveData(bytes, now()), serve()))
  socket.on('end', () => (h2.receiveEof(now()), serve()))
  socket.on('error', () => socket.destroy())
})
server.listen(Number(process.argv[2] ?? 8080), '127.0.0.1', () => console.log(`listening on ${server.address().port}`))
