// 10,000 worlds. `npm run simulate -- --seed N --seeds 1` plays one of them again; without a number it goes on for
// as many minutes as it is told.
import { expect, it } from 'vitest'
import { simulate } from './simulate.ts'

const FIRST = 1
const WORLDS = 10_000

it(`${WORLDS} worlds: limits are kept, every request settles once, nothing is left`, { timeout: 360_000 }, async () => {
  const sum = { ok: 0, failed: 0, cancelled: 0 }
  for (let seed = FIRST; seed < FIRST + WORLDS; seed++) {
    const { ok, failed, cancelled } = await simulate(seed)
    sum.ok += ok
    sum.failed += failed
    sum.cancelled += cancelled
  }
  // Worlds in which nothing happens would hold every law.
  expect(sum.ok).toBeGreaterThan(WORLDS)
  expect(sum.failed).toBeGreaterThan(WORLDS / 5)
  expect(sum.cancelled).toBeGreaterThan(WORLDS / 5)
})
