import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript-api'

export interface Finding {
  readonly file: string
  readonly line: number
  readonly rule: string
  readonly message: string
}

export interface Source {
  /** Path from the root, with forward slashes. */
  readonly file: string
  readonly text: string
  readonly tree: ts.SourceFile
}

export interface Document {
  readonly file: string
  readonly text: string
}

export interface Project {
  readonly root: string
  readonly package: unknown
  readonly sources: readonly Source[]
  readonly documents: readonly Document[]
}

export function loadProject(root: string): Project {
  const read = (file: string) => ({ file, text: readFileSync(join(root, file), 'utf8') })
  const find = (pattern: string) =>
    globSync(pattern, { cwd: root, exclude: (name) => name === 'node_modules' }).sort()
  const manifest = join(root, 'package.json')
  return {
    root,
    package: existsSync(manifest) ? JSON.parse(readFileSync(manifest, 'utf8')) : {},
    sources: find('{src,test,scripts,bench,examples}/**/*.ts').map((file) => parse(read(file))),
    documents: find('{*.md,{docs,bench,examples}/**/*.md}').map(read),
  }
}

function parse({ file, text }: Document): Source {
  return { file, text, tree: ts.createSourceFile(file, text, ts.ScriptTarget.ESNext, true) }
}

export function findingAt(source: Source, node: ts.Node, rule: string, message: string): Finding {
  const { line } = source.tree.getLineAndCharacterOfPosition(node.getStart(source.tree))
  return { file: source.file, line: line + 1, rule, message }
}

/** Every node of the tree, parents first. */
export function* nodesOf(node: ts.Node): Generator<ts.Node> {
  yield node
  const children: ts.Node[] = []
  ts.forEachChild(node, (child) => {
    children.push(child)
  })
  for (const child of children) yield* nodesOf(child)
}
