import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { isSemelError } from '../../src/errors.ts'
import type { Instance } from '../../src/testing/conformance/instance.ts'
import { batchOf, record } from '../../src/testing/conformance/records.ts'
import { giveAway } from '../rig/postgres/run-as.ts'
import { type PostgresServer, startPostgres } from '../rig/postgres/server.ts'
import { Engines } from './engines.ts'

interface SmallDisk extends AsyncDisposable {
  readonly path: string
  /** Takes what is free, but for so many bytes. */
  fill(leaveBytes: number): void
  free(): void
}

/** A file system of its own, which needs the right to mount. */
function smallDisk(mib: number): SmallDisk {
  const path = mkdtempSync(join(tmpdir(), 'semel-small-disk-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mib}m`, 'semel-test', path])
  giveAway(path)
  const ballast = join(path, 'ballast')
  return {
    path,
    fill: (leaveBytes) => {
      const { bavail, bsize } = statfsSync(path)
      writeFileSync(ballast, Buffer.alloc(Math.max(0, bavail * bsize - leaveBytes)))
    },
    free: () => rmSync(ballast, { force: true }),
    [Symbol.asyncDispose]: async () => {
      execFileSync('umount', [path])
      rmdirSync(path)
    },
  }
}

interface Published {
  readonly acknowledged: string[]
  readonly unknown: string[]
  readonly failure: unknown
}

/** Publishes large events until one fails. */
async function publishUntilFull(one: Instance, prefix: string): Promise<Published> {
  const acknowledged: string[] = []
  for (let n = 0; ; n++) {
    const id = `${prefix}${n}`
    try {
      await one.publish([record(id, 'x'.repeat(200_000))])
      acknowledged.push(id)
    } catch (failure) {
      const isUnknown = isSemelError(failure) && failure.outcome === 'unknown'
      return { acknowledged, unknown: isUnknown ? [id] : [], failure }
    }
  }
}

test('the disk of the tables is full: STORAGE_FULL, not applied, and all goes on when there is room (Q8)', async () => {
  await using disk = smallDisk(64)
  await using server = await startPostgres()
  await server.query(`create tablespace small location '${disk.path}'`)
  await server.query('create database small tablespace small')
  const database = { url: server.urlOf('small') }
  const engines = new Engines(database)
  const one = await engines.open()
  await one.declare()
  await one.publish([record('first')])
  disk.fill(2 << 20)
  const { acknowledged, failure } = await publishUntilFull(one, 'a')
  assert.ok(isSemelError(failure), String(failure))
  assert.deepEqual([failure.code, failure.outcome, failure.retryable], ['STORAGE_FULL', 'not-applied', true])
  assert.deepEqual(await one.ids(), ['first', ...acknowledged])
  disk.free()
  await one.append({ calls: 1, batches: [batchOf([record('last')])], failuresSeen: 1 })
  assert.deepEqual(await one.ids(), ['first', ...acknowledged, 'last'])
  await one.engine.close()
  await dropWithFiles(server)
})

async function dropWithFiles(server: PostgresServer): Promise<void> {
  await server.query('drop database small with (force)')
  await server.query('drop tablespace small')
}

test('the disk of the whole server is full: what was acknowledged is there afterwards, once (Q8, D1)', async () => {
  await using disk = smallDisk(256)
  await using server = await startPostgres({
    root: disk.path,
    settings: { max_wal_size: '64MB', min_wal_size: '32MB', restart_after_crash: 'on' },
  })
  await using engines = new Engines(server)
  const one = await engines.open({ reconnectMs: 500 })
  await one.declare()
  await one.publish([record('first')])
  disk.fill(1 << 20)
  const { acknowledged, unknown, failure } = await publishUntilFull(one, 'a')
  assert.ok(isSemelError(failure), String(failure))
  assert.ok(failure.retryable || failure.outcome === 'unknown', String(failure))
  disk.free()
  await server.restart()
  const other = await engines.open()
  const ids = await other.ids()
  assert.equal(new Set(ids).size, ids.length)
  const sure = ids.filter((id) => !unknown.includes(id))
  assert.deepEqual(sure, ['first', ...acknowledged])
  const again = unknown[0] ?? 'again'
  await other.publish([record(again, 'x'.repeat(200_000))])
  assert.equal((await other.ids()).filter((id) => id === again).length, 1)
})
