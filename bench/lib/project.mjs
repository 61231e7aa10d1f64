// This library, as its users get it: from dist/, through the exports of the root package.json. (bench/ is a package of
// its own, so the bare name `httpcore` would not lead there.)
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const require = createRequire(new URL('../../package.json', import.meta.url))

/** @param {string} subpath '' for httpcore itself, 'h11' for httpcore/h11 … */
export function project(subpath) {
  return import(pathToFileURL(require.resolve(subpath === '' ? 'httpcore' : `httpcore/${subpath}`)).href)
}
