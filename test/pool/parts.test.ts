// The small parts on their own: lists, deadlines, numbers, the retry rule as a table, the SOCKS5 handshake.
import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import { ExchangeTable } from '../../src/pool/connection.ts'
import type { Exchange } from '../../src/pool/exchange.ts'
import { List, remove, Ticket, type Node } from '../../src/pool/list.ts'
import { Passing } from '../../src/pool/passing.ts'
import { retryOf, type Failure } from '../../src/pool/retry.ts'
import { BySlot, Slots } from '../../src/pool/slots.ts'
import { Socks5Handshake } from '../../src/pool/socks5.ts'
import { Deadline, Timers } from '../../src/pool/timers.ts'
import { bytes, text } from './play.ts'

describe('lists', () => {
  const all = (list: List<Ticket<number>>): number[] => {
    const found: number[] = []
    for (let node = list.first as Node | undefined; node !== undefined; node = node.next)
      found.push((node as Ticket<number>).owner)
    return found
  }
  test.prop([fc.array(fc.tuple(fc.nat(5), fc.nat(9)), { maxLength: 60, size: 'max' })])(
    'hold what an array would',
    (steps) => {
      const tickets = Array.from({ length: 10 }, (_, i) => new Ticket(i))
      const lists = [new List<Ticket<number>>(), new List<Ticket<number>>()] as const
      const arrays: [number[], number[]] = [[], []]
      const drop = (i: number): void => {
        for (const array of arrays) if (array.includes(i)) array.splice(array.indexOf(i), 1)
      }
      for (const [how, i] of steps) {
        const ticket = tickets[i] as Ticket<number>
        const which = i % 2 === 0 ? 0 : 1
        const [list, array] = [lists[which], arrays[which]]
        if (how === 0) {
          const { first } = list
          if (first !== undefined) remove(first)
          expect(first?.owner).toBe(array.shift())
          continue
        }
        drop(i)
        if (how === 1) remove(ticket)
        else if (how === 2) {
          list.push(ticket)
          array.push(i)
        } else if (how === 3) {
          list.unshift(ticket)
          array.unshift(i)
        } else if (how === 4 && array.every((other, k) => k === 0 || (array[k - 1] as number) < other)) {
          // Of what is in order only.
          remove(ticket)
          list.insertFromFront(ticket, (other) => other.owner < i)
          const at = array.findIndex((other) => other >= i)
          array.splice(at < 0 ? array.length : at, 0, i)
        } else {
          remove(ticket)
          list.insertFromBack(ticket, (other) => i < other.owner)
          array.splice(array.findLastIndex((other) => other <= i) + 1, 0, i)
        }
        for (const k of [0, 1] as const) {
          expect(all(lists[k])).toEqual(arrays[k])
          expect(lists[k].length).toBe(arrays[k].length)
          expect(lists[k].last?.owner).toBe(arrays[k].at(-1))
        }
      }
    },
  )
})

