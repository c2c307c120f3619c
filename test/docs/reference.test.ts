import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { pagesWithTable, withTables } from '../../scripts/docs-tables.ts'
import { errorCodes } from '../../src/errors.ts'

const root = join(import.meta.dirname, '../..')
const read = (name: string): string => readFileSync(join(root, name), 'utf8')
const pages = globSync(['*.md', 'docs/**/*.md'], { cwd: root }).sort()

describe('the documents', () => {
  for (const name of pagesWithTable) {
    test(`${name} shows the engines' facts as they are (node scripts/docs-tables.ts)`, async () => {
      const page = read(name)
      assert.ok(page.includes('<!-- engines:begin'))
      assert.equal(page, await withTables(page))
    })
  }

  test('errors.md explains every code once, and no other', () => {
    const explained = [...read('docs/reference/errors.md').matchAll(/^\| `([A-Z_]+)` \| .+ \| .+ \|$/gm)]
    assert.deepEqual(explained.map(([, code]) => code!).sort(), [...errorCodes].sort())
  })

  test('guarantees.md has every clause that the sources name', () => {
    const page = read('docs/reference/guarantees.md')
    const clauses = new Set([...page.matchAll(/(?:^- \*\*|^\| )([A-Z]\d)\b/gm)].map(([, id]) => id!))
    const named = globSync('src/{*.ts,{engine,event,features,runtime}/**/*.ts}', { cwd: root }).flatMap(
      (file) => [...read(file).matchAll(/[(, ]([ADFLNOPRUVXZ]\d)(?=[),.:; ])/g)].map(([, id]) => id!),
    )
    assert.deepEqual(
      [...new Set(named)].filter((id) => !clauses.has(id) && !notYet.has(id)),
      [],
    )
  })

  test('every relative link leads to something', () => {
    for (const page of pages) {
      for (const [, target] of read(page).matchAll(/\]\((?!https?:|#)([^)#]+)/g)) {
        assert.ok(existsSync(join(root, dirname(page), target!)), `${page} links to ${target}`)
      }
    }
  })

  test('every source file that a page names exists', () => {
    for (const page of pages) {
      for (const [, path] of read(page).matchAll(/`(src\/[\w./-]+)`/g)) {
        assert.ok(existsSync(join(root, path!)), `${page} names ${path}`)
      }
    }
  })

  test('a decision fits on a screen', () => {
    for (const page of pages.filter((name) => name.startsWith('docs/decisions/'))) {
      assert.ok(read(page).split('\n').length <= 40, page)
    }
  })
})

/** Clauses of engines and features that are not there yet. */
const notYet = new Set(['N7', 'R4'])
