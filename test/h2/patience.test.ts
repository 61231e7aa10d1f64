// Peers that are merely long-lived or fast are never killed: rates on the given time, never totals. Time here is virtual.
import { fc, test as property } from '@fast-check/vitest'
import { describe, expect, test } from 'vitest'
import { H2_ERROR, H2Connection } from '../../src/h2/index.ts'
import {
  concat,
  data,
  drain,
  feed,
  GET,
  GET_HEAD,
  headers,
  OK,
  ping,
  POST,
  POST_HEAD,
  PREFACE,
  ready,
  reset,
  settings,
  takeAll,
  takeFrames,
  windowUpdate,
} from './support.ts'

const SECOND = 1_000

describe('honest peers', () => {
  test('ten cancels a second, for a day', () => {
    const machine = ready('server')
    let now = 0
    const both = concat([headers(1, POST), reset(1, H2_ERROR.CANCEL)])
    const view = new DataView(both.buffer)
    for (let id = 1; id < 2 * 10 * 86_400; id += 2) {
      now += SECOND / 10
      view.setUint32(5, id)
      view.setUint32(both.length - 8, id)
      feed(machine, both, now)
      if (id % 1_001 === 0) machine.takeOutput()
    }
    expect(machine.closed).toBe(false)
    expect(machine.active).toBe(0)
  })

  test('a stream of small messages, read as they come', () => {
    const machine = ready('client')
    const id = machine.sendRequest(GET_HEAD, { end: true })
    machine.takeOutput()
    feed(machine, headers(id, OK))
    let now = 0
    for (let i = 0; i < 100_000; i++) {
      now += 1
      for (const event of feed(machine, data(id, 1 + (i % 60)), now)) {
        if (event.type === 'data') machine.consume(id, event.data.length)
      }
      if (i % 100 === 0) machine.takeOutput()
    }
    expect(machine.closed).toBe(false)
  })

  test('a comment line every ten seconds, with PINGs between, for a day', () => {
    const machine = ready('client')
    const id = machine.sendRequest(GET_HEAD, { end: true })
    machine.takeOutput()
    feed(machine, headers(id, OK))
    for (let now = 0; now < 86_400 * SECOND; now += 10 * SECOND) {
      for (const event of feed(machine, concat([data(id, 2), ping(), data(id, 0), windowUpdate(0, 1)]), now)) {
        if (event.type === 'data') machine.consume(id, event.data.length)
      }
      machine.takeOutput()
    }
    expect(machine.closed).toBe(false)
  })

  test('what comes for streams that we reset is never counted, however many we reset', () => {
    const machine = ready('client')
    for (let round = 0; round < 50; round++) {
      const ids = Array.from({ length: 90 }, () => machine.sendRequest(GET_HEAD, { end: true }))
      machine.takeOutput()
      for (const id of ids) machine.cancel(id)
      machine.takeOutput()
      for (const id of ids) feed(machine, concat([headers(id, OK), data(id, 100), data(id, 0), data(id, 5, true)]))
    }
    expect(machine.closed).toBe(false)
    expect(machine.active).toBe(0)
    const { windows, held } = machine.snapshot() as { windows: { receive: number }; held: { unread: number } }
    expect(held.unread).toBe(0)
    expect(windows.receive).toBeGreaterThan(16 * 2 ** 20 - 50 * 90 * 105 - 1)
  })

  test('an upload that is credited and measured at every step, as fast as it goes', () => {
    const machine = ready('client')
    const id = machine.sendRequest(POST_HEAD)
    for (let i = 0; i < 20_000; i++) {
      machine.sendData(id, new Uint8Array(16_000))
      machine.takeOutput()
      const credit = Array.from({ length: 10 }, () => concat([windowUpdate(0, 1_600), windowUpdate(id, 1_600)]))
      feed(machine, concat([...credit, ping()]), i / 100)
    }
    expect(machine.closed).toBe(false)
  })

  test('an upload whose output is never empty, measured all the time', () => {
    const machine = ready('client', {}, settings([4, 2 ** 30]))
    feed(machine, windowUpdate(0, 2 ** 30))
    const id = machine.sendRequest(POST_HEAD)
    for (let i = 0; i < 5_000; i++) {
      if (machine.unsent(id) < 100_000) machine.sendData(id, new Uint8Array(100_000))
      feed(machine, ping(), i)
      machine.takeOutput(10_000)
      expect(machine.outputBytes).toBeGreaterThan(0)
    }
    expect(machine.closed).toBe(false)
  })

  test('a server that asks to stop what has just ended, every time', () => {
    const machine = ready('client')
    for (let i = 0; i < 20_000; i++) {
      const id = machine.sendRequest(POST_HEAD, { end: true })
      machine.takeOutput()
      feed(machine, concat([headers(id, OK, true), reset(id, H2_ERROR.NO_ERROR)]))
    }
    expect(machine.closed).toBe(false)
  })

  test('300,000 octets that come singly, before anybody asks', { timeout: 10_000 }, () => {
    const machine = ready('client')
    const bytes = concat(Array.from({ length: 17_647 }, () => ping()))
    for (const octet of bytes) machine.receiveData(new Uint8Array([octet]), 0)
    let pings = 0
    for (let now = 0, event = machine.nextEvent(); event !== undefined; event = machine.nextEvent()) {
      if (event.type === 'ping') pings++
      if (pings % 100 === 0) machine.takeOutput()
      machine.receiveData(new Uint8Array(0), (now += 10))
    }
    expect(pings).toBe(17_647)
  })

  test('what was not read of requests that were answered early leaves nothing behind', () => {
    const machine = ready('server', { limits: { smallDataBudget: 256, connectionWindow: 65_535 } })
    for (let id = 1; id < 2_001; id += 2) {
      feed(machine, concat([headers(id, POST), data(id, 5)]))
      machine.sendResponse(id, { status: 413, headers: [] })
      machine.sendData(id, new Uint8Array(70_000), true)
      machine.cancel(id, H2_ERROR.NO_ERROR)
      machine.consume(id, 5)
      machine.takeOutput()
      feed(machine, concat([data(id, 5), windowUpdate(0, 70_000), windowUpdate(id, 70_000)]))
      if (id % 4 === 1) feed(machine, data(id, 1, true))
      machine.takeOutput()
    }
    expect(machine.snapshot()).toMatchObject({ active: 0, streams: [], held: { unread: 0, overhead: 0 } })
  })

  test('a window that is widened once for each of 20,000 streams, before anything was sent on them', () => {
    const machine = ready('server')
    for (let id = 1; id < 40_000; id += 2) {
      feed(machine, concat([headers(id, GET, true), windowUpdate(id, 2 ** 24)]))
      machine.sendResponse(id, { status: 204, headers: [] }, { end: true })
      machine.takeOutput()
    }
    expect(machine.closed).toBe(false)
  })

  test('10,000 cancelled requests leave nothing behind', () => {
    const machine = ready('client')
    const empty = JSON.stringify((machine.snapshot() as { streams: unknown }).streams)
    for (let i = 0; i < 10_000; i++) {
      const id = machine.sendRequest(POST_HEAD)
      machine.sendData(id, new Uint8Array(10))
      if (i % 2 === 0) machine.takeOutput()
      machine.cancel(id)
    }
    machine.takeOutput()
    expect(JSON.stringify((machine.snapshot() as { streams: unknown }).streams)).toBe(empty)
    expect(machine.outputBytes).toBe(0)
  })
})

