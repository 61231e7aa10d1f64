// Where the worker is: beside this file in src/, beside the entries in dist/, whichever way they were loaded. Bundlers know
// `new URL` with `import.meta.url`, and bring the file along; esbuild's CommonJS has none, and there it is beside the bundle.
import { builtin } from '../shared/builtin.ts'

const here: string | undefined = import.meta.url
const built = here
  ? new URL('./worker.js', import.meta.url)
  : new URL('./worker.js', builtin('node:url')?.pathToFileURL(__filename) ?? 'file:')
export const WORKER_FILE: URL = here?.endsWith('.ts') ? new URL('./worker.ts', here) : built
