// What a request costs that has to wait: all of them asked for in one turn, ten connections to serve them.
import http from 'node:http'
import { project } from '../lib/project.mjs'
import { startServer } from '../lib/servers.mjs'

const CONNECTIONS = 10
/** Requests of one measured run, in as many batches as that takes. */
const ENOUGH = 20_000
const size = (queued) => ({ name: `${queued.toLocaleString('en')} queued`, queued, quick: queued === 10 })

/**
 * `send()` resolves when a response of 1 KiB has come whole; CPU µs per request. It adds as little of its own as it can,
 * since that waits and is collected with what the peer holds: nothing where the peer gives a promise of the whole, one
 * promise where it calls back, an async function where there are two to await (undici request).
 */
function peer(make) {
  return {
    async open({ server }) {
      const { send, bytes = (answer) => answer, close } = await make(`${server.url.plain}/1k`)
      return {
        prepare: ({ queued }) => ({
          result: async () => bytes(await send()),
          async measure() {
            const batches = Math.ceil(ENOUGH / queued)
            const before = process.cpuUsage()
            for (let i = 0; i < batches; i++) await Promise.all(Array.from({ length: queued }, send))
            const { user, system } = process.cpuUsage(before)
            return { units: batches * queued, value: (user + system) / (batches * queued) }
          },
        }),
        close,
      }
    },
  }
}

export default {
  title: 'Requests that queue for ten connections',
  unit: 'CPU µs per request',
  baseline: 'undici dispatch',
  server: startServer,
  cases: [10, 1_000, 10_000, 100_000].map(size),
  peers: {
    project: peer(async (url) => {
      const { ConnectionPool } = await project('')
      const pool = new ConnectionPool({
        maxConnections: CONNECTIONS,
        maxQueuedRequests: 1_000_000,
        timeout: { pool: null },
      })
      return {
        send: () => pool.request('GET', url),
        bytes: ({ content }) => content.byteLength,
        close: () => pool.close(),
      }
    }),
    'undici dispatch': peer(async (url) => {
      const { Pool } = await import('undici')
      const pool = new Pool(new URL(url).origin, { connections: CONNECTIONS, headersTimeout: 0 })
      const options = { method: 'GET', path: '/1k' }
      return {
        send: () =>
          new Promise((resolve, reject) => {
            let bytes = 0
            pool.dispatch(options, {
              onConnect() {},
              onHeaders: () => true,
              onData(chunk) {
                bytes += chunk.length
                return true
              },
              onComplete: () => resolve(bytes),
              onError: reject,
            })
          }),
        close: () => pool.close(),
      }
    }),
    'undici request': peer(async (url) => {
      const { Pool } = await import('undici')
      const pool = new Pool(new URL(url).origin, { connections: CONNECTIONS, headersTimeout: 0 })
      return {
        send: async () => (await (await pool.request({ method: 'GET', path: '/1k' })).body.arrayBuffer()).byteLength,
        close: () => pool.close(),
      }
    }),
    'node:http': peer(async (url) => {
      const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS })
      return {
        send: () =>
          new Promise((resolve, reject) => {
            const request = http.get(url, { agent }, (response) => {
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
