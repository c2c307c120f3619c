import { crc32 } from 'node:zlib'
import type { Engine, Unit } from '../../engine/engine.ts'
import type { LeaseTable } from '../../engine/lease-table.ts'
import { storeNames } from '../../engine/store-names.ts'
import type { MemoryLog } from '../../engines/memory/index.ts'
import { isSemelError } from '../../errors.ts'
import type { CommitCall, MicroCall, Placed } from '../history/record.ts'
import type { HistoryClient } from '../history/recorder.ts'

/** CRC of a payload as its writer sent it and as its reader got it. */
export function crcOf(data: unknown): number {
  return crc32(JSON.stringify(data))
}

/** Where an emitted event says it came from, if it says so. */
export interface EmittedData {
  readonly sourceTopic: string
  readonly sourcePartition: number
  readonly sourceOffset: number
  readonly key: string
  readonly n: number
  readonly redrive: boolean
}

/** Name under which a history keeps the unit of a redriven dead letter (C0). Letters come back in any order. */
export function redriveName(offset: number): string {
  return `redrive ${offset}`
}

/**
 * Writes down what the storage accepted, where it accepted it: units with their position, emits, effects and dead
 * letters. Nothing that happens to the answer on its way back changes that.
 */
export function recordedStorage(
  storage: Engine,
  log: MemoryLog,
  client: HistoryClient,
  isAtMostOnce: (group: string) => boolean,
): Engine {
  return new Proxy(storage, {
    get(target, name) {
      if (name === 'commit') return (unit: Unit) => recordCommit(target, log, client, unit, isAtMostOnce)
      const member: unknown = Reflect.get(target, name, target)
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
}

/** The same for epochs: who was granted what. */
export function recordedLeases(leases: LeaseTable, clientOf: (member: string) => HistoryClient): LeaseTable {
  return {
    heartbeat: (...call) => leases.heartbeat(...call),
    acquire: async (task, member, leaseMs, observedEpoch) => {
      const epoch = await leases.acquire(task, member, leaseMs, observedEpoch)
      const { group: g, topic, partition: p } = task
      if (epoch !== undefined) clientOf(member).observed('acquire', { g, topic, p, epoch })
      return epoch
    },
    release: (...call) => leases.release(...call),
    leave: (...call) => leases.leave(...call),
  }
}

async function recordCommit(
  storage: Engine,
  log: MemoryLog,
  client: HistoryClient,
  unit: Unit,
  isAtMostOnce: (group: string) => boolean,
): Promise<void> {
  const commit = commitCall(unit)
  const sends = unit.appends.flatMap(({ topic, records }) => {
    return records.map(
      ({ id, key, data }): MicroCall => ({ f: 'send', topic, key, id, val: id, crc: crcOf(data) }),
    )
  })
  const deadLetters = newDeadLetters(unit, log, isAtMostOnce(unit.lease.task.group))
  const letters = deadLetters.map((off) => client.start('dlq', { ...commit, off }))
  const position = client.start('commit', commit)
  const transaction = sends.length === 0 ? undefined : client.start('tx', { micro: sends })
  const operations = [...letters, position, transaction].filter((operation) => operation !== undefined)
  try {
    await storage.commit(unit)
  } catch (error) {
    const code = isSemelError(error) ? error.code : 'unknown'
    const isHarmless = isSemelError(error) && error.outcome === 'not-applied'
    for (const operation of operations) {
      if (isHarmless) operation.fail(code)
      else operation.info(code)
    }
    throw error
  }
  for (const letter of letters) letter.ok()
  // What is stored counts, whatever the unit said.
  position.ok({ off: log.task(unit.lease.task)?.position ?? unit.to })
  transaction?.ok({ micro: placesOf(unit, log) })
  for (const { records } of unit.appends) for (const { data } of records) recordEffect(client, unit, data)
}

function commitCall({ lease: { task, epoch }, to }: Unit): CommitCall {
  return { g: task.group, topic: task.topic, p: task.partition, off: to, epoch }
}

function recordEffect(client: HistoryClient, { lease: { task, epoch } }: Unit, data: unknown): void {
  if (!isEffect(data)) return
  const effect = data
  client.observed('effect', {
    sink: 'emitted',
    g: task.group,
    topic: effect.sourceTopic,
    p: effect.sourcePartition,
    off: effect.sourceOffset,
    epoch,
    key: effect.key,
    n: effect.n,
    ...(effect.redrive ? { replay: redriveName(effect.sourceOffset) } : undefined),
  })
}

function isEffect(data: unknown): data is EmittedData {
  return typeof data === 'object' && data !== null && 'sourceOffset' in data && 'redrive' in data
}

/**
 * A dead letter that failed once more replaces itself; that is no second one. At most once, it was taken off its list
 * before its handler ran (A1), and comes back with more than one attempt.
 */
function newDeadLetters({ lease: { task }, state }: Unit, log: MemoryLog, comesBack: boolean): number[] {
  const known = log.task(task)?.stores.get(storeNames.deadLetters)
  const changes = state.find(({ store }) => store === storeNames.deadLetters)
  return (changes?.keys ?? [])
    .filter((key, i) => {
      const letter = changes?.values[i]
      if (letter === undefined || known?.get(key) !== undefined) return false
      return !comesBack || JSON.parse(letter).attempts === 1
    })
    .map(Number)
}

function placesOf({ appends }: Unit, log: MemoryLog): Placed[] {
  return appends.flatMap(({ topic, partition, records }) => {
    return records.map(({ id }): Placed => ({ p: partition, off: log.known(topic, id)?.offset ?? -1 }))
  })
}
