import { DatabaseSync } from 'node:sqlite'
import type { Bus } from '../index.ts'
import { realPlatform } from '../platform/real-platform.ts'
import { sleep } from '../platform/wait.ts'
import { deliveries } from './topics.ts'

const positionEvery = 50

/**
 * The same handler the way most people write it: read, handle, save the position later. Every step is durable, and
 * still a kill between two steps counts events again, out of their order.
 */
export class NaiveCounter {
  readonly #bus: Bus
  readonly #database: DatabaseSync
  readonly #partitions: readonly number[]

  constructor(bus: Bus, file: string, partitions: readonly number[]) {
    this.#bus = bus
    this.#partitions = partitions
    this.#database = openNaiveDatabase(file)
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#partitions.map((partition) => this.#runPartition(partition, signal)))
  }

  async #runPartition(partition: number, signal: AbortSignal): Promise<void> {
    const position = this.#database
      .prepare('select position from positions where partition = ?')
      .get(partition)
    const from = { offset: Number(position?.position ?? 0) }
    let sinceSaved = 0
    for await (const event of this.#bus.read(deliveries, { partition, from, follow: true, signal })) {
      this.#database
        .prepare('insert into handled (repository, type, partition, log_offset) values (?, ?, ?, ?)')
        .run(String(event.key), event.type, partition, event.offset)
      await sleep(realPlatform, 0)
      if (++sinceSaved < positionEvery) continue
      this.#database
        .prepare('insert into positions values (?, ?) on conflict do update set position = excluded.position')
        .run(partition, event.offset + 1)
      sinceSaved = 0
    }
  }
}

/** Tables of the naive way. Each handled event leaves a row, so that the verdict can see what happened. */
export function openNaiveDatabase(file: string): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: 10_000 })
  database.exec('pragma journal_mode = wal; pragma synchronous = normal')
  database.exec(
    'create table if not exists handled (n integer primary key, repository text, type text, partition int, log_offset int)',
  )
  database.exec('create table if not exists positions (partition integer primary key, position int)')
  return database
}
