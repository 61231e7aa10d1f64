// Where the worker is: beside this file in src/, beside the entries in dist/, whichever way they were loaded.
export const WORKER_FILE: URL = new URL(`./worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url)
