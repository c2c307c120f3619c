// Checks what neither compiler nor linter knows about this project. `node scripts/tidy.ts [folder]`
import { join, resolve } from 'node:path'
import { checkDocuments } from './tidy/documents.ts'
import { checkDeadFiles, checkImports } from './tidy/imports.ts'
import { checkSize } from './tidy/size.ts'
import { checkTests } from './tidy/tests.ts'
import { type Finding, loadProject, type Source } from './tidy/tree.ts'
import { checkAny, checkConsole, checkMarks, checkPlatform } from './tidy/words.ts'

const sourceChecks: readonly ((source: Source) => Finding[])[] = [
  checkSize,
  checkImports,
  checkPlatform,
  checkConsole,
  checkAny,
  checkMarks,
  checkTests,
]

export function tidy(root: string): Finding[] {
  const project = loadProject(root)
  return [
    ...project.sources.flatMap((source) => sourceChecks.flatMap((check) => check(source))),
    ...checkDeadFiles(project),
    ...checkDocuments(project),
  ]
}

if (import.meta.main) {
  const findings = tidy(resolve(process.argv[2] ?? join(import.meta.dirname, '..')))
  for (const { file, line, rule, message } of findings) console.log(`${file}:${line} ${rule} ${message}`)
  process.exitCode = findings.length > 0 ? 1 : 0
}
