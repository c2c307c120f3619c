import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { sqlite } from '../../src/engines/sqlite/index.ts'
import { isSemelError, openBus } from '../../src/index.ts'
import { checkRecorded } from './crash-checks.ts'
import { compileCache, Place } from './crash-place.ts'
import { faultEvents, numbers } from './crash-topics.ts'
import { newFile } from './new-file.ts'
import { requireStrace, straceSkip } from './strace.ts'

const scenario = fileURLToPath(new URL('./scenario-faults.ts', import.meta.url))

interface End {
  readonly n: number
  readonly code: string
  readonly outcome: string
}

interface Run {
  readonly ends: readonly End[]
  readonly read: number
}

/** Creates the file on a sound disk, so that the faults meet the publishes and not the opening. */
async function makeFile({ file }: Place): Promise<void> {
  await (await openBus({ engine: sqlite({ file }), topics: [numbers] })).stop()
}

function runUnder(under: readonly string[], place: Place, fault: string): Run {
  const life = { file: place.file, history: place.newHistory('writer'), node: 'writer' }
  const [program, ...args] = [...under, process.execPath, scenario, JSON.stringify(life)]
  const env = { ...process.env, ...compileCache(), UV_THREADPOOL_SIZE: '1' }
  place.fault(fault, 'on')
  const { stdout, stderr, signal } = spawnSync(program!, args, { env, encoding: 'utf8' })
  place.fault(fault, 'off')
  assert.equal(signal, null, stderr)
  return JSON.parse(stdout.trim().split('\n').at(-1)!)
}

/** The checker's word on what the writer was told, and acknowledged, readable, acknowledged or unknown: each holds the one before it (D5, U1). */
async function checkKept(place: Place, ends: readonly End[], fault: string): Promise<number[]> {
  await using bus = await openBus({ engine: sqlite({ file: place.file }), topics: [numbers] })
  await place.probe.opened(bus, [numbers])
  const kept = (await place.probe.readAll(bus, numbers)).map(({ data }) => data.n)
  const withOutcome = (outcome: string): number[] =>
    ends.filter((end) => end.outcome === outcome).map(({ n }) => n)
  const [acked, unknown] = [withOutcome('applied'), withOutcome('unknown')]
  assert.deepEqual(
    acked.filter((n) => !kept.includes(n)),
    [],
    'acknowledged and kept',
  )
  assert.deepEqual(
    kept.filter((n) => !acked.includes(n) && !unknown.includes(n)),
    [],
    'what was surely not applied is not there',
  )
  assert.equal(new Set(kept).size, kept.length)
  checkRecorded(place, { minOk: { publish: acked.length, poll: 2 }, plannedFaults: { [fault]: 1 } })
  return kept
}

function codesOf(ends: readonly End[]): string[] {
  return [...new Set(ends.map(({ code }) => code))]
}

