// Counts which edges of the code an input takes, and collects what the code compares with. Rollup's own parser finds the
// places: each branch gets a counter, each literal of the source goes into the dictionary.
import { rollup } from 'rollup'
import ts from 'typescript'
import { readFile } from 'node:fs/promises'

/** Bundles a target with counters in everything it imports from src/. */
export async function instrumented(path) {
  const dictionary = new Set()
  let edges = 0
  const counter = () => `__edges[${edges++}]++;`
  const bundle = await rollup({
    input: path,
    external: (id) => id.startsWith('node:'),
    plugins: [
      {
        name: 'instrument',
        async load(id) {
          const { outputText } = ts.transpileModule(await readFile(id, 'utf8'), { compilerOptions: COMPILER })
          return outputText
        },
        transform(code, id) {
          if (!id.includes('/src/')) return null
          return { code: insert(code, this.parse(code), counter, dictionary), map: null }
        },
      },
    ],
  })
  const { output } = await bundle.generate({ format: 'es', intro: `const __edges = globalThis.__fuzzEdges;` })
  await bundle.close()
  // One byte per edge, wrapping: counts are told apart by their magnitude only.
  globalThis.__fuzzEdges = new Uint8Array(edges)
  const module = await import(`data:text/javascript;base64,${Buffer.from(output[0].code).toString('base64')}`)
  return {
    module,
    edges: globalThis.__fuzzEdges,
    dictionary: [...dictionary].map(tokenOf).filter(({ length }) => length > 0),
  }
}
const COMPILER = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true }

/** The code with a counter at the head of every block, loop, case and branch of an expression. */
function insert(code, program, counter, dictionary) {
  const inserts = []
  const at = (position, text) => inserts.push([position, text])
  const wrap = (node) => {
    if (node === null || node === undefined) return
    if (node.type === 'BlockStatement') at(node.start + 1, counter())
    else {
      at(node.start, `{${counter()}`)
      at(node.end, '}')
    }
  }
  const branch = (node) => {
    at(node.start, `(${counter().replace(';', '')},(`)
    at(node.end, '))')
  }
  walk(program, (node) => {
    switch (node.type) {
      case 'IfStatement':
        // Going on past an early return is an edge too.
        if (node.alternate === null) at(node.end, ` else {${counter()}}`)
        wrap(node.consequent)
        wrap(node.alternate)
        break
      case 'ForStatement':
      case 'ForOfStatement':
      case 'ForInStatement':
      case 'WhileStatement':
      case 'DoWhileStatement':
        wrap(node.body)
        break
      case 'FunctionDeclaration':
      case 'FunctionExpression':
        at(node.body.start + 1, counter())
        break
      case 'SwitchCase':
        if (node.consequent[0] !== undefined) at(node.consequent[0].start, counter())
        break
      case 'ConditionalExpression':
        branch(node.consequent)
        branch(node.alternate)
        break
      case 'LogicalExpression':
        branch(node.right)
        break
      case 'Literal':
        if (typeof node.value === 'string' && node.value.length <= 32) dictionary.add(node.value)
        if (Number.isInteger(node.value) && node.value > 0 && node.value < 2 ** 32) dictionary.add(node.value)
        break
    }
  })
  // Later positions first; at one position the inner, which was met later, closes before the outer.
  inserts.sort(([a], [b]) => b - a)
  let result = code
  for (const [position, text] of inserts) result = result.slice(0, position) + text + result.slice(position)
  return result
}

function walk(node, visit) {
  if (node === null || typeof node !== 'object') return
  if (Array.isArray(node)) {
    for (const child of node) walk(child, visit)
    return
  }
  if (typeof node.type === 'string') visit(node)
  for (const [key, child] of Object.entries(node)) if (key !== 'type') walk(child, visit)
}

function tokenOf(literal) {
  if (typeof literal === 'string') return Uint8Array.from(literal, (char) => char.charCodeAt(0) & 0xff)
  const bytes = []
  for (let rest = literal; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256)
  return Uint8Array.from(bytes)
}
