import { execFile, execFileSync } from 'node:child_process'
import { chownSync, writeFileSync } from 'node:fs'
import { promisify } from 'node:util'

export interface RunAs {
  readonly uid?: number
  readonly gid?: number
}

let found: RunAs | undefined

/**
 * Neither PostgreSQL nor PgBouncer runs as root. For root it is `nobody`, whom every system has, so that nothing needs to
 * be created; for everyone else it is themselves.
 */
export function runAs(): RunAs {
  if (process.getuid?.() !== 0) return {}
  found ??= { uid: idOf('-u'), gid: idOf('-g') }
  return found
}

function idOf(which: '-u' | '-g'): number {
  return Number(execFileSync('id', [which, 'nobody'], { encoding: 'utf8' }))
}

export function giveAway(path: string): void {
  const { uid, gid } = runAs()
  if (uid !== undefined && gid !== undefined) chownSync(path, uid, gid)
}

/** Writes a file that the server owns. */
export function writeOwned(path: string, text: string): void {
  writeFileSync(path, text)
  giveAway(path)
}

/** Runs a command to its end as the server's user; files it makes are the server's then. */
export async function runCommand(command: string, args: readonly string[]): Promise<void> {
  const options = { ...runAs(), cwd: '/', env: { ...process.env, LC_ALL: 'C' } }
  await promisify(execFile)(command, args, options)
}
