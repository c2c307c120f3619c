import { decodeIds } from '../../event/batch-codec.ts'
import { placeOf } from './place.ts'
import { postgresLimits } from './postgres-limits.ts'
import type { ServerClock } from './server-clock.ts'
import type { Session } from './session.ts'
import { quoteIdentifier } from './sql-text.ts'
import type { TopicEntry } from './topic-table.ts'

/** Reads the ids of rows that others wrote, or that were there before us, into memory. */
export class IdLoader {
  readonly #rowsAfter: string
  readonly #clock: ServerClock

  constructor(schema: string, clock: ServerClock) {
    this.#rowsAfter = `select * from ${quoteIdentifier(schema)}.rows_after($1, $2, $3, $4)`
    this.#clock = clock
  }

  /** Two may do this at once: each takes only what comes next. */
  async catchUp(session: Session, topic: TopicEntry): Promise<void> {
    const ids = topic.ids!
    if (!ids.isLoaded) ids.reset(0)
    for (;;) {
      const since = this.#clock.now() - topic.dedupWindowMs
      const limit = postgresLimits.rowsPerCatchUp
      const rows = await session.rows(this.#rowsAfter, [topic.id, ids.seq, since, limit])
      for (const [seq, partition, firstOffset, head] of rows) {
        if (Number(seq) <= ids.seq) continue
        const known = head === null || head === undefined ? [] : decodeIds(head)
        ids.addRow(Number(seq), known, placeOf(Number(partition), Number(firstOffset)))
      }
      if (rows.length < limit) return
    }
  }
}
