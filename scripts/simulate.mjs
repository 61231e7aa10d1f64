// npm run simulate -- [--seeds 10000] [--seed 1] [--minutes M]
// Random worlds for the whole client (test/simulation/simulate.ts), one per seed, from `seed` on: so many of them, or
// for so many minutes. A seed that fails is printed, and `--seed N --seeds 1` plays it again.
import { rollup } from 'rollup'
import ts from 'typescript'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string' },
    seed: { type: 'string', default: '1' },
    minutes: { type: 'string' },
  },
})
const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true }
const bundle = await rollup({
  input: fileURLToPath(new URL('../test/simulation/simulate.ts', import.meta.url)),
  external: (id) => id.startsWith('node:'),
  plugins: [
    {
      name: 'types',
      load: async (id) => ts.transpileModule(await readFile(id, 'utf8'), { compilerOptions }).outputText,
    },
  ],
})
const folder = await mkdtemp(join(tmpdir(), 'httpcore-simulate-'))
await bundle.write({ file: join(folder, 'simulate.mjs'), format: 'es', inlineDynamicImports: true })
await bundle.close()
const { simulate } = await import(pathToFileURL(join(folder, 'simulate.mjs')).href)
await rm(folder, { recursive: true })

const first = Number(values.seed)
const worlds = Number(values.seeds ?? (values.minutes === undefined ? 10_000 : Infinity))
const end = performance.now() + Number(values.minutes ?? Infinity) * 60_000
const sum = { ok: 0, failed: 0, cancelled: 0 }
let seed = first
try {
  for (; seed < first + worlds && performance.now() < end; seed++) {
    const tally = await simulate(seed)
    for (const outcome of Object.keys(sum)) sum[outcome] += tally[outcome]
  }
} catch (error) {
  process.exitCode = 1
  console.error(error)
  console.error(`npm run simulate -- --seed ${seed} --seeds 1`)
}
console.log(`${seed - first} worlds from seed ${first}:`, sum)
