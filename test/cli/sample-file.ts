import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sqlite } from '../../src/engines/sqlite/index.ts'
import { openBus, RawJson, topic } from '../../src/index.ts'

export const orders = topic<unknown>('orders', { partitions: 2 })

/** A file with 5 orders of one key, the third with nasty text, and a group that failed on the fourth. */
export async function makeSampleFile(): Promise<{ file: string; folder: string; remove(): void }> {
  const folder = mkdtempSync(join(tmpdir(), 'semel-cli-'))
  const file = join(folder, 'log.db')
  const bus = await openBus({ engine: sqlite({ file }), topics: [orders], member: 'maker' })
  const datas = [
    { n: 1 },
    new RawJson('{\n "n": 2 }'),
    { n: 3, text: '\u001b]0;owned\u0007\u202egnp.exe' },
    'bad',
    null,
  ]
  for (const [i, data] of datas.entries()) await bus.publish(orders, data, { id: `order-${i}`, key: 'k' })
  await bus.publish(orders, { n: 1 }, { id: 'order-0', key: 'k' })
  const { promise: done, resolve } = Promise.withResolvers<void>()
  bus.consume(orders, { group: 'billing', retry: { attempts: 1 }, concurrency: 1 }, ({ id, data }) => {
    if (id === 'order-4') resolve()
    if (data === 'bad') throw new Error('cannot bill \u001b[31mthis')
  })
  await done
  await bus.stop()
  return { file, folder, remove: () => rmSync(folder, { recursive: true, force: true }) }
}
