import { posix } from 'node:path'
import ts from 'typescript-api'
import { type Finding, findingAt, nodesOf, type Project, type Source } from './tree.ts'

/**
 * The layers, lowest first. A file imports from its own layer and from lower ones.
 * Three more rules hold inside a layer: engines do not know each other, features and the runtime name no engine,
 * and only the testing kit, the command and the demo import the testing kit.
 */
const layers: readonly RegExp[] = [
  /^src\/platform\//,
  /^src\/(errors|limits|options)\.ts$/,
  /^src\/event\//,
  /^src\/engine\//,
  /^src\/(engines|features|runtime)\//,
  /^src\/[^/]+\.ts$/,
  /^src\//,
]

const layerOf = (file: string) => layers.findIndex((layer) => layer.test(file))
const engineOf = (file: string) => /^src\/engines\/([^/]+)\//.exec(file)?.[1]
const isTestingKit = (file: string) => file.startsWith('src/testing/')

export function checkImports(source: Source): Finding[] {
  if (!source.file.startsWith('src/')) return []
  const findings: Finding[] = []
  for (const { node, target } of importsOf(source)) {
    const complaint = complaintAbout(source.file, target)
    if (complaint !== undefined) findings.push(findingAt(source, node, 'import', `${complaint}: ${target}`))
  }
  return findings
}

function complaintAbout(file: string, target: string): string | undefined {
  if (!target.startsWith('src/')) return target.endsWith('.ts') ? 'src imports only from src' : undefined
  if (isTestingKit(target) && !/^src\/(testing|cli|demo)\//.test(file))
    return 'only tests use the testing kit'
  if (layerOf(target) > layerOf(file)) return 'imports point downwards'
  const engine = engineOf(target)
  if (engine === undefined) return undefined
  const own = engineOf(file)
  if (own !== undefined && own !== engine) return 'engines do not know each other'
  if (/^src\/(features|runtime)\//.test(file)) return 'features and the runtime name no engine'
  return undefined
}

/** Source files that nothing imports and that no door, command, script, worker or migration folder leads to. */
export function checkDeadFiles(project: Project): Finding[] {
  const used = new Set([...doorsOf(project.package)])
  for (const source of project.sources) {
    for (const { target } of importsOf(source)) if (target !== source.file) used.add(target)
  }
  return project.sources
    .map(({ file }) => file)
    .filter((file) => file.startsWith('src/') && !used.has(file))
    .filter((file) => !/worker[^/]*\.ts$|\/migrations\//.test(file))
    .map((file) => ({ file, line: 1, rule: 'dead-file', message: 'nothing imports it' }))
}

/** Paths named anywhere in the manifest: exports and bin name what src/ is built to, scripts name sources. */
function doorsOf(manifest: unknown): string[] {
  const text = JSON.stringify(manifest)
  const built = [...text.matchAll(/dist\/([\w./-]+?)(\.d\.ts|\.js)/g)].map((match) => `src/${match[1]}.ts`)
  const named = [...text.matchAll(/src\/[\w./-]+\.ts/g)].map((match) => match[0])
  return [...built, ...named]
}

/** Relative files named by import, export from, import() and `new URL(…, import.meta.url)`. */
function* importsOf(source: Source): Generator<{ node: ts.Node; target: string }> {
  for (const node of nodesOf(source.tree)) {
    const name = importedName(node)
    if (name === undefined || !name.startsWith('.')) continue
    const target = posix.join(posix.dirname(source.file), name).replace(/\.js$/, '.ts')
    yield { node, target }
  }
}

function importedName(node: ts.Node): string | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return textOf(node.moduleSpecifier)
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) return textOf(node.argument.literal)
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
    return textOf(node.arguments[0])
  if (ts.isNewExpression(node) && node.expression.getText() === 'URL') return textOf(node.arguments?.[0])
  return undefined
}

function textOf(node: ts.Node | undefined): string | undefined {
  return node !== undefined && ts.isStringLiteralLike(node) ? node.text : undefined
}
