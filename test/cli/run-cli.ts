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

export function startCli(args: readonly string[]): ReturnType<typeof spawnCli> {
  return spawnCli(args)
}

function spawnCli(args: readonly string[]) {
  return spawn(process.execPath, [main, ...args], { stdio: ['pipe', 'pipe', 'pipe'] })
}

/** Runs the real command as a process of its own. */
export async function runCli(args: readonly string[], input = ''): Promise<CliResult> {
  const child = spawnCli(args)
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  const [[status], out, err] = await Promise.all([
    once(child, 'exit'),
    text(child.stdout),
    text(child.stderr),
  ])
  return { status, out, err }
}
