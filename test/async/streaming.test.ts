// Responses that are streamed: every way of reading one, and every way of not reading it.
import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { runInNewContext } from 'node:vm'
import { describe, expect, it, vi } from 'vitest'
import { LocalProtocolError, RemoteProtocolError, type RequestOptions } from '../../src/index.ts'
import { collect } from '../fixtures/collect.ts'
import { answering, makePool, serveHttp, serveTcp } from './servers.ts'

const size = 3_000_000
const content = new Uint8Array(size).map((_, i) => (i * 31) >> 3)
const serveContent = (): ReturnType<typeof serveHttp> => serveHttp((_, response) => response.end(content))

function join(chunks: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(chunks))
}

describe('a streamed response', () => {
  it('is iterated; its chunks are the caller’s for ever', async () => {
    const { url } = await serveContent()
    const pool = makePool()
    const response = await pool.stream('GET', url)
    const chunks: Uint8Array[] = []
    for await (const chunk of response) {
      expect(chunk.buffer.byteLength).toBeLessThanOrEqual(4 * chunk.byteLength)
      chunks.push(chunk)
    }
    await pool.request('GET', url)
    expect(Buffer.compare(join(chunks), content)).toBe(0)
    expect(response.complete).toBe(true)
  })

  it('may be iterated further, after its first piece was looked at', async () => {
    const { url } = await serveHttp((_, response) => {
      response.write('first')
      setTimeout(() => response.end('rest'), 20)
    })
    const pieces = (await makePool().stream('GET', url))[Symbol.asyncIterator]()
    expect((await pieces.next()).value?.byteLength).toBe(5)
    const rest: number[] = []
    for await (const piece of pieces) rest.push(piece.byteLength)
    expect(rest).toEqual([4])
  })

  it('that came in small pieces waits in few: the first as they were, the others together', async () => {
    const sizes = [3, 1, 2, ...new Array<number>(5_000).fill(1), 5_000]
    const text = sizes.map((length, i) => String.fromCharCode(97 + (i % 26)).repeat(length))
    const wire = text.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join('')
    const url = await serveTcp(answering(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${wire}0\r\n\r\n`))
    const response = await makePool().stream('GET', url)
    while (!response.complete) await new Promise((resolve) => setImmediate(resolve))
    const pieces: Uint8Array[] = []
    for await (const piece of response) {
      expect(piece.buffer.byteLength).toBeLessThanOrEqual(4 * piece.byteLength)
      pieces.push(piece)
    }
    expect(new Set(pieces.map(({ buffer }) => buffer)).size).toBe(pieces.length)
    expect(Buffer.from(join(pieces)).toString('latin1')).toBe(text.join(''))
    expect(pieces.slice(0, 16).map(({ byteLength }) => byteLength)).toEqual(sizes.slice(0, 16))
    expect(pieces.at(-1)?.byteLength).toBe(5_000)
    expect(pieces.length).toBeLessThan(40)
  })

  it('is lent to forEach, and waits for its promises', async () => {
    const { url } = await serveContent()
    const pool = makePool()
    for (const slow of [false, true]) {
      const response = await pool.stream('GET', url)
      let bytes = 0
      let sum = 0
      const add = (lent: Uint8Array): void => {
        bytes += lent.byteLength
        for (const byte of lent) sum = (sum + byte) | 0
      }
      await response.forEach((lent) => {
        if (!slow) return add(lent)
        return new Promise((resolve) => setImmediate(resolve)).then(() => add(lent))
      })
      expect(bytes).toBe(size)
      expect(sum).toBe(content.reduce((a, b) => (a + b) | 0, 0))
    }
  })

  it('is kept for a promise of forEach, whatever is read meanwhile', async () => {
    const { url: other } = await serveHttp((_, response) => response.end('b'.repeat(1_000)))
    const { url } = await serveHttp((_, response) => {
      response.writeHead(200, { 'content-length': 3_000 })
      let pieces = 3
      const timer = setInterval(() => {
        response.write('a'.repeat(1_000))
        if (--pieces === 0) clearInterval(timer)
      }, 10)
    })
    const pool = makePool()
    const response = await pool.stream('GET', url)
    const seen: string[] = []
    await response.forEach(async (lent) => {
      await pool.request('GET', other)
      seen.push(Buffer.from(lent).toString())
    })
    expect(seen.join('')).toBe('a'.repeat(3_000))
  })

  it('does not wait for ever where a callback detaches what it was lent, at once or after a while', async () => {
    const { url } = await serveContent()
    const pool = makePool()
    for (const waits of [false, true]) {
      const response = await pool.stream('GET', url)
      if (waits) await new Promise((resolve) => setTimeout(resolve, 50))
      let bytes = 0
      await response.forEach(async (lent) => {
        bytes += lent.byteLength
        structuredClone(lent, { transfer: [lent.buffer as ArrayBuffer] })
        if (waits) await new Promise((resolve) => setImmediate(resolve))
      })
      expect(bytes).toBe(size)
    }
  })

  it('is given up when the callback of forEach throws, also on a piece that had come before it was called', async () => {
    const { url } = await serveContent()
    const mistake = new Error('mine')
    const throws = (): never => {
      throw mistake
    }
    for (const consume of [throws, () => Promise.reject(mistake)]) {
      const pool = makePool({ maxConnections: 1 })
      const response = await pool.stream('GET', url)
      await new Promise((resolve) => setTimeout(resolve, 20))
      await expect(response.forEach(consume)).rejects.toBe(mistake)
      expect(pool.stats).toMatchObject({ requests: 0, active: 0 })
      expect((await pool.request('GET', url)).status).toBe(200)
    }
  })

  it('is not lent any more to who was told that it failed', async () => {
    const url = await serveTcp((socket) => {
      const pieces = ['HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na', 'b', 'c', 'd']
      const timer = setInterval(() => {
        const piece = pieces.shift()
        if (piece !== undefined) socket.write(piece)
        else clearInterval(timer)
      }, 10)
    })
    const abort = new AbortController()
    const response = await makePool().stream('GET', url, { signal: abort.signal })
    const told: string[] = []
    let written: () => void = () => undefined
    const failed = response
      .forEach((lent) => {
        told.push(String.fromCharCode(...lent))
        return told.length < 2 ? undefined : new Promise<void>((resolve) => (written = resolve))
      })
      .catch((error: unknown) => told.push(String(error)))
    await new Promise((resolve) => setTimeout(resolve, 100))
    abort.abort('aborted')
    await failed
    written()
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(told).toEqual(['a', 'b', 'aborted'])
  })

  it('waits for whatever can be awaited: a promise of another realm', async () => {
    const { url } = await serveHttp((_, response) => {
      response.flushHeaders()
      setTimeout(() => response.write('a'), 30)
      setTimeout(() => response.end('b'), 60)
    })
    const Other = runInNewContext('Promise') as PromiseConstructor
    let done = 0
    const response = await makePool().stream('GET', url)
    await response.forEach(() => new Other<void>((resolve) => setTimeout(() => resolve(void done++), 20)))
    expect(done).toBe(2)
  })

  it('is read whole, or as a ReadableStream', async () => {
    const { url } = await serveContent()
    const pool = makePool()
    const response = await pool.stream('GET', url)
    expect(() => response.content).toThrow(LocalProtocolError)
    expect(Buffer.compare(await response.read(), content)).toBe(0)
    expect(response.content.byteLength).toBe(size)
    const again = await pool.stream('GET', url)
    const blob = await new globalThis.Response(again.readable()).arrayBuffer()
    expect(Buffer.compare(new Uint8Array(blob), content)).toBe(0)
  })

  it('is read whole by each who asks for it, at the same time too', async () => {
    const { url } = await serveContent()
    const response = await makePool().stream('GET', url)
    const [one, other] = await Promise.all([response.read(), response.read()])
    expect(one.byteLength).toBe(size)
    expect(other).toBe(one)
    expect(await response.read()).toBe(one)
  })

  it('can be taken once', async () => {
    const { url } = await serveContent()
    const response = await makePool().stream('GET', url)
    await response.read()
    expect(() => response[Symbol.asyncIterator]()).toThrow(LocalProtocolError)
    await expect(response.forEach(() => undefined)).rejects.toThrow(LocalProtocolError)
  })

  it('gives its connection back when it is drained, and gives it up when it is closed', async () => {
    const { url, connections } = await serveHttp((_, response) => response.end('x'.repeat(20_000)))
    const pool = makePool({ maxConnections: 1 })
    await (await pool.stream('GET', url)).drain()
    await pool.request('GET', url)
    expect(connections()).toBe(1)
    const big = await serveContent()
    const one = makePool({ maxConnections: 1 })
    await (await one.stream('GET', big.url)).close()
    await one.request('GET', big.url)
    expect(big.connections()).toBe(2)
  })

  it.each([
    [10_000, 2],
    [1_000_000, 1],
  ])(
    'is drained up to limits.drainBytes: with %i of them it is %i connections for 300,000 bytes',
    async (drainBytes, count) => {
      const { url, connections } = await serveHttp((_, response) => response.end('x'.repeat(300_000)))
      const pool = makePool({ maxConnections: 1, limits: { drainBytes } })
      await (await pool.stream('GET', url)).drain()
      await pool.request('GET', url)
      expect(connections()).toBe(count)
    },
  )

  it('is not drained up to what is no number of bytes, and can be drained then', async () => {
    const { url, connections } = await serveHttp((_, response) => response.end('x'.repeat(300_000)))
    const pool = makePool({ maxConnections: 1 })
    const response = await pool.stream('GET', url)
    for (const limit of [NaN, -1, 0.5]) await expect(response.drain(limit)).rejects.toThrow(RangeError)
    for (const limit of ['1', 1n, null]) await expect(response.drain(limit as never)).rejects.toThrow(TypeError)
    await response.drain(Infinity)
    await pool.request('GET', url)
    expect(connections()).toBe(1)
  })

  it('is closed by leaving the loop', async () => {
    const { url, connections } = await serveContent()
    const pool = makePool({ maxConnections: 1 })
    for await (const chunk of await pool.stream('GET', url)) {
      expect(chunk.byteLength).toBeGreaterThan(0)
      break
    }
    await pool.request('GET', url)
    expect(connections()).toBe(2)
  })

  it('is given up when the callback of forEach throws, also over what waited for it', async () => {
    const url = await serveTcp(answering('HTTP/1.1 200 \r\nContent-Length: 10\r\n\r\n12345'))
    const pool = makePool({ maxConnections: 1 })
    const own = new Error('mine')
    for (const fail of [
      () => Promise.reject(own),
      () => {
        throw own
      },
    ]) {
      const response = await pool.stream('GET', url)
      await expect(response.forEach(fail)).rejects.toBe(own)
      await expect.poll(() => pool.stats['requests']).toBe(0)
    }
  })

  it('closed while it is read: what comes in pieces ends there, all of it is not to be had', async () => {
    const url = await serveTcp(answering('HTTP/1.1 200 \r\nContent-Length: 10\r\n\r\n12345'))
    const pool = makePool()
    const read = await pool.stream('GET', url)
    const all = read.read()
    const each = await pool.stream('GET', url)
    let bytes = 0
    const consumed = each.forEach((lent) => {
      bytes += lent.byteLength
    })
    const iterated = await pool.stream('GET', url)
    const iterator = iterated[Symbol.asyncIterator]()
    await iterator.next()
    const next = iterator.next()
    await Promise.all([read, each, iterated].map((response) => response.close()))
    await expect(all).rejects.toMatchObject({ name: 'LocalProtocolError', code: 'response-closed' })
    await consumed
    expect(await next).toEqual({ done: true, value: undefined })
    expect([bytes, each.complete]).toEqual([5, false])
  })

  it('closed has nothing more to give, though some of it waited', async () => {
    const url = await serveTcp(answering('HTTP/1.1 200 \r\nContent-Length: 9\r\n\r\nhalf'))
    const response = await makePool().stream('GET', url)
    const pieces = response[Symbol.asyncIterator]()
    await new Promise((resolve) => setTimeout(resolve, 20))
    await response.close()
    expect(await pieces.next()).toEqual({ done: true, value: undefined })
  })

  it('drained while it is read ends there as well: nobody waits for ever, and nothing passes for all of it', async () => {
    const { url, connections } = await serveHttp((_, response) => {
      response.write('first')
      setTimeout(() => response.end('rest'), 20)
    })
    const pool = makePool()
    const read = await pool.stream('GET', url)
    const whole = read.read()
    await read.drain()
    await expect(whole).rejects.toMatchObject({ code: 'response-closed' })
    for (const slow of [false, true]) {
      const lent = await pool.stream('GET', url)
      const pieces: string[] = []
      await lent.forEach((piece) => {
        pieces.push(String.fromCharCode(...piece))
        const drained = lent.drain()
        return slow ? drained : undefined
      })
      expect(pieces).toEqual(['first'])
    }
    expect(connections()).toBe(1)
  })

  it('holds the sender back while nobody reads', async () => {
    let written = 0
    const { url } = await serveHttp((_, response) => {
      const chunk = new Uint8Array(64 * 1024)
      const more = (): void => {
        while (written < 200_000_000 && response.write(chunk)) written += chunk.byteLength
        if (written < 200_000_000) response.once('drain', more)
      }
      more()
    })
    const response = await makePool().stream('GET', url)
    await new Promise((resolve) => setTimeout(resolve, 300))
    const before = written
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(written).toBe(before)
    expect(written).toBeLessThan(100_000_000)
    await response.close()
  })

  it('goes on when what had filled all there was room for is lent', async () => {
    const size = 64 * 1024 * 1024
    let filled = false
    const { url } = await serveHttp((_, response) => {
      const chunk = new Uint8Array(64 * 1024)
      let left = size
      const more = (): void => {
        while (left > 0) {
          left -= chunk.byteLength
          if (!response.write(chunk)) return void response.once('drain', more)
        }
        response.end()
      }
      more()
      let last = -1
      const looks = setInterval(() => {
        filled ||= left === last
        last = left
      }, 20)
      response.on('close', () => clearInterval(looks))
    })
    const response = await makePool().stream('GET', url)
    while (!filled) await new Promise((resolve) => setTimeout(resolve, 5))
    let bytes = 0
    await response.forEach((lent) => void (bytes += lent.byteLength))
    expect(bytes).toBe(size)
  })

  it('does not hold what was taken of it, also where its reader never catches up', async () => {
    let send: () => unknown = () => undefined
    const url = await serveTcp((socket) => {
      answering('HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n')(socket)
      send = () => socket.write('x'.repeat(1_000))
    })
    const sent = async (): Promise<void> => {
      send()
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    const pieces = (await makePool().stream('GET', url))[Symbol.asyncIterator]()
    const taken: WeakRef<Uint8Array>[] = []
    await sent()
    for (let i = 0; i < 20; i++) {
      await sent()
      taken.push(new WeakRef((await pieces.next()).value as Uint8Array))
    }
    await sent()
    collect()
    expect(taken.filter((piece) => piece.deref() !== undefined).length).toBeLessThan(5)
  })

  it('is lent what came before it failed, also to who asks only after that', async () => {
    const url = await serveTcp((socket) => {
      answering('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello')(socket)
      socket.once('data', () => socket.end())
    })
    const pool = makePool()
    const response = await pool.stream('GET', url)
    while (pool.stats['requests'] !== 0) await new Promise((resolve) => setImmediate(resolve))
    let got = ''
    const read = response.forEach(async (lent) => {
      await Promise.resolve()
      got += new TextDecoder().decode(lent)
    })
    await expect(read).rejects.toMatchObject({ code: 'incomplete-message' })
    expect(got).toBe('hello')
  })
  it('fails where it is cut, after what came', async () => {
    const url = await serveTcp((socket) => {
      answering('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello')(socket)
      socket.once('data', () => setTimeout(() => socket.end(), 20))
    })
    const response = await makePool().stream('GET', url)
    let got = ''
    const read = async (): Promise<void> => {
      for await (const chunk of response) got += new TextDecoder().decode(chunk)
    }
    await expect(read()).rejects.toMatchObject({ code: 'incomplete-message', disposition: 'response-started' })
    expect(got).toBe('hello')
    expect(response.complete).toBe(false)
  })

  it('that is broken never reaches the next request', async () => {
    const url = await serveTcp(
      answering('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison'),
    )
    const pool = makePool({ maxConnections: 1 })
    for (let i = 0; i < 3; i++) {
      const response = await pool.request('GET', url)
      expect(new TextDecoder().decode(response.content)).toBe('ok')
      expect(response.connection.reused).toBe(false)
    }
  })

  it('longer than maxContentBytes is an error', async () => {
    const { url } = await serveContent()
    const pool = makePool()
    const failure = pool.request('GET', url, { maxContentBytes: 1000 })
    await expect(failure).rejects.toThrow(RemoteProtocolError)
    const facts = { phase: 'resp_body', origin: url, disposition: 'response-started' }
    await expect(failure).rejects.toMatchObject({ code: 'limit-content', ...facts })
    const { bytesSent, bytesReceived } = (await failure.catch((error: unknown) => error)) as RemoteProtocolError
    expect(bytesSent).toBe(`GET / HTTP/1.1\r\nHost: ${url.slice('http://'.length)}\r\n\r\n`.length)
    expect(bytesReceived).toBeGreaterThan(1000)
    const whole = await pool.request('GET', url, { maxContentBytes: size })
    expect(whole.content).toHaveLength(size)
  })

  it.each([
    ['at its end', {}],
    ['at once where its length is known', { 'Content-Length': 12_345 }],
  ])('that there is no memory for in one piece is an error: %s', async (_, headers) => {
    const parts = [12_000, 345].map((size) => Buffer.alloc(size))
    const { url } = await serveHttp((_, response) => {
      response.writeHead(200, headers)
      response.write(parts[0], () => response.end(parts[1]))
    })
    const full = new RangeError('Array buffer allocation failed')
    const pool = makePool()
    const allocate = Buffer.allocUnsafeSlow
    const allocated = vi.spyOn(Buffer, 'allocUnsafeSlow').mockImplementation((size) => {
      if (size === 12_345) throw full
      return allocate(size)
    })
    try {
      await expect(pool.request('GET', url)).rejects.toBe(full)
    } finally {
      allocated.mockRestore()
    }
    expect(pool.stats).toMatchObject({ requests: 0, active: 0 })
  })
  it('is read to its end, whatever maxContentBytes says, where it was asked for as a stream', async () => {
    const { url } = await serveContent()
    const pool = makePool()
    const response = await pool.stream('GET', url, { maxContentBytes: 1000 })
    expect(response.timings, 'as long as it goes on it took no time').toEqual({})
    expect((await response.read()).byteLength).toBeGreaterThan(1000)
  })

  it('fails the request although all of it came at once: by its length, by what a callback throws', async () => {
    const url = await serveTcp(
      answering('HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'),
    )
    const pool = makePool()
    await expect(pool.request('GET', url, { maxContentBytes: 1 })).rejects.toMatchObject({ code: 'limit-content' })
    const mine = new Error('mine')
    const onInformational = (): never => {
      throw mine
    }
    await expect(pool.request('GET', url, { onInformational })).rejects.toBe(mine)
    expect(pool.stats).toMatchObject({ requests: 0, active: 0 })
  })

  it('hears its signal while a callback keeps what came with the head', async () => {
    const url = await serveTcp(answering('HTTP/1.1 200 \r\nContent-Length: 9\r\n\r\nhalf'))
    const controller = new AbortController()
    const response = await makePool().stream('GET', url, { signal: controller.signal })
    await new Promise((resolve) => setTimeout(resolve, 20))
    const reading = response.forEach(() => new Promise<void>(() => undefined))
    controller.abort('enough')
    await expect(reading).rejects.toBe('enough')
  })
})

describe('a request that is streamed', () => {
  it('is pulled no faster than the server reads', async () => {
    const url = await serveTcp((socket) => socket.pause())
    let pulled = 0
    function* chunks(): Generator<Uint8Array> {
      for (; pulled < 200_000_000; pulled += 65_536) yield new Uint8Array(65_536)
    }
    const controller = new AbortController()
    const sending = makePool().request('POST', url, { content: chunks(), signal: controller.signal })
    const failed = sending.catch((error: unknown) => error)
    await new Promise((resolve) => setTimeout(resolve, 500))
    // What the system buffers, and what the pool takes ahead of it.
    expect(pulled).toBeLessThan(50_000_000)
    expect(pulled).toBeGreaterThan(0)
    controller.abort('enough')
    expect(await failed).toBe('enough')
  })

  it('is answered with 101 when its content has left, and not before there is a stream to go on with', async () => {
    const url = await serveTcp(answering('HTTP/1.1 101 \r\nConnection: Upgrade\r\nUpgrade: a\r\n\r\n'))
    const content = async function* (): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(1)
      await new Promise((resolve) => setTimeout(resolve, 30))
    }
    const headers = { connection: 'upgrade', upgrade: 'a' }
    const response = await makePool().stream('POST', url, { headers, content })
    expect(response.networkStream).toBeDefined()
    await response.close()
    const answers = answering('HTTP/1.1 101 \r\nConnection: Upgrade\r\nUpgrade: a\r\n\r\n')
    const echo = await serveTcp((socket) => {
      answers(socket)
      socket.once('data', () => socket.pipe(socket))
    })
    const switched = await makePool().stream('POST', echo, { headers, content: 'one', expectContinue: true })
    await switched.networkStream?.write(new Uint8Array(3))
    expect(await switched.networkStream?.read()).not.toBeNull()
    await switched.close()
  })

  it('that was sent again before its source was asked has all of its content', async () => {
    let count = 0
    const url = await serveTcp((socket) => {
      const first = count++ === 0
      let heard = ''
      let requests = 0
      socket.on('data', (data) => {
        heard += data.toString('latin1')
        if (!heard.includes('\r\n\r\n')) return
        if (first && requests++ > 0) socket.destroy()
        else if (heard.endsWith('100-continue\r\nTransfer-Encoding: chunked\r\n\r\n'))
          socket.write('HTTP/1.1 100 \r\n\r\n')
        else if (!heard.startsWith('PUT') || heard.endsWith('0\r\n\r\n')) {
          const content = heard.slice(heard.indexOf('\r\n\r\n') + 4)
          socket.write(`HTTP/1.1 200 \r\nContent-Length: ${content.length}\r\n\r\n${content}`)
          heard = ''
        }
      })
    })
    function* once(): Generator<Uint8Array> {
      yield new TextEncoder().encode('abc')
    }
    const pool = makePool()
    await pool.request('GET', url)
    const { content, connection } = await pool.request('PUT', url, { content: once(), expectContinue: true })
    expect([connection.reused, count]).toEqual([false, 2])
    expect(new TextDecoder().decode(content)).toBe('3\r\nabc\r\n0\r\n\r\n')
  })

  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
  it.each<[string, RequestOptions['content'], string]>([
    ['one piece', 'abc', 'abc'],
    ['a function of one piece', () => 'abc', '3\r\nabc\r\n0\r\n\r\n'],
    ['a function of pieces', () => ['ab', '', 'c'].map(bytes), '2\r\nab\r\n1\r\nc\r\n0\r\n\r\n'],
    [
      'a function of pieces that come later',
      async function* () {
        yield bytes('ab')
        yield bytes('c')
      },
      '2\r\nab\r\n1\r\nc\r\n0\r\n\r\n',
    ],
  ])('that was lost when all of it had left is sent again with all of it: %s', async (_, content, sent) => {
    let count = 0
    const url = await serveTcp((socket) => {
      const first = count++ === 0
      let heard = ''
      socket.on('data', (data) => {
        heard += data.toString('latin1')
        const get = heard.startsWith('GET')
        if (!get && !heard.endsWith(`\r\n\r\n${sent}`)) return
        if (first && !get) return void socket.destroy()
        const answer = get ? '' : sent
        heard = ''
        socket.write(`HTTP/1.1 200 \r\nContent-Length: ${answer.length}\r\n\r\n${answer}`)
      })
    })
    const pool = makePool()
    await pool.request('GET', url)
    const response = await pool.request('PUT', url, { content, timeout: 5_000 })
    expect([response.connection.reused, count]).toEqual([false, 2])
    expect(new TextDecoder().decode(response.content)).toBe(sent)
  })

  it('does not ask its source when the server has answered before', async () => {
    const url = await serveTcp(answering('HTTP/1.1 417 \r\nContent-Length: 0\r\n\r\n'))
    let asked = 0
    const content = (): Uint8Array[] => [new Uint8Array(++asked)]
    const response = await makePool().request('PUT', url, { content, expectContinue: true })
    expect([response.status, asked]).toEqual([417, 0])
  })

  it('leaves no stream of Node’s behind that has nothing to give when the request is given up', async () => {
    const url = await serveTcp(() => undefined)
    for (const given of [(stream: Readable) => stream, (stream: Readable) => () => stream]) {
      const stream = new Readable({ read: () => undefined })
      stream.push('first')
      const controller = new AbortController()
      const failed = makePool().request('POST', url, { content: given(stream), signal: controller.signal })
      setTimeout(() => controller.abort('enough'), 20)
      await expect(failed).rejects.toBe('enough')
      await expect.poll(() => stream.destroyed).toBe(true)
    }
  })

  it('sends nothing of what it was to be sent with before it was sent again', async () => {
    let count = 0
    const url = await serveTcp((socket) => {
      const first = count++ === 0
      let heard = ''
      socket.on('data', (data) => {
        heard += data.toString('latin1')
        if (heard.startsWith('PUT') && first) socket.destroy()
        else if (heard.endsWith('\r\n\r\n') && (heard.startsWith('GET') || heard.endsWith('0\r\n\r\n'))) {
          const content = heard.slice(heard.indexOf('\r\n\r\n') + 4)
          socket.write(`HTTP/1.1 200 \r\nContent-Length: ${content.length}\r\n\r\n${content}`)
          heard = ''
        }
      })
    })
    let late: ((piece: Uint8Array) => void) | undefined
    async function* content(): AsyncGenerator<Uint8Array> {
      if (late === undefined) return void (yield await new Promise<Uint8Array>((resolve) => (late = resolve)))
      late(bytes('stale'))
      await new Promise((resolve) => setTimeout(resolve, 5))
      yield bytes('fresh')
    }
    const pool = makePool()
    await pool.request('GET', url)
    const response = await pool.request('PUT', url, { content })
    expect([count, new TextDecoder().decode(response.content)]).toEqual([2, '5\r\nfresh\r\n0\r\n\r\n'])
  })

  it('leaves no stream behind that nobody has begun to read, be it Node’s or the web’s', async () => {
    const url = await serveTcp(answering('HTTP/1.1 417 \r\nContent-Length: 0\r\n\r\n'))
    const pool = makePool({ maxConnections: 1 })
    const cases: [string, RequestOptions][] = [
      ['http://127.0.0.1:1', {}],
      [url, { signal: AbortSignal.abort(new Error('no')) }],
      [url, { expectContinue: true }],
    ]
    for (const [to, options] of cases) {
      const content = createReadStream(import.meta.filename)
      await pool.request('POST', to, { ...options, content }).catch(() => undefined)
      expect([content.bytesRead, content.destroyed]).toEqual([0, true])
      let left = 0
      const web = new ReadableStream<Uint8Array>({ cancel: () => Promise.reject(new Error(`${++left}`)) })
      await pool.request('POST', to, { ...options, content: web }).catch(() => undefined)
      expect([left, web.locked]).toEqual([1, false])
    }
  })

  it('is given up well also where the platform has no web streams', async () => {
    vi.stubGlobal('ReadableStream', undefined)
    try {
      const pool = makePool()
      const content = (async function* (): AsyncGenerator<Uint8Array> {})()
      await expect(pool.request('POST', 'http://127.0.0.1:1', { content })).rejects.toMatchObject({
        name: 'ConnectError',
      })
      expect(pool.stats).toMatchObject({ requests: 0, connections: 0 })
    } finally {
      vi.unstubAllGlobals()
    }
  })

  it('that throws when it is given up changes nothing about its request', async () => {
    const { url } = await serveHttp((_, response) => response.end('ok'))
    const content = (): AsyncIterable<Uint8Array> =>
      Object.assign(
        (async function* () {
          yield new Uint8Array(3)
        })(),
        {
          pipe: () => undefined,
          on: () => undefined,
          destroy: () => {
            throw new Error('broken')
          },
        },
      )
    expect((await makePool().request('POST', url, { content: content() })).status).toBe(200)
    await expect(makePool().request('POST', 'http://127.0.0.1:1', { content: content() })).rejects.toMatchObject({
      name: 'ConnectError',
    })
  })

  it('leaves a server that passes on what it was asked with the socket to answer on', async () => {
    const broken = await serveTcp((socket) => void socket.once('data', () => setTimeout(() => socket.destroy(), 20)))
    const pool = makePool()
    const { url } = await serveHttp((request, response) => {
      pool.request('POST', broken, { content: request }).catch(() => response.writeHead(502).end())
    })
    const content = new Readable({ read: () => undefined })
    content.push('first')
    expect((await makePool().request('POST', url, { content })).status).toBe(502)
  })

  it('cancels a web stream that has nothing to give when the request is given up', async () => {
    const url = await serveTcp(() => undefined)
    let cancelled = false
    const content = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new Uint8Array(1)),
      cancel: () => void (cancelled = true),
    })
    const controller = new AbortController()
    const failed = makePool().request('POST', url, { content, signal: controller.signal })
    setTimeout(() => controller.abort('enough'), 20)
    await expect(failed).rejects.toBe('enough')
    await expect.poll(() => cancelled).toBe(true)
    expect(content.locked).toBe(false)
  })

  it('fails with what its stream fails with, however early', async () => {
    const { url } = await serveHttp((_, response) => response.end())
    const own = new Error('no such file')
    const content = new Readable({ read: () => undefined })
    content.destroy(own)
    await expect(makePool().request('POST', url, { content })).rejects.toBe(own)
  })

  it('fails with what its source throws, whenever that is', async () => {
    const { url } = await serveHttp((request, response) => request.resume().on('end', () => response.end()))
    const mine = new Error('mine')
    for (const before of [0, 1, 2]) {
      function* content(): Generator<Uint8Array> {
        for (let n = 0; n < before; n++) yield bytes('piece')
        throw mine
      }
      await expect(makePool().request('POST', url, { content: content() })).rejects.toBe(mine)
    }
  })

  it('returns its source when the request is given up', async () => {
    const { url } = await serveHttp((_, response) => response.end('early'))
    let returned = 0
    const content = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise<never>(() => undefined),
        return: () => Promise.resolve({ done: true as const, value: void returned++ }),
      }),
    }
    const response = await makePool().request('POST', url, { content })
    expect(new TextDecoder().decode(response.content)).toBe('early')
    expect(returned).toBe(1)
  })
})
