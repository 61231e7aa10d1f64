// HTTP/2 end to end, over TLS by ALPN and in cleartext by prior knowledge: what one request costs the client, all of
// them on one connection.
import { floor, node, ours, undici } from '../lib/clients.mjs'
import { startServer } from '../lib/servers.mjs'

export default {
  title: 'HTTP/2 end to end',
  unit: 'request',
  baseline: 'node:http2',
  server: startServer,
  connects: true,
  cases: [
    { name: 'TLS, 1 KiB, concurrency 1', base: 'h2', path: '/1k', width: 1, quick: true },
    { name: 'TLS, 1 KiB, concurrency 50', base: 'h2', path: '/1k', width: 50, quick: true },
    { name: 'TLS, 1 KiB, concurrency 500', base: 'h2', path: '/1k', width: 500 },
    { name: 'TLS, 1 KiB, concurrency 1,000', base: 'h2', path: '/1k', width: 1000 },
    { name: 'TLS, 1 MiB', base: 'h2', path: '/1m', width: 1 },
    { name: 'TLS, 100 MiB', base: 'h2', path: '/100m', width: 1 },
    { name: 'TLS, POST 1 MiB', base: 'h2', path: '/upload', width: 1, content: true, bothOrders: true },
    { name: 'cleartext, 1 KiB, concurrency 1', base: 'h2c', path: '/1k', width: 1, quick: true },
    { name: 'cleartext, 1 KiB, concurrency 50', base: 'h2c', path: '/1k', width: 50 },
  ],
  peers: {
    project: ours.whole,
    'project chunks': ours.chunks,
    'project forEach': ours.lent,
    'node:http2': node,
    'undici dispatch': undici.dispatch,
    'undici request': undici.request,
    floor,
  },
}
