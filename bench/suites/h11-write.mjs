// Requests of HTTP/1.1, from what the caller gives to bytes: everything validated, nothing sent.
//
// Ours is taken back once it is written, so that one connection can write the next; that is on its clock. undici makes a
// string of pieces, which its socket turns into bytes; here a buffer does.
//
// The requests of a client are objects of their own with targets of their own, and mostly the fields of the one before:
// so are these. Where a field is new each time, nothing can be remembered of all of them.
import { project } from '../lib/project.mjs'
import { undiciInner } from '../lib/undici-inner.mjs'

const FIELDS = {
  accept: 'application/json',
  'user-agent': 'httpcore-bench/1.0',
  authorization: 'Bearer 0123456789abcdef',
  'accept-language': 'en-GB,en;q=0.8',
  'accept-encoding': 'gzip, br',
  'cache-control': 'no-cache',
  pragma: 'no-cache',
  referer: 'http://a.example/some/page',
  'x-request-id': '3b9f1c7e-8d2a-4f6b-9e0d-1a2b3c4d5e6f',
  'x-forwarded-for': '192.0.2.7',
  'if-none-match': '"65608f70-400"',
  cookie: 'session=0123456789abcdef; theme=dark',
  dnt: '1',
}
const first = (n) => Object.fromEntries(Object.entries(FIELDS).slice(0, n))
const content = Buffer.from('{"id":1842,"name":"example"}')
const REQUESTS = 64

/** As many requests as it takes for none to be known by its identity. */
function requests({ headers, fresh }) {
  return Array.from({ length: REQUESTS }, (_, i) => ({
    target: `/some/path?q=${i}`,
    headers: fresh === undefined ? { ...headers } : { ...headers, [fresh]: `${headers[fresh]}${i}` },
  }))
}

export default {
  title: 'HTTP/1.1 requests, written',
  unit: 'request',
  baseline: 'undici',
  cases: [
    { name: 'GET, 3 fields', method: 'GET', headers: first(3), quick: true },
    { name: 'GET, 3 fields, the last new each time', method: 'GET', headers: first(3), fresh: 'authorization' },
    { name: 'GET, 13 fields', method: 'GET', headers: first(13) },
    { name: 'GET, 13 fields, the ninth new each time', method: 'GET', headers: first(13), fresh: 'x-request-id' },
    { name: 'POST, 13 fields', method: 'POST', headers: first(13), content },
  ],
  peers: {
    project: {
      async open() {
        const { H11Connection } = await project('h11')
        return {
          prepare(theCase) {
            const { method, content } = theCase
            const machine = new H11Connection('client', { now: 0 })
            const plan = content === undefined ? 'none' : { length: content.length }
            const heads = requests(theCase).map((own) => ({ method, authority: 'a.example', ...own, content: plan }))
            const write = (i) => {
              const id = machine.sendRequest(heads[i % REQUESTS])
              if (content === undefined) machine.end(id)
              else machine.sendData(id, content, true)
              return id
            }
            return {
              result() {
                const id = write(0)
                const text = machine
                  .takeOutput()
                  .map((chunk) => Buffer.from(chunk).toString('latin1'))
                  .join('')
                machine.receiveData(new Uint8Array(Buffer.from('HTTP/1.1 204 \r\n\r\n')), 0)
                while (machine.nextEvent() !== undefined);
                return id > 0 ? seen(text) : undefined
              },
              run(n) {
                for (let i = 0; i < n; i++) machine.cancel(write(i))
              },
            }
          },
        }
      },
    },
    undici: {
      open() {
        const { writeH1, symbols, Request } = undiciInner('writeH1')
        return {
          prepare(theCase) {
            const { method, content } = theCase
            const out = Buffer.alloc(16 * 1024)
            let text = ''
            let bytes = 0
            const socket = {
              write(part) {
                bytes += typeof part === 'string' ? out.latin1Write(part, 0) : part.length
                if (text !== undefined) text += part.toString('latin1')
              },
              cork() {},
              uncork() {},
            }
            const client = {
              [symbols.kSocket]: socket,
              [symbols.kPipelining]: 1,
              [symbols.kHostHeader]: 'host: a.example\r\n',
              [symbols.kResume]() {},
            }
            const handler = {
              onConnect() {},
              onHeaders() {},
              onData() {},
              onComplete() {},
              onError(error) {
                throw error
              },
            }
            const options = requests(theCase).map(({ target, headers }) => ({
              method,
              path: target,
              headers,
              body: content,
            }))
            const write = (i) => writeH1(client, new Request('http://a.example', options[i % REQUESTS], handler))
            return {
              result() {
                write(0)
                return seen(text)
              },
              run(n) {
                text = undefined
                for (let i = 0; i < n; i++) write(i)
                if (bytes === 0) throw new Error('nothing was written')
              },
            }
          },
        }
      },
    },
  },
}

/** The same message, whatever the order of its fields; `connection: keep-alive` says what HTTP/1.1 means anyway. */
function seen(text) {
  const [head, body] = text.split('\r\n\r\n')
  const [line, ...fields] = head.split('\r\n')
  const lower = fields.map((field) => field.replace(/^[^:]+/, (name) => name.toLowerCase()))
  return { line, fields: lower.filter((field) => field !== 'connection: keep-alive').sort(), body }
}
