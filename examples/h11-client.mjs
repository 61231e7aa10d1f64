// Two requests, one after the other, over one HTTP/1.1 connection on plain TCP.
// node examples/h11-client.mjs 8080   while examples/h11-server.mjs runs
import { connect } from 'node:net'
import { H11Connection } from 'httpcore/h11'

const port = Number(process.argv[2] ?? 8080)
const now = () => performance.now()
const socket = connect(port, '127.0.0.1')
const h11 = new H11Connection('client', { now: now() })
const targets = ['/one', '/two']

const flush = () => {
  for (const chunk of h11.takeOutput()) socket.write(chunk)
  if (h11.wantsClose !== 'no') socket.end()
}
const next = () => {
  const target = targets.shift()
  if (target === undefined) h11.close(now())
  else h11.sendRequest({ method: 'GET', authority: `127.0.0.1:${port}`, target, headers: {} }, { end: true })
  flush()
}
next()

const handle = () => {
  for (let event = h11.nextEvent(); event !== undefined; event = h11.nextEvent()) {
    if (event.type === 'response') console.log(event.exchange, event.status, [...event.headers])
    else if (event.type === 'data') {
      console.log(event.exchange, new TextDecoder().decode(event.data).trim())
      h11.consume(event.exchange, event.data.length)
    } else if (event.type === 'end') next()
    else if (event.type === 'failed' || event.type === 'error') console.error(event.fault)
  }
  flush()
}
socket.on('error', (error) => console.error(error.message))
socket.on('data', (bytes) => (h11.receiveData(bytes, now()), handle()))
socket.on('end', () => (h11.receiveEof(now()), handle()))
