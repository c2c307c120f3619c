import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'

const folder = mkdtempSync(join(tmpdir(), 'semel-files-'))
let files = 0
after(() => rmSync(folder, { recursive: true, force: true }))

/** A file for a test that records no history. */
export function newFile(): string {
  files++
  return join(folder, `${files}.db`)
}
