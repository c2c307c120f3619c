import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

export const root = join(import.meta.dirname, '../..')

const execute = promisify(execFile)

/** Runs a command and answers what it printed; a failure carries both outputs in its message. */
export async function output(folder: string, command: string, ...args: string[]): Promise<string> {
  try {
    const { stdout } = await execute(command, args, { cwd: folder, maxBuffer: 64 << 20 })
    return stdout
  } catch (cause) {
    const { stdout = '', stderr = '' } = cause as { stdout?: string; stderr?: string }
    throw new Error(`${command} ${args.join(' ')} failed\n${stdout}${stderr}`, { cause })
  }
}

export interface Installed {
  readonly folder: string
  readonly tarball: string
}

/** Builds and packs the project and installs the tarball into an empty folder, as a user would. */
export async function installPacked(): Promise<Installed> {
  await output(root, process.execPath, 'scripts/build.ts')
  const folder = await mkdtemp(join(tmpdir(), 'semel-package-'))
  const packed = JSON.parse(await output(root, 'npm', 'pack', '--json', '--pack-destination', folder))
  const tarball = join(folder, packed[0].filename)
  writeFileSync(join(folder, 'package.json'), '{"private":true,"type":"module"}')
  await output(folder, 'npm', 'install', '--no-audit', '--no-fund', tarball)
  return { folder, tarball }
}

/** The path of a node of exactly this version, installed once into .tmp/ from the package npm's own `node` uses. */
export async function nodeOf(version: string): Promise<string> {
  const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
  const folder = join(root, '.tmp', `node-${version}`)
  const path = join(folder, 'node_modules', name, 'bin/node')
  if (existsSync(path)) return path
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{"private":true}')
  await output(folder, 'npm', 'install', '--no-audit', '--no-fund', '--save-exact', `${name}@${version}`)
  return path
}
