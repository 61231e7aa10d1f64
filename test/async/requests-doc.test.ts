// docs/requests.md has a row for each option of a request, and no other.
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

it('docs/requests.md names every option of a request', () => {
  const rows = readFileSync('docs/requests.md', 'utf8').matchAll(/^\| `(\w+)` +\|/gm)
  const source = readFileSync('src/drivers/shared/options.ts', 'utf8')
  const [, options = ''] = /interface CommonRequestOptions<Content> \{\n(.+?)\n\}/s.exec(source) ?? []
  const names = Array.from(options.matchAll(/^ {2}(\w+)\?: /gm), ([, name]) => name)
  expect(names.length).toBeGreaterThan(10)
  expect(Array.from(rows, ([, name]) => name)).toEqual(names)
})
