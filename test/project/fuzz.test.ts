// The fuzzer itself: it finds a bug that random bytes would not find in a lifetime, and finds it again.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'

const folder = mkdtempSync(join(tmpdir(), 'httpcore-fuzz-'))
beforeAll(() => {
  mkdirSync(join(folder, 'src'))
  writeFileSync(
    join(folder, 'src', 'planted.ts'),
    `export function parse(text: string): void {
      if (!text.startsWith('GET ')) return
      const at = text.indexOf('chunked')
      if (at < 0) return
      if (text.charCodeAt(at + 7) === 0x3b && text.length > 15) throw new Error('planted')
    }`,
  )
  writeFileSync(
    join(folder, 'target.ts'),
    `import { parse } from './src/planted.ts'
    export const seeds: readonly Uint8Array[] = []
    export function fuzz(input: Uint8Array): void { parse(String.fromCharCode(...input)) }`,
  )
})
afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
  rmSync('fuzz/crashes/target-7.bin', { force: true })
})

it('finds a planted bug, minimises it, and does so again with the same seed', () => {
  const fuzz = (): string => {
    const args = ['fuzz/run.mjs', join(folder, 'target.ts'), '--seconds', '20', '--seed', '7']
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    expect(status).toBe(1)
    return stderr
  }
  const first = fuzz()
  expect(first).toMatch(/FOUND with seed 7 after \d+ runs.*\n"GET a{0,4}chunked;a{0,4}"\nError: planted/)
  expect(fuzz()).toBe(first)
})
