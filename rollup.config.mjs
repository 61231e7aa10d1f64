// build/ (what tsc wrote) → dist/: ESM, its types, and CommonJS for each row of scripts/entries.mjs. What entries share goes
// to chunks/, so that a class is the same one under every subpath. Warnings are errors.
import { readFile } from 'node:fs/promises'
import { decode, encode } from '@jridgewell/sourcemap-codec'
import terser from '@rollup/plugin-terser'
import { parse } from 'acorn'
import { dts } from 'rollup-plugin-dts'
import { ENTRIES } from './scripts/entries.mjs'

const wanted = process.env['ENTRIES']?.split(',')
const isWanted = (name) => wanted === undefined || wanted.includes(name)
const input = (extension, isImported) =>
  Object.fromEntries(
    ENTRIES.filter(({ name, subpath }) => isWanted(name) && (subpath !== undefined) === isImported).map(
      ({ name, source }) => [name, source.replace(/^src/, 'build').replace(/\.ts$/, extension)],
    ),
  )
const imported = input('.js', true)
// Nobody imports the others: no types, for require() no second file, and nothing that has to be the same as elsewhere.
const started = input('.js', false)

/** Hands rollup the maps that tsc wrote, so that those in dist/ lead back to src/. */
const tscMaps = {
  name: 'tsc-maps',
  async load(id) {
    const code = await readFile(id, 'utf8')
    return { code: code.replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n'), map: await readFile(`${id}.map`, 'utf8') }
  },
}

const named = { keep_fnames: true, keep_classnames: true }
/**
 * Short names for what is local, private or a constant, and no indentation: 16 kB of what a user downloads. Functions, classes and
 * public methods keep theirs, for stack traces; the maps lead back from the rest.
 */
const short = terser({
  module: true,
  compress: {
    ...named,
    defaults: false,
    arrows: true,
    booleans: true,
    collapse_vars: true,
    comparisons: true,
    dead_code: true,
    evaluate: true,
    hoist_props: true,
    join_vars: true,
    properties: true,
    reduce_vars: true,
    reduce_funcs: false,
    unused: true,
  },
  mangle: named,
  format: { beautify: true, indent_level: 0, ascii_only: true },
})

/** Calls `enter` with every node of a syntax tree, in the order of the source. */
function walk(node, enter) {
  if (typeof node.type === 'string') enter(node)
  for (const child of Object.values(node)) if (typeof child === 'object' && child !== null) walk(child, enter)
}

const LETTERS = 'etisnorahcdlumfpgbvywkCTSEDPOANRMILBFHUxWqVzGKXYZQjJ'
const letters = (i) =>
  (i < LETTERS.length ? '' : LETTERS[Math.floor(i / LETTERS.length) - 1]) + LETTERS[i % LETTERS.length]
/** New names for what is private, by where it stands: the same few in every class, where terser gives each its own. */
function privateNames(ast) {
  const names = new Map()
  let end = 0
  walk(ast, (outermost) => {
    if (outermost.type !== 'ClassBody' || outermost.start < end) return
    end = outermost.end
    const places = new Map()
    walk(outermost, ({ type, name, start }) => {
      if (type === 'PrivateIdentifier') places.set(name, [...(places.get(name) ?? []), start])
    })
    const often = [...places.values()].sort((a, b) => b.length - a.length)
    for (const [i, starts] of often.entries()) for (const start of starts) names.set(start, `#${letters(i)}`)
  })
  return names
}

/** What a space may have to keep apart: words, and a regular expression from its flags. */
const sticky = /[\w$#/]/
/**
 * Where a constant of a module is made by a call. None of those does anything else, which a bundler has to be told: else
 * who imports only hpack gets all of HTTP/2.
 */
const pureAt = (program) => {
  const isCall = ({ type }) => /^(Call|New)Expression$/.test(type)
  const constants = program.body.flatMap(({ declarations = [] }) => declarations.map(({ init }) => init))
  const calls = constants.filter((init) => init && isCall(init))
  return new Set([...calls, ...calls.flatMap((call) => call.arguments.filter(isCall))].map(({ start }) => start))
}
/**
 * No spaces that only a reader wants, and few names for what is private: 6 kB of the download. Line by line as it was, so
 * that the maps stay right.
 */
const tight = {
  name: 'tight',
  renderChunk(code) {
    const tokens = []
    const program = parse(code, { ecmaVersion: 'latest', sourceType: 'module', onToken: tokens })
    const [names, pure] = [privateNames(program), pureAt(program)]
    let out = ''
    let from = 0
    for (const { start, end } of tokens) {
      if (pure.has(start)) out += '/*@__PURE__*/'
      const lines = code.slice(from, start).replace(/[^\n]/g, '')
      const [last = '\n', next] = [out.at(-1), code[start]]
      const needed = (sticky.test(last) && sticky.test(next)) || (last === next && '+-'.includes(next))
      out += (lines || (needed && from < start ? ' ' : '')) + (names.get(start) ?? code.slice(start, end))
      from = end
    }
    return { code: out + code.slice(from), map: null }
  },
}

/**
 * Maps by line, without columns: that is all a stack trace or a breakpoint needs, and a small part of the size. Only of what
 * is shared: the entries are thin.
 */
const lineMaps = {
  name: 'line-maps',
  generateBundle(_, bundle) {
    for (const asset of Object.values(bundle)) {
      if (asset.type === 'chunk' && asset.isEntry) {
        asset.code = asset.code.replace(/\/\/# sourceMappingURL=.*\n?$/, '')
        delete bundle[`${asset.fileName}.map`]
      }
      if (asset.type !== 'asset' || !(asset.fileName in bundle) || !asset.fileName.endsWith('.map')) continue
      const map = JSON.parse(asset.source)
      const lines = decode(map.mappings).map(([first = []]) => {
        const [, source, line] = first
        return source === undefined ? [] : [[0, source, line, 0]]
      })
      asset.source = JSON.stringify({ ...map, names: [], mappings: encode(lines) })
    }
  },
}

// The types that all subpaths share get their public name from src/index.ts; a build without it cannot offer them.
const onwarn = (warning) => {
  if (!isWanted('index') && warning.message.includes('private shared type exports')) return
  throw new Error(`rollup: ${warning.message}`)
}
const external = (id) => id.startsWith('node:')
/**
 * One file for what several entries share: each file more costs nearly a millisecond of every import. What only one of them
 * has stays with it. HTTP/2 is a file of its own: the main entry loads it when a pool first may speak it.
 */
const OWN = /\/build\/(drivers\/.*(async|blocking|conformance|sim)|[^/]*$|pool\/index\.)/
const manualChunks = (id) => (OWN.test(id) ? undefined : /\/build\/h2\//.test(id) ? 'http2' : 'core')
const output = (format, extension) => ({
  dir: 'dist',
  format,
  entryFileNames: `[name]${extension}`,
  chunkFileNames: `chunks/[name]${extension}`,
  hoistTransitiveImports: false,
  generatedCode: 'es2015',
})
// Maps name the lines of src/ in the repository. Nobody reads CommonJS, which is for tools that know no `module-sync`, nor
// what is only started: they are small and have no maps.
const esm = {
  ...output('es', '.js'),
  sourcemap: true,
  sourcemapExcludeSources: true,
  plugins: [short, tight, lineMaps],
}
/** Else rollup asks the document, where there is one (a test's, Electron's), for the place of a file that was required. */
const noImportMeta = { name: 'no-import-meta', resolveImportMeta: () => 'undefined' }
/** As small as it gets; functions with arguments, put in place, are longer than their calls. */
const compress = { passes: 3, inline: 1 }
const cjs = { ...output('cjs', '.cjs'), exports: 'named', plugins: [terser({ compress }), tight] }
const own = { ...output('es', '.js'), plugins: [terser({ module: true, compress, mangle: named }), tight] }

export default [
  {
    input: imported,
    external,
    onwarn,
    plugins: [tscMaps],
    output: { ...esm, manualChunks },
  },
  ...Object.entries(started).map(([name, file]) => ({
    input: { [name]: file },
    external,
    onwarn,
    output: own,
  })),
  {
    input: imported,
    external,
    onwarn,
    plugins: [noImportMeta],
    output: { ...cjs, manualChunks },
  },
  {
    input: input('.d.ts', true),
    external,
    onwarn,
    plugins: [dts()],
    output: output('es', '.d.ts'),
  },
]
