// Where the worker is: beside this file in src/, beside the entries in dist/, whichever way they were loaded. Bundlers know
// the first line, and bring the file along.
const built = new URL('./worker.js', import.meta.url)
export const WORKER_FILE: URL = import.meta.url.endsWith('.ts') ? new URL('./worker.ts', built) : built
