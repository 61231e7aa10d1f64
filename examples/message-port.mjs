// A server in another thread, reached through message ports: no socket anywhere.
// node examples/message-port.mjs
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { ConnectionPool, pump } from 'httpcore'
import { H11Connection } from 'httpcore/h11'
import { portLink, portNetwork } from './message-port-network.mjs'

if (isMainThread) {
  const server = new Worker(new URL(import.meta.url))
  const network = portNetwork((port) => (server.postMessage(port, [port]), true))
  const pool = new ConnectionPool({ networkBackend: network })
  const response = await pool.request('POST', 'http://thread.test/shout', { content: 'hello, thread' })
  console.log(response.status, String(Buffer.from(response.content)))
  await pool.close()
  await server.terminate()
} else {
  parentPort.on('message', (port) => {
    const machine = new H11Connection('server', { now: performance.now() })
    let content = ''
    const joined = pump(
      machine,
      () => performance.now(),
      (event) => {
        if (event.type === 'data') {
          content += Buffer.from(event.data)
          machine.consume(event.exchange, event.data.length)
        } else if (event.type === 'end') {
          const answer = Buffer.from(content.toUpperCase())
          machine.sendResponse(event.exchange, { status: 200, headers: {}, content: { length: answer.length } })
          machine.sendData(event.exchange, answer, true)
          content = ''
          machine.nextExchange()
        }
      },
    )
    joined.attach(portLink(port, joined))
  })
}
