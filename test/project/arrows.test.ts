// Who imports whom, and what the core does without.
import { readdirSync, readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { judge } from './core.ts'

it('every import follows an arrow of the architecture; the core has no async, await or Promise', () => {
  const wrong = sources().flatMap((path) => judge(path, readFileSync(path, 'utf8')))
  expect(wrong).toEqual([])
})

function sources(): string[] {
  return readdirSync('src', { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => `src/${path.replaceAll('\\', '/')}`)
}
