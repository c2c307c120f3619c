import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, realpathSync } from 'node:fs'
import type { Socket } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { isAlive } from './processes.ts'
import { giveAway } from './run-as.ts'

/** Where this user's servers and the copies they start from are. Root and others must not share it. */
export const rigRoot = join(realpathSync(tmpdir()), `semel-postgres-${userInfo().uid}`)
const homes = join(rigRoot, 'servers')

/**
 * Its input is a pipe that only our process holds open. When the pipe closes, be it because the server was stopped or
 * because we were killed, it ends what still runs in the folder and removes the folder.
 *
 * A server that was killed leaves a System V segment of 56 bytes, of which a machine has 4,096: the seventh line of
 * postmaster.pid names it. The process id counts only if that process works in our folder, for ids are used again.
 */
const watch = `
trap '' INT TERM HUP
home=$1 work=$1/data
while read -r _; do :; done
pidfile=$(echo "$work"/*.pid)
pid=$(sed -n 1p "$pidfile" 2>/dev/null)
segment=$(sed -n 7p "$pidfile" 2>/dev/null)
runs() {
  [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null &&
    { [ ! -e /proc/self ] || [ "$(readlink "/proc/$pid/cwd")" = "$work" ]; }
}
if runs; then
  kill -QUIT "$pid"
  kill -CONT "$pid"
  left=80
  while runs && [ "$left" -gt 0 ]; do sleep 0.1; left=$((left - 1)); done
  runs && kill -KILL "$pid"
fi
[ -n "$segment" ] && ipcrm -m "\${segment##* }" 2>/dev/null
rm -rf "$home" || { sleep 1; rm -rf "$home"; }
`

/** A folder for one server, with a watchdog that outlives us by the moment it needs to clean up. */
export class Home {
  readonly folder: string
  readonly #watchdog: ChildProcess

  /** The server has to work in the folder `data` in it, and to write its process id into a `.pid` file there. */
  constructor(root?: string) {
    this.folder = makeHome(root)
    this.#watchdog = startWatchdog(this.folder)
  }

  /** Ends the server if it still runs, and removes the folder. */
  async remove(): Promise<void> {
    const { exitCode, signalCode } = this.#watchdog
    if (exitCode !== null || signalCode !== null) return
    this.#watchdog.ref()
    const gone = once(this.#watchdog, 'exit')
    this.#watchdog.stdin!.end()
    await gone
  }
}

function makeHome(root: string | undefined): string {
  if (root !== undefined) {
    const folder = mkdtempSync(join(realpathSync(root), 'semel-postgres-'))
    giveAway(folder)
    return folder
  }
  mkdirSync(homes, { recursive: true })
  chmodSync(homes, 0o755)
  sweep()
  const folder = join(homes, `${process.pid}-${randomBytes(6).toString('hex')}`)
  mkdirSync(folder)
  giveAway(folder)
  return folder
}

function startWatchdog(home: string): ChildProcess {
  const child = spawn('sh', ['-c', watch, 'semel-rig-watchdog', home], {
    // Of its own group, or the interrupt of a terminal would end it together with us.
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    cwd: '/',
  })
  child.unref()
  const input = child.stdin as Socket
  input.unref()
  input.on('error', () => {})
  return child
}

/** What others left behind when both they and their watchdogs were killed, such as by the end of a container. */
function sweep(): void {
  for (const name of readdirSync(homes)) {
    const owner = Number(name.split('-')[0])
    if (!Number.isInteger(owner) || isAlive(owner)) continue
    startWatchdog(join(homes, name)).stdin!.end()
  }
}
