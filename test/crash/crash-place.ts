import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { fileURLToPath } from 'node:url'

const scenario = fileURLToPath(new URL('./scenario.ts', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'semel-crash-'))
let runs = 0

after(() => rmSync(folder, { recursive: true, force: true }))

/** Where one scenario lives: its database, and the side file of what it was acknowledged. */
export interface Place {
  readonly file: string
  readonly acks: string
}

export function newPlace(): Place {
  runs++
  return { file: join(folder, `${runs}.db`), acks: join(folder, `${runs}.acks`) }
}

export interface LifeOptions {
  /** `name:hit` of a crash point. */
  readonly crashAt?: string
  /** A program and its options that runs ours. */
  readonly under?: readonly string[]
}

/** One life of the scenario's program; answers the signal that ended it. */
export async function live(place: Place, options: LifeOptions = {}): Promise<NodeJS.Signals | null> {
  const { crashAt = '', under = [] } = options
  const [program, ...args] = [...under, process.execPath, scenario, place.file, place.acks]
  const env = {
    ...process.env,
    SEMEL_CRASH_AT: crashAt,
    UV_THREADPOOL_SIZE: '1',
    NODE_COMPILE_CACHE: join(tmpdir(), 'semel-compile-cache'),
  }
  const child = spawn(program!, args, { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let errors = ''
  child.stderr.on('data', (chunk) => {
    errors += String(chunk)
  })
  const [code, signal] = await once(child, 'exit')
  assert.ok(signal !== null || code === 0, `the program ended with ${code}: ${errors}`)
  return signal
}
