import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

// Below the range from which the kernel takes the near ends of outgoing connections: a server that is down for a
// moment would else now and then find its port given to some client.
const lowest = 10_000
const attemptsMax = 100

/** A file for each port that a test process has chosen, with its process id: servers take seconds before they listen. */
const folder = join(tmpdir(), `semel-ports-${process.getuid?.() ?? 'all'}`)
const taken: string[] = []
process.once('exit', () => {
  for (const file of taken) rmSync(file, { force: true })
})

/** A port of 127.0.0.1 that nobody listens on now, and that stays ours while a server starts and restarts. */
export async function freePort(): Promise<number> {
  const above = firstEphemeralPort()
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    const port = randomInt(lowest, above)
    if (reserve(port) && (await canListen(port))) return port
  }
  throw new Error(`no free port from ${lowest} to ${above - 1}`)
}

function firstEphemeralPort(): number {
  try {
    const first = Number(
      readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').trim().split(/\s+/)[0],
    )
    return first > lowest + 1_000 ? first : 32_768
  } catch {
    return 32_768
  }
}

/** False if another process has it, or we do. What a killed one left is removed, for the next who asks. */
function reserve(port: number): boolean {
  const file = join(folder, String(port))
  try {
    mkdirSync(folder, { recursive: true })
    writeFileSync(file, String(process.pid), { flag: 'wx' })
    taken.push(file)
    return true
  } catch {
    if (!isHeld(file)) rmSync(file, { force: true })
    return false
  }
}

function isHeld(file: string): boolean {
  try {
    const pid = Number(readFileSync(file, 'utf8'))
    if (pid > 0) process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function canListen(port: number): Promise<boolean> {
  const server = createServer()
  try {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    server.close()
    await once(server, 'close')
    return true
  } catch {
    return false
  }
}
