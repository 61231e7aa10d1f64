// What is kept of a request that is over, and of a pool.
import { expect, it } from 'vitest'
import { originOf } from '../../src/drivers/shared/options.ts'
import { collect } from '../fixtures/collect.ts'

function heapUsed(): number {
  collect()
  return process.memoryUsage().heapUsed
}

it('what is known of an origin holds none of the URLs that led to it', () => {
  const visit = (i: number): unknown => originOf(`http://an-origin-of-a-long-name-${i}.test/?${'q'.repeat(50_000)}`)
  visit(0)
  const before = heapUsed()
  for (let i = 1; i <= 400; i++) visit(i)
  expect(heapUsed() - before).toBeLessThan(5_000_000)
})
