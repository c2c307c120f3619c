import ts from 'typescript-api'
import { type Finding, findingAt, nodesOf, type Source } from './tree.ts'

const mayTouchTheWorld = /^src\/(platform|cli|demo)\/|^src\/testing\/real-/
const mayPrint = /^src\/(cli|demo)\//

const worldCalls = new Set([
  'Date',
  'Date.now',
  'Math.random',
  'performance.now',
  'setTimeout',
  'setInterval',
  'AbortSignal.timeout',
])
const worldModules = /^(node:)?(fs|timers)(\/promises)?$/
const worldRandom = /^(crypto\.|globalThis\.crypto\.)?(random(UUID|Bytes|Int|Fill|FillSync)|getRandomValues)$/

/** Time, chance, timers and files come in by the platform, or no run could be simulated and replayed. */
export function checkPlatform(source: Source): Finding[] {
  if (!source.file.startsWith('src/') || mayTouchTheWorld.test(source.file)) return []
  const findings: Finding[] = []
  for (const node of nodesOf(source.tree)) {
    const name = worldNameOf(node)
    if (name === undefined) continue
    findings.push(
      findingAt(source, node, 'platform', `${name} belongs to src/platform: take it as an argument`),
    )
  }
  return findings
}

function worldNameOf(node: ts.Node): string | undefined {
  if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
    const isTypeOnly = node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword
    const module = node.moduleSpecifier.text
    return worldModules.test(module) && !isTypeOnly ? module : undefined
  }
  // A given moment is fine, `new Date(at)`; asking for the present one is not.
  if (ts.isNewExpression(node) && node.expression.getText() === 'Date') {
    return (node.arguments?.length ?? 0) === 0 ? 'new Date()' : undefined
  }
  if (!ts.isPropertyAccessExpression(node) && !ts.isIdentifier(node)) return undefined
  if (!isWholeValue(node)) return undefined
  const name = node.getText().replace(/^globalThis\.(?!crypto)/, '')
  const isCalled = ts.isCallExpression(node.parent) && node.parent.expression === node
  if (name === 'Date' && !isCalled) return undefined
  return worldCalls.has(name) || worldRandom.test(name) ? name : undefined
}

/** True for the whole of `a.b.c`, not for its parts, nor for names that are only being given to something. */
function isWholeValue(node: ts.Expression): boolean {
  const parent = node.parent
  if (ts.isPropertyAccessExpression(parent) || ts.isTypeQueryNode(parent)) return false
  const isGivenName = 'name' in parent && parent.name === node
  return !isGivenName || ts.isShorthandPropertyAssignment(parent) || ts.isImportSpecifier(parent)
}

export function checkConsole(source: Source): Finding[] {
  if (!source.file.startsWith('src/') || mayPrint.test(source.file)) return []
  return findAll(source, 'console', 'a library does not print', (node) => {
    return ts.isPropertyAccessExpression(node) && node.expression.getText() === 'console'
  })
}

export function checkAny(source: Source): Finding[] {
  if (!source.file.startsWith('src/')) return []
  return findAll(
    source,
    'any',
    'say what it is, or unknown',
    (node) => node.kind === ts.SyntaxKind.AnyKeyword,
  )
}

/** Marks of unfinished work live in the tracker; in the code they only grow old. */
export function checkMarks(source: Source): Finding[] {
  const findings: Finding[] = []
  for (const { start, text } of commentsOf(source.tree)) {
    const mark = /\b(TODO|FIXME|XXX|HACK)\b/.exec(text)
    if (mark === null) continue
    const { line } = source.tree.getLineAndCharacterOfPosition(start + mark.index)
    findings.push({ file: source.file, line: line + 1, rule: 'mark', message: `leftover ${mark[0]}` })
  }
  return findings
}

function* commentsOf(tree: ts.SourceFile): Generator<{ start: number; text: string }> {
  const seen = new Set<number>()
  for (const node of nodesOf(tree)) {
    for (const { pos, end } of ts.getLeadingCommentRanges(tree.text, node.getFullStart()) ?? []) {
      if (seen.has(pos)) continue
      seen.add(pos)
      yield { start: pos, text: tree.text.slice(pos, end) }
    }
    for (const { pos, end } of ts.getTrailingCommentRanges(tree.text, node.getEnd()) ?? []) {
      if (seen.has(pos)) continue
      seen.add(pos)
      yield { start: pos, text: tree.text.slice(pos, end) }
    }
  }
}

function findAll(
  source: Source,
  rule: string,
  message: string,
  matches: (node: ts.Node) => boolean,
): Finding[] {
  return [...nodesOf(source.tree)].filter(matches).map((node) => findingAt(source, node, rule, message))
}
