// Servers for end-to-end suites: nginx with a configuration of its own in a temporary folder, or node:http where there
// is none. A suite's server runs in a process of its own, on the other core.
import { spawn, spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export const SIZES = { '1k': 1024, '1m': 1024 ** 2, '100m': 100 * 1024 ** 2 }

/** Serves /1k, /1m, /100m, and takes what is sent to /upload. */
export async function startNginx() {
  if (spawnSync('nginx', ['-v']).status !== 0) return startNode()
  const root = await mkdtemp(join(tmpdir(), 'httpcore-bench-'))
  for (const [name, size] of Object.entries(SIZES)) await writeFile(join(root, name), Buffer.alloc(size, 'x'))
  const port = await freePort()
  await writeFile(join(root, 'nginx.conf'), configuration(root, port))
  const child = spawn('nginx', ['-e', join(root, 'error.log'), '-p', root, '-c', join(root, 'nginx.conf')], {
    stdio: 'ignore',
  })
  for (let i = 0; i < 200 && !(await answers(port)); i++) await sleep(25)
  const close = async () => {
    child.kill('SIGQUIT')
    await rm(root, { recursive: true, force: true })
  }
  return { info: { name: 'nginx', url: `http://127.0.0.1:${port}`, port }, close }
}

function configuration(root, port) {
  return `
daemon off; master_process off; worker_processes 1; pid ${root}/pid; error_log ${root}/error.log crit;
events { worker_connections 2048; }
http {
  access_log off; sendfile on; keepalive_requests 1000000000; keepalive_timeout 3600; client_max_body_size 0;
  client_body_temp_path ${root}/body; client_body_buffer_size 2m; proxy_temp_path ${root}/proxy;
  fastcgi_temp_path ${root}/fastcgi; uwsgi_temp_path ${root}/uwsgi; scgi_temp_path ${root}/scgi;
  open_file_cache max=10;
  server {
    listen 127.0.0.1:${port} backlog=4096; root ${root}; default_type text/plain;
    location = /upload { proxy_pass http://127.0.0.1:${port}/taken; }
    location = /taken { return 200 "taken"; }
  }
}
`
}

async function startNode() {
  const contents = new Map(Object.entries(SIZES).map(([name, size]) => [`/${name}`, Buffer.alloc(size, 'x')]))
  const server = createServer((request, response) => {
    request.resume()
    request.on('end', () => response.end(contents.get(request.url) ?? 'taken'))
  })
  server.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address()
  return { info: { name: 'node:http', url: `http://127.0.0.1:${port}`, port }, close: () => server.close() }
}

function freePort() {
  const server = createServer()
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
