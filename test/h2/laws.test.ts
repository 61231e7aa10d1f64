// The laws of src/http/connection.ts on arbitrary bytes and arbitrary verbs.
import { fc, test } from '@fast-check/vitest'
import { describe, expect } from 'vitest'
import { LocalProtocolError, type Bytes, type Role } from '../../src/http/index.ts'
import { FRAME, H2Connection, type H2Options } from '../../src/h2/index.ts'
import { peer } from './arbitrary.ts'
import {
  concat,
  drain,
  GET_HEAD,
  parseFrames,
  plainEvent,
  POST_HEAD,
  PREFACE,
  settings,
  SETTINGS_ACK,
  toHex,
} from './support.ts'

const cuts = fc.array(fc.oneof(fc.nat(12), fc.nat(400)), { minLength: 1, maxLength: 20 })

function start(which: Role, options: Partial<H2Options> = {}): H2Connection {
  const machine = new H2Connection(which, { now: 0, frameEvents: true, ...options })
  machine.receiveData(concat([which === 'server' ? PREFACE : new Uint8Array(0), settings(), SETTINGS_ACK]), 0)
  drain(machine)
  if (which === 'client') {
    machine.sendRequest(GET_HEAD, { end: true })
    machine.sendRequest(POST_HEAD)
    machine.sendRequest({ ...GET_HEAD, method: 'HEAD' }, { end: true })
  }
  machine.takeOutput()
  return machine
}

interface Seen {
  readonly events: Record<string, unknown>[]
  readonly output: string[]
}

/** Feeds the bytes in pieces; each piece is overwritten once its events are taken. */
function play(machine: H2Connection, bytes: Bytes, sizes: readonly number[], eof = true): Seen {
  const events: Record<string, unknown>[] = []
  let at = 0
  for (let i = 0; at < bytes.length; i++) {
    const piece = bytes.slice(at, at + Math.max(1, sizes[i % sizes.length] ?? 1))
    at += piece.length
    machine.receiveData(piece, 0)
    for (const event of drain(machine)) events.push(plainEvent(event))
    piece.fill(0xee)
  }
  if (eof) machine.receiveEof(0)
  for (const event of drain(machine)) events.push(plainEvent(event))
  return { events: joined(events), output: summed(concat(machine.takeOutput())) }
}

/** The same, but after each piece only so many events are asked for; what was lent is overwritten when it is no longer. */
function playLazily(machine: H2Connection, bytes: Bytes, sizes: readonly number[], asks: readonly number[]): Seen {
  const events: Record<string, unknown>[] = []
  let lent: Bytes = new Uint8Array(0)
  let at = 0
  for (let i = 0; at < bytes.length; i++) {
    const piece = bytes.slice(at, at + Math.max(1, sizes[i % sizes.length] ?? 1))
    at += piece.length
    machine.receiveData(piece, 0)
    lent.fill(0xee)
    lent = piece
    for (let left = asks[i % asks.length] ?? 0; left > 0; left--) {
      const event = machine.nextEvent()
      if (event === undefined) break
      events.push(plainEvent(event))
    }
  }
  for (const event of drain(machine)) events.push(plainEvent(event))
  const rest = play(machine, new Uint8Array(0), [1])
  return { events: joined([...events, ...rest.events]), output: rest.output }
}

/** Adjacent data of one exchange as one event. */
function joined(events: readonly Record<string, unknown>[]): Record<string, unknown>[] {
  const all: Record<string, unknown>[] = []
  for (const event of events) {
    const last = all.at(-1)
    if (event['type'] === 'data' && last?.['type'] === 'data' && last['exchange'] === event['exchange']) {
      all[all.length - 1] = { ...last, data: `${String(last['data'])}${String(event['data'])}` }
    } else all.push(event)
  }
  return all
}

