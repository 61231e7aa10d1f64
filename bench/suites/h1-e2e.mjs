// HTTP/1.1 end to end, plain and over TLS: what one request costs the client, connections reused.
import { floor, node, others, ours, undici } from '../lib/clients.mjs'
import { startServer } from '../lib/servers.mjs'

export default {
  title: 'HTTP/1.1 end to end',
  unit: 'request',
  baseline: 'undici dispatch',
  server: startServer,
  connects: true,
  cases: [
    { name: '1 KiB, concurrency 1', path: '/1k', width: 1, everybody: true, quick: true },
    { name: '1 KiB, concurrency 50', path: '/1k', width: 50, everybody: true, bothOrders: true, quick: true },
    { name: '1 KiB, concurrency 500', path: '/1k', width: 500, bothOrders: true },
    { name: '1 MiB', path: '/1m', width: 1, everybody: true },
    { name: '100 MiB', path: '/100m', width: 1 },
    { name: 'POST 1 MiB, concurrency 1', path: '/upload', width: 1, content: true, bothOrders: true, quick: true },
    { name: 'POST 1 MiB, concurrency 50', path: '/upload', width: 50, content: true, bothOrders: true },
    { name: 'TLS, 1 KiB, concurrency 1', base: 'tls', path: '/1k', width: 1, quick: true },
    { name: 'TLS, 1 KiB, concurrency 50', base: 'tls', path: '/1k', width: 50, bothOrders: true },
    { name: 'TLS, 1 MiB', base: 'tls', path: '/1m', width: 1 },
  ],
  peers: {
    project: ours.whole,
    'project chunks': ours.chunks,
    'project forEach': ours.lent,
    'undici dispatch': undici.dispatch,
    'undici request': undici.request,
    'node:http(s)': node,
    ...others,
    floor,
  },
}
