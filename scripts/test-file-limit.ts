// Loaded into the process of each test file. The runner's own limit ends tests, not files: a child or a socket that a
// failed test left behind keeps its file alive, and the whole run with it.
import { execFileSync } from 'node:child_process'
import { after } from 'node:test'

const limitMs = 15 * 60_000
/** From the end of the last test until nothing is open any more. */
const lingerMs = Number(process.env.SEMEL_TEST_LINGER_MS ?? 60_000)

/** Those that a test started hold the runner's pipes open. */
function descendants(): number[] {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n')
  const pairs = lines.map((line) => line.trim().split(/\s+/).map(Number))
  const found = [process.pid]
  for (const parent of found) for (const [pid, ppid] of pairs) if (ppid === parent) found.push(pid!)
  return found.slice(1)
}

function endFile(why: string): void {
  const open = process.getActiveResourcesInfo().filter((name) => name !== 'Timeout')
  process.stderr.write(`${process.argv[1]} ${why}; open: ${open.join(', ')}\n`)
  for (const pid of [...descendants(), process.pid]) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {}
  }
}

// The runner loads this, too, and so do the forks of a test.
if (process.env.NODE_TEST_CONTEXT === 'child-v8' && process.send === undefined) {
  setTimeout(endFile, limitMs, `runs for ${limitMs / 60_000} minutes`).unref()
  after(() => {
    setTimeout(endFile, lingerMs, `ended its tests ${lingerMs / 1000} s ago and is still there`).unref()
  })
}
