// Reads of one turn meet in one buffer: each receiver gets its own bytes, in order, whoever keeps, throws or comes late.
import { describe, expect, test, vi } from 'vitest'
import { deliver, flush, nextBuffer, release, type Receiver } from '../../src/drivers/networks/buffers.ts'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** As Node does: the bytes are in the buffer that was asked for, then their length is told, then another is asked for. */
class Socket {
  buffer = nextBuffer()
  read(to: Receiver, text: string): void {
    Buffer.from(text).copy(this.buffer)
    deliver(to, this.buffer, text.length)
    this.buffer = nextBuffer()
  }
}
const socket = new Socket()
function read(to: Receiver, text: string): void {
  socket.read(to, text)
}
function reader(told: string[], name: string, keep = false): { buffer: Receiver; kept: Uint8Array[] } {
  const kept: Uint8Array[] = []
  const receive = (data: Uint8Array): boolean => {
    told.push(`${name}:${Buffer.from(data).toString()}`)
    if (keep) kept.push(data)
    return keep
  }
  return { buffer: { receive, readsAlone: false, readBytes: 64 * 1024 }, kept }
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
    const [a, b, c] = ['a', 'b', 'c'].map((name) => reader(told, name).buffer) as [Receiver, Receiver, Receiver]
    read(a, '1')
    read(b, '2')
    read(c, '3')
    read(a, '4')
    expect(told).toEqual([])
    await turn()
    expect(told).toEqual(['a:1', 'b:2', 'c:3', 'a:4'])
  })

  test('have one number; those of another turn, alone or large, have another', async () => {
    await crowd()
    const turns: number[] = []
    const to = (): Receiver => ({
      receive: (_, number) => turns.push(number) < 0,
      readsAlone: false,
      readBytes: 64 * 1024,
    })
    for (let i = 0; i < 3; i++) read(to(), 'x')
    await turn()
    read(to(), 'x')
    await turn()
    // From here on they are alone.
    read(to(), 'x')
    read(to(), 'x')
    const large = to()
    read(large, 'x'.repeat(20_000))
    release(large)
    expect(turns[1]).toBe(turns[0])
    expect(turns[2]).toBe(turns[0])
    expect(new Set(turns).size).toBe(5)
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

  describe('what a receiver throws is thrown by itself', () => {
    const bad: Receiver = {
      receive: () => {
        throw new Error('receiver')
      },
      readsAlone: false,
      readBytes: 64 * 1024,
    }
    /** What is thrown while nobody is called. */
    async function thrown(act: () => Promise<void> | void): Promise<() => void> {
      const later: (() => void)[] = []
      vi.stubGlobal('queueMicrotask', (callback: () => void) => later.push(callback))
      try {
        await act()
      } finally {
        vi.unstubAllGlobals()
      }
      return () => later.forEach((callback) => callback())
    }

    test('the others get theirs, and who flushes goes on', async () => {
      await crowd()
      const told: string[] = []
      const { buffer } = reader(told, 'b')
      read(bad, '1')
      read(buffer, '2')
      expect(await thrown(flush)).toThrow('receiver')
      expect(told).toEqual(['b:2'])
    })

    test('the read that found no room is told like any other, small or large', async () => {
      await crowd()
      const told: string[] = []
      const { buffer } = reader(told, 'b')
      for (let i = 0; i < 4; i++) read(bad, 'x'.repeat(15_000))
      const full = await thrown(async () => {
        read(buffer, 'y'.repeat(15_000))
        await turn()
      })
      expect(full).toThrow('receiver')
      await crowd()
      read(bad, '1')
      const much = await thrown(() => new Socket().read(buffer, 'z'.repeat(20_000)))
      expect(much).toThrow('receiver')
      expect(told.map((said) => said.length)).toEqual([15_002, 20_002])
      release(buffer)
    })
  })

  test('a flush tells now, and nothing is told twice', async () => {
    await crowd()
    const told: string[] = []
    const { buffer } = reader(told, 'a')
    read(buffer, 'x')
    flush()
    expect(told).toEqual(['a:x'])
    await turn()
    expect(told).toEqual(['a:x'])
  })
})

// Where each read of a socket goes is told when the read before it is over. On Windows no two sockets share a buffer.
describe.skipIf(process.platform === 'win32')('a socket that reads much', () => {
  const MUCH = 'x'.repeat(16 * 1024)

  test('has a buffer of its own until its reads are small again, and every other has the shared one', () => {
    const { buffer: much } = reader([], 'a')
    const { buffer: little } = reader([], 'b')
    const [large, small] = [new Socket(), new Socket()]
    expect(large.buffer).toBe(small.buffer)
    large.read(much, MUCH)
    expect(large.buffer).not.toBe(small.buffer)
    const own = large.buffer
    small.read(little, 'x')
    large.read(much, MUCH)
    expect(large.buffer).toBe(own)
    expect(new Socket().buffer).toBe(small.buffer)
    large.read(much, 'x')
    expect([large.buffer, much.readsAlone]).toEqual([small.buffer, false])
  })

  test('has one no larger than what a read of its can have: who keeps a record of TLS keeps no more', () => {
    const { buffer, kept } = reader([], 'a', true)
    const receiver = { ...buffer, readBytes: 16 * 1024 }
    const large = new Socket()
    for (let i = 0; i < 3; i++) large.read(receiver, MUCH)
    expect(kept.map((data) => data.buffer.byteLength)).toEqual(kept.map(() => 16 * 1024))
    release(receiver)
    // A platform that reads more all the same.
    new Socket().read(receiver, `${MUCH}x`)
    expect(kept.at(-1)?.byteLength).toBe(16 * 1024 + 1)
    release(receiver)
  })

  test('gets another when the receiver keeps it', () => {
    const { buffer: much, kept } = reader([], 'a', true)
    const large = new Socket()
    large.read(much, MUCH)
    const second = large.buffer
    large.read(much, MUCH)
    expect(kept.map((data) => data.buffer).includes(large.buffer.buffer)).toBe(false)
    expect(kept[1]?.buffer).toBe(second.buffer)
    release(much)
  })

  test('shares when sixteen others have one, and has its own when one of them is closed', () => {
    const crowd = Array.from({ length: 17 }, () => ({ to: reader([], 'a').buffer, socket: new Socket() }))
    for (const { to, socket } of crowd) socket.read(to, MUCH)
    expect(crowd.map(({ to }) => to.readsAlone)).toEqual([...Array.from({ length: 16 }, () => true), false])
    for (const { to } of crowd.slice(0, 2)) release(to)
    const [last] = crowd.slice(-1)
    last?.socket.read(last.to, MUCH)
    expect(last?.to.readsAlone).toBe(true)
    for (const { to } of crowd) release(to)
  })
})
