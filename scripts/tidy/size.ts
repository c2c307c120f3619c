import ts from 'typescript-api'
import { type Finding, findingAt, nodesOf, type Source } from './tree.ts'

const functionLinesMax = 70
const fileLinesMax = 500

export function checkSize(source: Source): Finding[] {
  const findings: Finding[] = []
  const lines = source.text.trimEnd().split('\n').length
  if (source.file.startsWith('src/') && lines > fileLinesMax) {
    findings.push({
      file: source.file,
      line: 1,
      rule: 'file-length',
      message: `${lines} lines, at most ${fileLinesMax}`,
    })
  }
  for (const node of nodesOf(source.tree)) {
    if (!ts.isFunctionLike(node) || !('body' in node) || node.body === undefined || groupsTests(node))
      continue
    const length = linesOf(node, source.tree)
    if (length <= functionLinesMax) continue
    findings.push(findingAt(source, node, 'function-length', `${length} lines, at most ${functionLinesMax}`))
  }
  return findings
}

function linesOf(node: ts.Node, tree: ts.SourceFile): number {
  const first = tree.getLineAndCharacterOfPosition(node.getStart(tree)).line
  const last = tree.getLineAndCharacterOfPosition(node.getEnd()).line
  return last - first + 1
}

/** The function given to `describe` is a list of tests, not a function one has to hold in mind. */
function groupsTests(node: ts.Node): boolean {
  const call = node.parent
  return (
    ts.isCallExpression(call) &&
    ts.isIdentifier(call.expression) &&
    ['describe', 'suite'].includes(call.expression.text)
  )
}
