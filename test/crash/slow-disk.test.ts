import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { checkAfterFault, checkAtEnd, checkRecorded } from './crash-checks.ts'
import { type LifeOptions, Place, type Running } from './crash-place.ts'
import { crashLeaseMs, eventsPerLife } from './crash-topics.ts'
import { PoweredDisk, powerSkip } from './power.ts'
import { requireStrace, straceSkip } from './strace.ts'

const flushes = 'fsync,fdatasync'
const publishDeadlineMs = 400
const microseconds = 1_000
/** A heartbeat that takes more than a quarter of its lease gives no tasks, so a slow disk needs a longer one. */
const leaseMs = 2_000

/** Every n-th flush from `first` on takes so much longer. */
function slowFlushes(delayMs: number, when: string): string[] {
  const inject = `inject=${flushes}:delay_enter=${delayMs * microseconds}:when=${when}`
  return ['strace', '-f', '-qq', '-o', '/dev/null', '-e', `trace=${flushes}`, '-e', inject]
}

/** One life on a slow disk, whole, and the checker's word on it. */
async function liveUnder(place: Place, options: LifeOptions, fault: string): Promise<void> {
  place.fault(fault, 'on')
  assert.equal(await place.live(0, options), null)
  place.fault(fault, 'off')
  await checkAtEnd(place)
  checkRecorded(place, {
    minOk: { publish: eventsPerLife / 2, handle: eventsPerLife, commit: 2 },
    plannedFaults: { [fault]: 1 },
  })
}

describe('a disk that is slow', { concurrency: 2, skip: straceSkip }, () => {
  test('every flush takes 60 ms more: all is done, once, in order (E9, V1, X1)', async () => {
    requireStrace()
    using place = new Place()
    await liveUnder(place, { under: slowFlushes(60, '1+'), leaseMs }, 'slow')
  })

  test('one flush in five takes longer than a lease: nobody is fenced by it but by the row, nothing doubled (E9, Z1, X1)', async () => {
    requireStrace()
    using place = new Place()
    await liveUnder(place, { under: slowFlushes(3 * crashLeaseMs, '5+5') }, 'stalls')
  })
})

describe('a disk that hangs', { concurrency: 2, skip: powerSkip }, () => {
  /** Two publishes give up while nothing moves: that they do shows that the process itself does not hang. */
  function hangDuring(disk: PoweredDisk, place: Place) {
    return async ({ lines, says }: Running): Promise<void> => {
      await lines(100)
      disk.hang()
      place.fault('hang', 'on')
      await says('DEADLINE_EXCEEDED')
      disk.goOn()
      place.fault('hang', 'off')
    }
  }

  test('each publish settles within its deadline, as unknown or not applied; then all goes on by itself, once (U1, U3, N1, V1)', async () => {
    using disk = new PoweredDisk()
    using place = new Place(join(disk.path, 'semel.db'))
    assert.equal(await place.live(0, { publishDeadlineMs, during: hangDuring(disk, place) }), null)
    await checkAtEnd(place)
    checkRecorded(place, {
      minOk: { publish: eventsPerLife / 2, handle: eventsPerLife },
      plannedFaults: { hang: 1 },
    })
  })

  test('killed while it hangs: all acknowledged is there, and what was told as unknown is there once or not (D1, U1, N4)', async () => {
    using disk = new PoweredDisk()
    using place = new Place(join(disk.path, 'semel.db'))
    const killWhileHung = async (running: Running): Promise<void> => {
      await running.lines(100)
      disk.hang()
      place.fault('hang', 'on')
      await running.says('DEADLINE_EXCEEDED')
      running.child.kill('SIGKILL')
      // A process in the middle of a flush dies when the flush ends.
      disk.goOn()
      place.fault('hang', 'off')
    }
    assert.equal(await place.live(0, { publishDeadlineMs, during: killWhileHung }), 'SIGKILL')
    place.died('kill')
    const logged = await checkAfterFault(place)
    assert.equal(await place.live(logged), null)
    await checkAtEnd(place)
    checkRecorded(place, {
      plannedFaults: { hang: 1, kill: 1 },
      occurred: { suppressedDuplicates: 1, takeovers: 1 },
    })
  })
})