describe('peers that are not', () => {
  test.each([0, 1])('credit on %d for nothing, again and again, is bounded', (stream) => {
    const machine = ready('client')
    machine.sendRequest(POST_HEAD)
    machine.takeOutput()
    const credit = (n: number): Uint8Array => concat(Array.from({ length: n }, () => windowUpdate(stream, 1)))
    feed(machine, credit(10_000))
    expect(machine.closed).toBe(false)
    feed(machine, credit(2))
    expect(machine.closeReason).toBe('limit-glitches')
  })

  test('refusals that are not read, from before our limit was known, are bounded', () => {
    const machine = new H2Connection('server', { now: 0, limits: { maxConcurrentStreams: 0 } })
    feed(machine, concat([PREFACE, settings()]))
    machine.takeOutput()
    const refused = (from: number, n: number): Uint8Array =>
      concat(Array.from({ length: n }, (_, i) => headers(from + 2 * i, GET, true)))
    feed(machine, refused(1, 1_000))
    expect(machine.closed).toBe(false)
    machine.takeOutput()
    expect(feed(machine, refused(2_001, 1_001))).toMatchObject([
      { type: 'error', fault: { code: 'limit-queued-replies', h2Code: H2_ERROR.ENHANCE_YOUR_CALM } },
    ])
  })
})

