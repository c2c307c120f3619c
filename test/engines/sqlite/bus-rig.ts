import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { sqlite } from '../../../src/engines/sqlite/index.ts'
import { type Bus, openBus, type Receipt, topic } from '../../../src/index.ts'

export const parts = topic<unknown>('parts', { partitions: 2, key: (data) => String(Object(data).key) })
/** Keys of the two partitions: which is which, a test finds out by publishing. */
export const keys = ['a', 'b', 'c', 'd', 'e', 'f'] as const

/** A new folder that goes away with the test. */
export function newFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'semel-faults-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export async function open(file: string, lockWaitMs = 10_000): Promise<Bus> {
  return await openBus({ engine: sqlite({ file, lockWaitMs }), topics: [parts] })
}

/** Publishes `count` events one after the other, so that each is a row of its own. */
export async function publishEach(bus: Bus, count: number, prefix = 'event'): Promise<Receipt[]> {
  const receipts: Receipt[] = []
  for (let n = 0; n < count; n++) {
    const data = { key: keys[n % keys.length], n, marker: `${prefix}-marker-${n};` }
    receipts.push(await bus.publish(parts, data, { id: `${prefix}-${n}` }))
  }
  return receipts
}

export interface Locker {
  release(): Promise<void>
}

/** Another program that keeps the file locked: it has run `sql`, and ends its connection at `release`. */
export async function lockFile(file: string, sql: string): Promise<Locker> {
  const program = `
    const { DatabaseSync } = require('node:sqlite')
    const database = new DatabaseSync(process.argv[1])
    database.exec(process.argv[2])
    console.log('locked')
    process.stdin.on('end', () => { database.close(); process.exit() }).resume()`
  const child = spawn(process.execPath, ['-e', program, file, sql], { stdio: ['pipe', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  return {
    release: async () => {
      const exit = once(child, 'exit')
      child.stdin.end()
      await exit
    },
  }
}
