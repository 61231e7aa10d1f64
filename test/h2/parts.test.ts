// The parts that a machine is made of and that have a meaning alone: priorities, and the table of streams.
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ReceiveWindow } from '../../src/h2/flow.ts'
import { parsePriority } from '../../src/h2/priority.ts'
import { Stream } from '../../src/h2/stream.ts'
import { StreamTable } from '../../src/h2/streams.ts'

describe('a priority', () => {
  test.each<[string, number, boolean]>([
    ['', 3, false],
    ['u=0', 0, false],
    ['u=7, i', 7, true],
    ['i', 3, true],
    ['i=?1', 3, true],
    ['i=?0', 3, false],
    ['i, i=?0', 3, false],
    ['u=1, u=2', 2, false],
    ['u=1;x=2, i;y', 1, true],
    ['u=8', 3, false],
    ['u=x', 3, false],
    ['u=-1', 3, false],
    ['u=12', 3, false],
    ['u', 3, false],
    ['i=1', 3, false],
    ['I, U=1', 3, false],
    ['a=b, u=5, c', 5, false],
  ])('of %j', (value, urgency, incremental) => {
    expect(parsePriority(value)).toEqual({ urgency, incremental })
  })
})

describe('the table of streams', () => {
  test('holds what a Map holds', () => {
    const act = fc.record({ id: fc.integer({ min: 0, max: 200 }).map((n) => 2 * n + 1), adds: fc.boolean() })
    fc.assert(
      fc.property(fc.array(act, { maxLength: 400, size: 'max' }), (acts) => {
        const table = new StreamTable()
        const model = new Map<number, Stream>()
        for (const { id, adds } of acts) {
          const known = model.get(id)
          expect(table.get(id)).toBe(known)
          if (adds && known === undefined) {
            const stream = new Stream(id, new ReceiveWindow(0, 0))
            table.add(stream)
            model.set(id, stream)
          } else if (!adds && known !== undefined) {
            table.delete(known)
            model.delete(id)
          }
        }
        for (let id = 1; id <= 401; id += 2) expect(table.get(id)).toBe(model.get(id))
        expect(table.all()).toEqual([...model.values()].sort((a, b) => a.id - b.id))
      }),
      { numRuns: 200 },
    )
  })

  test.each([1, 7, 8, 100])('finds %i streams that live at once, whichever of them ends', (living) => {
    const table = new StreamTable()
    const live: Stream[] = []
    for (let id = 1; id < 4_000; id += 2) {
      const stream = new Stream(id, new ReceiveWindow(0, 0))
      table.add(stream)
      live.push(stream)
      if (live.length > living) table.delete(live.splice((id * 7) % live.length, 1)[0] as Stream)
      for (const one of live) expect(table.get(one.id)).toBe(one)
      expect(table.all()).toHaveLength(live.length)
    }
  })
})
