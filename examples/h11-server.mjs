// An HTTP/1.1 server on plain TCP that says what was asked of it. It prints its port.
// node examples/h11-server.mjs 8080
import { createServer } from 'node:net'
import { H11Connection } from 'httpcore/h11'

const now = () => performance.now()
const server = createServer({ allowHalfOpen: true }, (socket) => {
  const h11 = new H11Connection('server', { now: now() })
  let asked = ''
  let method = ''
  let exchange = 1
  const handle = () => {
    for (let event = h11.nextEvent(); event !== undefined; event = h11.nextEvent()) {
      if (event.type === 'request') {
        method = event.method
        asked = `${method} ${event.target}\n`
        if (event.expectContinue) h11.sendInformational(event.exchange, 100)
      } else if (event.type === 'data') h11.consume(event.exchange, event.data.length)
      else if (event.type === 'end') {
        const content = new TextEncoder().encode(asked)
        const status = method === 'CONNECT' ? 501 : 200
        const headers = { 'Content-Type': 'text/plain' }
        h11.sendResponse(event.exchange, { status, headers, content: { length: content.length } })
        h11.sendData(event.exchange, method === 'HEAD' ? new Uint8Array() : content, true)
        h11.nextExchange()
        exchange++
      } else if (event.type === 'error') {
        console.error(event.fault.message)
        h11.sendResponse(exchange, { status: event.fault.status, headers: {} }, { end: true })
      }
    }
    for (const chunk of h11.takeOutput()) socket.write(chunk)
    if (h11.wantsClose !== 'no') socket.end()
  }
  socket.on('error', (error) => console.error(error.message))
  socket.on('data', (bytes) => (h11.receiveData(bytes, now()), handle()))
  socket.on('end', () => (h11.receiveEof(now()), handle()))
})
server.listen(Number(process.argv[2] ?? 8080), '127.0.0.1', () => console.log(server.address().port))
