import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'

// Below the range from which the kernel takes the near ends of outgoing connections: a server that is down for a
// moment would else now and then find its port given to some client.
const lowest = 10_000
const attemptsMax = 100

/** A port of 127.0.0.1 that nobody listens on now, and that stays ours while a server restarts. */
export async function freePort(): Promise<number> {
  const above = firstEphemeralPort()
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    const port = randomInt(lowest, above)
    if (await canListen(port)) return port
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
