import type { ChildProcess } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { until } from '../support/until.ts'

/** States of a thread that runs no code of its program: stopped, dead, or in the middle of a call to the disk. */
const still = new Set(['T', 't', 'D', 'Z', 'X'])

/**
 * Stops a process with SIGSTOP and waits until it stands still. The signal is not enough: one thread has to take it
 * before the others hear of it, and on a busy machine they go on for a while.
 */
export async function freeze(child: ChildProcess): Promise<void> {
  child.kill('SIGSTOP')
  await until(() => threadStates(child.pid!).every((state) => still.has(state)))
}

function threadStates(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map((thread) => {
      const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8')
      return stat.charAt(stat.lastIndexOf(')') + 2)
    })
  } catch {
    // It has ended.
    return []
  }
}
