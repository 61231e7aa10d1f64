// The parts that a machine is made of and that have a meaning alone: priorities, accounts, the table of streams.
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Limits, resolveLimits } from '../../src/http/index.ts'
import { Floods } from '../../src/h2/floods.ts'
import { ReceiveWindow } from '../../src/h2/flow.ts'
import { parsePriority } from '../../src/h2/priority.ts'
import { Stream } from '../../src/h2/stream.ts'
import { StreamTable } from '../../src/h2/streams.ts'
import { feed, GET, headers, ready } from './support.ts'

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
    // The last one of a name is the one that there is, and it may have no meaning.
    ['u=1, u=8', 3, false],
    ['u=1, u', 3, false],
    ['i, i=1', 3, false],
    ['u=05', 5, false],
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
  test('may come in several field lines', () => {
    const machine = ready('server')
    feed(
      machine,
      headers(1, GET, true, [
        ['priority', 'u=1'],
        ['priority', 'i'],
      ]),
    )
    expect(machine.snapshot()).toMatchObject({ streams: [{ urgency: 1 }] })
  })
})

describe('the accounts of what is held for a peer', () => {
  const make = (limits: Limits): Floods =>
    new Floods(resolveLimits({ connectionWindow: 65_535, ...limits }, 'server'), 0)
  const stream = (): Stream => new Stream(1, new ReceiveWindow(0))

  test('a small frame costs what it lacks of 256, a large one and an empty one nothing', () => {
    const floods = make({})
    const one = stream()
    for (const content of [0, 256, 1_000]) floods.frame(one, content)
    expect([one.overhead, floods.overhead]).toEqual([0, 0])
    floods.frame(one, 255)
    floods.frame(one, 1)
    expect([one.overhead, floods.overhead]).toEqual([256, 256])
  })

  test('the cost may reach half of the window, and is given back in the same part as the content', () => {
    const floods = make({ smallDataBudget: 256 })
    const one = stream()
    // 128 × 255 = 32,640 of 32,767.
    for (let i = 0; i < 128; i++) {
      floods.deliver(one, 1)
      expect(floods.frame(one, 1)).toBe(true)
    }
    floods.consume(one, 1)
    expect([one.overhead, floods.overhead, floods.unread]).toEqual([32_385, 32_385, 127])
    expect(floods.frame(one, 1)).toBe(true)
    expect(floods.frame(one, 1)).toBe(false)
    floods.consume(one, 127)
    expect([one.overhead, floods.overhead, floods.unread]).toEqual([0, 0, 0])
  })

  test('the larger of budget and half the window', () => {
    const floods = make({ smallDataBudget: 32_768 })
    const one = stream()
    one.overhead = floods.overhead = 32_768 - 255
    expect(floods.frame(one, 1)).toBe(true)
    expect(floods.frame(one, 255)).toBe(false)
  })

  test('what nobody will consume is given back at once, of that stream only', () => {
    const floods = make({ maxUnreadBytes: 10 })
    const [one, other] = [stream(), stream()]
    floods.deliver(one, 7)
    floods.frame(one, 7)
    floods.deliver(other, 4)
    floods.frame(other, 4)
    expect(floods.unreadTooMuch).toBe(true)
    floods.discard(one)
    expect([floods.unread, floods.overhead, one.unread, one.overhead]).toEqual([4, 252, 0, 0])
    floods.deliver(one, 6)
    expect(floods.unreadTooMuch).toBe(false)
  })

  test('heads may fill their limit, and leave it with their stream', () => {
    const floods = make({ maxHeldHeaderBytes: 10 })
    const one = stream()
    floods.holdHead(one, 4)
    expect([floods.headFits(6), floods.headFits(7)]).toEqual([true, false])
    floods.releaseHead(one)
    expect([floods.headFits(10), floods.heads]).toEqual([true, 0])
  })

  test('replies are forgotten as the output behind which they stand is given', () => {
    const floods = make({ maxQueuedReplies: 3 })
    for (let i = 0; i < 3; i++) expect(floods.reply()).toBe(true)
    expect(floods.reply()).toBe(false)
    // Of 100 octets that hold the four, 40 are given: they may still be there when 60 are.
    floods.given(40, 100)
    expect(floods.replies).toBe(4)
    floods.given(60, 120)
    expect(floods.replies).toBe(4)
    floods.reply()
    floods.given(100, 150)
    expect(floods.replies).toBe(1)
    floods.given(150, 150)
    expect(floods.replies).toBe(0)
  })

  test('nothing is held when all streams are gone', () => {
    const floods = make({})
    floods.deliver(stream(), 5)
    floods.frame(stream(), 5)
    floods.holdHead(stream(), 5)
    floods.clear()
    expect([floods.unread, floods.overhead, floods.heads]).toEqual([0, 0, 0])
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
            const stream = new Stream(id, new ReceiveWindow(0))
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
      const stream = new Stream(id, new ReceiveWindow(0))
      table.add(stream)
      live.push(stream)
      if (live.length > living) table.delete(live.splice((id * 7) % live.length, 1)[0] as Stream)
      for (const one of live) expect(table.get(one.id)).toBe(one)
      expect(table.all()).toHaveLength(live.length)
    }
  })
})