describe('deadlines', () => {
  const step = fc.record({
    which: fc.nat(19),
    how: fc.constantFrom('after', 'at', 'clear', 'pass'),
    by: fc.oneof(fc.constantFrom(0, 10, 100, Infinity), fc.nat(500)),
  })
  test.prop([fc.array(step, { maxLength: 80, size: 'max' })], { numRuns: 1000 })(
    'P9: fire in order, all that are due, none early',
    (steps) => {
      const timers = new Timers()
      const deadlines = Array.from({ length: 20 }, (_, i) => new Deadline(i, i % 3 === 0 ? 'x' : 'y'))
      const due = new Map<number, number>()
      let now = 0
      for (const { which, how, by } of steps) {
        const deadline = deadlines[which] as Deadline
        if (how === 'pass') {
          if (by === Infinity) continue
          now += by
          const fired: number[] = []
          for (let one = timers.take(now); one !== undefined; one = timers.take(now)) fired.push(one.owner as number)
          const expected = [...due].filter(([, at]) => at <= now).map(([i]) => i)
          expect(fired.map((i) => due.get(i))).toEqual(expected.map((i) => due.get(i) as number).sort((a, b) => a - b))
          expect(fired.sort((a, b) => a - b)).toEqual(expected.sort((a, b) => a - b))
          for (const i of fired) due.delete(i)
        } else {
          due.delete(which)
          if (how === 'after') timers.after(deadline, by, now)
          if (how === 'at') timers.at(deadline, now + by)
          if (how === 'clear') timers.clear(deadline)
          else if (by !== Infinity) due.set(which, now + by)
        }
        expect(timers.next()).toBe(due.size === 0 ? undefined : Math.min(...due.values()))
      }
    },
  )
  it('of more durations than there are lists may come a sixteenth late, never early', () => {
    const timers = new Timers()
    for (let i = 0; i < 1_000; i++) timers.after(new Deadline(i, 'x'), 1_000 + i, 0)
    for (let at = timers.next(); at !== undefined; at = timers.next()) {
      const { owner } = timers.take(at) as Deadline<number>
      expect(at).toBeGreaterThanOrEqual(1_000 + owner)
      expect(at).toBeLessThanOrEqual((1_000 + owner) * (1 + 1 / 16))
    }
  })
})

describe('numbers', () => {
  it('are never 0, are small, and find nothing once they are out of date', () => {
    const slots = new Slots<{ id: number }>()
    const seen = new Set<number>()
    for (let i = 0; i < 3_000; i++) {
      const thing = { id: 0 }
      slots.add(thing)
      expect(thing.id).toBeGreaterThan(0)
      expect(thing.id).toBeLessThan(2 ** 31)
      expect(slots.get(thing.id)).toBe(thing)
      slots.delete(thing.id)
      expect(slots.get(thing.id)).toBeUndefined()
      slots.delete(thing.id)
      seen.add(thing.id % 2 ** 21)
    }
    expect(seen.size).toBe(1)
  })
  it('of somebody else may share a slot', () => {
    const held = new BySlot<{ readonly id: number }>()
    const [a, b] = [{ id: 5 }, { id: 5 + 2 ** 21 }]
    held.set(a)
    held.set(b)
    expect([held.get(a.id), held.get(b.id), held.size]).toEqual([a, b, 2])
    held.delete(a)
    expect([held.get(a.id), held.get(b.id), [...held]]).toEqual([undefined, b, [b]])
    held.delete(b)
    held.delete(b)
    expect(held.size).toBe(0)
  })
})

describe('what comes and goes', () => {
  test.prop([fc.array(fc.tuple(fc.boolean(), fc.nat(30)), { maxLength: 300, size: 'max' })])(
    'is held as by a Map',
    (steps) => {
      const [passing, map] = [new Passing<number, string>(), new Map<number, string>()]
      for (const [i, [comes, key]] of steps.entries()) {
        if (comes) {
          passing.set(key, `${i}`)
          map.set(key, `${i}`)
        } else {
          passing.delete(key)
          map.delete(key)
        }
        expect([passing.size, passing.get(key)]).toEqual([map.size, map.get(key)])
        expect([[...passing.keys()], [...passing.values()]]).toEqual([[...map.keys()], [...map.values()]])
      }
    },
  )

  it('keeps its order when many have gone', () => {
    const passing = new Passing<number, true>()
    for (let i = 0; i < 1000; i++) {
      passing.set(i, true)
      if (i >= 3) passing.delete(i - 3)
    }
    expect([...passing.keys()]).toEqual([997, 998, 999])
  })
})

