// The server of end-to-end suites: nginx with a configuration of its own in a temporary folder, or Node's own servers
// where there is none. Each way to speak to it has a base URL: plain, tls (HTTP/1.1), h2 (TLS, by ALPN) and h2c (prior
// knowledge). It runs in a process of its own, on the other core.
import { spawn, spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createServer as createCleartext, createSecureServer } from 'node:http2'
import { createServer as createTls } from 'node:https'
import { createRequire } from 'node:module'
import { connect, createServer as createTcp } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export const SIZES = { '1k': 1024, '1m': 1024 ** 2, '100m': 100 * 1024 ** 2 }

/** Serves /1k, /1m, /100m, and takes what is sent to /upload. */
export async function startServer() {
  const { cert, key } = await identity()
  return spawnSync('nginx', ['-v']).status === 0 ? startNginx(cert, key) : startNode(cert, key)
}

async function identity() {
  const { generate } = createRequire(new URL('../../package.json', import.meta.url))('selfsigned')
  const made = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
        ],
      },
    ],
  })
  return { cert: made.cert, key: made.private }
}

function info(name, ports, cert) {
  const [plain, tls, h2, h2c] = ports
  return {
    name,
    ca: cert,
    url: {
      plain: `http://127.0.0.1:${plain}`,
      tls: `https://localhost:${tls}`,
      h2: `https://localhost:${h2}`,
      h2c: `http://127.0.0.1:${h2c}`,
    },
  }
}

async function startNginx(cert, key) {
  const root = await mkdtemp(join(tmpdir(), 'httpcore-bench-'))
  for (const [name, size] of Object.entries(SIZES)) await writeFile(join(root, name), Buffer.alloc(size, 'x'))
  await writeFile(join(root, 'cert.pem'), cert)
  await writeFile(join(root, 'key.pem'), key)
  const ports = []
  for (let i = 0; i < 4; i++) ports.push(await freePort())
  await writeFile(join(root, 'nginx.conf'), configuration(root, ports))
  const child = spawn('nginx', ['-e', join(root, 'error.log'), '-p', root, '-c', join(root, 'nginx.conf')], {
    stdio: 'ignore',
  })
  for (let i = 0; i < 200 && !(await answers(ports[3])); i++) await sleep(25)
  const close = async () => {
    child.kill('SIGQUIT')
    await rm(root, { recursive: true, force: true })
  }
  return { info: info('nginx', ports, cert), close }
}

function configuration(root, [plain, tls, h2, h2c]) {
  const site = (listen, more = '') => `
  server {
    listen 127.0.0.1:${listen} backlog=4096; root ${root}; default_type text/plain; ${more}
    location = /upload { proxy_pass http://127.0.0.1:${plain}/taken; }
    location = /taken { return 200 "taken"; }
  }`
  // In cleartext HTTP/2 sendfile would part head and content, and Nagle's algorithm hold the content back for 40 ms.
  const secure = `ssl_certificate ${root}/cert.pem; ssl_certificate_key ${root}/key.pem;`
  return `
daemon off; master_process off; worker_processes 1; pid ${root}/pid; error_log ${root}/error.log crit;
worker_rlimit_nofile 65536;
events { worker_connections 30000; }
http {
  access_log off; sendfile on; keepalive_requests 1000000000; keepalive_timeout 3600; client_max_body_size 0;
  client_body_temp_path ${root}/body; client_body_buffer_size 2m; proxy_temp_path ${root}/proxy;
  fastcgi_temp_path ${root}/fastcgi; uwsgi_temp_path ${root}/uwsgi; scgi_temp_path ${root}/scgi;
  http2_max_concurrent_streams 1000; open_file_cache max=10;
  ${site(plain)}
  ${site(`${tls} ssl`, secure)}
  ${site(`${h2} ssl http2`, secure)}
  ${site(`${h2c} http2`, 'sendfile off;')}
}
`
}

async function startNode(cert, key) {
  const contents = new Map(Object.entries(SIZES).map(([name, size]) => [`/${name}`, Buffer.alloc(size, 'x')]))
  const answer = (request, response) => {
    request.resume()
    request.on('end', () => response.end(contents.get(request.url) ?? 'taken'))
  }
  const servers = [
    createServer(answer),
    createTls({ cert, key }, answer),
    createSecureServer({ cert, key }, answer),
    createCleartext(answer),
  ]
  for (const server of servers) await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const ports = servers.map((server) => server.address().port)
  return { info: info('node', ports, cert), close: () => servers.forEach((server) => server.close()) }
}

function freePort() {
  const server = createTcp()
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}
function answers(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(socket.destroy() !== undefined))
    socket.once('error', () => resolve(false))
  })
}
