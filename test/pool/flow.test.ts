// Bytes on their way through: backpressure both ways, what is taken ahead, and that cutting changes nothing.
import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import { H2, OK, Peer, Play, text } from './play.ts'

const KiB = 1024

/** A response of so many bytes has begun, and some of them have come. */
function answered(play: Play, length: number, come: number): void {
  play.received(1, `HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\n`)
  play.received(1, new Uint8Array(come))
}

describe('a reader that lags', () => {
  it('stops the socket of HTTP/1.1, and the deadline of reading, until it has read', () => {
    const play = new Play()
    const id = play.request({ timeouts: { read: 1_000 } })
    play.connectAll()
    play.drained(1)
    answered(play, 300 * KiB, 256 * KiB)
    expect(play.saidOf(1, 'pauseReading', 'resumeReading')).toEqual(['pauseReading'])
    play.pass(60_500)
    expect(play.outcome(id)).toBeUndefined()
    play.tell({ type: 'consumed', id, bytes: 256 * KiB })
    expect(play.saidOf(1, 'pauseReading', 'resumeReading')).toEqual(['pauseReading', 'resumeReading'])
    play.pass(999)
    expect(play.outcome(id)).toBeUndefined()
    play.pass(1)
    expect(play.error(id).name).toBe('ReadTimeout')
  })
  it('stops the socket of a tunnel, until it has read', () => {
    const play = new Play()
    const id = play.request({ headers: [['Upgrade', 'x']] })
    play.connectAll()
    play.received(1, `HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n${'-'.repeat(100 * KiB)}`)
    play.received(1, new Uint8Array(156 * KiB - 1))
    expect(play.saidOf(1, 'pauseReading')).toEqual([])
    play.received(1, new Uint8Array(1))
    expect(play.saidOf(1, 'pauseReading', 'resumeReading')).toEqual(['pauseReading'])
    play.tell({ type: 'consumed', id, bytes: 1 })
    expect(play.saidOf(1, 'pauseReading', 'resumeReading')).toEqual(['pauseReading', 'resumeReading'])
  })
  it('and gives up leaves nothing stopped: what it had not read is dropped with the rest', () => {
    const play = new Play()
    const id = play.request()
    play.connectAll()
    answered(play, 900 * KiB, 300 * KiB)
    play.tell({ type: 'drain', id, limit: 1_000 * KiB })
    const stopped = (): string[] => play.saidOf(1, 'pauseReading', 'resumeReading')
    expect(stopped()).toEqual(['pauseReading', 'resumeReading'])
    for (let i = 0; i < 3; i++) play.received(1, new Uint8Array(200 * KiB))
    expect(stopped()).toHaveLength(2)
    expect([play.outcome(id), play.stats().idle]).toEqual(['ok', 1])
  })
  it('holds up no other once its response is over: the connection reads for whoever comes next', () => {
    const play = new Play()
    const first = play.request()
    play.connectAll()
    answered(play, 300 * KiB, 290 * KiB)
    play.tell({ type: 'consumed', id: first, bytes: 290 * KiB })
    // The last of it comes with more than the window still unread, and is read when the request is long over.
    play.received(1, new Uint8Array(10 * KiB))
    expect(play.outcome(first)).toBe('ok')
    const second = play.request()
    answered(play, 300 * KiB, 300 * KiB)
    expect(play.outcome(second)).toBe('ok')
    const third = play.request()
    expect(play.saidOf(1, 'pauseReading', 'resumeReading')).toEqual(['pauseReading', 'resumeReading'])
    play.received(1, OK)
    expect(play.outcome(third)).toBe('ok')
  })
  it('the total deadline goes on', () => {
    const play = new Play()
    const id = play.request({ timeouts: { total: 5_000 } })
    play.connectAll()
    play.received(1, 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab')
    play.pass(5_000)
    expect(play.error(id)).toMatchObject({ name: 'TimeoutException', code: 'total-timeout' })
  })
  it('stops its own stream of HTTP/2 and no other', () => {
    const play = new Play({ ...H2, http2Options: { streamWindow: 64 * KiB - 1 } })
    const slow = play.request({ target: '/slow' })
    const other = play.request({ target: '/other' })
    play.connectAll()
    const peer = new Peer(play, 1, 'h2').sync()
    const exchange = peer.of('/slow')
    peer.machine.sendResponse(exchange, { status: 200, headers: [], content: 'unknown' })
    peer.machine.sendData(exchange, new Uint8Array(128 * KiB))
    peer.sync()
    expect(play.delivered(slow).content.length).toBe(64 * KiB - 1)
    peer.respond('/other').sync()
    expect(play.outcome(other)).toBe('ok')
    expect(play.saidOf(1, 'pauseReading')).toEqual([])
    play.tell({ type: 'consumed', id: slow, bytes: 64 * KiB - 1 })
    peer.sync()
    expect(play.delivered(slow).content.length).toBeGreaterThan(64 * KiB)
  })
})

describe('a network that lags', () => {
  it('has at most 256 KiB before it accepts some; the source is asked for no more meanwhile', () => {
    const play = new Play()
    const id = play.request({ method: 'POST', content: 'unknown' })
    play.connectAll()
    let given = 0
    while (play.take('pullContent').length > 0 && given < 10_000) {
      play.tell({ type: 'content', id, data: new Uint8Array(10 * KiB) })
      given += 10
    }
    const ahead = play.takenBytes(1).reduce((sum, chunk) => sum + chunk.byteLength, 0)
    expect(ahead).toBeLessThan(270 * KiB)
    expect(given).toBeLessThan(600)
    play.drained(1)
    expect(play.takenBytes(1).length).toBeGreaterThan(0)
  })
  it('has no more of a tunnel either', () => {
    const play = new Play()
    const id = play.request({ headers: [['Upgrade', 'x']] })
    play.connectAll()
    play.received(1, 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n')
    play.drained(1)
    expect(play.take('pullContent')).toHaveLength(1)
    play.tell({ type: 'content', id, data: new Uint8Array(256 * KiB) })
    expect(play.take('pullContent')).toEqual([])
    play.drained(1)
    expect(play.take('pullContent')).toHaveLength(1)
  })
  it('is timed by what it accepts: progress moves the deadline of writing', () => {
    const play = new Play()
    const id = play.request({ method: 'POST', content: { length: 100 }, timeouts: { write: 1_000 } })
    play.connectAll()
    for (let i = 0; i < 5; i++) {
      play.tell({ type: 'content', id, data: new Uint8Array(10) })
      play.pass(900)
      play.tell({ type: 'drained', link: 1, bytes: 5 })
    }
    expect(play.outcome(id)).toBeUndefined()
    play.pass(1_000)
    expect(play.error(id)).toMatchObject({ name: 'WriteTimeout', blockedOn: { want: 'writable', since: 4_500 } })
  })
  it('nothing is stuck of which a part is accepted now and then', () => {
    const play = new Play()
    const id = play.request({ method: 'POST', content: { length: 10_000 }, timeouts: { write: 1_000 } })
    play.connectAll()
    play.content(id, 'x'.repeat(10_000))
    for (let i = 0; i < 5; i++) {
      play.pass(900)
      play.tell({ type: 'drained', link: 1, bytes: 1_000 })
    }
    expect(play.outcome(id)).toBeUndefined()
    play.pass(1_000)
    expect(play.error(id)).toMatchObject({ name: 'WriteTimeout', blockedOn: { since: 4_500 } })
  })
  it('what comes late has its own time to be accepted', () => {
    const play = new Play()
    const id = play.request({ method: 'POST', content: { length: 100 }, timeouts: { write: 1_000 } })
    play.connectAll()
    play.drained(1)
    play.pass(900)
    play.content(id, 'late', false)
    play.pass(999)
    expect(play.outcome(id)).toBeUndefined()
    play.pass(1)
    expect(play.error(id).name).toBe('WriteTimeout')
  })
  it('a source that says late that it has no more: the time to answer runs from then', () => {
    const play = new Play()
    const id = play.request({ method: 'POST', content: { length: 3 }, timeouts: { read: 1_000 } })
    play.connectAll()
    play.content(id, 'abc', false)
    play.drained(1)
    play.pass(60_000)
    play.tell({ type: 'contentEnd', id })
    play.pass(999)
    expect(play.outcome(id)).toBeUndefined()
    play.pass(1)
    expect(play.error(id)).toMatchObject({ name: 'ReadTimeout', bytesReceived: 0 })
  })
  it.each([1_000, 0.01, 0])('a source that is slow is no fault of the network that has %s ms', (write) => {
    const play = new Play()
    const id = play.request({ method: 'POST', content: { length: 100 }, timeouts: { write } })
    play.connectAll()
    play.drained(1)
    expect(play.pool.nextTimeout()).toBe(write)
    play.pass(60_000)
    expect(play.outcome(id)).toBeUndefined()
  })
})

describe('over HTTP/2 a request is sent when its own last byte is, whatever the others do', () => {
  const WIDE = { settings: { initialWindowSize: 10_000_000 }, connectionWindow: 10_000_000 }
  const NARROW = { settings: { initialWindowSize: 65_535 }, connectionWindow: 65_535 }
  /** All of it given to the machine at once, to a server with such windows. */
  const upload = (length: number, windows: typeof NARROW, timeouts: { write?: number; read?: number } = {}) => {
    const play = new Play(H2)
    const put = play.request({ method: 'PUT', content: { length }, timeouts })
    const [link] = play.connectAll() as [number]
    const peer = new Peer(play, link, 'h2', windows).sync()
    play.content(put, 'x'.repeat(length))
    return { play, put, link, peer }
  }
  it('an upload that waits for credit is asked for no more, where one read tells that it is answered and stopped', () => {
    const play = new Play(H2)
    const put = play.request({ method: 'PUT', content: 'unknown' })
    const [link] = play.connectAll() as [number]
    const { machine } = new Peer(play, link, 'h2', NARROW).sync()
    play.content(put, 'x'.repeat(400 * KiB), false)
    play.commands = []
    machine.sendResponse(1, { status: 200, headers: [] }, { end: true })
    const answer = machine.takeOutput()
    machine.cancel(1, 0)
    play.received(link, Buffer.concat([...answer, ...machine.takeOutput()]))
    expect(play.outcome(put)).toBe('ok')
    expect(play.saidOf(put, 'pullContent', 'stopContent')).toEqual(['stopContent'])
  })
  it('a GET beside an upload that the network does not take: its time to be answered runs', () => {
    const { play, put, link, peer } = upload(1_000_000, WIDE)
    const get = play.request({ target: '/get', timeouts: { read: 1_000 } })
    play.drained(link)
    peer.read()
    play.drained(link)
    expect(peer.exchanges.has('/get')).toBe(true)
    expect(peer.ended.has(peer.of('/')), 'the upload is not through').toBe(false)
    play.pass(1_000)
    expect(play.error(get)).toMatchObject({ name: 'ReadTimeout', disposition: 'maybe-processed' })
    expect(play.outcome(put)).toBeUndefined()
  })
  it('a GET that was refused and is sent again on that connection has not been sent by what it wrote before', () => {
    const play = new Play(H2)
    play.request({ target: '/other' })
    const [link] = play.connectAll() as [number]
    const peer = new Peer(play, link, 'h2', WIDE).sync()
    play.drained(link)
    const get = play.request({ target: '/get', timeouts: { read: 1_000 } })
    const put = play.request({ method: 'PUT', content: { length: 1_000_000 } })
    play.content(put, 'x'.repeat(1_000_000))
    // What it wrote was read, and was not reported as accepted yet; what it writes now stands behind the upload.
    peer.read().machine.cancel(peer.of('/get'), 7)
    peer.write().respond('/other')
    expect(play.saidOf(get, 'assigned')).toHaveLength(2)
    play.tell({ type: 'drained', link, bytes: 30 })
    play.pass(1_000)
    expect(play.outcome(get)).toBeUndefined()
  })
  it('an upload whose end waits for a window is not sent yet: nothing accepted is a WriteTimeout', () => {
    const { play, put, link } = upload(80_000, NARROW, { write: 1_000, read: 5_000 })
    play.drained(link)
    play.pass(1_000)
    expect(play.error(put)).toMatchObject({ name: 'WriteTimeout', blockedOn: { want: 'stream-credit' } })
  })
  it('… also while the network accepts what others send', () => {
    const { play, put, link } = upload(80_000, { ...NARROW, connectionWindow: 10_000_000 }, { write: 1_000 })
    play.drained(link)
    for (const target of ['/a', '/b']) {
      play.pass(400)
      play.request({ target })
      play.drained(link)
    }
    play.pass(200)
    expect(play.error(put)).toMatchObject({ name: 'WriteTimeout', blockedOn: { want: 'stream-credit' } })
  })
  it('an upload that just fits into its window is not stuck while the network accepts it by and by', () => {
    const { play, put, link } = upload(65_535, NARROW, { write: 1_000 })
    for (let i = 0; i < 5; i++) {
      play.pass(900)
      play.tell({ type: 'drained', link, bytes: 1_000 })
    }
    expect(play.outcome(put)).toBeUndefined()
    play.pass(1_000)
    expect(play.error(put).name).toBe('WriteTimeout')
  })
  it('nor is it stuck while the window opens by and by', () => {
    const { play, put, link, peer } = upload(80_000, NARROW, { write: 1_000 })
    for (let n = 0; n < 10; n++) {
      play.drained(link)
      play.pass(900)
      // WINDOW_UPDATE by hand: the server's machine has not read what it was sent.
      for (const stream of [0, peer.of('/')])
        play.received(link, Uint8Array.of(0, 0, 4, 8, 0, 0, 0, 0, stream, 0, 0, 3, 0xe8))
    }
    expect(play.outcome(put)).toBeUndefined()
  })
})

describe('how many streams a server takes', () => {
  const settings = (streams: number): string => `\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0${String.fromCharCode(streams)}`
  const goaway = (last: number): string => `\0\0\x08\x07\0\0\0\0\0\0\0\0${String.fromCharCode(last)}\0\0\0\0`
  /** One request runs on the only connection there may be, or has run; the server takes no other for now. */
  const full = (streams: number): { play: Play; peer: Peer } => {
    const play = new Play({ ...H2, maxConnectionsPerOrigin: 1 })
    play.request({ target: '/1' })
    play.connectAll()
    const peer = new Peer(play, 1, 'h2').sync()
    play.received(1, settings(streams))
    return { play, peer }
  }
  it('grows, and the server goes away in the same read: who waited is dialled for', () => {
    const { play } = full(1)
    const id = play.request({ target: '/2' })
    play.received(1, settings(2) + goaway(1))
    expect(play.outcome(id)).toBeUndefined()
    expect(play.stats()).toMatchObject({ active: 1, queued: 1 })
    play.cancel(1)
    play.closed(1)
    play.connected(2)
    new Peer(play, 2, 'h2').sync().respond('/2')
    expect(play.outcome(id)).toBe('ok')
  })
  it('was none and grows: who waited runs on that connection, and none is dialled', () => {
    const { play, peer } = full(0)
    peer.respond('/1').sync()
    play.drained(1)
    const ids = [play.request({ target: '/2' }), play.request({ target: '/3' })]
    expect(play.stats()).toMatchObject({ idle: 1, queued: 2 })
    expect(play.saidOf(1, 'ref', 'unref')).toEqual(['ref', 'unref'])
    play.received(1, settings(2))
    expect(play.dials()).toEqual([])
    expect(play.stats()).toMatchObject({ connections: 1, active: 2, queued: 0 })
    // Both seats were given in one step; what runs holds the process.
    expect(play.saidOf(1, 'ref', 'unref')).toEqual(['ref', 'unref', 'ref'])
    peer.sync().respond('/2').respond('/3')
    for (const id of ids) expect(play.outcome(id)).toBe('ok')
  })
})

describe('what was not read', () => {
  it('is drained up to its limit, and the connection lives', () => {
    const play = new Play()
    const id = play.request()
    play.connectAll()
    play.drained(1)
    play.received(1, 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nab')
    play.tell({ type: 'drain', id, limit: 100 })
    play.received(1, 'cdef')
    expect(play.outcome(id)).toBe('ok')
    expect(play.delivered(id).content).toBe('ab')
    expect(play.stats()).toMatchObject({ connections: 1, idle: 1 })
  })
  it.each([
    ['more than the limit', (play: Play) => play.received(1, 'x'.repeat(200))],
    ['longer than drainTimeout', (play: Play) => play.pass(1_000)],
  ])('%s: the connection goes, without an error', (_, act) => {
    const play = new Play()
    const id = play.request()
    play.connectAll()
    play.drained(1)
    play.received(1, 'HTTP/1.1 200 OK\r\nContent-Length: 600\r\n\r\nab')
    play.tell({ type: 'drain', id, limit: 100 })
    act(play)
    expect(play.outcome(id)).toBe('ok')
    expect(play.stats().connections).toBe(0)
  })
})

describe('cutting', () => {
  const responses = `HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n3\r\nefg\r\n0\r\nX: y\r\n\r\n`
  const whole = (cuts: readonly number[]): unknown => {
    const play = new Play()
    const first = play.request({ target: '/1' })
    const second = play.request({
      target: '/2',
      method: 'POST',
      content: { length: 6 },
      origin: { scheme: 'http', host: '10.0.0.1', port: 80 },
    })
    play.dials()
    play.connected(1)
    play.drained(1)
    let at = 0
    for (const cut of [...cuts].sort((a, b) => a - b)) {
      play.received(1, responses.slice(at, cut))
      at = cut
    }
    play.received(1, responses.slice(at))
    play.content(second, 'abcdef')
    play.received(1, OK)
    const events = play.delivered(first)
    return [
      events.events.filter((type, i, all) => type !== 'data' || all[i - 1] !== 'data'),
      events.content,
      play.outcome(first),
      play.outcome(second),
      text(play.takenBytes(1)),
      play.infos(),
    ]
  }
  test.prop([fc.array(fc.nat(responses.length), { maxLength: 40, size: 'max' })], { numRuns: 1000 })(
    'P10, F23: however it is cut, the same is delivered, written and kept',
    (cuts) => {
      expect(whole(cuts)).toEqual(whole([]))
    },
  )
})
