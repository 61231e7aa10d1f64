// The windows that we give, against a model with exact integers: the peer's own view of them, kept from the frames alone.
// Whatever is sent, padded, consumed, cancelled or resized, view + unread + credit is the size; credit is announced when
// it has grown to half of it; and one octet more than the view allows is an error, never one less.
import { fc, test } from '@fast-check/vitest'
import { describe, expect } from 'vitest'
import { FLAG, FRAME } from '../../src/h2/index.ts'
import { concat, data, feed, first32, frame, headers, POST, ready, SETTINGS_ACK, takeFrames } from './support.ts'

const STREAMS = 3
const CONNECTION = 100_000
const MOST_UNREAD = 60_000

type Step =
  | { readonly do: 'data'; readonly which: number; readonly n: number; readonly padding: number }
  | { readonly do: 'consume'; readonly which: number; readonly n: number }
  | { readonly do: 'cancel' | 'end'; readonly which: number }
  | { readonly do: 'resize'; readonly n: number }

const which = fc.nat(STREAMS - 1)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('data' as const),
      which,
      n: fc.integer({ min: 1, max: 16_000 }),
      padding: fc.oneof(fc.constant(-1), fc.nat(255)),
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('consume' as const), which, n: fc.nat(40_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('cancel' as const, 'end' as const), which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('resize' as const), n: fc.nat(60_000) }) },
)

/** padding −1: none, and no octet that says so */
function dataFrame(id: number, n: number, padding: number): Uint8Array {
  if (padding < 0) return data(id, n)
  return frame(FRAME.DATA, FLAG.PADDED, id, concat([new Uint8Array([padding]), new Uint8Array(n + padding)]))
}

class Model {
  readonly machine = ready('server', {
    limits: {
      streamWindow: 30_000,
      connectionWindow: CONNECTION,
      maxUnreadBytes: MOST_UNREAD,
      smallDataBudget: 2 ** 30,
    },
  })
  size = 30_000n
  connection = BigInt(CONNECTION)
  readonly streams = Array.from({ length: STREAMS }, (_, i) => ({
    id: 2 * i + 1,
    view: 30_000n,
    unread: 0n,
    receiving: true,
  }))

  constructor() {
    for (const { id } of this.streams) feed(this.machine, headers(id, POST))
  }

  play(one: Step): void {
    if (one.do === 'resize') {
      this.machine.updateSettings({ initialWindowSize: one.n }, 0)
      feed(this.machine, SETTINGS_ACK)
      for (const stream of this.streams) stream.view += BigInt(one.n) - this.size
      this.size = BigInt(one.n)
      return
    }
    const stream = this.streams[one.which] as (typeof this.streams)[number]
    if (one.do === 'consume') {
      const n = Math.min(one.n, Number(stream.unread))
      this.machine.consume(stream.id, n)
      stream.unread -= BigInt(n)
    } else if (!stream.receiving) return
    else if (one.do === 'data') {
      const length = BigInt(one.n + 1 + one.padding)
      if (length > stream.view || length > this.connection) return
      const seen = feed(this.machine, dataFrame(stream.id, one.n, one.padding))
      expect(seen.map(({ type }) => type)).toEqual(['data'])
      stream.view -= length
      stream.unread += BigInt(one.n)
      this.connection -= length
    } else {
      if (one.do === 'cancel') {
        this.machine.cancel(stream.id)
        stream.unread = 0n
      } else feed(this.machine, data(stream.id, 0, true))
      stream.receiving = false
    }
  }

  check(): void {
    for (const { type, stream: id, payload } of takeFrames(this.machine)) {
      if (type !== FRAME.WINDOW_UPDATE) continue
      const increment = BigInt(first32(payload))
      expect(increment).toBeGreaterThan(0n)
      if (id === 0) this.connection += increment
      else (this.streams[(id - 1) / 2] as (typeof this.streams)[number]).view += increment
    }
    const unread = this.streams.reduce((sum, one) => sum + one.unread, 0n)
    const { windows, held } = this.machine.snapshot() as { windows: { receive: number }; held: { unread: number } }
    expect([windows.receive, held.unread]).toEqual([Number(this.connection), Number(unread)])
    expect(this.connection <= BigInt(CONNECTION)).toBe(true)
    if (unread <= BigInt(MOST_UNREAD)) expect(2n * this.connection > BigInt(CONNECTION)).toBe(true)
    for (const { view, unread: held, receiving } of this.streams) {
      if (!receiving) continue
      const credit = this.size - view - held
      expect(credit >= 0n && (credit === 0n || 2n * credit < this.size)).toBe(true)
    }
  }
}

describe('windows that we give', () => {
  test.prop([fc.array(step, { maxLength: 80, size: 'max' }), which], { numRuns: 300 })(
    'are what the peer thinks they are',
    (steps, last) => {
      const model = new Model()
      model.check()
      for (const one of steps) {
        model.play(one)
        model.check()
      }
      // One octet more than the smaller view.
      const stream = model.streams[last] as (typeof model.streams)[number]
      const room = stream.view < model.connection ? stream.view : model.connection
      if (!stream.receiving || room < 0n || room >= 16_384n) return
      const seen = feed(model.machine, data(stream.id, Number(room) + 1))
      expect(seen.map((event) => 'fault' in event && event.fault.code)).toContain('flow-control')
    },
  )
})
