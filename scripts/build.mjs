// src/ → build/ by tsc → dist/ by rollup, for the rows of scripts/entries.mjs and what they import. Both folders are
// made anew, so that nothing stale is ever packed. `npm run build -- h11 hpack` builds only these entries.
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { ENTRIES } from './entries.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const names = process.argv.slice(2)
const entries = names.length === 0 ? ENTRIES : ENTRIES.filter(({ name }) => names.includes(name))
if (entries.length < Math.max(1, names.length)) fail(`known entries: ${ENTRIES.map(({ name }) => name).join(', ')}\n`)

process.chdir(root)
for (const folder of ['build', 'dist']) rmSync(folder, { recursive: true, force: true })
compile(entries.map(({ source }) => source))
const rollup = ['node_modules/rollup/dist/bin/rollup', '--config', '--silent']
const env = { ...process.env, ENTRIES: entries.map(({ name }) => name).join() }
const { status } = spawnSync(process.execPath, rollup, { stdio: 'inherit', env })
process.exitCode = status ?? 1

function compile(sources) {
  const unreadable = { ...ts.sys, onUnRecoverableConfigFileDiagnostic: (problem) => fail(format([problem])) }
  const { options } = ts.getParsedCommandLineOfConfigFile('tsconfig.build.json', {}, unreadable)
  const typed = ts.createProgram(sources, { ...options, emitDeclarationOnly: true })
  const problems = [...ts.getPreEmitDiagnostics(typed), ...typed.emit().diagnostics]
  if (problems.length > 0) fail(format(ts.sortAndDeduplicateDiagnostics(problems)))
  // Docstrings are for the declarations; in the code, comments are half of what a user would download.
  ts.createProgram(sources, { ...options, declaration: false, removeComments: true }, undefined, typed).emit()
}

function format(problems) {
  const host = { getCanonicalFileName: (name) => name, getCurrentDirectory: () => root, getNewLine: () => '\n' }
  return ts.formatDiagnostics(problems, host)
}

function fail(message) {
  process.stderr.write(message)
  process.exit(1)
}
