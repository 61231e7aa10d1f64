// The clients that end-to-end suites compare: each is made for one base URL of the server ('plain', 'tls', 'h2', 'h2c')
// and sends one request at a time as often as it is asked to, over connections that it keeps. undefined: it cannot.
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import { connect as connectTcp } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { concurrently, concurrentlyWithCallbacks } from './concurrently.mjs'
import { project } from './project.mjs'

export const CONNECTIONS = 500
const MAX_STREAMS = 1000
export const upload = Buffer.alloc(1024 ** 2, 'u')
const methodOf = (content) => (content === undefined ? 'GET' : 'POST')

/** A suite's peer. `make(url, base, server, case)` gives { send(path, content), close() }; `send`: { status, bytes }. */
export function awaiting(make) {
  return peer(make, ({ send }, width, path, content) => {
    const one = () => send(path, content)
    return { result: one, run: (n) => concurrently(n, width, one) }
  })
}
/** The same where `send(path, content, done)` calls back: no promise on the clock of a peer that makes none. */
export function callingBack(make) {
  return peer(make, ({ send }, width, path, content) => ({
    result: () =>
      new Promise((resolve, reject) => {
        send(path, content, (error, result) => (error ? reject(error) : resolve(result)))
      }),
    run: (n) => concurrentlyWithCallbacks(n, width, (next) => send(path, content, next)),
  }))
}
function peer(make, bind) {
  return {
    async open({ server }) {
      return {
        async prepare(theCase) {
          const { base = 'plain', path, width, content } = theCase
          const client = await make(server.url[base], base, server, theCase)
          if (client === undefined) return undefined
          return { ...bind(client, width, path, content ? upload : undefined), close: client.close }
        },
      }
    },
  }
}

async function ourPool(base, ca) {
  const { ConnectionPool } = await project('')
  const http2 = base === 'h2' || base === 'h2c'
  return new ConnectionPool({ maxConnections: CONNECTIONS, http2, http1: base !== 'h2c', tls: { ca } })
}

/** Content as the caller asks for it: whole, as chunks of its own, or lent. */
export const ours = {
  whole: awaiting(async (url, base, { ca }) => {
    const pool = await ourPool(base, ca)
    return {
      async send(path, content) {
        const response = await pool.request(methodOf(content), url + path, content && { content })
        return { status: response.status, bytes: response.content.byteLength }
      },
      close: () => pool.close(),
    }
  }),
  chunks: awaiting(async (url, base, { ca }) => {
    const pool = await ourPool(base, ca)
    return {
      async send(path, content) {
        const response = await pool.stream(methodOf(content), url + path, content && { content })
        let bytes = 0
        for await (const chunk of response) bytes += chunk.byteLength
        return { status: response.status, bytes }
      },
      close: () => pool.close(),
    }
  }),
  lent: awaiting(async (url, base, { ca }) => {
    const pool = await ourPool(base, ca)
    return {
      async send(path, content) {
        const response = await pool.stream(methodOf(content), url + path, content && { content })
        let bytes = 0
        await response.forEach((chunk) => {
          bytes += chunk.byteLength
        })
        return { status: response.status, bytes }
      },
      close: () => pool.close(),
    }
  }),
}

