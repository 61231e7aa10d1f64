// npm run fuzz -- TARGET [--seconds 30] [--seed 1]     npm run fuzz -- --all --seconds 5     npm run fuzz (lists targets)
// A target is one of this folder, by name, or a path to a .ts file.
//
// Coverage-guided: an input that takes an edge more often than any before it joins the corpus, and what is in the corpus
// is mutated. Same seed, same inputs. A find is minimised, saved to fuzz/crashes, and printed with its seed.
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { explore } from './explore.mjs'
import { instrumented } from './instrument.mjs'

const folder = fileURLToPath(new URL('.', import.meta.url))
const targets = readdirSync(folder)
  .filter((file) => file.endsWith('.ts'))
  .map((file) => basename(file, '.ts'))
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    all: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '30' },
    seed: { type: 'string', default: '1' },
  },
})
const chosen = values.all ? targets : positionals
const unknown = chosen.filter((name) => !targets.includes(name) && !name.endsWith('.ts'))
if (chosen.length === 0 || unknown.length > 0) {
  if (unknown.length > 0) console.error(`no such target: ${unknown.join(', ')}`)
  console.log(`targets: ${targets.join(', ')}`)
  process.exit(unknown.length > 0 ? 2 : 0)
}

for (const target of chosen) {
  const path = target.endsWith('.ts') ? resolve(target) : `${folder}${target}.ts`
  const name = basename(path, '.ts')
  const { module, edges, dictionary } = await instrumented(path)
  const options = { seconds: Number(values.seconds), seed: Number(values.seed), edges, dictionary, seeds: module.seeds }
  const { runs, corpus, covered, find } = explore(module.fuzz, options)
  console.log(`${name}: ${runs} runs, ${corpus} inputs in the corpus, ${covered} edges, seed ${values.seed}`)
  if (find === undefined) continue
  process.exitCode = 1
  mkdirSync(`${folder}crashes`, { recursive: true })
  const file = `fuzz/crashes/${name}-${values.seed}.bin`
  writeFileSync(`${folder}crashes/${name}-${values.seed}.bin`, find.input)
  console.error(
    `${name}: FOUND with seed ${values.seed} after ${runs} runs, minimised to ${find.input.length} bytes: ${file}`,
  )
  console.error(JSON.stringify(Buffer.from(find.input).toString('latin1')))
  console.error(String(find.error))
}
