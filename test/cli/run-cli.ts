import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

const main = join(import.meta.dirname, '../../src/cli/main.ts')

export interface CliResult {
  readonly status: number | null
  readonly out: string
  readonly err: string
}

/** Starts the real command as a process of its own. */
export function startCli(args: readonly string[], env = process.env) {
  return spawn(process.execPath, [main, ...args], { env, stdio: ['pipe', 'pipe', 'pipe'] })
}

/** Runs the command to its end. */
export async function runCli(args: readonly string[], input = '', env = process.env): Promise<CliResult> {
  const child = startCli(args, env)
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  const [[status], out, err] = await Promise.all([
    once(child, 'exit'),
    text(child.stdout),
    text(child.stderr),
  ])
  return { status, out, err }
}
