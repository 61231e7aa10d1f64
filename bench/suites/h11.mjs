// Responses of HTTP/1.1, bytes to strings: status, every field name and value, content counted.
//
// The peers are parsers alone. The project's machine is a connection: for each response it also writes the request that
// is answered, checks that the two belong together, and counts what is consumed. All of that is on its clock.
import { createRequire } from 'node:module'
import { project } from '../lib/project.mjs'
import { undiciInner } from '../lib/undici-inner.mjs'

const require = createRequire(import.meta.url)
const bytesOf = (text) => Buffer.from(text, 'latin1')

const small = message(12, 'Content-Length: 27\r\n', '{"id":1842,"name":"example"}'.slice(0, 27))
const many = message(40, 'Content-Length: 2\r\n', 'ok')
const large = message(12, `Content-Length: ${1 << 16}\r\n`, 'x'.repeat(1 << 16))
const chunked = message(
  12,
  'Transfer-Encoding: chunked\r\n',
  `${`400\r\n${'x'.repeat(1024)}\r\n`.repeat(100)}0\r\n\r\n`,
)

const SEGMENT = 1460
/** The same message each time, as a peer sends it for one resource. */
const cut = (name, bytes, size, quick) => ({ name, messages: [pieces(bytes, size)], quick })
/** Messages of one length of which each head is new: nobody gains by what was read before. */
const differing = Array.from({ length: 512 }, (_, i) => [
  message(12, `ETag: "${1000 + i}"\r\nContent-Length: 27\r\n`, '{"id":1842,"name":"example"}'.slice(0, 27)),
])

export default {
  title: 'HTTP/1.1 responses',
  unit: 'message',
  baseline: 'node HTTPParser',
  cases: [
    cut('small, 12 fields, whole', small, Infinity, true),
    { name: 'small, 13 fields, each head new', messages: differing },
    cut('40 fields, whole', many, Infinity),
    cut(`40 fields, in ${SEGMENT}`, many, SEGMENT),
    cut('64 KiB content, whole', large, Infinity),
    cut(`64 KiB content, in ${SEGMENT}`, large, SEGMENT),
    cut('100 chunks of 1 KiB, whole', chunked, Infinity, true),
    cut(`100 chunks of 1 KiB, in ${SEGMENT}`, chunked, SEGMENT),
    cut('small, byte by byte', small, 1, true),
    cut('40 fields, byte by byte', many, 1),
  ],
  peers: {
    project: peer(async () => {
      const { H11Connection } = await project('h11')
      const request = { method: 'GET', authority: 'a.example', target: '/', headers: {} }
      const end = { end: true }
      return () => {
        const connection = new H11Connection('client', { now: 0 })
        // Our network gives Uint8Arrays, as the peers' gives Buffers.
        const plain = new Map()
        const plainOf = (parts) =>
          parts.map(({ buffer, byteOffset, length }) => new Uint8Array(buffer, byteOffset, length))
        return (parts, seen) => {
          if (!plain.has(parts)) plain.set(parts, plainOf(parts))
          connection.sendRequest(request, end)
          connection.takeOutput()
          for (const part of plain.get(parts)) {
            connection.receiveData(part, 0)
            for (let event = connection.nextEvent(); event !== undefined; event = connection.nextEvent()) {
              if (event.type === 'data') {
                seen.bytes += event.data.length
                connection.consume(event.exchange, event.data.length)
              } else if (event.type === 'response') {
                seen.status = event.status
                const { headers } = event
                for (let i = 0; i < headers.length; i++) seen.headers.push(headers.rawName(i), headers.value(i))
              } else if (event.type === 'end') seen.ended = true
              else if (event.type === 'error') throw new Error(event.fault.message)
            }
          }
        }
      }
    }),
    'node HTTPParser': peer(async () => {
      const { HTTPParser } = require('_http_common')
      return () => {
        const parser = new HTTPParser()
        parser.initialize(HTTPParser.RESPONSE, {})
        return drive(parser, HTTPParser, (part) => parser.execute(part))
      }
    }),
    'http-parser-js': peer(async () => {
      const { HTTPParser } = require('http-parser-js')
      // It counts the lines of chunks as header.
      HTTPParser.maxHeaderSize = 1 << 20
      return () => {
        const parser = new HTTPParser(HTTPParser.RESPONSE)
        return drive(parser, HTTPParser, (part) => parser.execute(part))
      }
    }),
    'undici Parser': peer(async () => undiciParser()),
  },
}

