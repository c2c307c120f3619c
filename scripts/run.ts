import { spawn } from 'node:child_process'
import { join } from 'node:path'

export const root = join(import.meta.dirname, '..')

// Two packages bring a command named tsc: the compiler, and the older one whose parser tidy uses. Say which.
export const tsc = ['node', 'node_modules/typescript/bin/tsc']

/** Runs a command in the project folder with its output shown, and answers its exit code. */
export function run(command: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<number> {
  const [name, ...args] = command
  const path = `${join(root, 'node_modules/.bin')}:${process.env.PATH ?? ''}`
  const env = { ...process.env, ...environment, PATH: path }
  const child = spawn(name!, args, { cwd: root, env, stdio: 'inherit' })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => resolve(code ?? 1))
  })
}