describe('running exchanges', () => {
  const running = (onConnection: number): Exchange => ({ attempt: { onConnection } }) as Exchange

  it('one alone leaves nothing behind; who had several keeps the room', () => {
    const table = new ExchangeTable()
    const [first, second] = [running(1), running(3)]
    table.set(first)
    expect([table.get(1), table.get(3), table.size, table.all()]).toEqual([first, undefined, 1, [first]])
    table.delete(second)
    expect([table.size, table.rests]).toEqual([1, false])
    table.delete(first)
    expect([table.get(1), table.rests]).toEqual([undefined, true])
    table.set(first)
    table.set(second)
    table.delete(first)
    table.delete(second)
    expect([table.size, table.rests]).toEqual([0, false])
  })

  // HTTP/1.1 counts by one, HTTP/2 by two.
  test.prop([fc.array(fc.tuple(fc.boolean(), fc.nat(20)), { maxLength: 80, size: 'max' }), fc.constantFrom(1, 2)])(
    'are found by their ids, in the order of their ids',
    (steps, apart) => {
      const table = new ExchangeTable()
      const map = new Map<number, Exchange>()
      let last = 1
      for (const [comes, which] of steps) {
        const exchange = comes ? running((last += apart)) : [...map.values()][which]
        if (exchange === undefined) continue
        if (comes) {
          table.set(exchange)
          map.set(last, exchange)
        } else {
          table.delete(exchange)
          map.delete(exchange.attempt.onConnection)
        }
        expect(table.size).toBe(map.size)
        expect(table.all()).toEqual([...map.values()])
        for (let id = 1; id <= last + 2; id++) expect(table.get(id)).toBe(map.get(id))
      }
    },
  )
})

describe('law P8, as a table', () => {
  const LIMITS = { maxReplays: 5, maxStaleRetries: 1 }
  const flags = fc.record({
    disposition: fc.constantFrom('not-sent', 'refused', 'maybe-processed', 'response-started'),
    connection: fc.constantFrom('lost', 'broken', 'up'),
    answered: fc.boolean(),
    mayBeStale: fc.boolean(),
    responseBytes: fc.boolean(),
    idempotent: fc.boolean(),
    replayable: fc.boolean(),
    pulled: fc.boolean(),
    replays: fc.nat(6),
    staleRetries: fc.nat(2),
  }) as fc.Arbitrary<Failure>
  test.prop([flags], { numRuns: 2000 })(
    'P8: (a) what is provably unprocessed, (b) what is stale and harmless, once; nothing else',
    (failure) => {
      const { disposition, replayable, pulled, idempotent } = failure
      const again = replayable || !pulled
      const unasked = !failure.answered && (failure.responseBytes || failure.connection === 'broken')
      const unprocessed = (disposition === 'not-sent' && !unasked) || disposition === 'refused'
      const stale =
        disposition === 'maybe-processed' &&
        failure.connection === 'lost' &&
        failure.mayBeStale &&
        !failure.responseBytes
      const expected =
        unprocessed && again && failure.replays < 5
          ? 'replay'
          : stale && again && idempotent && failure.staleRetries < 1
            ? 'fresh'
            : 'no'
      expect(retryOf(failure, LIMITS)).toBe(expected)
    },
  )
})