/** A peer makes a parser per case; a parser takes the pieces of one message and notes what it has seen. */
function peer(load) {
  return {
    async open() {
      const make = await load()
      return {
        prepare({ messages }) {
          const parse = make()
          const one = (i) => {
            const seen = { status: 0, headers: [], bytes: 0, ended: false }
            parse(messages[i % messages.length], seen)
            return seen
          }
          return {
            result: () => one(0),
            run: (n) => {
              for (let i = 0; i < n; i++) if (!one(i).ended) throw new Error('the message did not end')
            },
          }
        },
      }
    },
  }
}

/** Node's parser and the one in JavaScript have the same callbacks. */
function drive(parser, HTTPParser, execute) {
  let seen
  parser[HTTPParser.kOnHeaders] = (headers) => {
    for (const text of headers) seen.headers.push(text)
  }
  // Node gives arguments, the other one an object that names them.
  parser[HTTPParser.kOnHeadersComplete] = (info, _minor, given, _method, _url, code) => {
    const [status, headers] = typeof info === 'object' ? [info.statusCode, info.headers] : [code, given]
    seen.status = status
    if (headers !== undefined) for (const text of headers) seen.headers.push(text)
  }
  // Node gives the bytes, the other one the buffer with where they are.
  parser[HTTPParser.kOnBody] = (buffer, offset, length) => {
    seen.bytes += length ?? buffer.length
  }
  parser[HTTPParser.kOnMessageComplete] = () => {
    seen.ended = true
  }
  return (parts, into) => {
    seen = into
    for (const part of parts) {
      const consumed = execute(part)
      if (typeof consumed !== 'number') throw consumed
    }
  }
}

/** undici's class, given the least client that it takes. */
function undiciParser() {
  const { Parser, lazyllhttp, TIMEOUT_HEADERS, symbols } = undiciInner('Parser', 'lazyllhttp', 'TIMEOUT_HEADERS')
  const llhttp = lazyllhttp()
  return () => {
    let seen
    const request = {
      method: 'GET',
      bodyTimeout: 0,
      onResponseStarted() {},
      onHeaders(status, headers) {
        seen.status = status
        for (const text of headers) seen.headers.push(text.toString('latin1'))
        return true
      },
      onData(bytes) {
        seen.bytes += bytes.length
        return true
      },
      onComplete() {
        seen.ended = true
      },
    }
    const client = {
      [symbols.kMaxHeadersSize]: 1 << 20,
      [symbols.kMaxResponseSize]: -1,
      [symbols.kBodyTimeout]: 0,
      [symbols.kRunning]: 1,
      [symbols.kPending]: 1,
      [symbols.kPipelining]: 2,
      [symbols.kKeepAliveDefaultTimeout]: 4000,
      [symbols.kResume]() {},
    }
    const parser = new Parser(client, { destroyed: false }, llhttp)
    return (parts, into) => {
      seen = into
      client[symbols.kQueue] = [request]
      client[symbols.kRunningIdx] = 0
      parser.setTimeout(0, TIMEOUT_HEADERS)
      for (const part of parts) {
        const error = parser.execute(part)
        if (error instanceof Error) throw error
      }
    }
  }
}

// ── what is read ──

function message(fields, framing, content) {
  let head = 'HTTP/1.1 200 OK\r\n'
  for (let i = 1; i < fields; i++) head += `X-Some-Field-${i}: a value of usual length, ${i * 7919}\r\n`
  return bytesOf(`${head}${framing}\r\n${content}`)
}

function pieces(bytes, size) {
  const parts = []
  for (let at = 0; at < bytes.length; at += size) parts.push(bytes.subarray(at, Math.min(at + size, bytes.length)))
  return parts
}
