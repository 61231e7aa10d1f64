// HTTP/1.1 end to end against nginx: what one request costs the client, whole content in memory, connections reused.
import http from 'node:http'
import { createConnection } from 'node:net'
import { concurrently, concurrentlyWithCallbacks } from '../lib/concurrently.mjs'
import { project } from '../lib/project.mjs'
import { startNginx } from '../lib/servers.mjs'

const upload = Buffer.alloc(1024 ** 2, 'u')

/** A peer that is one function: (path, content) → { status, bytes }. */
function peer(open) {
  return {
    async open({ server }) {
      const { send, close } = await open(server)
      return {
        prepare({ path, width, content }) {
          const one = () => send(path, content ? upload : undefined)
          return { result: one, run: (n) => concurrently(n, width, one) }
        },
        close,
      }
    },
  }
}

export default {
  title: 'HTTP/1.1 end to end',
  unit: 'request',
  baseline: 'undici dispatch',
  server: startNginx,
  cases: [
    { name: '1 KiB, concurrency 1', path: '/1k', width: 1, quick: true },
    { name: '1 KiB, concurrency 50', path: '/1k', width: 50, quick: true },
    { name: '1 KiB, concurrency 500', path: '/1k', width: 500 },
    { name: '1 MiB, concurrency 1', path: '/1m', width: 1 },
    { name: '100 MiB, concurrency 1', path: '/100m', width: 1 },
    { name: 'POST 1 MiB, concurrency 1', path: '/upload', width: 1, content: true, quick: true },
    { name: 'POST 1 MiB, concurrency 50', path: '/upload', width: 50, content: true },
  ],
  peers: {
    project: peer(async ({ url }) => {
      const { ConnectionPool } = await project('')
      const pool = new ConnectionPool({ maxConnections: 500 })
      return {
        async send(path, content) {
          const response = await pool.request(content === undefined ? 'GET' : 'POST', url + path, { content })
          return { status: response.status, bytes: response.content.byteLength }
        },
        close: () => pool.close(),
      }
    }),
    'project chunks': peer(async ({ url }) => {
      const { ConnectionPool } = await project('')
      const pool = new ConnectionPool({ maxConnections: 500 })
      return {
        async send(path, content) {
          const response = await pool.stream(content === undefined ? 'GET' : 'POST', url + path, { content })
          let bytes = 0
          for await (const chunk of response) bytes += chunk.byteLength
          return { status: response.status, bytes }
        },
        close: () => pool.close(),
      }
    }),
    'project forEach': peer(async ({ url }) => {
      const { ConnectionPool } = await project('')
      const pool = new ConnectionPool({ maxConnections: 500 })
      return {
        async send(path, content) {
          const response = await pool.stream(content === undefined ? 'GET' : 'POST', url + path, { content })
          let bytes = 0
          await response.forEach((lent) => {
            bytes += lent.byteLength
          })
          return { status: response.status, bytes }
        },
        close: () => pool.close(),
      }
    }),
    'undici dispatch': {
      async open({ server: { url } }) {
        const { Pool } = await import('undici')
        const pool = new Pool(url, { connections: 500 })
        const send = (path, content, done) => {
          let status = 0
          let bytes = 0
          const chunks = []
          pool.dispatch(
            { method: content === undefined ? 'GET' : 'POST', path, body: content },
            {
              onConnect() {},
              onHeaders(code) {
                status = code
                return true
              },
              onData(chunk) {
                chunks.push(chunk)
                bytes += chunk.length
                return true
              },
              onComplete: () => done(undefined, { status, bytes }),
              onError: done,
            },
          )
        }
        return {
          prepare({ path, width, content }) {
            const body = content ? upload : undefined
            return {
              result: () =>
                new Promise((resolve, reject) =>
                  send(path, body, (error, result) => (error ? reject(error) : resolve(result))),
                ),
              run: (n) => concurrentlyWithCallbacks(n, width, (next) => send(path, body, next)),
            }
          },
          close: () => pool.close(),
        }
      },
    },
    'undici request': peer(async ({ url }) => {
      const { Pool } = await import('undici')
      const pool = new Pool(url, { connections: 500 })
      return {
        async send(path, content) {
          const { statusCode, body } = await pool.request({
            method: content === undefined ? 'GET' : 'POST',
            path,
            body: content,
          })
          return { status: statusCode, bytes: (await body.arrayBuffer()).byteLength }
        },
        close: () => pool.close(),
      }
    }),
    'node:http': peer(async ({ url }) => {
      const agent = new http.Agent({ keepAlive: true, maxSockets: 500 })
      return {
        send: (path, content) =>
          new Promise((resolve, reject) => {
            const request = http.request(
              url + path,
              { method: content === undefined ? 'GET' : 'POST', agent },
              (response) => {
                const chunks = []
                response.on('data', (chunk) => chunks.push(chunk))
                response.on('end', () => resolve({ status: response.statusCode, bytes: Buffer.concat(chunks).length }))
                response.on('error', reject)
              },
            )
            request.on('error', reject)
            request.end(content)
          }),
        close: () => agent.destroy(),
      }
    }),
    floor: {
      async open({ server: { port } }) {
        const buffer = Buffer.alloc(64 * 1024)
        return {
          prepare({ path, width, content }) {
            const head = content
              ? `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${upload.length}\r\n\r\n`
              : `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
            const size = { '/1k': 1024, '/1m': 1024 ** 2, '/100m': 100 * 1024 ** 2, '/upload': 5 }[path]
            const links = Array.from({ length: width }, () => countingLink(port, buffer, size))
            const send = (link, done) => link.send(head, content ? upload : undefined, done)
            const free = [...links]
            return {
              result: () => new Promise((resolve) => send(links[0], () => resolve({ status: 200, bytes: size }))),
              run: (n) =>
                concurrentlyWithCallbacks(n, width, (next) => {
                  const link = free.pop()
                  send(link, () => {
                    free.push(link)
                    next()
                  })
                }),
              close: () => links.forEach((link) => link.close()),
            }
          },
        }
      },
    },
  },
}

/** Sends bytes and counts what comes, through one shared buffer: no parsing, no checks, no time-outs. */
function countingLink(port, buffer, size) {
  let left = 0
  let done
  let inHead = true
  const onread = {
    buffer,
    callback(length, bytes) {
      let content = length
      if (inHead) {
        const end = bytes.indexOf('\r\n\r\n')
        content = length - end - 4
        inHead = false
      }
      left -= content
      if (left <= 0) done()
      return true
    },
  }
  const socket = createConnection({ port, host: '127.0.0.1', noDelay: true, onread })
  return {
    send(head, content, whenDone) {
      left = size
      inHead = true
      done = whenDone
      socket.cork()
      socket.write(head, 'latin1')
      if (content !== undefined) socket.write(content)
      socket.uncork()
    },
    close: () => socket.destroy(),
  }
}
