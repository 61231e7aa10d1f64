// build/ (what tsc wrote) → dist/: ESM, CommonJS and types for each row of scripts/entries.mjs. What entries share goes
// to chunks/, so that a class is the same one under every subpath. Warnings are errors.
import { readFile } from 'node:fs/promises'
import { dts } from 'rollup-plugin-dts'
import { ENTRIES } from './scripts/entries.mjs'

const wanted = process.env['ENTRIES']?.split(',')
const input = (extension) =>
  Object.fromEntries(
    ENTRIES.filter(({ name }) => wanted === undefined || wanted.includes(name)).map(({ name, source }) => [
      name,
      source.replace(/^src/, 'build').replace(/\.ts$/, extension),
    ]),
  )

/** Hands rollup the maps that tsc wrote, so that those in dist/ lead back to src/. */
const tscMaps = {
  name: 'tsc-maps',
  async load(id) {
    const code = await readFile(id, 'utf8')
    return { code: code.replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n'), map: await readFile(`${id}.map`, 'utf8') }
  },
}

// The types that all subpaths share get their public name from src/index.ts; a build without it cannot offer them.
const withIndex = ENTRIES.some(({ name }) => name === 'index') && (wanted?.includes('index') ?? true)
const onwarn = (warning) => {
  if (!withIndex && warning.message.includes('private shared type exports')) return
  throw new Error(`rollup: ${warning.message}`)
}
const external = (id) => id.startsWith('node:')
const output = (format, extension) => ({
  dir: 'dist',
  format,
  entryFileNames: `[name]${extension}`,
  chunkFileNames: `chunks/[name]${extension}`,
  hoistTransitiveImports: false,
})
// The sources themselves are in the package once, under src/.
const code = { sourcemap: true, sourcemapExcludeSources: true, generatedCode: 'es2015' }

export default [
  {
    input: input('.js'),
    external,
    onwarn,
    plugins: [tscMaps],
    output: [
      { ...output('es', '.js'), ...code },
      { ...output('cjs', '.cjs'), ...code, exports: 'named' },
    ],
  },
  {
    input: input('.d.ts'),
    external,
    onwarn,
    plugins: [dts()],
    output: [output('es', '.d.ts'), output('es', '.d.cts')],
  },
]
