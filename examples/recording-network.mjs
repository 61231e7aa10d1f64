// A network around another one, which writes down every byte and every fact.
// node examples/recording-network.mjs http://127.0.0.1:8080/
import { pathToFileURL } from 'node:url'
import { ConnectionPool, nodeNetwork } from 'httpcore'

/** `note(link, direction, what)`: '>' what was written, '<' what came, '!' any other fact. Bytes are lent to it. */
export function recordingNetwork(network, note) {
  let links = 0
  return {
    can: network.can,
    now: () => network.now(),
    timer: (at, fire, keepAlive) => network.timer(at, fire, keepAlive),
    resolve: (host, done) => network.resolve(host, done),
    caughtUp: network.caughtUp?.bind(network), // left out where the network inside leaves it out
    random: network.random?.bind(network),
    connect(target, sink) {
      const id = ++links
      const told = (fact, info, ...more) => {
        note(id, '!', fact)
        return sink[fact](info, ...more)
      }
      const link = network.connect(target, {
        received: (data, turn) => (note(id, '<', data), sink.received(data, turn)),
        drained: (bytes, atOnce) => sink.drained(bytes, atOnce),
        connected: (info) => told('connected', info),
        secured: (info) => told('secured', info),
        eof: (clean) => told('eof', clean),
        failed: (error, side) => told('failed', error, side),
        closed: () => told('closed'),
      })
      return {
        write(chunks) {
          for (const chunk of chunks) note(id, '>', chunk)
          link.write(chunks)
        },
        startTls: (tls) => link.startTls(tls),
        end: () => link.end(),
        pause: () => link.pause(),
        resume: () => link.resume(),
        ref: () => link.ref(),
        unref: () => link.unref(),
        close: () => link.close(),
        destroy: () => link.destroy(),
      }
    },
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const print = (link, direction, what) =>
    console.log(link, direction, typeof what === 'string' ? what : JSON.stringify(Buffer.from(what).toString('latin1')))
  const pool = new ConnectionPool({ networkBackend: recordingNetwork(nodeNetwork(), print) })
  await pool.request('GET', process.argv[2])
  await pool.close()
}
