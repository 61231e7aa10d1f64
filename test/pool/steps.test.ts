// What an event costs the whole pool, counted in looks at what stands in a list: the same for ten queued requests or a
// hundred thousand, for one origin or ten thousand. (The scheduler's own steps: scheduler.test.ts.)
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { List, type Node } from '../../src/pool/list.ts'
import { goaway, H2, http, OK, Play } from './play.ts'

/** Looks so far. Lists are gone through nowhere else than where something is put in its place. */
let looks = 0
beforeEach(() => {
  looks = 0
  for (const how of ['insertFromFront', 'insertFromBack'] as const) {
    const insert = Reflect.get(List.prototype, how)
    vi.spyOn(List.prototype, how).mockImplementation(function (this: List<Node>, node, beyond) {
      insert.call(this, node, (other: Node) => {
        looks++
        return beyond(other)
      })
    })
  }
})
afterEach(() => void vi.restoreAllMocks())

const CONNECTIONS = 10
const WIDE = { maxConnections: CONNECTIONS, maxConnectionsPerOrigin: CONNECTIONS, maxQueuedRequests: 1_000_000 }

/** Looks for each request, from being queued to being answered. */
function cost(queued: number, origins: number, pools: readonly number[]): number {
  const play = new Play({ ...WIDE, maxIdleConnections: CONNECTIONS })
  for (let n = 0; n < queued; n++) {
    const place = n % origins
    const pool = pools[n % pools.length] as number
    play.request({ origin: http(`10.${place >> 16}.${(place >> 8) & 255}.${place & 255}`), timeouts: { pool } })
  }
  const open = new Set<number>()
  let served = 0
  while (served < queued) {
    for (const link of play.connectAll()) open.add(link)
    for (const link of [...open]) {
      if (!open.has(link)) continue
      play.drained(link)
      play.received(link, OK)
      for (const { link: gone } of play.take('destroy')) open.delete(gone)
      served += play.take('settle').length
      play.commands = play.commands.filter(({ type }) => type === 'connect')
    }
  }
  return looks / queued
}

it('to send back costs no more looks where thousands ran on one connection, nor where their next dial has to wait', () => {
  const count = 2_000
  const play = new Play({ ...H2, ...WIDE, maxConnections: 1 })
  for (let n = 0; n < count; n++) play.request()
  for (let time = 0; time < 3; time++) {
    play.now++
    const link = play.connectAll().at(-1) as number
    play.received(link, Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0))
    expect(play.stats().active).toBe(count)
    looks = 0
    play.received(link, goaway(0))
    expect(play.stats()).toMatchObject({ active: 0, requests: count })
    expect(looks / count).toBeLessThan(3)
    play.closed(link)
    play.pass(1_000)
  }
})

describe('a request costs the pool no more looks', () => {
  it.each([
    ['of one timeout', [30_000]],
    ['of many timeouts', [1e6, 3e6, 2e6, 7e6]],
  ] as const)('%s', (_, pools) => {
    for (const [queued, origins] of [
      [10, 1],
      [1_000, 1],
      [100_000, 1],
      [100_000, 10_000],
    ] as const) {
      looks = 0
      expect(cost(queued, origins, pools), `${queued} on ${origins} origins`).toBeLessThan(2)
    }
  })
})
