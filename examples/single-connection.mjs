// A pool of one's own: single connections held by hand, and a rule of one's own for who takes the next request. Here the
// first that has a place takes it, and a new one is opened when none has.
// node examples/single-connection.mjs http://127.0.0.1:8080/
import { SingleConnection } from 'httpcore'

const url = process.argv[2] ?? 'http://127.0.0.1:8080/'
const connections = []

async function send(method, target) {
  for (const connection of connections) {
    try {
      return await connection.request(method, target)
    } catch (error) {
      if (error.name !== 'ConnectionNotAvailable') throw error // it is taken: the next one
    }
  }
  const connection = new SingleConnection()
  connections.push(connection)
  return connection.request(method, target)
}

const responses = await Promise.all([send('GET', url), send('GET', url)])
responses.push(await send('GET', url))
for (const { status, connection } of responses) console.log(status, connection.reused ? 'reused' : 'new')
for (const connection of connections) console.log(connection.info())
await Promise.all(connections.map((connection) => connection.close()))