/** Frames in order, WINDOW_UPDATEs of each stream as one sum at the end. */
function summed(bytes: Uint8Array): string[] {
  const sums = new Map<number, number>()
  const lines: string[] = []
  for (const { type, flags, stream: id, payload } of parseFrames(bytes)) {
    if (type === FRAME.WINDOW_UPDATE) sums.set(id, (sums.get(id) ?? 0) + new DataView(payload.buffer).getUint32(0))
    else lines.push(`${type} ${flags} ${id} ${toHex(payload)}`)
  }
  return [...lines, ...[...sums].map(([id, sum]) => `credit ${id} ${sum}`)]
}

describe('laws, on bytes', () => {
  test.prop([peer, cuts], { numRuns: 300 })(
    'C1, C13: cuts change nothing, overwriting neither',
    ([which, bytes], sizes) => {
      const whole = play(start(which), bytes, [bytes.length + 1])
      const cut = play(start(which), bytes, sizes)
      expect(cut).toEqual(whole)
    },
  )

  test.prop([peer, cuts, fc.array(fc.nat(3), { minLength: 1, maxLength: 8 })], { numRuns: 300 })(
    'C1, C13: nor does it matter when events are asked for',
    ([which, bytes], sizes, asks) => {
      const whole = play(start(which), bytes, [bytes.length + 1])
      expect(playLazily(start(which), bytes, sizes, asks)).toEqual(whole)
    },
  )

  test.prop([peer], { numRuns: 60 })('C1: byte by byte', ([which, bytes]) => {
    expect(play(start(which), bytes, [1])).toEqual(play(start(which), bytes, [bytes.length + 1]))
  })

  test.prop([peer, cuts], { numRuns: 100 })('C11: same inputs, same outputs', ([which, bytes], sizes) => {
    expect(play(start(which), bytes, sizes)).toEqual(play(start(which), bytes, sizes))
  })

  test.prop([fc.constantFrom<Role>('client', 'server'), fc.uint8Array({ maxLength: 400, size: 'max' }), fc.boolean()], {
    numRuns: 300,
  })('C2: no bytes make it throw', (which, bytes, raw) => {
    const machine = raw ? new H2Connection(which, { now: 0 }) : start(which)
    play(machine, bytes, [7])
    expect(machine.closed).toBe(true)
    expect(machine.readState).toBe('done')
  })

  test.prop([peer], { numRuns: 300 })(
    'C3: each exchange keeps its order, and errors come once and last',
    ([which, bytes]) => {
      const { events } = play(start(which), bytes, [50])
      const states = new Map<unknown, string>()
      for (const event of events) {
        const before = states.get(event['exchange']) ?? 'begin'
        if ('exchange' in event) states.set(event['exchange'], step(which, before, String(event['type'])))
      }
      const errors = events.findIndex((event) => event['type'] === 'error' || event['type'] === 'closed')
      expect(errors).toBe(events.length - 1)
    },
  )

  test.prop([peer, peer], { numRuns: 100 })('C8: closed is for ever', ([which, bytes], [, more]) => {
    const machine = start(which)
    play(machine, bytes, [100])
    expect(machine.closed).toBe(true)
    expect(play(machine, more, [100])).toEqual({ events: [], output: [] })
    expect(machine.closed).toBe(true)
    expect(machine.capacity).toBe(0)
    expect(machine.wantsClose).not.toBe('no')
  })

  test.prop([peer], { numRuns: 200 })(
    'C4, C5, C10: seats are counted and what is held is bounded',
    ([which, bytes]) => {
      const machine = start(which, { limits: { maxHeldHeaderBytes: 300 } })
      const running = new Set<number>()
      machine.receiveData(bytes, 0)
      for (const event of drain(machine)) {
        if (event.type === 'request') running.add(event.exchange)
        else if (event.type === 'failed') running.delete(event.exchange)
      }
      const { held } = machine.snapshot() as { held: Record<string, number> }
      expect(held['headers']).toBeLessThanOrEqual(300)
      if (which === 'server') expect(machine.active).toBe(machine.closed ? 0 : running.size)
      if (machine.capacity > 0) expect(() => machine.sendRequest(GET_HEAD, { end: true })).not.toThrow()
      else expect(() => machine.sendRequest(GET_HEAD, { end: true })).toThrow(LocalProtocolError)
    },
  )
})

