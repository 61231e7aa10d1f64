// src/ → build/ by tsc → dist/ by rollup, for the rows of scripts/entries.mjs and what they import; then the types of
// CommonJS, from what came out. Both folders are made anew, so that nothing stale is ever packed.
// `npm run build -- h11 hpack` builds only these entries.
import { spawnSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { ENTRIES } from './entries.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const names = process.argv.slice(2)
const entries = names.length === 0 ? ENTRIES : ENTRIES.filter(({ name }) => names.includes(name))
if (entries.length < Math.max(1, names.length)) fail(`known entries: ${ENTRIES.map(({ name }) => name).join(', ')}\n`)

process.chdir(root)
for (const folder of ['build', 'dist']) rmSync(folder, { recursive: true, force: true })
const program = compile(entries.map(({ source }) => source))
const rollup = ['node_modules/rollup/dist/bin/rollup', '--config', '--silent']
const env = { ...process.env, ENTRIES: entries.map(({ name }) => name).join() }
const { status } = spawnSync(process.execPath, rollup, { stdio: 'inherit', env })
if (status !== 0) process.exit(status ?? 1)
for (const entry of entries) if (entry.subpath !== undefined) await declareCommonJs(program, entry)

function compile(sources) {
  const unreadable = { ...ts.sys, onUnRecoverableConfigFileDiagnostic: (problem) => fail(format([problem])) }
  const { options } = ts.getParsedCommandLineOfConfigFile('tsconfig.build.json', {}, unreadable)
  const typed = ts.createProgram(sources, { ...options, emitDeclarationOnly: true })
  const problems = [...ts.getPreEmitDiagnostics(typed), ...typed.emit().diagnostics]
  if (problems.length > 0) fail(format(ts.sortAndDeduplicateDiagnostics(problems)))
  // Docstrings are for the declarations; in the code, comments are half of what a user would download.
  ts.createProgram(sources, { ...options, declaration: false, removeComments: true }, undefined, typed).emit()
  return typed
}

/**
 * CommonJS has the types of ESM, which is the module that it mostly gets: a copy would be 10 kB of the download. All that is
 * a type is taken over as it is; what is there to run has to be declared by its name, a class as both.
 */
async function declareCommonJs(program, { name, source }) {
  const from = `from './${name}.js' with { 'resolution-mode': 'import' }`
  const lines = [`import type * as esm ${from}`, `export type * ${from}`]
  const values = await import(`../dist/${name}.js`)
  const checker = program.getTypeChecker()
  for (const symbol of checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(source)))) {
    if (!(symbol.name in values)) continue
    lines.push(`export declare const ${symbol.name}: typeof esm.${symbol.name}`)
    const isAlias = (symbol.flags & ts.SymbolFlags.Alias) !== 0
    const [declared] = (isAlias ? checker.getAliasedSymbol(symbol) : symbol).declarations
    if (!ts.isClassDeclaration(declared)) continue
    const { typeParameters = [] } = declared
    const list = (texts) => (texts.length === 0 ? '' : `<${texts.join(', ')}>`)
    const own = symbol.name + list(typeParameters.map((parameter) => parameter.getText()))
    lines.push(`export type ${own} = esm.${symbol.name}${list(typeParameters.map(({ name }) => name.text))}`)
  }
  writeFileSync(`dist/${name}.d.cts`, `${lines.join('\n')}\n`)
}

function format(problems) {
  const host = { getCanonicalFileName: (name) => name, getCurrentDirectory: () => root, getNewLine: () => '\n' }
  return ts.formatDiagnostics(problems, host)
}

function fail(message) {
  process.stderr.write(message)
  process.exit(1)
}
