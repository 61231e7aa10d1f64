// What the core may not hold, and who may import whom, as one function over source text: the tests of the project run it
// over src/ and over sources with something planted in them.
import { dirname, join, relative } from 'node:path'
import ts from 'typescript'

/** The arrows of ARCHITECTURE.md. A folder may import itself and what stands here; the first match counts. */
export const ARROWS: readonly (readonly [from: RegExp, to: RegExp])[] = [
  [/^src\/http\//, /^$/],
  [/^src\/h11\//, /^src\/http\/index\.ts$/],
  [/^src\/h2\/hpack\//, /^src\/http\/index\.ts$/],
  [/^src\/h2\//, /^src\/(http|h2\/hpack)\/index\.ts$/],
  [/^src\/pool\/index\.ts$/, /^src\/(http|h2)\/index\.ts$/],
  [/^src\/pool\/establish\.ts$/, /^src\/(http|h11|h2)\/index\.ts$/],
  [/^src\/pool\//, /^src\/http\/index\.ts$/],
  [/^src\/drivers\/async\/http2\.ts$/, /^src\/h2\/connection\.ts$/],
  [/^src\/drivers\/blocking\/pool\.ts$/, /^src\/((http|h2)\/index|pool\/lean)\.ts$/],
  [/^src\/drivers\//, /^src\/(http\/index|pool\/lean)\.ts$/],
  [/^src\/[a-z]+\.ts$/, /^src\//],
]
const CORE = /^src\/(http|h11|h2|pool)\//
const FOLDER = /^src\/(?:h2\/hpack|[a-z0-9]+)\//

/** What is wrong with a file, as `path:line what`. */
export function judge(path: string, text: string): string[] {
  const wrong: string[] = []
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true)
  const report = (node: ts.Node, what: string): void => {
    const { line } = source.getLineAndCharacterOfPosition(node.getStart())
    wrong.push(`${path}:${line + 1} ${what}`)
  }
  const visit = (node: ts.Node): void => {
    const specifier = specifierOf(node)
    if (specifier !== undefined && !mayImport(path, specifier)) report(node, `imports ${specifier}`)
    if (CORE.test(path)) {
      if (node.kind === ts.SyntaxKind.AsyncKeyword) report(node, 'async')
      if (ts.isAwaitExpression(node) || (ts.isForOfStatement(node) && node.awaitModifier !== undefined)) {
        report(node, 'await')
      }
      if (ts.isTypeReferenceNode(node) && /^Promise(Like)?$/.test(node.typeName.getText())) report(node, 'Promise')
      if (isImportCall(node)) report(node, 'import()')
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return wrong
}

function isImportCall(node: ts.Node): node is ts.CallExpression {
  return ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword
}

/** What a node imports, be it at once or later. */
function specifierOf(node: ts.Node): string | undefined {
  const named = ts.isImportDeclaration(node) || ts.isExportDeclaration(node) ? node.moduleSpecifier : undefined
  const specifier = isImportCall(node) ? node.arguments[0] : named
  return specifier !== undefined && ts.isStringLiteral(specifier) ? specifier.text : undefined
}

function mayImport(path: string, specifier: string): boolean {
  if (!specifier.startsWith('.')) return specifier.startsWith('node:') && path.startsWith('src/drivers/')
  const target = relative('.', join(dirname(path), specifier))
  const folder = FOLDER.exec(path)?.[0]
  if (folder !== undefined && target.startsWith(folder) && FOLDER.exec(target)?.[0] === folder) return true
  const arrow = ARROWS.find(([from]) => from.test(path))
  return arrow !== undefined && arrow[1].test(target)
}
