// Count in state and emit what was counted, exactly once, although the handler fails half-way and runs again.
// In a program of your own, import from 'semel' and 'semel/sqlite'.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sqlite } from '../src/engines/sqlite/index.ts'
import { openBus, topic } from '../src/index.ts'

const visits = topic<{ page: string }>('visits', { key: (visit) => visit.page })
const counts = topic<{ page: string; count: number }>('counts', { key: ({ page }) => page })

const folder = mkdtempSync(join(tmpdir(), 'semel-example-'))
const bus = await openBus({ engine: sqlite({ file: join(folder, 'log.db') }), topics: [visits, counts] })

bus.consume(visits, { group: 'counters' }, async (event, tx) => {
  const { page } = event.data
  const state = tx.state<number>('count')
  const count = ((await state.get()) ?? 0) + 1
  await state.set(count)
  tx.emit(counts, { page, count })
  // The position, the state and the emitted event commit together. This attempt leaves nothing behind:
  if (event.attempt === 1 && count === 2) throw new Error('the network blinked')
})

await bus.publishMany(['/home', '/about', '/home', '/home'].map((page) => visits.event({ page })))

let seen = 0
const lines: string[] = []
for await (const { data } of bus.read(counts, { follow: true })) {
  lines.push(`${data.page} ${data.count}`)
  if (++seen === 4) break
}
console.log(lines.sort().join('\n'))

await bus.stop()
rmSync(folder, { recursive: true })

// Prints:
// /about 1
// /home 1
// /home 2
// /home 3
