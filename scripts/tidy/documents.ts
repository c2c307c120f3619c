import type { Document, Finding, Project } from './tree.ts'

interface Heading {
  readonly line: number
  readonly level: number
  readonly text: string
}

const kinds = ['Added', 'Changed', 'Deprecated', 'Removed', 'Fixed', 'Security']

export function checkDocuments(project: Project): Finding[] {
  const findings = project.documents.flatMap(checkTitle)
  const changelog = project.documents.find(({ file }) => file === 'CHANGELOG.md')
  if (changelog === undefined) {
    findings.push({ file: 'CHANGELOG.md', line: 1, rule: 'changelog', message: 'it is missing' })
    return findings
  }
  return [...findings, ...checkChangelog(changelog)]
}

function checkTitle(document: Document): Finding[] {
  const titles = headingsOf(document.text).filter(({ level }) => level === 1)
  return titles.slice(1).map(({ line }) => {
    return { file: document.file, line, rule: 'title', message: 'a page has one title' }
  })
}

/** The form of keepachangelog.com: Unreleased first, then versions with their day, entries under six known kinds. */
function checkChangelog({ file, text }: Document): Finding[] {
  const findings: Finding[] = []
  const complain = (line: number, message: string) =>
    findings.push({ file, line, rule: 'changelog', message })
  const headings = headingsOf(text)
  const releases = headings.filter(({ level }) => level === 2)
  if (releases[0]?.text !== '[Unreleased]')
    complain(releases[0]?.line ?? 1, 'the first section is [Unreleased]')
  for (const { line, text } of releases.slice(1)) {
    if (!/^\[\d+\.\d+\.\d+[^\]]*\] - \d{4}-\d{2}-\d{2}$/.test(text))
      complain(line, 'a release is [x.y.z] - YYYY-MM-DD')
  }
  for (const { line, text } of headings.filter(({ level }) => level === 3)) {
    if (!kinds.includes(text)) complain(line, `a kind of change is one of ${kinds.join(', ')}`)
  }
  return findings
}

function headingsOf(text: string): Heading[] {
  const headings: Heading[] = []
  let fence: string | undefined
  for (const [index, line] of text.split('\n').entries()) {
    const mark = /^\s*(```|~~~)/.exec(line)?.[1]
    if (mark !== undefined && (fence === undefined || fence === mark))
      fence = fence === undefined ? mark : undefined
    const heading = /^(#{1,6})\s+(.*?)\s*$/.exec(line)
    if (fence === undefined && heading)
      headings.push({ line: index + 1, level: heading[1]!.length, text: heading[2]! })
  }
  return headings
}
