import ts from 'typescript-api'
import { type Finding, findingAt, nodesOf, type Source } from './tree.ts'

const runners = ['test', 'it', 'describe', 'suite']

/** No test is left alone in the light, and none is left out in silence. */
export function checkTests(source: Source): Finding[] {
  if (!source.file.startsWith('test/') && !source.file.startsWith('src/testing/')) return []
  const findings: Finding[] = []
  for (const node of nodesOf(source.tree)) {
    if (!ts.isCallExpression(node)) continue
    if (isOnly(node)) findings.push(findingAt(source, node, 'only', 'the other tests would not run'))
    if (isSilentSkip(node)) findings.push(findingAt(source, node, 'skip', 'say why: skip: "reason"'))
  }
  return findings
}

function isOnly(call: ts.CallExpression): boolean {
  return isMethod(call, 'only', runners) || isTrue(option(call, 'only'))
}

function isSilentSkip(call: ts.CallExpression): boolean {
  if (isMethod(call, 'skip', runners) || isMethod(call, 'todo', runners)) return true
  if (isMethod(call, 'skip', ['t', 'context']) || isMethod(call, 'todo', ['t', 'context']))
    return call.arguments.length === 0
  return isTrue(option(call, 'skip')) || isTrue(option(call, 'todo'))
}

function isMethod(call: ts.CallExpression, name: string, owners: readonly string[]): boolean {
  const callee = call.expression
  return (
    ts.isPropertyAccessExpression(callee) &&
    callee.name.text === name &&
    owners.includes(callee.expression.getText())
  )
}

function option(call: ts.CallExpression, name: string): ts.Expression | undefined {
  if (!runners.includes(call.expression.getText())) return undefined
  const options = call.arguments.find((argument) => ts.isObjectLiteralExpression(argument))
  const property = options?.properties.find((candidate) => candidate.name?.getText() === name)
  return property !== undefined && ts.isPropertyAssignment(property) ? property.initializer : undefined
}

function isTrue(node: ts.Expression | undefined): boolean {
  return node?.kind === ts.SyntaxKind.TrueKeyword
}