function step(which: Role, before: string, type: string): string {
  const table: Record<string, Record<string, string>> = {
    begin: { informational: 'begin', response: 'content', request: 'content', failed: 'over' },
    content: { data: 'content', end: which === 'client' ? 'over' : 'answering', failed: 'over', writable: 'content' },
    answering: { failed: 'over', writable: 'answering' },
    over: {},
  }
  const after = table[before]?.[type]
  if (after === undefined) throw new Error(`${type} in state ${before}`)
  return after
}

// ── verbs ──

type Verb = readonly [name: string, exchange: number, size: number]
const verb: fc.Arbitrary<Verb> = fc.tuple(
  fc.constantFrom(
    'request',
    'respond',
    'informational',
    'data',
    'end',
    'trailers',
    'consume',
    'cancel',
    'close',
    'abort',
    'ping',
    'settings',
    'take',
  ),
  fc.constantFrom(0, 1, 2, 3, 5, 99),
  fc.oneof(fc.nat(10), fc.nat(300_000)),
)

function perform(machine: H2Connection, [name, exchange, size]: Verb): void {
  switch (name) {
    case 'request':
      return void machine.sendRequest(size % 2 === 0 ? POST_HEAD : { ...POST_HEAD, headers: { 'bad name': 'x' } })
    case 'respond':
      return machine.sendResponse(exchange, {
        status: size % 3 === 0 ? 99 : 200,
        headers: [],
        content: { length: size },
      })
    case 'informational':
      return machine.sendInformational(exchange, size % 2 === 0 ? 103 : 101)
    case 'data':
      return void machine.sendData(exchange, new Uint8Array(size))
    case 'end':
      return machine.end(exchange)
    case 'trailers':
      return machine.end(exchange, size % 2 === 0 ? { 'x-a': '1' } : { connection: 'x', upgrade: 'y' })
    case 'consume':
      return machine.consume(exchange, size - 3)
    case 'cancel':
      return machine.cancel(exchange)
    case 'close':
      return machine.close(0)
    case 'abort':
      return machine.abort()
    case 'ping':
      return machine.ping(new Uint8Array(size % 9), 0)
    case 'settings':
      return machine.updateSettings(size % 2 === 0 ? { initialWindowSize: size } : { nonsense: size }, 0)
    default:
      return void machine.takeOutput()
  }
}

describe('laws, on verbs', () => {
  test.prop([peer, fc.array(verb, { maxLength: 30, size: 'max' })], { numRuns: 300 })(
    'C6: a refused verb changes nothing, and every refusal is a LocalProtocolError',
    ([which, bytes], verbs) => {
      const machine = start(which)
      machine.receiveData(bytes, 0)
      for (const one of verbs) {
        drain(machine)
        const before = JSON.stringify([machine.snapshot(), machine.outputBytes])
        try {
          perform(machine, one)
        } catch (error) {
          expect(error).toBeInstanceOf(LocalProtocolError)
          expect(JSON.stringify([machine.snapshot(), machine.outputBytes])).toBe(before)
        }
      }
    },
  )

  test.prop([peer, fc.array(verb, { maxLength: 30, size: 'max' })], { numRuns: 100 })(
    'C4: a request is accepted exactly while there is capacity',
    ([which, bytes], verbs) => {
      const machine = start(which)
      machine.receiveData(bytes, 0)
      for (const one of verbs) {
        drain(machine)
        const { capacity, active } = machine
        if (one[0] !== 'request' || one[2] % 2 === 1) {
          try {
            perform(machine, one)
          } catch {
            // Law C6 has its own test.
          }
        } else if (capacity > 0) {
          machine.sendRequest(POST_HEAD)
          expect(machine.active).toBe(active + 1)
        } else expect(() => machine.sendRequest(POST_HEAD)).toThrow(LocalProtocolError)
      }
    },
  )
})
