// A network of scripts, for tests: what must be written, byte for byte, and what comes back.
// node examples/mock-network.mjs
import { pathToFileURL } from 'node:url'
import { ConnectionPool, nodeNetwork } from 'httpcore'

/**
 * One script per connection: steps of `{ write, read }`, in latin1. `write` must be written before `read` comes; anything
 * else fails the link. `missing()` is what was never written.
 */
export function mockNetwork(...scripts) {
  const clock = nodeNetwork()
  const open = []
  return {
    can: { alpn: false, sni: false, startTls: false, halfClose: true, unix: true, closeNotify: false },
    now: () => clock.now(),
    timer: (at, fire, keepAlive) => clock.timer(at, fire, keepAlive),
    resolve: (host, done) => queueMicrotask(() => done(undefined, [host])),
    connect(target, sink) {
      if (target.tls !== undefined) throw new Error('this network has no TLS')
      const steps = [...(scripts.shift() ?? [])]
      open.push(steps)
      let written = ''
      let over = false
      // A fact is never told from inside a call.
      const tell = (fact) => queueMicrotask(() => over || fact())
      const gone = () => tell(() => ((over = true), sink.closed()))
      tell(() => sink.connected({}))
      return {
        write(chunks) {
          for (const chunk of chunks) {
            written += Buffer.from(chunk).toString('latin1')
            tell(() => sink.drained(chunk.length))
          }
          while (steps.length > 0 && written.startsWith(steps[0].write)) {
            const { write, read } = steps.shift()
            written = written.slice(write.length)
            tell(() => sink.received(new Uint8Array(Buffer.from(read, 'latin1'))))
          }
          const wanted = steps[0]?.write ?? ''
          if (wanted.startsWith(written)) return
          const what = `${JSON.stringify(written)} was written where ${JSON.stringify(wanted)} was to come`
          tell(() => ((over = true), sink.failed(new Error(what), 'write'), sink.closed()))
        },
        end: () => tell(() => sink.eof()),
        startTls: () => tell(() => sink.failed(new Error('this network has no TLS'), 'tls')),
        close: gone,
        destroy: gone,
        pause() {},
        resume() {},
        ref() {},
        unref() {},
      }
    },
    missing: () => [...open, ...scripts].flat().map(({ write }) => write),
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const network = mockNetwork([
    { write: 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n', read: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello' },
  ])
  const pool = new ConnectionPool({ networkBackend: network })
  console.log(String(Buffer.from((await pool.request('GET', 'http://a.test/')).content)), network.missing())
  const { name, cause } = await pool.request('GET', 'http://a.test/other').catch((error) => error)
  console.log(name, cause.message)
  await pool.close()
}
