// Reads of one turn meet in one buffer: each receiver gets its own bytes, in order, whoever keeps, throws or comes late.
import { describe, expect, test } from 'vitest'
import { ReadBuffer } from '../../src/drivers/networks/buffers.ts'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** As Node does: the bytes are in the buffer that was asked for, then their length is told. */
function read(to: ReadBuffer, text: string): void {
  Buffer.from(text).copy(to.next())
  to.deliver(text.length)
}
function reader(told: string[], name: string, keep = false): { buffer: ReadBuffer; kept: Uint8Array[] } {
  const kept: Uint8Array[] = []
  const buffer = new ReadBuffer((data) => {
    told.push(`${name}:${Buffer.from(data).toString()}`)
    if (keep) kept.push(data)
    return keep
  })
  return { buffer, kept }
}

describe('reads of one turn', () => {
  // Earlier tests may have left the thread delivering at once, and a crowd ends that.
  async function crowd(): Promise<void> {
    const { buffer } = reader([], 'crowd')
    for (let i = 0; i < 40; i++) read(buffer, 'x')
    await turn()
    for (let i = 0; i < 3; i++) read(buffer, 'x')
    await turn()
  }

  test('are told at its end, in their order', async () => {
    await crowd()
    const told: string[] = []
    const [a, b, c] = ['a', 'b', 'c'].map((name) => reader(told, name).buffer) as [ReadBuffer, ReadBuffer, ReadBuffer]
    read(a, '1')
    read(b, '2')
    read(c, '3')
    read(a, '4')
    expect(told).toEqual([])
    await turn()
    expect(told).toEqual(['a:1', 'b:2', 'c:3', 'a:4'])
  })

  test('of one socket, one after the other, are one piece', async () => {
    await crowd()
    const told: string[] = []
    const { buffer } = reader(told, 'a')
    for (const text of ['one ', 'two ', 'three']) read(buffer, text)
    await turn()
    expect(told).toEqual(['a:one two three'])
  })

  test('alone are told at once, after a turn that had no company', async () => {
    const told: string[] = []
    const { buffer } = reader(told, 'a')
    await turn()
    for (let i = 0; i < 40; i++) {
      read(buffer, 'x')
      await turn()
    }
    told.length = 0
    let atOnce = 0
    for (let i = 0; i < 64; i++) {
      read(buffer, 'x')
      atOnce += told.length
      await turn()
      told.length = 0
    }
    expect(atOnce).toBeGreaterThan(55)
    expect(atOnce).toBeLessThan(64)
  })

  test('whoever keeps the buffer has it alone: what others read after it moves', async () => {
    await crowd()
    const told: string[] = []
    const a = reader(told, 'a', true)
    const b = reader(told, 'b')
    read(a.buffer, 'kept')
    read(b.buffer, 'later')
    await turn()
    const [kept] = a.kept
    read(b.buffer, 'overwrites')
    await turn()
    expect(told).toEqual(['a:kept', 'b:later', 'b:overwrites'])
    expect(Buffer.from(kept as Uint8Array).toString()).toBe('kept')
    new Uint8Array((kept as Uint8Array).buffer).fill(0)
    read(b.buffer, 'own')
    await turn()
    expect(told.at(-1)).toBe('b:own')
  })

  test('more than the buffer holds does not wait', async () => {
    await crowd()
    const told: string[] = []
    const { buffer } = reader(told, 'a')
    const piece = 'x'.repeat(15_000)
    for (let i = 0; i < 5; i++) read(buffer, piece)
    expect(told).toHaveLength(1)
    await turn()
    expect(told.join('').replaceAll('a:', '')).toHaveLength(5 * piece.length)
  })

  test('what a receiver throws is thrown, and the others get theirs', async () => {
    await crowd()
    const told: string[] = []
    const bad = new ReadBuffer(() => {
      throw new Error('receiver')
    })
    const { buffer } = reader(told, 'b')
    read(bad, '1')
    read(buffer, '2')
    expect(() => bad.flush()).toThrow('receiver')
    await turn()
    expect(told).toEqual(['b:2'])
  })

  test('a flush tells now, and nothing is told twice', async () => {
    await crowd()
    const told: string[] = []
    const { buffer } = reader(told, 'a')
    read(buffer, 'x')
    buffer.flush()
    expect(told).toEqual(['a:x'])
    await turn()
    expect(told).toEqual(['a:x'])
  })
})