describe('the SOCKS5 handshake', () => {
  const CREDENTIALS = { username: bytes('user'), password: bytes('secret') }
  const BOUND = '\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50'
  it.each([
    ['an IPv4 address', '1.2.3.4', '\x05\x01\x00\x01\x01\x02\x03\x04\x01\xbb'],
    ['a name', 'a.test', '\x05\x01\x00\x03\x06a.test\x01\xbb'],
    [
      'an IPv6 address without zeros left out, but for its zone',
      '1:2:3:4:5:6:7:8%eth0.1',
      '\x05\x01\x00\x04\0\x01\0\x02\0\x03\0\x04\0\x05\0\x06\0\x07\0\x08\x01\xbb',
    ],
    ['an IPv6 address', '2001:db8::1', '\x05\x01\x00\x04\x20\x01\x0d\xb8' + '\0'.repeat(11) + '\x01\x01\xbb'],
    [
      'an IPv6 address that ends in an IPv4 one',
      '::ffff:1.2.3.4',
      '\x05\x01\x00\x04' + '\0'.repeat(10) + '\xff\xff\x01\x02\x03\x04\x01\xbb',
    ],
  ])('RFC 1928 §4, §5: asks for %s', (_, host, request) => {
    const handshake = new Socks5Handshake(host, 443, undefined)
    expect(text(handshake.takeOutput())).toBe('\x05\x01\x00')
    expect(handshake.receive(bytes('\x05\x00'))).toBe('more')
    expect(text(handshake.takeOutput())).toBe(request)
  })
  it('RFC 1929 §2: user name and password, offered only where they are given', () => {
    const handshake = new Socks5Handshake('h', 1, CREDENTIALS)
    expect(text(handshake.takeOutput())).toBe('\x05\x01\x02')
    handshake.receive(bytes('\x05\x02'))
    expect(text(handshake.takeOutput())).toBe('\x01\x04user\x06secret')
    handshake.receive(bytes('\x01\x00'))
    expect(text(handshake.takeOutput())).toBe('\x05\x01\x00\x03\x01h\x00\x01')
  })
  it.each([
    ['a method that was not offered', undefined, '\x05\x02', 'socks-method'],
    ['no method', undefined, '\x05\xff', 'socks-method'],
    ['another version', undefined, 'HT', 'socks-version'],
    ['an answer to credentials of another version', CREDENTIALS, '\x05\x02\x05\x00', 'socks-version'],
    ['refused credentials', CREDENTIALS, '\x05\x02\x01\x01', 'socks-auth'],
    ['a refusal, cut off behind its code', undefined, '\x05\x00\x05\x05', 'socks-reply'],
    ['an unassigned code', undefined, '\x05\x00\x05\x99\x00', 'socks-reply'],
    ['an unknown address type', undefined, '\x05\x00\x05\x00\x00\x09', 'socks-address'],
    ['another version in the reply', undefined, '\x05\x00\x04', 'socks-version'],
  ])('%s is a fault', (_, credentials, reply, code) => {
    expect(new Socks5Handshake('h', 1, credentials).receive(bytes(reply))).toMatchObject({ fault: { code } })
  })
  it.each([
    ['\x05\x02', 'the proxy chose a method that we did not offer'],
    ['\x05\xff', 'the proxy refuses the method that we offer'],
    ['\x05\x00\x05\x04', 'the proxy could not connect: host unreachable'],
    ['\x05\x00\x05\x99', 'the proxy could not connect: unassigned reply 153'],
  ])('%j is told in words', (reply, message) => {
    expect(new Socks5Handshake('h', 1, undefined).receive(bytes(reply))).toMatchObject({ fault: { message } })
  })
  test.prop([
    fc.constantFrom(
      BOUND,
      '\x05\x00\x00\x03\x03abc\x00\x50',
      '\x05\x00\x00\x03\x00\x00\x50',
      '\x05\x00\x00\x04' + 'x'.repeat(16) + '\x00\x50',
    ),
    fc.string({ maxLength: 20, unit: 'binary-ascii', size: 'max' }),
    fc.array(fc.nat(60), { maxLength: 20, size: 'max' }),
  ])('the reply may be cut anywhere; what comes behind it is kept', (reply, surplus, cuts) => {
    const handshake = new Socks5Handshake('h', 1, undefined)
    const whole = '\x05\x00' + reply
    let got = 'more' as ReturnType<Socks5Handshake['receive']>
    let at = 0
    for (const cut of [
      ...cuts.filter((one) => one < whole.length).sort((a, b) => a - b),
      whole.length + surplus.length,
    ]) {
      expect(got).toBe('more')
      const lent = bytes((whole + surplus).slice(at, cut))
      got = handshake.receive(lent)
      lent.fill(0xff)
      at = cut
    }
    expect(got).toEqual({ surplus: bytes(surplus) })
  })
  it('RFC 1928 §5: a name of more than 255 octets is refused, and asked of nobody', () => {
    expect(() => new Socks5Handshake('a'.repeat(256), 1, undefined)).toThrow(
      expect.objectContaining({ code: 'socks-host' }),
    )
    expect(() => new Socks5Handshake('a'.repeat(255), 1, undefined)).not.toThrow()
  })
})
