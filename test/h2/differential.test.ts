// Against node:http2 in memory, in both roles: what one sends the other receives, as its own users would see it.
import * as http2 from 'node:http2'
import { once } from 'node:events'
import { createConnection, createServer, type AddressInfo, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { H2Event } from '../../src/http/index.ts'
import { H2Connection } from '../../src/h2/index.ts'
import { concat, drain } from './support.ts'

/** One end of a pair of streams in memory. */
class End extends Duplex {
  other: End | undefined
  override _read(): void {
    // Pushed by the other end.
  }
  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    setImmediate(() => {
      this.other?.push(chunk)
      done()
    })
  }
  override _final(done: () => void): void {
    setImmediate(() => {
      this.other?.push(null)
      done()
    })
  }
}
function pair(): [End, End] {
  const [a, b] = [new End(), new End()]
  a.other = b
  b.other = a
  return [a, b]
}

/** Drives a machine over a stream. */
function attach(machine: H2Connection, stream: Duplex, on: (event: H2Event) => void): () => void {
  const flush = (): void => {
    for (const chunk of machine.takeOutput()) stream.write(chunk)
    for (const event of drain(machine)) on(event)
    for (const chunk of machine.takeOutput()) stream.write(chunk)
    if (machine.wantsClose !== 'no') stream.end()
  }
  stream.on('data', (bytes: Uint8Array) => {
    machine.receiveData(bytes, 0)
    for (const event of drain(machine)) on(event)
    flush()
  })
  stream.on('end', () => {
    machine.receiveEof(0)
    flush()
  })
  stream.on('error', () => undefined)
  flush()
  return flush
}

const SIZES = [0, 1, 1_000, 70_000, 300_000]
function content(n: number): Uint8Array {
  return Uint8Array.from({ length: n }, (_, i) => (i * 7) & 0xff)
}

/** Promise.withResolvers, which the oldest supported runtime lacks. */
function deferred(): { promise: Promise<void>; resolve: () => void; reject: (error: Error) => void } {
  let resolve!: () => void
  let reject!: (error: Error) => void
  const promise = new Promise<void>((yes, no) => ([resolve, reject] = [yes, no]))
  return { promise, resolve, reject }
}

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0)) close()
})

describe('our client, the server of node:http2', () => {
  test.each(SIZES)('content of %i bytes there and back, with trailers', async (size) => {
    const [ours, theirs] = pair()
    const server = http2.createServer((request, response) => {
      const chunks: Uint8Array[] = []
      request.on('data', (chunk: Uint8Array) => chunks.push(chunk))
      request.on('end', () => {
        response.writeHead(200, { 'x-path': request.url, 'x-sum': `${request.trailers['x-sum'] ?? ''}` })
        response.write(Buffer.concat(chunks))
        response.addTrailers({ 'x-done': 'yes' })
        response.end()
      })
    })
    server.emit('connection', theirs)
    closers.push(() => theirs.destroy())
    const machine = new H2Connection('client', { now: 0 })
    const seen: H2Event[] = []
    const chunks: Uint8Array[] = []
    const done = deferred()
    let flush = (): void => undefined
    flush = attach(machine, ours, (event) => {
      seen.push(event)
      if (event.type === 'data') {
        chunks.push(event.data.slice())
        machine.consume(event.exchange, event.data.length)
      } else if (event.type === 'end') done.resolve()
      else if (event.type === 'failed' || event.type === 'error') done.reject(new Error(JSON.stringify(event)))
    })
    const head = {
      method: 'POST',
      scheme: 'http',
      authority: 'localhost',
      target: '/echo?a=b',
      headers: { 'x-a': 'b' },
    }
    const id = machine.sendRequest(head)
    if (size > 0) machine.sendData(id, content(size))
    machine.end(id, { 'x-sum': '42' })
    flush()
    await done.promise
    const response = seen.find((event) => event.type === 'response')
    expect(response?.status).toBe(200)
    expect(response?.headers.get('x-path')).toBe('/echo?a=b')
    expect(response?.headers.get('x-sum')).toBe('42')
    expect(concat(chunks)).toEqual(content(size))
    expect(seen.find((event) => event.type === 'end')?.trailers?.get('x-done')).toBe('yes')
    expect(machine.active).toBe(0)
  })
})

