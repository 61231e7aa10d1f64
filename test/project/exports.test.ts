// package.json, the table of entries and the tree say the same.
import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { CANDIDATES, ENTRIES, exportOf } from '../../scripts/entries.mjs'

const root = new URL('../../', import.meta.url)
const manifest = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as {
  exports: Record<string, unknown>
  engines: { node: string }
  dependencies?: unknown
  sideEffects: unknown
  type: string
}

test('exports in package.json are the rows of scripts/entries.mjs, in their order', () => {
  const rows = ENTRIES.flatMap((entry) => (entry.subpath === undefined ? [] : [[entry.subpath, exportOf(entry)]]))
  expect(Object.entries(manifest.exports)).toEqual([...rows, ['./package.json', './package.json']])
})

test('in each export the condition module-sync stands first, and types before default', () => {
  for (const conditions of Object.values(manifest.exports)) {
    if (typeof conditions === 'string') continue
    expect(Object.keys(conditions as object)).toEqual(['module-sync', 'import', 'require'])
    for (const branch of Object.values(conditions as object)) {
      expect(Object.keys(branch as object)).toEqual(['types', 'default'])
    }
  }
})

test('each row names a file that exists', () => {
  const missing = ENTRIES.filter(({ source }) => !existsSync(new URL(source, root)))
  expect(missing).toEqual([])
})

test('no entry is forgotten: every candidate that exists is in the table', () => {
  const known = new Set(ENTRIES.map(({ source }) => source))
  const forgotten = CANDIDATES.filter((source) => existsSync(new URL(source, root)) && !known.has(source))
  expect(forgotten).toEqual([])
})

test('there are no runtime dependencies, and importing has no side effects', () => {
  expect(manifest.dependencies).toBeUndefined()
  expect(manifest.sideEffects).toBe(false)
  expect(manifest.type).toBe('module')
})

// Of 21 and of the first of 22 some have no process.getBuiltinModule, and none gives require() and import() one identity.
test('only what knows module-sync is promised', () => {
  expect(manifest.engines.node).toBe('^20.19.0 || >=22.12.0')
})

test('what stands between machines and drivers is not exported to users', async () => {
  const shared = [
    ...['ConnectError', 'ConnectTimeout', 'ConnectionNotAvailable', 'ConnectionPool', 'Fields', 'HttpCoreError'],
    ...[
      'IDEMPOTENT_METHODS',
      'LIMITS',
      'LocalProtocolError',
      'NetworkError',
      'NetworkStream',
      'PoolClosed',
      'PoolTimeout',
    ],
    ...[
      'ProtocolError',
      'ProxyError',
      'ReadError',
      'ReadTimeout',
      'RemoteProtocolError',
      'Response',
      'TimeoutException',
    ],
    ...['UnsupportedProtocol', 'WriteError', 'WriteTimeout', 'formatAuthority', 'formatOrigin', 'request'],
    ...['splitHostPort', 'splitUrl', 'stream'],
  ]
  expect(Object.keys(await import('../../src/sync.ts')).sort()).toEqual(shared)
  const own = ['SingleConnection', 'nodeNetwork', 'pump']
  expect(Object.keys(await import('../../src/index.ts')).sort()).toEqual([...shared, ...own].sort())
})
