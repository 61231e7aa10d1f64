// What undici does not export: its module is compiled with an export more.
import Module, { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'

const require = createRequire(import.meta.url)

/** @param {string[]} names functions and classes of undici's HTTP/1.1 client */
export function undiciInner(...names) {
  const file = require.resolve('undici/lib/dispatcher/client-h1.js')
  const inner = new Module(file)
  inner.filename = file
  inner.paths = Module._nodeModulePaths(dirname(file))
  inner._compile(`${readFileSync(file, 'utf8')}\nmodule.exports = { ${names.join(', ')} }`, file)
  return {
    ...inner.exports,
    symbols: require('undici/lib/core/symbols.js'),
    Request: require('undici/lib/core/request.js'),
  }
}