describe('the client of node:http2, our server', () => {
  test.each(SIZES)('content of %i bytes there and back, with trailers', async (size) => {
    const [ours, theirs] = pair()
    const machine = new H2Connection('server', { now: 0 })
    const received: Uint8Array[] = []
    const waiting = new Map<number, Uint8Array>()
    const send = (id: number): void => {
      for (let rest = waiting.get(id); rest !== undefined; rest = waiting.get(id)) {
        if (rest.length === 0) {
          waiting.delete(id)
          return machine.end(id, { 'x-done': 'yes' })
        }
        waiting.set(id, rest.subarray(50_000))
        if (!machine.sendData(id, rest.subarray(0, 50_000))) return
      }
    }
    attach(machine, ours, (event) => {
      if (event.type === 'data') {
        received.push(event.data.slice())
        machine.consume(event.exchange, event.data.length)
      } else if (event.type === 'end') {
        machine.sendInformational(event.exchange, 103, { link: '</a>' })
        machine.sendResponse(event.exchange, { status: 200, headers: { 'x-sum': event.trailers?.get('x-sum') ?? '' } })
        waiting.set(event.exchange, concat(received))
        send(event.exchange)
      } else if (event.type === 'writable') send(event.exchange)
    })
    const client = http2.connect('http://localhost', { createConnection: () => theirs })
    closers.push(() => client.destroy())
    client.on('error', () => undefined)
    const stream = client.request({ ':method': 'POST', ':path': '/x' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '42' }))
    const chunks: Uint8Array[] = []
    let hints = 0
    let trailers: http2.IncomingHttpHeaders = {}
    stream.on('headers', () => hints++)
    stream.on('trailers', (fields) => (trailers = fields))
    stream.on('data', (chunk: Uint8Array) => chunks.push(chunk))
    const head = once(stream, 'response') as Promise<[http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader]>
    stream.end(content(size))
    await once(stream, 'end')
    const [fields] = await head
    expect([fields[':status'], fields['x-sum'], hints, trailers['x-done']]).toEqual([200, '42', 1, 'yes'])
    expect(concat(chunks)).toEqual(content(size))
  })

  test('a hundred requests at once, some of them cancelled', async () => {
    const [ours, theirs] = pair()
    const machine = new H2Connection('server', { now: 0 })
    attach(machine, ours, (event) => {
      if (event.type === 'end') machine.sendResponse(event.exchange, { status: 204, headers: [] }, { end: true })
    })
    const client = http2.connect('http://localhost', { createConnection: () => theirs })
    closers.push(() => client.destroy())
    const statuses = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const stream = client.request({ ':path': `/${i}` }, { endStream: i % 10 !== 0 })
        stream.on('error', () => undefined)
        if (i % 10 === 0) {
          stream.close(http2.constants.NGHTTP2_CANCEL)
          return 0
        }
        const closed = new Promise((resolve) => stream.on('close', resolve))
        const [fields] = (await once(stream, 'response')) as [http2.IncomingHttpStatusHeader]
        stream.resume()
        await closed
        return fields[':status']
      }),
    )
    expect(statuses.filter((status) => status === 204)).toHaveLength(90)
    // Newer versions of Node answer the application before they have sent the last RST_STREAM.
    await vi.waitFor(() => expect(machine.active).toBe(0))
  })
})

describe('over real sockets', () => {
  test('our server, our client', async () => {
    const server = createServer((socket: Socket) => {
      const machine = new H2Connection('server', { now: 0 })
      attach(machine, socket, (event) => {
        if (event.type === 'end') {
          machine.sendResponse(event.exchange, { status: 200, headers: [] })
          machine.sendData(event.exchange, content(1_000), true)
        }
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    closers.push(() => server.close())
    const socket = createConnection((server.address() as AddressInfo).port, '127.0.0.1')
    closers.push(() => socket.destroy())
    await once(socket, 'connect')
    const machine = new H2Connection('client', { now: 0 })
    const head = { method: 'GET', scheme: 'http', authority: 'localhost', target: '/', headers: [] }
    for (let i = 0; i < 20; i++) machine.sendRequest(head, { end: true })
    machine.close(0)
    let bytes = 0
    const closed = deferred()
    attach(machine, socket, (event) => {
      if (event.type === 'data') bytes += event.data.length
      else if (event.type === 'closed') closed.resolve()
    })
    await closed.promise
    expect(bytes).toBe(20_000)
    expect(machine.closed).toBe(true)
  })
})
