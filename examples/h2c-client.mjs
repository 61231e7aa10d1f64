// Two requests at once over one HTTP/2 connection on plain TCP (prior knowledge).
// node examples/h2c-client.mjs 8080   while examples/h2c-server.mjs runs
import { connect } from 'node:net'
import { H2Connection } from 'httpcore/h2'

const port = Number(process.argv[2] ?? 8080)
const now = () => performance.now()
const socket = connect(port, '127.0.0.1')
const h2 = new H2Connection('client', { now: now() })

const flush = () => {
  for (const chunk of h2.takeOutput()) socket.write(chunk)
  if (h2.wantsClose !== 'no') socket.end()
}
for (const target of ['/one', '/two']) {
  const head = { method: 'GET', scheme: 'http', authority: `127.0.0.1:${port}`, target, headers: {} }
  h2.sendRequest(head, { end: true })
}
h2.close(now()) // begin nothing more; what runs goes on
flush()

socket.on('error', (error) => console.error(error.message))
socket.on('data', (bytes) => {
  h2.receiveData(bytes, now())
  for (let event = h2.nextEvent(); event !== undefined; event = h2.nextEvent()) {
    if (event.type === 'response') console.log(event.exchange, event.status, [...event.headers])
    else if (event.type === 'data') {
      console.log(event.exchange, new TextDecoder().decode(event.data).trim())
      h2.consume(event.exchange, event.data.length)
    } else if (event.type === 'failed' || event.type === 'error') console.error(event.fault)
  }
  flush()
})