describe('a disk that fails under the writer', { concurrency: 2 }, () => {
  for (const when of [5, 8, 12]) {
    test(`flush ${when} fails, the next would not: nothing is acknowledged any more (D4)`, {
      skip: straceSkip,
    }, async () => {
      requireStrace()
      using place = new Place()
      await makeFile(place)
      const inject = `inject=fsync,fdatasync:error=EIO:when=${when}`
      const under = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=fsync,fdatasync', '-e', inject]
      const { ends, read } = runUnder(under, place, 'flush fails')
      const first = ends.findIndex(({ code }) => code !== 'ok')
      assert.ok(first > 0, `the fault must hit a publish: ${JSON.stringify(codesOf(ends))}`)
      assert.deepEqual(ends[first], { n: first, code: 'ENGINE_FAILED', outcome: 'unknown' })
      assert.deepEqual(codesOf(ends.slice(first)), ['ENGINE_FAILED'], 'the writer stays stopped')
      assert.ok(ends.slice(first + 1).every(({ outcome }) => outcome === 'not-applied'))
      assert.ok(read >= first, 'and reading goes on')
      await checkKept(place, ends, 'flush fails')
    })
  }

  for (const [error, code] of [
    ['EIO', 'ENGINE_FAILED'],
    ['ENOSPC', 'STORAGE_FULL'],
  ] as const) {
    test(`every write fails with ${error} for a while: ${code}, with an honest outcome`, {
      skip: straceSkip,
    }, async () => {
      requireStrace()
      for (const when of [12, 13, 15, 20]) {
        using place = new Place()
        await makeFile(place)
        const inject = `inject=pwrite64:error=${error}:when=${when}..${when + 6}`
        const under = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=pwrite64', '-e', inject]
        const { ends, read } = runUnder(under, place, error)
        assert.ok(codesOf(ends).includes(code), `${when}: ${JSON.stringify(codesOf(ends))}`)
        const acked = ends.filter(({ outcome }) => outcome === 'applied').length
        assert.ok(read >= acked)
        // A full disk is over when there is space again; of a broken one nobody knows.
        if (error === 'ENOSPC') assert.equal(ends.at(-1)!.code, 'ok')
        else assert.equal(ends.at(-1)!.code, 'ENGINE_FAILED')
        await checkKept(place, ends, error)
      }
    })
  }

  test('a file that may grow no further (EFBIG): told, and all that was acknowledged is kept', async () => {
    using place = new Place()
    await makeFile(place)
    const { ends, read } = runUnder(['prlimit', '--fsize=102400'], place, 'EFBIG')
    assert.deepEqual(codesOf(ends), ['ok', 'ENGINE_FAILED'])
    assert.ok(read > 0)
    await checkKept(place, ends, 'EFBIG')
  })

  test('writes that are cut short: told, and no half of one is read (D5)', {
    skip: straceSkip,
  }, async () => {
    requireStrace()
    for (const limit of [50_000, 61_234]) {
      using place = new Place()
      await makeFile(place)
      const trace = `${place.file}.trace`
      const under = [
        'strace',
        '-f',
        '-qq',
        '-o',
        trace,
        '-e',
        'trace=pwrite64',
        'prlimit',
        `--fsize=${limit}`,
      ]
      const { ends } = runUnder(under, place, 'short writes')
      const writes = [...readFileSync(trace, 'utf8').matchAll(/, (\d+), \d+\) += (\d+)$/gm)]
      assert.ok(
        writes.some(([, asked, written]) => Number(written) < Number(asked)),
        'a write must be cut short',
      )
      assert.deepEqual(codesOf(ends), ['ok', 'ENGINE_FAILED'])
      await checkKept(place, ends, 'short writes')
    }
  })

  test('a disk that is full, and has space again: goes on without a new start', {
    skip: process.getuid?.() === 0 ? false : 'only root can mount a small disk',
  }, async () => {
    const somewhere = newFile()
    const disk = `${somewhere}.disk`
    mkdirSync(disk)
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'semel-full', disk])
    assert.equal(mounted.status, 0, String(mounted.stderr))
    try {
      using place = new Place(join(disk, 'semel.db'))
      const ballast = join(disk, 'ballast')
      writeFileSync(ballast, Buffer.alloc(2_000_000))
      const bus = await openBus({ engine: sqlite({ file: place.file }), topics: [numbers] })
      const ends: End[] = []
      const publish = async (n: number): Promise<string> => {
        const event = { topic: numbers, data: { n, filler: 'x'.repeat(20_000) }, id: `n-${n}`, key: null }
        const end = await place.probe.publish(bus, event).then(
          () => ({ code: 'ok', outcome: 'applied' }),
          (error: unknown) => {
            assert.ok(isSemelError(error), String(error))
            return { code: error.code, outcome: error.outcome }
          },
        )
        ends.push({ n, ...end })
        return end.code
      }
      let n = 0
      place.fault('full', 'on')
      while (n < 200 && (await publish(n++)) === 'ok');
      assert.equal(ends.at(-1)!.code, 'STORAGE_FULL', 'the disk is full')
      assert.equal(ends.at(-1)!.outcome, 'not-applied')
      for (let more = 0; more < 5; more++) await publish(n++)
      const acked = ends.filter(({ code }) => code === 'ok').length
      assert.equal((await place.probe.readAll(bus, numbers)).length, acked, 'reading goes on')
      rmSync(ballast)
      place.fault('full', 'off')
      for (let more = 0; more < faultEvents; more++) assert.equal(await publish(n++), 'ok')
      await bus.stop()
      assert.equal((await checkKept(place, ends, 'full')).length, acked + faultEvents)
    } finally {
      spawnSync('umount', ['-l', disk])
    }
  })
})
