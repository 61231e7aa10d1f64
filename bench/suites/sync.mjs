// The blocking interface in sequence: wall time, since much of what the peers cost is in other processes and threads.
//
// All threads of a peer share one core where peers are pinned (README.md), as in a container with one: the blocking
// interface and synckit pay there for every switch between their two threads, and can never read and compute at once.
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { project } from '../lib/project.mjs'
import { startServer } from '../lib/servers.mjs'

const WARM_UP = 3_000

/** `times(n, url)` fetches n times and answers how many bytes came; the figure is the time of one. */
function peer(times, large = true) {
  return {
    async open({ server, quick }) {
      const fetch = await times()
      return {
        async prepare({ path, unit, count, slow }) {
          if (fetch === undefined || (path !== '/1k' && !large)) return undefined
          const url = server.url.plain + path
          const n = quick ? 1 : fetch.slow ? slow : count
          if (!quick && path === '/1k' && !fetch.slow) await fetch(WARM_UP, url)
          return {
            result: async () => await fetch(1, url),
            async measure() {
              const before = performance.now()
              const inner = await fetch(n, url, true)
              const each = (typeof inner === 'object' ? inner.wall : performance.now() - before) / n
              return { value: unit === 'ms' ? each : each * 1000 }
            },
          }
        },
      }
    },
  }
}
const slow = (fetch) => Object.assign(fetch, { slow: true })

const PYTHON = `
import sys, time, httpcore
n, url = int(sys.argv[1]), sys.argv[2]
with httpcore.ConnectionPool() as pool:
    size = len(pool.request("GET", url).content)
    began = time.perf_counter()
    for _ in range(n): pool.request("GET", url)
    print(size, (time.perf_counter() - began) * 1000)
`

export default {
  title: 'Blocking requests in sequence',
  unit: 'µs',
  baseline: 'project async',
  server: startServer,
  cases: [
    { name: '1 KiB', path: '/1k', unit: 'µs', count: 3_000, slow: 30, quick: true },
    { name: '100 MiB', path: '/100m', unit: 'ms', count: 4, slow: 4 },
  ],
  peers: {
    project: peer(async () => {
      const { ConnectionPool } = await project('sync')
      const pool = new ConnectionPool()
      return (n, url) => {
        let bytes = 0
        for (let i = 0; i < n; i++) {
          bytes = 0
          pool.stream('GET', url).forEach((chunk) => {
            bytes += chunk.byteLength
          })
        }
        return bytes
      }
    }),
    'project async': peer(async () => {
      const { ConnectionPool } = await project('')
      const pool = new ConnectionPool()
      return async (n, url) => {
        let bytes = 0
        for (let i = 0; i < n; i++) {
          bytes = 0
          const response = await pool.stream('GET', url)
          await response.forEach((chunk) => {
            bytes += chunk.byteLength
          })
        }
        return bytes
      }
    }),
    'synckit + undici': peer(async () => {
      const { createSyncFn } = await import('synckit')
      const get = createSyncFn(new URL('../lib/synckit-worker.mjs', import.meta.url))
      return (n, url) => {
        let bytes = 0
        for (let i = 0; i < n; i++) bytes = get(url)
        return bytes
      }
    }, false),
    'sync-request': peer(async () => {
      const request = createRequire(import.meta.url)('sync-request')
      return slow((n, url) => {
        let bytes = 0
        for (let i = 0; i < n; i++) bytes = request('GET', url).getBody().length
        return bytes
      })
    }, false),
    'spawnSync curl': peer(async () => {
      if (spawnSync('curl', ['--version']).status !== 0) return undefined
      return slow((n, url) => {
        let bytes = 0
        for (let i = 0; i < n; i++) bytes = spawnSync('curl', ['-s', url], { maxBuffer: 1 << 30 }).stdout.length
        return bytes
      })
    }),
    'python httpcore': peer(async () => {
      const python = ['python3', '/usr/bin/python3'].find(
        (each) => spawnSync(each, ['-c', 'import httpcore']).status === 0,
      )
      if (python === undefined) return undefined
      return (n, url, timed) => {
        const [bytes, wall] = spawnSync(python, ['-c', PYTHON, n, url], { encoding: 'utf8' })
          .stdout.split(' ')
          .map(Number)
        return timed ? { wall } : bytes
      }
    }),
  },
}
