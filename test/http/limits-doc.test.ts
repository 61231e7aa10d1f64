// docs/limits.md is printed from the one table of limits; `npx vitest run test/http -u` prints it again.
import { expect, it } from 'vitest'
import { LIMITS } from '../../src/http/index.ts'

const number = (value: number): string => (value === Number.MAX_SAFE_INTEGER ? '2^53 − 1' : value.toLocaleString('en'))

it('docs/limits.md shows every limit as it is', async () => {
  const rows = Object.entries(LIMITS).map(([name, { client, server, min, max, off }]) => {
    const byDefault = client === server ? number(client) : `${number(client)} (server ${number(server)})`
    return `| \`${name}\` | ${byDefault} | ${number(min)} | ${number(max)} | ${off ? 'yes' : ''} |`
  })
  const page = [
    '# Limits',
    '',
    'Every limit of the machines and of the pool, by the name under which `limits` takes it. Bytes, items, milliseconds, or',
    'tokens a second. They are validated at construction; the reason of each stands beside it in `src/http/limits.ts`.',
    '',
    '| name | default | least | most | `null`: off |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n')
  await expect(page).toMatchFileSnapshot('../../docs/limits.md')
})