describe('content that goes', () => {
  test('SETTINGS that close the window of a stream that has its turn: it waits, without empty frames', () => {
    const machine = ready('client')
    const id = machine.sendRequest(POST_HEAD)
    machine.takeOutput()
    machine.sendData(id, new Uint8Array(10_000))
    feed(machine, setInitialWindow(0))
    expect(takeFrames(machine).map(({ type }) => type)).toEqual([4])
    feed(machine, setInitialWindow(4_000))
    expect(takeFrames(machine).map(({ type, payload }) => [type, payload.length])).toEqual([
      [4, 0],
      [0, 4_000],
    ])
  })

  test('one frame for many small chunks', () => {
    const machine = ready('client')
    const id = machine.sendRequest(POST_HEAD)
    for (let i = 0; i < 1_000; i++) machine.sendData(id, new Uint8Array([i & 0xff]))
    machine.end(id)
    const frames = takeFrames(machine)
    expect(frames.map(({ type, payload }) => [type, type === 0 ? payload.length : 0])).toEqual([
      [1, 0],
      [0, 1_000],
    ])
  })

  test('backpressure: false above the high-water mark, then writable', () => {
    const machine = ready('client', { limits: { maxBufferedOut: 1_000 } })
    const id = machine.sendRequest(POST_HEAD)
    expect(machine.sendData(id, new Uint8Array(999))).toBe(true)
    expect(machine.sendData(id, new Uint8Array(500))).toBe(false)
    expect(() => machine.sendData(id, new Uint8Array(1))).toThrow()
    takeAll(machine)
    expect(drain(machine)).toContainEqual({ type: 'writable', exchange: id, room: 1_000 })
    expect(machine.sendData(id, new Uint8Array(1))).toBe(true)
  })

  test('streams of one urgency take turns, a more urgent one goes first', () => {
    const machine = ready('client')
    const ids = [3, 3, 0].map((urgency) => {
      const id = machine.sendRequest({ ...POST_HEAD, priority: { urgency, incremental: true } })
      machine.sendData(id, new Uint8Array(20_000))
      return id
    })
    const order = takeFrames(machine)
      .filter(({ type }) => type === 0)
      .map(({ stream }) => stream)
    expect(order).toEqual([ids[2], ids[2], ids[0], ids[1], ids[0], ids[1]])
  })
})

describe('windows', () => {
  // The model: exact integers, a window per stream and one for all.
  property.prop([
    fc.array(fc.tuple(fc.nat(2), fc.constantFrom('data', 'stream', 'all', 'initial'), fc.nat(30_000)), {
      maxLength: 60,
      size: 'max',
    }),
  ])('never more than both windows allow, and all of it when they do', (steps) => {
    const machine = ready('client')
    let all = 65_535n
    let initial = 65_535n
    const streams = [0, 1, 2].map(() => ({ id: machine.sendRequest(POST_HEAD), window: 65_535n, waiting: 0n }))
    machine.takeOutput()
    for (const [which, what, n] of steps) {
      const stream = streams[which] as (typeof streams)[number]
      if (what === 'data' && stream.waiting < 200_000n) {
        if (n === 0 || stream.waiting + BigInt(n) >= 256n * 1024n) continue
        machine.sendData(stream.id, new Uint8Array(n))
        stream.waiting += BigInt(n)
      } else if (what === 'stream') {
        feed(machine, windowUpdate(stream.id, n + 1))
        stream.window += BigInt(n) + 1n
      } else if (what === 'all') {
        feed(machine, windowUpdate(0, n + 1))
        all += BigInt(n) + 1n
      } else if (what === 'initial') {
        feed(machine, setInitialWindow(n))
        for (const one of streams) one.window += BigInt(n) - initial
        initial = BigInt(n)
      }
      for (const { type, stream: id, payload } of takeFrames(machine)) {
        if (type !== 0) continue
        const one = streams.find((candidate) => candidate.id === id) as (typeof streams)[number]
        expect(payload.length).toBeGreaterThan(0)
        expect(payload.length).toBeLessThanOrEqual(16_384)
        one.window -= BigInt(payload.length)
        one.waiting -= BigInt(payload.length)
        all -= BigInt(payload.length)
        expect(one.window >= 0n && one.waiting >= 0n && all >= 0n).toBe(true)
      }
      for (const one of streams) {
        expect(one.waiting === 0n || one.window <= 0n || all === 0n).toBe(true)
        const least = one.window < all ? one.window : all
        expect(machine.sendWindow(one.id)).toBe(Number(least > 0n ? least : 0n))
      }
    }
  })
})

function setInitialWindow(size: number): Uint8Array {
  return concat([
    new Uint8Array([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4]),
    new Uint8Array([size >>> 24, size >>> 16, size >>> 8, size]),
  ])
}
