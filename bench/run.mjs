// Runs suites: one process per peer, rounds interleaved and rotated, results compared before anything is timed.
// README.md beside this file says what is measured and how a suite looks.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual, parseArgs } from 'node:util'
import { median } from './lib/median.mjs'
import { startProcess } from './lib/process.mjs'
import { table } from './lib/table.mjs'

/**
 * How long a peer runs before it is measured. Engines optimise what was called often enough: a request of 2 ms has not
 * been when two seconds are over, and who is still being compiled looks a third slower.
 */
const WARM_UP = { leastMillis: 2_000, leastUnits: 10_000, mostMillis: 12_000 }

const here = fileURLToPath(new URL('.', import.meta.url))
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  allowNegative: true,
  options: {
    quick: { type: 'boolean', default: false },
    case: { type: 'string' },
    peer: { type: 'string' },
    rounds: { type: 'string', default: '7' },
    slice: { type: 'string', default: '250' },
    list: { type: 'boolean', default: false },
    build: { type: 'boolean', default: true },
    install: { type: 'boolean', default: true },
  },
})
const rounds = options.quick ? 1 : Number(options.rounds)
const slice = Number(options.slice)
const known = readdirSync(`${here}suites`)
  .filter((file) => file.endsWith('.mjs'))
  .map((file) => file.slice(0, -4))
const unknown = positionals.filter((name) => !known.includes(name))
if (unknown.length > 0) {
  console.error(`no suite named ${unknown.join(', ')}; there are: ${known.join(', ')}`)
  process.exit(2)
}

if (options.install && !existsSync(`${here}node_modules`)) must('npm', ['ci', '--no-audit', '--no-fund'], here)
if (options.build && !options.list) must(process.execPath, ['scripts/build.mjs'], `${here}..`)

for (const name of positionals.length > 0 ? positionals : known) {
  const { default: suite } = await import(`./suites/${name}.mjs`)
  if (options.list) list(name, suite)
  else await runSuite(name, suite)
}

