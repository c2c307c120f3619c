import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { checkAfterFault, checkAtEnd, checkRecorded } from './crash-checks.ts'
import { Place, type Running } from './crash-place.ts'
import { crashLeaseMs } from './crash-topics.ts'
import { freeze } from './freeze.ts'

const jumpingClock = new URL('./jumping-clock.ts', import.meta.url).href
const handling = '"f":"handle"'

/**
 * Stops a process that holds no lock of the file. One that does keeps everybody waiting until it goes on or is killed:
 * SQLite's lock belongs to the process and knows no lease.
 */
async function stopBetweenWrites(child: ChildProcess, file: string): Promise<void> {
  using database = new DatabaseSync(file, { timeout: 0 })
  for (let tries = 0; tries < 1_000; tries++) {
    await freeze(child)
    try {
      database.exec('begin immediate')
      database.exec('rollback')
      return
    } catch {
      child.kill('SIGCONT')
      await pause(1)
    }
  }
  throw new Error('the process never let go of the lock')
}

/** A second process handles all that is there: it takes over what the first one holds and cannot renew. */
async function takeOver(place: Place, fault: string): Promise<void> {
  place.fault(fault, 'on')
  assert.equal(await place.live(0, { publishes: false }), null)
  place.fault(fault, 'off')
}

describe('an owner that is not there for longer than its lease', () => {
  test('stopped (SIGSTOP) and woken: another took over, and nothing of it is doubled or lost (F6, Z1, X1)', async () => {
    using place = new Place()
    const during = async ({ child, says, lines }: Running): Promise<void> => {
      await says(handling)
      await lines(120)
      await stopBetweenWrites(child, place.file)
      await takeOver(place, 'pause')
      child.kill('SIGCONT')
    }
    assert.equal(await place.live(0, { during }), null)
    await checkAtEnd(place)
    checkRecorded(place, { plannedFaults: { pause: 1 }, occurred: { takeovers: 2 } })
  })

  test('its event loop blocked by a handler: another took over, and what it did meanwhile is not there (F6, F8, Z1, X1)', async () => {
    using place = new Place()
    const during = async ({ says }: Running): Promise<void> => {
      await says(handling)
      await takeOver(place, 'block')
    }
    assert.equal(await place.live(0, { during, blockMs: 10 * crashLeaseMs }), null)
    await checkAtEnd(place)
    checkRecorded(place, { plannedFaults: { block: 1 }, occurred: { takeovers: 2, redeliveries: 1 } })
  })
})

describe('a wall clock that jumps by days, also before 1970', () => {
  test('changes nothing: not for dedup, leases or order, with kills in between (F6, N3, Z1)', async () => {
    using place = new Place()
    // Ids are remembered for days of the log's own clock, so the log must not begin a century ago.
    assert.equal(await place.live(0, { node: ['--import', jumpingClock] }), null)
    const node = ['--import', `${jumpingClock}?past`]
    let logged = await checkAfterFault(place)
    for (const crashAt of ['writer.committed:9', 'writer.unit-applied:4', 'writer.row-stored:6']) {
      assert.equal(await place.live(logged, { node, crashAt, stepwise: true }), 'SIGKILL')
      place.died('kill')
      logged = await checkAfterFault(place)
    }
    assert.equal(await place.live(logged, { node }), null)
    await checkAtEnd(place)
    checkRecorded(place, { plannedFaults: { kill: 1 }, occurred: { suppressedDuplicates: 10 } })
  })
})
