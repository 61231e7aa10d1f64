// The main job, shown: one GET with everything that happened on the wire beside it.
//
//   npm start                        against an HTTP and an HTTPS server of its own, on loopback
//   npm start -- https://host/path   against that URL
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { styleText } from 'node:util'
import { ConnectionPool } from 'httpcore'

const paint = (style, text) => (process.stdout.isTTY ? styleText(style, text) : text)

async function show(url, tls) {
  const began = performance.now()
  const timeline = []
  const pool = new ConnectionPool({ tls, http2: true })
  const response = await pool.request('GET', url, { trace: (event) => timeline.push(event) })
  console.log(`\n${paint('bold', `GET ${url}`)}`)
  console.log(paint('green', `${response.httpVersion} ${response.status} ${response.reasonPhrase}`))
  for (let i = 0; i < response.headers.length; i++) {
    console.log(`${paint('cyan', response.headers.rawName(i))}: ${response.headers.value(i)}`)
  }
  const text = new TextDecoder().decode(response.content)
  console.log(`\n${text.length > 400 ? `${text.slice(0, 400)}…` : text}`)
  console.log(paint('dim', '   ms  what happened'))
  for (const { name, time, connection } of timeline) {
    const where = connection === undefined ? '' : `  (connection ${connection})`
    console.log(`${paint('yellow', (time - began).toFixed(2).padStart(6))}  ${name}${paint('dim', where)}`)
  }
  await pool.close()
}

async function serve(server) {
  server.on('request', (request, answer) => {
    answer.setHeader('content-type', 'text/plain')
    answer.end(`Hello from ${request.url}, asked for by ${request.method}.`)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

async function embedded() {
  const { generate } = await import('selfsigned')
  const certificate = await generate([{ name: 'commonName', value: 'localhost' }], {
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] }],
  })
  const plain = await serve(createServer())
  const secure = await serve(createSecureServer({ key: certificate.private, cert: certificate.cert }))
  await show(`http://127.0.0.1:${plain.address().port}/plain`)
  await show(`https://localhost:${secure.address().port}/secure`, { ca: certificate.cert })
  plain.close()
  secure.close()
}

const [url] = process.argv.slice(2)
await (url === undefined ? embedded() : show(url))
