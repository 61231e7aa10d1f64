// Ten thousand origins in turn, each asked once and not kept: what finding, connecting and forgetting one costs.
import http from 'node:http'
import { concurrently } from '../lib/concurrently.mjs'
import { project } from '../lib/project.mjs'
import { startServer } from '../lib/servers.mjs'

const ORIGINS = 10_000
const ADDRESS = '127.0.0.1'

function peer(make) {
  return {
    async open({ server }) {
      const { port } = new URL(server.url.plain)
      const { send, close } = await make()
      let next = 0
      const one = () => send(`http://host-${next++ % ORIGINS}.test:${port}`)
      return { prepare: ({ width }) => ({ result: one, run: (n) => concurrently(n, width, one) }), close }
    },
  }
}
const lookup = (_host, { all }, done) => (all ? done(null, [{ address: ADDRESS, family: 4 }]) : done(null, ADDRESS, 4))

export default {
  title: 'Ten thousand origins, a connection each',
  unit: 'request',
  baseline: 'undici request',
  server: startServer,
  cases: [{ name: 'concurrency 50', width: 50 }],
  peers: {
    project: peer(async () => {
      const { ConnectionPool } = await project('')
      const pool = new ConnectionPool({ maxConnections: 50, resolve: () => [ADDRESS] })
      const options = { headers: { connection: 'close' } }
      return {
        send: async (origin) => (await pool.request('GET', `${origin}/1k`, options)).content.byteLength,
        close: () => pool.close(),
      }
    }),
    'undici request': peer(async () => {
      const { Agent } = await import('undici')
      const agent = new Agent({ connections: 1, pipelining: 0, connect: { lookup } })
      return {
        async send(origin) {
          const { body } = await agent.request({ origin, method: 'GET', path: '/1k' })
          return (await body.arrayBuffer()).byteLength
        },
        close: () => agent.destroy(),
      }
    }),
    'node:http': peer(async () => {
      const agent = new http.Agent({ keepAlive: false, lookup })
      return {
        send: (origin) =>
          new Promise((resolve, reject) => {
            const request = http.get(`${origin}/1k`, { agent }, (response) => {
              let bytes = 0
              response.on('data', (chunk) => {
                bytes += chunk.length
              })
              response.on('end', () => resolve(bytes))
            })
            request.on('error', reject)
          }),
        close: () => agent.destroy(),
      }
    }),
  },
}