async function undiciPool(url, base, ca) {
  const { H2CClient, Pool } = await import('undici')
  if (base === 'h2c') return new H2CClient(url, { pipelining: MAX_STREAMS, maxConcurrentStreams: MAX_STREAMS })
  const h2 = base === 'h2'
  return new Pool(url, {
    connections: h2 ? 1 : CONNECTIONS,
    connect: { ca },
    allowH2: h2,
    ...(h2 ? { pipelining: MAX_STREAMS, maxConcurrentStreams: MAX_STREAMS } : undefined),
  })
}
export const undici = {
  dispatch: callingBack(async (url, base, { ca }) => {
    const pool = await undiciPool(url, base, ca)
    return {
      send(path, content, done) {
        let status = 0
        let bytes = 0
        const chunks = []
        pool.dispatch(
          { method: methodOf(content), path, body: content },
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
      },
      close: () => pool.close(),
    }
  }),
  request: awaiting(async (url, base, { ca }) => {
    const pool = await undiciPool(url, base, ca)
    return {
      async send(path, content) {
        const { statusCode, body } = await pool.request({ method: methodOf(content), path, body: content })
        return { status: statusCode, bytes: (await body.arrayBuffer()).byteLength }
      },
      close: () => pool.close(),
    }
  }),
}

/** node:http, node:https or node:http2, whichever speaks to that base. */
export const node = awaiting(async (url, base, { ca }) => {
  if (base === 'h2' || base === 'h2c') return nodeHttp2(url, ca)
  const module = base === 'tls' ? https : http
  const agent = new module.Agent({ keepAlive: true, maxSockets: CONNECTIONS, ca })
  return {
    send: (path, content) =>
      new Promise((resolve, reject) => {
        const request = module.request(url + path, { method: methodOf(content), agent }, (response) => {
          const chunks = []
          response.on('data', (chunk) => chunks.push(chunk))
          response.on('end', () => resolve({ status: response.statusCode, bytes: joined(chunks) }))
          response.on('error', reject)
        })
        request.on('error', reject)
        request.end(content)
      }),
    close: () => agent.destroy(),
  }
})
async function nodeHttp2(url, ca) {
  const session = http2.connect(url, { ca, settings: { initialWindowSize: 4 * 1024 ** 2 } })
  await new Promise((resolve, reject) => session.once('remoteSettings', resolve).once('error', reject))
  session.setLocalWindowSize(16 * 1024 ** 2)
  return {
    send: (path, content) =>
      new Promise((resolve, reject) => {
        const stream = session.request({ ':path': path, ':method': methodOf(content) })
        const chunks = []
        let status = 0
        stream.on('response', (headers) => {
          status = headers[':status']
        })
        stream.on('data', (chunk) => chunks.push(chunk))
        stream.on('end', () => resolve({ status, bytes: joined(chunks) }))
        stream.on('error', reject)
        stream.end(content)
      }),
    close: () => session.destroy(),
  }
}
function joined(chunks) {
  return (chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)).length
}

/** Clients that people know for other things than speed: in the cases marked `everybody`, over HTTP/1.1. */
export const others = {
  fetch: awaiting(async (url, base, server, { everybody }) =>
    everybody
      ? {
          async send(path) {
            const response = await fetch(url + path)
            return { status: response.status, bytes: (await response.arrayBuffer()).byteLength }
          },
          close() {},
        }
      : undefined,
  ),
  got: withAgent(async (agent) => {
    const { got } = await import('got')
    const client = got.extend({ agent: { http: agent }, retry: { limit: 0 } })
    return async (url) => {
      const { statusCode, rawBody } = await client(url)
      return { status: statusCode, bytes: rawBody.byteLength }
    }
  }),
  axios: withAgent(async (agent) => {
    const { default: axios } = await import('axios')
    const client = axios.create({ httpAgent: agent, responseType: 'arraybuffer' })
    return async (url) => {
      const { status, data } = await client.get(url)
      return { status, bytes: data.byteLength }
    }
  }),
  'node-fetch': withAgent(async (agent) => {
    const { default: fetch } = await import('node-fetch')
    return async (url) => {
      const response = await fetch(url, { agent })
      return { status: response.status, bytes: (await response.arrayBuffer()).byteLength }
    }
  }),
}
function withAgent(make) {
  return awaiting(async (url, base, server, { everybody }) => {
    if (!everybody) return undefined
    const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS })
    const get = await make(agent)
    return { send: (path) => get(url + path), close: () => agent.destroy() }
  })
}

/** The least that could work: sends bytes and counts what comes, into one buffer. A bound, not a peer. */
export const floor = callingBack(async (url, base, { ca }, { width, content }) => {
  if (base === 'h2' || base === 'h2c') return content ? undefined : countingStreams(new URL(url), ca)
  const buffer = Buffer.alloc(64 * 1024)
  const links = Array.from({ length: width }, () => countingLink(new URL(url), ca, buffer))
  const free = [...links]
  return {
    send(path, content, done) {
      const link = free.pop()
      link.send(path, content, (result) => {
        free.push(link)
        done(undefined, result)
      })
    },
    close: () => links.forEach((link) => link.close()),
  }
})
const CONTENT_LENGTH = /Content-Length: (\d+)/
function countingLink({ protocol, hostname, port }, ca, buffer) {
  let left = 0
  let size = 0
  let done
  let inHead = true
  const onread = {
    buffer,
    callback(length, bytes) {
      let content = length
      if (inHead) {
        const end = bytes.indexOf('\r\n\r\n')
        if (size === 0) size = Number(CONTENT_LENGTH.exec(bytes.latin1Slice(0, end))[1])
        left = size
        content = length - end - 4
        inHead = false
      }
      left -= content
      if (left <= 0) done({ status: 200, bytes: size })
      return true
    },
  }
  const place = { port: Number(port), host: hostname, onread }
  const socket = protocol === 'https:' ? connectTls({ ...place, ca }) : connectTcp(place)
  socket.setNoDelay(true)
  return {
    send(path, content, whenDone) {
      inHead = true
      done = whenDone
      socket.cork()
      const length = content === undefined ? '' : `Content-Length: ${content.length}\r\n`
      socket.write(`${methodOf(content)} ${path} HTTP/1.1\r\nHost: x\r\n${length}\r\n`, 'latin1')
      if (content !== undefined) socket.write(content)
      socket.uncork()
    },
    close: () => socket.destroy(),
  }
}

