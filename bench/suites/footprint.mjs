// What a client costs that does nothing yet: to import, to make its first request, to keep a connection, to queue.
//
// Every figure comes from a process of its own that is measured once: `node` with a script, and what it prints. `floor`
// imports a file with nothing in it: what the first import of any file costs, since Node's own modules need no loader.
// Where connections are kept it is a socket of node:net each, and no client.
import { spawnSync } from 'node:child_process'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { createRequire } from 'node:module'
import { startServer } from '../lib/servers.mjs'

const here = fileURLToPath(new URL('..', import.meta.url))
const root = createRequire(new URL('../../package.json', import.meta.url))
const ours = pathToFileURL(root.resolve('httpcore')).href

/** What the library is to hold open; so many, too, that what a process makes once is a small part of each. */
const IDLE = 10_000
const QUEUED = 100_000

/** Source of a module: `client` is what it imports; `get(url)` a request; `keep(n)` an object with `get` on n connections. */
const SOURCES = {
  project: {
    client: `import { ConnectionPool, request } from '${ours}'`,
    get: `async (url) => (await request('GET', url)).status`,
    keep: `(n) => { const pool = new ConnectionPool({ maxConnections: n, maxIdleConnections: n, maxQueuedRequests: 1e6, keepAliveExpiry: null, timeout: { pool: null } }); return (url) => pool.request('GET', url) }`,
  },
  undici: {
    client: `import { Agent, request } from 'undici'`,
    get: `async (url) => { const { statusCode, body } = await request(url); await body.arrayBuffer(); return statusCode }`,
    keep: `(n) => { const dispatcher = new Agent({ connections: n, keepAliveTimeout: 600e3, headersTimeout: 0 }); return async (url) => (await request(url, { dispatcher })).body.arrayBuffer() }`,
  },
  'node:http': {
    client: `import http from 'node:http'`,
    get: `(url, agent) => new Promise((resolve, reject) => http.get(url, { agent }, (response) => response.resume().on('end', () => resolve(response.statusCode))).on('error', reject))`,
    keep: `(n) => { const agent = new http.Agent({ keepAlive: true, maxSockets: n, maxFreeSockets: n }); return (url) => get(url, agent) }`,
  },
  floor: {
    client: `import nothing from '${new URL('../lib/nothing.mjs', import.meta.url)}'`,
    keep: `(await import('${new URL('../lib/bare-sockets.mjs', import.meta.url)}')).keep`,
  },
  got: { client: `import got from 'got'`, get: `async (url) => (await got(url)).statusCode` },
  axios: { client: `import axios from 'axios'`, get: `async (url) => (await axios.get(url)).status` },
}

const dynamic = (client) => client.replace(/^import .* from '(.*)'$/, "await import('$1')")
const CASES = {
  'import, milliseconds': (peer) => `
    const before = performance.now(); ${dynamic(peer.client)}; console.log(performance.now() - before)`,
  'import, MB of memory': (peer) => `
    gc(); const before = process.memoryUsage.rss(); ${dynamic(peer.client)}; gc()
    console.log((process.memoryUsage.rss() - before) / 1e6)`,
  'import and first request, milliseconds': (peer, url) =>
    peer.get &&
    `const before = performance.now(); const run = ${importing(peer)}
    await run('${url}/1k'); console.log(performance.now() - before)`,
  'idle connection, KB of memory': (peer, url) => peer.keep && idle(peer, url, 'process.memoryUsage.rss()'),
  'idle connection, KB of heap': (peer, url) => peer.keep && idle(peer, url, 'process.memoryUsage().heapUsed'),
  [`${QUEUED.toLocaleString('en')} queued, MB of memory`]: (peer, url) =>
    peer.get &&
    peer.keep &&
    `${peer.client}; const get = ${peer.get}; const send = (${peer.keep})(10); await send('${url}/1k'); gc()
    const before = process.memoryUsage.rss()
    const all = Array.from({ length: ${QUEUED} }, () => send('${url}/1k'))
    console.log((process.memoryUsage.rss() - before) / 1e6); process.exit()`,
}
function importing({ client, get }) {
  const [, names, from] = /^import (.*) from '(.*)'$/.exec(client)
  const binding = names.startsWith('{') ? `const ${names}` : `const { default: ${names} }`
  return `await (async () => { ${binding} = await import('${from}'); return ${get} })()`
}
function idle({ client, get, keep }, url, memory) {
  return `${client}; const get = ${get}; const send = (${keep})(${IDLE})
    const round = () => Promise.all(Array.from({ length: ${IDLE} }, () => send('${url}/1k')))
    const warm = (${keep})(1); for (let i = 0; i < 200; i++) await warm('${url}/1k')
    gc(); gc(); const before = ${memory}
    await round(); await round(); await new Promise((resolve) => setTimeout(resolve, 100)); gc(); gc()
    console.log((${memory} - before) / 1000 / ${IDLE}); process.exit()`
}

function peer(name) {
  return {
    open: ({ server }) => ({
      prepare({ name: theCase }) {
        const script = CASES[theCase](SOURCES[name], server.url.plain)
        if (script === undefined) return undefined
        return {
          measure() {
            const args = ['--expose-gc', '--input-type=module', '-e', script]
            const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: here, encoding: 'utf8' })
            const value = Number.parseFloat(stdout)
            if (Number.isNaN(value)) throw new Error(`${name}, ${theCase}: ${stderr}`)
            return { value }
          },
        }
      },
    }),
  }
}

export default {
  title: 'Footprint',
  unit: '',
  baseline: 'undici',
  fresh: true,
  server: startServer,
  cases: Object.keys(CASES).map((name) => ({ name, unit: name.split(', ')[1], quick: name.startsWith('import,') })),
  peers: Object.fromEntries(Object.keys(SOURCES).map((name) => [name, peer(name)])),
}
