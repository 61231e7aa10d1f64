// Every order in which little can happen: two seats, three requests, two origins; each may connect or fail, be answered,
// cancelled, cut off, run into its deadline, and the pool may be closed. The search goes through all of them up to a
// depth, forgets those that lead to where another has been, and checks every law in every state that it meets.
import { describe, expect, it } from 'vitest'
import type { PoolSettings } from '../../src/pool/index.ts'
import { World } from './world.ts'

const HOSTS = ['10.0.0.1', '10.0.0.1', '10.0.0.2']

/** What can happen in a world, in an order that does not change. */
function moves(world: World): { name: string; act: () => void }[] {
  const all = world.actions()
  const next = world.requests.length
  if (next < HOSTS.length) {
    const method = next === 1 ? 'POST' : 'GET'
    all.unshift({ name: `request r${next}`, act: () => void world.request(HOSTS[next] as string, method) })
  }
  if (world.closedTold === 0 && next > 0) {
    all.push({ name: 'close', act: () => world.input({ type: 'close', grace: 1_000 }) })
  }
  return all
}
function replay(settings: Partial<PoolSettings>, path: readonly number[]): World {
  const world = new World(settings)
  for (const choice of path) moves(world)[choice]?.act()
  return world
}
/** Two worlds that answer alike to this have the same future. */
function fingerprint(world: World): string {
  const { requests, connections, idle, active, queued, origins } = world.machine.stats() as Record<string, unknown>
  const told = world.requests.map(({ settledTimes, outcome, delivered, ended }) => [
    settledTimes,
    outcome?.ok,
    delivered,
    ended,
  ])
  const links = [...world.links.values()].map(({ state, serving, undrained, key }) => [
    key,
    state,
    [...serving],
    undrained > 0,
  ])
  const infos = world.machine.connections().map((connection) => connection.info())
  const names = moves(world).map(({ name }) => name.replace(/at [0-9.]+/, ''))
  return JSON.stringify([requests, connections, idle, active, queued, origins, told, links, infos, names])
}

function search(settings: Partial<PoolSettings>, depth: number): { states: number; steps: number } {
  const seen = new Set<string>()
  let states = 0
  let steps = 0
  let level: number[][] = [[]]
  for (let d = 0; d < depth && level.length > 0; d++) {
    const following: number[][] = []
    for (const path of level) {
      const count = moves(replay(settings, path)).length
      for (let choice = 0; choice < count; choice++) {
        const next = [...path, choice]
        steps++
        const world = replay(settings, next)
        try {
          world.check()
        } catch (error) {
          throw new Error(`after ${told(settings, next)}`, { cause: error })
        }
        const print = fingerprint(world)
        if (seen.has(print)) continue
        seen.add(print)
        states++
        following.push(next)
        try {
          // From here everything goes well: whatever happened before must not keep it from ending.
          if (states % 7 === 0) replay(settings, next).finish()
        } catch (error) {
          throw new Error(`ending after ${told(settings, next)}`, { cause: error })
        }
      }
    }
    level = following
  }
  return { states, steps }
}
function told(settings: Partial<PoolSettings>, path: readonly number[]): string {
  const world = new World(settings)
  const names: string[] = []
  for (const choice of path) {
    const move = moves(world)[choice]
    names.push(move?.name ?? '?')
    move?.act()
  }
  return names.join(', ')
}

describe('every interleaving', () => {
  it.each([
    ['HTTP/1.1', { maxConnections: 2, maxConnectionsPerOrigin: 1 }, 9],
    ['HTTP/1.1, no connection stays idle', { maxConnections: 1, maxConnectionsPerOrigin: 1, maxIdleConnections: 0 }, 9],
    ['HTTP/2', { http1: false, http2: true, maxConnections: 2, maxConnectionsPerOrigin: 1 }, 8],
  ] as const)('%s: no law is broken (%j, to depth %i)', (_, settings, depth) => {
    const { states, steps } = search(settings, depth)
    expect(steps).toBeGreaterThan(500)
    expect(states).toBeGreaterThan(200)
    if (process.env['POOL_COUNT'] !== undefined) console.log(JSON.stringify(settings), { states, steps })
  })
})
