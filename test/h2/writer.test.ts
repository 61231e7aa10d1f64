import { describe, expect, test } from 'vitest'
import { FRAME } from '../../src/h2/index.ts'
import { Output } from '../../src/h2/writer.ts'
import { collect } from '../fixtures/collect.ts'
import { concat, frame, parseFrames, uint32 } from './support.ts'

describe('output', () => {
  test('small content is copied behind its header, large content is a chunk of its own', () => {
    const output = new Output()
    const large = new Uint8Array(2_000).fill(2)
    output.header(3, FRAME.DATA, 0, 1)
    output.content(new Uint8Array([1, 2, 3]))
    output.header(large.length, FRAME.DATA, 1, 3)
    output.content(large)
    output.number(FRAME.WINDOW_UPDATE, 0, 5)
    const chunks = output.take(Infinity)
    expect(chunks).toHaveLength(3)
    expect(chunks[1]).toBe(large)
    expect(concat(chunks)).toEqual(
      concat([frame(0, 0, 1, new Uint8Array([1, 2, 3])), frame(0, 1, 3, large), frame(8, 0, 0, uint32(5))]),
    )
  })

  test('content that no longer fits the slab is not written into the old one', () => {
    const output = new Output()
    // Beyond the end of any slab, at every distance from it.
    const sizes = Array.from({ length: 300 }, (_, i) => 400 + i)
    for (const [i, size] of sizes.entries()) {
      output.header(size, FRAME.DATA, 0, i)
      output.content(new Uint8Array(size).fill(i))
    }
    const frames = parseFrames(concat(output.take(Infinity)))
    expect(frames.map(({ stream, payload }) => [stream, payload.length])).toEqual(sizes.map((size, i) => [i, size]))
    for (const [i, { payload }] of frames.entries()) expect(payload.every((octet) => octet === (i & 0xff))).toBe(true)
  })

  test('a connection that idles holds no memory that it wrote into', async () => {
    const idle = Array.from({ length: 50 }, () => new Output())
    const written = idle.map((output) => {
      output.copied(FRAME.SETTINGS, 0, 0, new Uint8Array(60_000))
      return new WeakRef((output.take(Infinity)[0] as Uint8Array).buffer)
    })
    await new Promise((resolve) => setTimeout(resolve, 10))
    collect()
    expect(written.filter((buffer) => buffer.deref() !== undefined).length).toBeLessThan(5)
    expect(idle.every(({ bytes }) => bytes === 0)).toBe(true)
  })

  test('law C7: what was taken is gone, and is never written again', () => {
    const [one, other] = [new Output(), new Output()]
    one.number(FRAME.RST_STREAM, 1, 8)
    const taken = one.take(Infinity)
    const before = concat(taken)
    for (let i = 0; i < 20_000; i++) {
      one.number(FRAME.RST_STREAM, i, 7)
      other.number(FRAME.RST_STREAM, i, 6)
      one.take(Infinity)
    }
    expect(concat(taken)).toEqual(before)
    expect(one.take(Infinity)).toEqual([])
  })

  test('it is taken in parts of any size', () => {
    const output = new Output()
    output.number(FRAME.RST_STREAM, 1, 8)
    output.raw(new Uint8Array(5_000).fill(7))
    output.number(FRAME.RST_STREAM, 3, 8)
    const whole = output.bytes
    const parts: Uint8Array[] = []
    while (output.bytes > 0) {
      const chunks = output.take(999)
      expect(concat(chunks).length).toBeLessThanOrEqual(999)
      parts.push(...chunks)
    }
    expect(concat(parts).length).toBe(whole)
    expect(concat(parts)).toEqual(
      concat([frame(3, 0, 1, uint32(8)), new Uint8Array(5_000).fill(7), frame(3, 0, 3, uint32(8))]),
    )
  })
})
