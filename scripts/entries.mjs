// Every file of the package that something outside of it may name: one row per subpath export, and the worker, which
// only the blocking interface starts. The build, the package check and test/project/exports.test.ts read this table.

export const ENTRIES = [
  { subpath: '.', source: 'src/index.ts', name: 'index' },
  { subpath: './sync', source: 'src/sync.ts', name: 'sync' },
  { subpath: undefined, source: 'src/drivers/blocking/worker.ts', name: 'worker' },
  { subpath: './h11', source: 'src/h11/index.ts', name: 'h11' },
  { subpath: './h2', source: 'src/h2/index.ts', name: 'h2' },
  { subpath: './hpack', source: 'src/h2/hpack/index.ts', name: 'hpack' },
  { subpath: './pool', source: 'src/pool/index.ts', name: 'pool' },
  { subpath: './sim', source: 'src/sim.ts', name: 'sim' },
  { subpath: './conformance', source: 'src/conformance.ts', name: 'conformance' },
]

/** What `exports` in package.json must say for an entry: `module-sync` first gives require() and import() one identity. */
export function exportOf(entry) {
  const esm = { types: `./dist/${entry.name}.d.ts`, default: `./dist/${entry.name}.js` }
  const cjs = { types: `./dist/${entry.name}.d.cts`, default: `./dist/${entry.name}.cjs` }
  return { 'module-sync': esm, import: esm, require: cjs }
}

/** Files that are an entry as soon as they exist; a test refuses one that the table does not hold. */
export const CANDIDATES = [
  'src/index.ts',
  'src/sync.ts',
  'src/web.ts',
  'src/sim.ts',
  'src/conformance.ts',
  'src/h11/index.ts',
  'src/h2/index.ts',
  'src/h2/hpack/index.ts',
]
