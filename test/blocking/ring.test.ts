// The ring: a queue in shared memory. Whatever is written comes out, once, in order and whole; what has no room does not
// go in, and changes nothing.
import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import { makeRing, MAX_RECORD_BYTES, RingReader, RingWriter } from '../../src/drivers/blocking/ring.ts'

const BYTES = 7

/** A record without bytes, some bytes to write (as many records as it takes), or so many records to read. */
type Step = { put: [number, number, number] } | { bytes: number; whose: number } | { read: number }
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ put: fc.tuple(fc.integer({ min: 8, max: 2 ** 32 - 1 }), fc.nat(2 ** 32 - 1), fc.nat(2 ** 32 - 1)) }),
  fc.record({ bytes: fc.integer({ min: 1, max: 300 }), whose: fc.nat(2 ** 32 - 1) }),
  fc.record({ read: fc.nat(8) }),
)

interface Model {
  records: { what: number; whose: number; value: number; bytes?: Uint8Array }[]
}

function readOne(reader: RingReader, model: Model): void {
  const there = model.records.shift()
  expect(reader.empty).toBe(there === undefined)
  expect(reader.next()).toBe(there !== undefined)
  if (there === undefined) return
  const { what, whose, value } = reader
  expect({ what, whose, value }).toEqual({ what: there.what, whose: there.whose, value: there.value })
  if (there.bytes === undefined) return reader.take()
  const copy = new Uint8Array(value)
  reader.copy(copy)
  expect(copy).toEqual(there.bytes)
}

describe('a ring of any size', () => {
  test.prop([fc.constantFrom(32, 64, 128, 1024), fc.array(anyStep, { maxLength: 200, size: 'max' })])(
    'is a queue, for any sequence of writes and reads',
    (size, steps) => {
      const shared = makeRing(size)
      const writer = new RingWriter(shared)
      const reader = new RingReader(shared)
      const model: Model = { records: [] }
      let counter = 0
      for (const step of steps) {
        if ('read' in step) for (let i = 0; i < step.read; i++) readOne(reader, model)
        else if ('put' in step) {
          const [what, whose, value] = step.put
          const room = writer.room
          expect(writer.put(what, whose, value)).toBe(room >= 0)
          if (room >= 0) model.records.push({ what, whose, value })
        } else {
          const bytes = Uint8Array.from({ length: step.bytes }, () => counter++)
          const room = writer.room
          const n = writer.putBytes(BYTES, step.whose, bytes, 0)
          expect(n).toBe(step.bytes <= room ? step.bytes : Math.max(0, room - (room % 8)))
          if (n > 0) model.records.push({ what: BYTES, whose: step.whose, value: n, bytes: bytes.slice(0, n) })
        }
      }
      while (model.records.length > 0) readOne(reader, model)
      readOne(reader, model)
    },
  )

  test.prop([fc.constantFrom(64, 256, 4096), fc.array(fc.integer({ min: 1, max: 5_000 }), { maxLength: 8 })])(
    'carries a stream of bytes, however long, to a reader that takes a record when there is no more room',
    (size, lengths) => {
      const shared = makeRing(size)
      const writer = new RingWriter(shared)
      const reader = new RingReader(shared)
      const seen: number[] = []
      const drain = (): void => {
        while (reader.next()) {
          const copy = new Uint8Array(reader.value)
          reader.copy(copy)
          seen.push(...copy)
        }
      }
      const all: number[] = []
      for (const length of lengths) {
        const bytes = Uint8Array.from({ length }, (_, i) => i * 31)
        all.push(...bytes)
        for (let sent = 0; sent < length; ) {
          const n = writer.putBytes(BYTES, 1, bytes, sent)
          sent += n
          if (n === 0) drain()
        }
      }
      drain()
      expect(seen).toEqual(all)
    },
  )
})

it('its positions may pass 2^32', () => {
  const shared = makeRing(64)
  // As if 4 GiB, less 32 bytes, had gone through already.
  const near = -32
  for (const word of [0, 16]) new Int32Array(shared)[word] = near
  const writer = new RingWriter(shared)
  const reader = new RingReader(shared)
  expect(writer.room).toBe(64 - 16)
  for (let i = 0; i < 20; i++) {
    const bytes = Uint8Array.from({ length: 1 + (i % 40) }, (_, n) => n + i)
    expect(writer.putBytes(BYTES, i, bytes, 0)).toBe(bytes.length)
    expect(reader.next()).toBe(true)
    const copy = new Uint8Array(reader.value)
    reader.copy(copy)
    expect(copy).toEqual(bytes)
  }
})

it.each([2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1])('whose a record is may be as large as a word holds: %d', (whose) => {
  const shared = makeRing(64)
  const reader = new RingReader(shared)
  new RingWriter(shared).put(1, whose, whose)
  reader.next()
  expect([reader.whose, reader.value]).toEqual([whose, whose])
})

it('a record carries one read of a socket at most', () => {
  const shared = makeRing(1024 * 1024)
  const writer = new RingWriter(shared)
  expect(writer.putBytes(BYTES, 1, new Uint8Array(200_000), 0)).toBe(MAX_RECORD_BYTES)
  expect(writer.putBytes(BYTES, 1, new Uint8Array(200_000), 150_000)).toBe(50_000)
})

it('room is asked of the reader: what it has not taken is not written over', () => {
  const shared = makeRing(32)
  const writer = new RingWriter(shared)
  const reader = new RingReader(shared)
  expect([writer.put(1, 2, 3), writer.put(4, 5, 6), writer.put(7, 8, 9)]).toEqual([true, true, false])
  expect(reader.next()).toBe(true)
  reader.take()
  expect(writer.put(7, 8, 9)).toBe(true)
  expect(reader.halfFree).toBe(false)
  const left: number[] = []
  for (; reader.next(); reader.take()) left.push(reader.what)
  expect(left).toEqual([4, 7])
  expect(reader.halfFree).toBe(true)
})

it('its size is a power of two', () => {
  expect(() => new RingWriter(makeRing(48))).toThrow(RangeError)
})

it('both ends may be on threads of their own: 256 KiB arrive in order, through 16', async () => {
  const { Worker } = await import('node:worker_threads')
  const { builtSource } = await import('./worker-build.ts')
  const shared = makeRing(16_384)
  const code = `
    const { workerData } = require('node:worker_threads')
    import(workerData.file).then(({ RingWriter }) => {
      const writer = new RingWriter(workerData.shared)
      const bytes = Uint8Array.from({ length: 1 << 18 }, (_, i) => (i * 7) >> 3)
      for (let sent = 0; sent < bytes.length; ) sent += writer.putBytes(7, 1, bytes, sent)
    })`
  const file = `${builtSource()}/drivers/blocking/ring.js`
  const worker = new Worker(code, { eval: true, workerData: { shared, file } })
  const reader = new RingReader(shared)
  const seen = new Uint8Array(1 << 18)
  let length = 0
  while (length < seen.length) {
    if (!reader.next()) await new Promise((resolve) => setImmediate(resolve))
    else {
      const n = reader.value
      reader.copy(seen.subarray(length, length + n))
      length += n
    }
  }
  await worker.terminate()
  expect(seen).toEqual(Uint8Array.from({ length: 1 << 18 }, (_, i) => (i * 7) >> 3))
})
