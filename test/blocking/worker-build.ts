// The worker is a thread of its own, which vitest does not transform for, and Node 20 runs no TypeScript. So what tests
// start is built by the means of the compiler alone: every file of src/ is transpiled, one by one, into a folder of the
// system's temporary directory that is named by its content (some 200 ms once, nothing after that). The tree keeps its
// shape; whatever is tested in a process of its own (CommonJS, scripts that end by themselves) imports from there too.
//
// A test that imports the blocking interface from src/ says where its worker is:
//
//   vi.mock('../../src/drivers/blocking/worker-file.ts', workerFile)
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import ts from 'typescript'

let built: string | undefined

/** The folder: it holds sync.js, index.js, drivers/blocking/worker.js … */
export function builtSource(): string {
  return (built ??= build())
}

/** For vi.mock. */
export function workerFile(): { WORKER_FILE: URL } {
  return { WORKER_FILE: pathToFileURL(join(builtSource(), 'drivers/blocking/worker.js')) }
}

function build(): string {
  const files = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'))
  const sources = files.sort().map((path) => ({ path, text: readFileSync(join('src', path), 'utf8') }))
  const hash = createHash('sha256')
  for (const { path, text } of sources) hash.update(`${path}\0${text}\0`)
  const folder = join(tmpdir(), `httpcore-src-${hash.digest('hex').slice(0, 16)}`)
  if (existsSync(folder)) return folder
  const draft = mkdtempSync(join(tmpdir(), 'httpcore-draft-'))
  writeFileSync(join(draft, 'package.json'), '{"type":"module"}')
  for (const { path, text } of sources) {
    const target = join(draft, path.replace(/\.ts$/, '.js'))
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, ts.transpileModule(text, { compilerOptions: OPTIONS }).outputText)
  }
  // Others may do the same at the same time: whoever comes first has made it for all.
  try {
    renameSync(draft, folder)
  } catch {
    rmSync(draft, { recursive: true, force: true })
  }
  return folder
}

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  verbatimModuleSyntax: true,
  rewriteRelativeImportExtensions: true,
}
