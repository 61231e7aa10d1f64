// Five minutes of silence and a connection that is cut, in no time: a network in memory, on a clock that waits for you.
// node examples/sim.mjs
import { ConnectionPool } from 'httpcore'
import { H11Connection } from 'httpcore/h11'
import { pump, SimNetwork } from 'httpcore/sim'

const sim = new SimNetwork({ seed: 7, latency: [5, 20], cut: true })
sim.listen('a.test', 80, (link) => {
  const server = new H11Connection('server', { now: sim.now() })
  let silent = false
  const sink = pump(
    server,
    () => sim.now(),
    (event) => {
      if (event.type === 'request') silent = event.target === '/silent'
      if (event.type !== 'end' || silent) return
      server.sendResponse(event.exchange, { status: 200, headers: [], content: { length: 5 } })
      server.sendData(event.exchange, new TextEncoder().encode('hello'), true)
      server.nextExchange()
    },
  )
  sink.attach(link)
  return sink
})

const pool = new ConnectionPool({ networkBackend: sim })
for (const target of ['/', '/silent', '/cut']) {
  if (target === '/cut') sim.fault({ host: 'a.test', at: 'toClient', afterBytes: 20, what: 'reset' })
  const outcome = pool.request('GET', `http://a.test${target}`).then(
    ({ content }) => new TextDecoder().decode(content),
    ({ name, disposition }) => `${name}, ${disposition}`,
  )
  await sim.run(outcome) // time passes until it has settled
  console.log(target, await outcome, `after ${Math.round(sim.now() / 1000)} s`)
}
await sim.run(pool.close())
