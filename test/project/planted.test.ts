// Each thing that the core may not have, planted in a copy of the project: types, lint or the AST test must refuse it.
import { execFileSync, type ExecFileSyncOptions } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { judge } from './core.ts'

/** By file name: the planted source, and who must refuse it. */
const PLANTS = {
  node: [`import { readFileSync } from 'node:fs'\nexport const x: unknown = readFileSync`, 'types', 'lint', 'ast'],
  buffer: [`export const x: unknown = Buffer.from('x')`, 'types', 'lint'],
  timer: [`setTimeout(() => {}, 1)`, 'types', 'lint'],
  date: [`export const x: number = Date.now()`, 'lint'],
  random: [`export const x: number = Math.random()`, 'lint'],
  promise: [`export const x: unknown = Promise.resolve(1)`, 'lint'],
  promiseType: [`export type X = Promise<number>`, 'ast'],
  async: [`export const x: unknown = async () => 1`, 'ast'],
  await: [`export const x: number = await 1`, 'ast'],
  fetch: [`export const x: unknown = fetch('http://x')`, 'types', 'lint'],
  process: [`export const x: unknown = process.env`, 'types', 'lint'],
  globalThis: [`export const x: unknown = globalThis`, 'lint'],
  upwards: [`export * from '../pool/index.ts'`, 'ast'],
  drivers: [`import '../drivers/network.ts'`, 'lint', 'ast'],
} as const satisfies Record<string, readonly [source: string, ...by: ('types' | 'lint' | 'ast')[]]>

const copy = mkdtempSync(join(tmpdir(), 'httpcore-planted-'))
const found = { types: '', lint: '', ast: '' }

beforeAll(() => {
  for (const name of ['src', 'package.json', 'tsconfig.json', 'tsconfig.core.json', '.oxlintrc.json']) {
    cpSync(name, join(copy, name), { recursive: true })
  }
  symlinkSync(resolve('node_modules'), join(copy, 'node_modules'))
  for (const [name, [source]] of Object.entries(PLANTS)) {
    writeFileSync(join(copy, planted(name)), source + '\n')
    found.ast += judge(planted(name), source).join('\n') + '\n'
  }
  const bin = (name: string): string => resolve('node_modules/.bin', name)
  found.types = run(bin('tsc'), ['-p', 'tsconfig.core.json'])
  found.lint = run(bin('oxlint'), ['--deny-warnings', 'src/h11'])
}, 120_000)
afterAll(() => rmSync(copy, { recursive: true, force: true }))

it.each(Object.entries(PLANTS))('%s in the core is refused', (name, [, ...by]) => {
  const refusing = (Object.keys(found) as (keyof typeof found)[]).filter((who) => found[who].includes(planted(name)))
  expect(refusing).toEqual(expect.arrayContaining([...by]))
})

it('what is there without a plant is not', () => {
  for (const report of Object.values(found)) expect(report).not.toContain('src/h11/connection.ts')
})

function planted(name: string): string {
  return `src/h11/planted-${name}.ts`
}
/** What a command that is expected to fail printed. */
function run(command: string, args: readonly string[]): string {
  const options: ExecFileSyncOptions = { cwd: copy, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }
  try {
    return String(execFileSync(command, args, options))
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string }
    return `${stdout ?? ''}${stderr ?? ''}`
  }
}