function must(command, args, cwd) {
  const { status } = spawnSync(command, args, { cwd, stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}

function list(name, suite) {
  console.log(`${name}: ${suite.title}\n  peers: ${Object.keys(suite.peers).join(', ')}`)
  for (const { name: theCase } of suite.cases) console.log(`  ${theCase}`)
}

function chosenCases(suite) {
  const named = suite.cases.filter(({ name }) => options.case === undefined || name.includes(options.case))
  const quick = named.filter((theCase) => theCase.quick === true)
  return options.quick && quick.length > 0 ? quick : named
}

function chosenPeers(suite) {
  const wanted = options.peer?.split(',')
  return Object.keys(suite.peers).filter(
    (peer) => wanted === undefined || wanted.includes(peer) || peer === suite.baseline,
  )
}

async function runSuite(name, suite) {
  console.log(`\n${name}: ${suite.title}`)
  const server = suite.server === undefined ? undefined : await startProcess('server', name)
  const results = []
  try {
    const start = { server: server?.info, quick: options.quick }
    const peers = chosenPeers(suite)
    const running = new Map()
    const process = async (peer) => {
      if (suite.fresh !== true && running.has(peer)) return running.get(peer)
      running.get(peer)?.stop()
      running.set(peer, await startProcess('peer', name, peer, start))
      return running.get(peer)
    }
    const stopAll = () => {
      for (const child of running.values()) child.stop()
      running.clear()
    }
    try {
      for (const theCase of chosenCases(suite)) {
        const result = await runCase(suite, theCase, peers, process, stopAll)
        results.push(result)
        print(result)
        // Nobody is measured in the remains of the case before: a heap that has grown, code that was made for another.
        stopAll()
      }
    } finally {
      stopAll()
    }
  } finally {
    server?.stop()
  }
  save(name, suite, results)
}

async function runCase(suite, theCase, peers, process, stopAll) {
  const taking = await sitting(suite, theCase, peers, process)
  // Started later is cheaper where much memory is sent, and another process may be lucky in what its engine compiles.
  if (theCase.bothOrders === true && !options.quick) {
    stopAll()
    const reversed = await sitting(suite, theCase, peers.toReversed(), process)
    for (const { peer, runs } of taking) runs.push(...reversed.find((other) => other.peer === peer).runs)
  }
  const rows = taking.map(({ peer, units, runs }) => ({ peer, units, rounds: runs.length, ...summary(runs) }))
  return {
    name: theCase.name,
    unit: theCase.unit ?? suite.unit,
    baseline: theCase.baseline ?? suite.baseline,
    rows,
    absent: peers.filter((peer) => taking.every((t) => t.peer !== peer)),
  }
}

/** Starts the peers in this order, warms them up and lets them run. */
async function sitting(suite, theCase, peers, process) {
  const taking = []
  let agreed
  for (const peer of peers) {
    const answer = await (await process(peer)).ask({ type: 'prepare', case: theCase.name })
    if (answer.absent) continue
    if (answer.result !== undefined) {
      agreed ??= { peer, result: answer.result }
      if (!isDeepStrictEqual(agreed.result, answer.result)) {
        const shown = [agreed, { peer, result: answer.result }].map(({ peer, result }) => `${peer}: ${excerpt(result)}`)
        throw new Error(`case '${theCase.name}': the peers disagree\n  ${shown.join('\n  ')}`)
      }
    }
    const units = options.quick || suite.fresh === true ? 1 : (await warmUp(suite, theCase, await process(peer))).units
    taking.push({ peer, units, runs: [] })
  }
  for (let round = 0; round < rounds; round++) {
    const turn = taking.map((_, i) => taking[(i + round) % taking.length])
    if (round % 2 === 1) turn.reverse()
    for (const { peer, units, runs } of turn) {
      runs.push(await run(suite, theCase, await process(peer), units))
    }
  }
  return taking
}

/**
 * Warms up, and finds how many units last about one slice. As it is measured later, with a client made anew each time: what
 * the end of one changes makes engines throw optimised code away, and many connections at once make their heap grow.
 */
async function warmUp(suite, theCase, child) {
  const began = performance.now()
  let units = 1
  let done = 0
  for (;;) {
    const { wall, units: ran = 1 } = await run(suite, theCase, child, units)
    const fitting = Math.max(1, Math.round((units * slice) / Math.max(wall, 0.01)))
    const elapsed = performance.now() - began
    done += ran
    const warm = elapsed > WARM_UP.leastMillis && (done >= WARM_UP.leastUnits || elapsed > WARM_UP.mostMillis)
    if (warm || units >= 1 << 28) return { units: fitting }
    units = Math.min(fitting, Math.ceil(units * 8))
  }
}

/** So many units on the clock; before it, where connections are kept, an eighth as many by a client of their own. */
async function run(suite, theCase, child, units) {
  if (suite.fresh === true || suite.connects === true)
    await child.ask({ type: 'prepare', case: theCase.name, only: true })
  if (suite.connects === true) await child.ask({ type: 'run', units: Math.ceil(units / 8) })
  return child.ask({ type: 'run', units })
}

function summary(runs) {
  const figures = (pick) => {
    const all = runs.map(pick)
    return { median: median(all), min: Math.min(...all), max: Math.max(...all) }
  }
  if (runs[0]?.value !== undefined) return { value: figures((run) => run.value) }
  return {
    // Milliseconds per run → microseconds per unit.
    cpu: figures(({ cpu, units }) => (cpu * 1000) / units),
    wall: figures(({ wall, units }) => (wall * 1000) / units),
  }
}

function print({ name, unit, baseline, rows, absent }) {
  const main = (row) => row.value ?? row.cpu
  const base = rows.find(({ peer }) => peer === baseline)
  const number = (n) => (n === undefined ? '' : n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(3))
  const lines = rows.map((row) => [
    row.peer,
    number(main(row).median),
    `${number(main(row).min)}–${number(main(row).max)}`,
    number(row.wall?.median),
    base === undefined ? '' : (main(row).median / main(base).median).toFixed(2),
  ])
  for (const peer of absent) lines.push([peer, '–', '', '', ''])
  const heads = rows[0]?.value === undefined ? ['CPU µs', 'min–max', 'wall µs'] : [unit, 'min–max', '']
  console.log(`\n${name} (per ${unit}; ${rows[0]?.units ?? 0} units × ${rows[0]?.rounds ?? 0} rounds)`)
  console.log(table(['peer', ...heads, `× ${baseline}`], lines))
}

function save(name, suite, cases) {
  // A part would stand on the page for the whole.
  if (options.quick || options.case !== undefined || options.peer !== undefined) return
  mkdirSync(`${here}results`, { recursive: true })
  const machine = {
    node: process.version,
    cpu: cpus()[0]?.model ?? '',
    cores: availableParallelism(),
    date: new Date().toISOString().slice(0, 10),
  }
  writeFileSync(
    `${here}results/${name}.json`,
    JSON.stringify({ name, title: suite.title, rounds, machine, cases }, null, 2) + '\n',
  )
}

function excerpt(result) {
  const text = JSON.stringify(result) ?? String(result)
  return text.length > 400 ? `${text.slice(0, 400)}…` : text
}
