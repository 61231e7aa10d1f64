// docs/h11-leniency.md has a row for each flag, in the order of the code, and no other.
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { LENIENCIES } from '../../src/h11/index.ts'

it('docs/h11-leniency.md says of each flag what it lets through', () => {
  const rows = readFileSync('docs/h11-leniency.md', 'utf8').matchAll(/^\| `(\w+)` +\|([^|]+)\|([^|]+)\|$/gm)
  expect(Array.from(rows, ([, flag]) => flag)).toEqual([...LENIENCIES])
})
