// Where the worker is: beside this file in src/, beside the entries in dist/, whichever way they were loaded. Bundlers know
// `new URL` with `import.meta.url`, and bring the file along; esbuild's CommonJS has none, and there it is beside the bundle.
// What was CommonJS and is put into an ES module has neither: it loads, and is told so when it needs the worker.
import { builtin } from '../shared/builtin.ts'

const here: string | undefined = import.meta.url
// Whether there is a file's name is asked only where it is needed: webpack answers beforehand, with yes, and an ES module of its
// making has none.
const built = here
  ? new URL('./worker.js', import.meta.url)
  : new URL(
      './worker.js',
      builtin('node:url')?.pathToFileURL(typeof __filename === 'undefined' ? '/' : __filename) ?? 'file:',
    )
export const WORKER_FILE: URL = here?.endsWith('.ts') ? new URL('./worker.ts', here) : built
