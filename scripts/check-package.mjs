// The package as its users get it: packed, installed into an empty folder, linted by publint and are-the-types-wrong,
// imported both ways through every subpath, looked at while it is imported, compiled against, and weighed.
import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { rollup } from 'rollup'
import { ENTRIES } from './entries.mjs'

/** What a user downloads, at most. */
const MAX_PACKED = 250_000

const folder = mkdtempSync(join(tmpdir(), 'httpcore-package-'))
const run = (command, args, cwd = folder) =>
  execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })

try {
  const [{ filename, size, unpackedSize }] = JSON.parse(
    run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], process.cwd()),
  )
  const tarball = join(folder, filename)
  console.log(`packed ${kib(size)}, installed ${kib(unpackedSize)}`)
  if (statSync(tarball).size > MAX_PACKED) throw new Error(`the package is above ${kib(MAX_PACKED)}`)

  const bin = (name) => resolve('node_modules/.bin', name)
  console.log(run(bin('publint'), ['run', tarball, '--strict']))
  console.log(run(bin('attw'), [tarball, '--profile', 'node16', '--format', 'ascii', '--no-color']))

  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'user', private: true, type: 'module' }))
  run('npm', ['install', '--offline', '--no-audit', '--no-fund', '--ignore-scripts', tarball])
  const names = ENTRIES.filter(({ subpath }) => subpath !== undefined).map(
    ({ subpath }) => `httpcore${subpath.slice(1)}`,
  )
  writeFileSync(join(folder, 'import.mjs'), bothWays(names))
  run(process.execPath, ['import.mjs'])
  writeFileSync(join(folder, 'light.mjs'), light())
  run(process.execPath, ['light.mjs'])
  // As beside a bundle of CommonJS, whose files have the same extension.
  copyPackage('beside', 'commonjs')
  // As webpack makes an ES module: whether there is a file's name was answered when it was made.
  copyPackage('foretold', 'module', (code) => code.replace('typeof __filename', '"string"'))
  for (const [file, script] of Object.entries(blocking())) {
    writeFileSync(join(folder, file), script)
    if (run(process.execPath, [file]).trim() !== '200 hello') throw new Error(`${file}: the blocking interface fails`)
  }
  for (const chunk of ['core', 'http2']) {
    const code = readFileSync(join(folder, `node_modules/httpcore/dist/chunks/${chunk}.js`), 'utf8')
    if (/\bclass(?:\{| extends )/.test(code)) throw new Error(`a class of ${chunk} has no name in stack traces`)
  }
  await shake()
  compile(names)
  console.log(`imported, required and compiled against: ${names.join(', ')}`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** Every subpath through import() and require(); what both give must be the same thing. */
function bothWays(names) {
  return `import { createRequire } from 'node:module'
const require = createRequire(import.meta.url)
for (const name of ${JSON.stringify(names)}) {
  const [esm, cjs] = [await import(name), require(name)]
  const exported = Object.keys(esm).filter((key) => key !== 'default' && key !== 'module.exports')
  if (exported.length === 0) throw new Error(name + ' exports nothing')
  for (const key of exported) if (esm[key] !== cjs[key]) throw new Error(name + ': two identities of ' + key)
}
`
}

/**
 * An import of the main entry loads nothing of the platform that a request would need, and no HTTP/2: that waits until
 * there is one.
 */
function light() {
  return `import { readFileSync } from 'node:fs'
const reached = new Set([import.meta.resolve('httpcore')])
for (const file of reached) {
  const imports = readFileSync(new URL(file), 'utf8').matchAll(/^(?:import|export) ?(?:.* ?from ?)?"(\\..*)"/gm)
  for (const [, specifier] of imports) reached.add(new URL(specifier, file).href)
}
if (reached.size < 2 || [...reached].some((file) => file.includes('http2'))) throw new Error('an import loads ' + [...reached])

const { process } = globalThis
const before = new Set(process.moduleLoadList)
// As in a browser, which is told by the first call what it cannot do.
delete globalThis.process
delete globalThis.Buffer
await import('httpcore/sync')
await import('httpcore')
const heavy = ['net', 'tls', 'dns', 'worker_threads', 'perf_hooks', 'diagnostics_channel'].map((name) => 'NativeModule ' + name)
const loaded = heavy.filter((name) => !before.has(name) && process.moduleLoadList.includes(name))
if (loaded.length > 0) throw new Error('an import loads ' + loaded.join(', '))
`
}

/** What is built, in a folder of its own whose files are of that type. */
function copyPackage(name, type, change = (code) => code) {
  cpSync(join(folder, 'node_modules/httpcore/dist'), join(folder, name), { recursive: true })
  writeFileSync(join(folder, name, 'package.json'), JSON.stringify({ type }))
  const file = join(folder, name, 'sync.js')
  writeFileSync(file, change(readFileSync(file, 'utf8')))
}

/** A blocking request, in the ways in which its module is loaded and has to find its worker. */
function blocking() {
  const ask = `
const server = "const s = require('node:http').createServer((_, r) => r.end('hello')).listen(0, () => require('node:worker_threads').parentPort.postMessage(s.address().port))"
const other = new threads.Worker(server, { eval: true })
other.once('message', (port) => {
  const { status, content } = request('GET', 'http://127.0.0.1:' + port + '/')
  console.log(status, Buffer.from(content).toString())
  other.terminate()
})
`
  const required = (from) =>
    `const { request } = require('${from}')\nconst threads = require('node:worker_threads')${ask}`
  const imported = (from) => `import { request } from '${from}'\nimport threads from 'node:worker_threads'${ask}`
  return {
    'blocking.mjs': imported('httpcore/sync'),
    'blocking-foretold.mjs': imported('./foretold/sync.js'),
    'blocking.cjs': required('httpcore/sync'),
    'blocking-old.cjs': required('./node_modules/httpcore/dist/sync.cjs'),
    'blocking-beside.cjs': required('./beside/sync.cjs'),
    'blocking-window.cjs': `globalThis.document = { baseURI: 'http://h/' }\n${required('./node_modules/httpcore/dist/sync.cjs')}`,
  }
}

/** A bundle of header compression holds no machine of HTTP/2, one of HTTP/1.1 no pool; neither has anything of Node. */
async function shake() {
  for (const [name, other] of Object.entries({ hpack: 'H2Connection', h11: 'PoolState' })) {
    const bundle = await rollup({ input: join(folder, `node_modules/httpcore/dist/${name}.js`), external: /^node:/ })
    const { output } = await bundle.generate({ format: 'es' })
    if (output[0].code.includes('getBuiltinModule')) throw new Error(`who imports ${name} gets the platform with it`)
    if (output[0].code.includes(`class ${other}`)) throw new Error(`who imports ${name} gets ${other} with it`)
  }
}

/** A user's program under the strictest settings, as ES module and as CommonJS. */
function compile(names) {
  const imports = names.map((name, i) => `import * as module${i} from '${name}'`).join('\n')
  const uses = `import { ConnectionPool, type Response } from 'httpcore'
const pool: ConnectionPool = new ConnectionPool({ maxConnections: 1 })
export const response: Promise<Response> = pool.request('GET', 'http://h/')
export const all: unknown[] = [${names.map((_, i) => `module${i}`).join(', ')}]`
  for (const file of ['user.mts', 'user.cts']) writeFileSync(join(folder, file), `${imports}\n${uses}\n`)
  symlinkSync(resolve('node_modules/@types'), join(folder, 'node_modules/@types'))
  symlinkSync(resolve('node_modules/undici-types'), join(folder, 'node_modules/undici-types'))
  const settings = {
    strict: true,
    noEmit: true,
    module: 'nodenext',
    target: 'es2022',
    types: ['node'],
    skipLibCheck: false,
  }
  const lib = ['es2023', 'esnext.disposable']
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: { ...settings, lib, exactOptionalPropertyTypes: true }, include: ['user.*'] }),
  )
  run(resolve('node_modules/.bin/tsc'), ['-p', folder])
}

function kib(bytes) {
  return `${(bytes / 1024).toFixed(0)} KiB`
}
