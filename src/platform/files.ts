import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What is at a path now. */
export type FileKind = 'file' | 'folder' | 'missing' | 'unreachable'

export function fileKind(path: string): FileKind {
  try {
    const stats = statSync(path)
    return stats.isDirectory() ? 'folder' : 'file'
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    return code === 'ENOENT' ? 'missing' : 'unreachable'
  }
}

/** Size in bytes; 0 if there is no such file. */
export function fileBytes(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

/** Lets only the owner read and write a file that was just created. */
export function makePrivate(path: string): void {
  chmodSync(path, 0o600)
}

/** A text file that belongs to the package itself, such as a SQL statement beside the code that runs it. */
export function packageText(file: URL): string {
  return readFileSync(file, 'utf8')
}

/** A new folder that only the owner can look into; whoever asked for it removes it. */
export function temporaryFolder(name: string): string {
  return mkdtempSync(join(tmpdir(), `${name}-`))
}

export function removeFolder(path: string): void {
  rmSync(path, { recursive: true, force: true })
}

export function makeFolder(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 })
}

/** A file that the user's settings name, such as a certificate. */
export function fileBuffer(path: string): Buffer {
  return readFileSync(path)
}