const DATA = 0
const HEADERS = 1
const SETTINGS = 4
const WINDOW_UPDATE = 8
const END_STREAM = 1
const ACK = 1
/** The connection's window is renewed when so much content has come; counted to the octet, it never overflows. */
const RENEWED = 1024 ** 3
/** The same over HTTP/2: canned heads, frames walked by their lengths, nothing decoded. It cannot send content. */
async function countingStreams({ protocol, hostname, port }, ca) {
  const secure = protocol === 'https:'
  const streams = []
  let next = 1
  let received = 0
  // What of the frame at hand has not come: octets of its header, then of its payload.
  const header = Buffer.alloc(9)
  let headed = 0
  let left = 0
  function frameBegins() {
    left = header.readUIntBE(0, 3)
    if (header[3] === SETTINGS && (header[4] & ACK) === 0) socket.write(frame(SETTINGS, ACK, 0, ''), 'latin1')
    if (header[3] !== DATA) return
    streams[header.readUInt32BE(5) >> 1].bytes += left
    received += left
    if (received < RENEWED) return
    received -= RENEWED
    socket.write(frame(WINDOW_UPDATE, 0, 0, uint32(RENEWED)), 'latin1')
  }
  function frameEnds() {
    headed = 0
    if (header[3] > HEADERS || (header[4] & END_STREAM) === 0) return
    const id = header.readUInt32BE(5)
    const { done, bytes } = streams[id >> 1]
    streams[id >> 1] = undefined
    done(undefined, { status: 200, bytes })
  }
  const buffer = Buffer.alloc(64 * 1024)
  const onread = {
    buffer,
    callback(length, bytes) {
      for (let at = 0; at < length; ) {
        if (headed < 9) {
          header[headed++] = bytes[at++]
          if (headed === 9) frameBegins()
        } else {
          const taken = Math.min(left, length - at)
          left -= taken
          at += taken
        }
        if (headed === 9 && left === 0) frameEnds()
      }
      return true
    },
  }
  const place = { port: Number(port), host: hostname, onread }
  const socket = secure ? connectTls({ ...place, ca, ALPNProtocols: ['h2'] }) : connectTcp(place)
  await new Promise((resolve, reject) =>
    socket.once(secure ? 'secureConnect' : 'connect', resolve).once('error', reject),
  )
  socket.setNoDelay(true)
  const INITIAL_WINDOW_SIZE = '\0\x04'
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')
  socket.write(frame(SETTINGS, 0, 0, INITIAL_WINDOW_SIZE + uint32(2 ** 31 - 1)), 'latin1')
  socket.write(frame(WINDOW_UPDATE, 0, 0, uint32(2 ** 31 - 1 - 65_535)), 'latin1')
  // Indexed :method GET and :scheme, literal :authority and :path. RFC 7541, appendix A.
  const block = (path) => `\x82${secure ? '\x87' : '\x86'}\x01\x01x\x04${String.fromCharCode(path.length)}${path}`
  return {
    send(path, content, done) {
      const id = next
      next += 2
      streams[id >> 1] = { done, bytes: 0 }
      socket.write(frame(HEADERS, END_STREAM | 4, id, block(path)), 'latin1')
    },
    close: () => socket.destroy(),
  }
}
function frame(type, flags, stream, payload) {
  return uint32(payload.length).slice(1) + String.fromCharCode(type, flags) + uint32(stream) + payload
}
function uint32(n) {
  return String.fromCharCode(n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255)
}
