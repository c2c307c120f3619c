import { SemelError } from '../../errors.ts'
import { parseNumbers } from './binary-arrays.ts'
import type { TextRow } from './session.ts'
import type { WriteDraft } from './write-draft.ts'

/** What the function `write` answers: whether it wrote, and how things were. */
export interface WriteReply {
  readonly written: boolean
  readonly nowMs: number
  readonly seqs: readonly number[]
  readonly windows: readonly number[]
  readonly ends: readonly number[]
  readonly times: readonly number[]
  readonly epochs: readonly number[]
  readonly positions: readonly number[]
}

export function parseReply(row: TextRow): WriteReply {
  return {
    written: row[0] === 't',
    nowMs: Number(row[1]),
    seqs: parseNumbers(row[2]),
    windows: parseNumbers(row[3]),
    ends: parseNumbers(row[4]),
    times: parseNumbers(row[5]),
    epochs: parseNumbers(row[6]),
    positions: parseNumbers(row[7]),
  }
}

/** LOG_REGRESSED if the log lacks what this process knows to have been committed (D6). */
export function regression(
  { topics, partitions }: WriteDraft,
  seqs: readonly number[],
  reply: WriteReply,
): SemelError | undefined {
  for (const [slot, { floor }] of partitions.entries()) {
    const end = reply.ends[slot]
    if (end !== undefined && end < floor)
      return logRegressed(`a partition ends at ${end}, but ${floor} was acknowledged`, end)
  }
  for (const [index, topic] of topics.entries()) {
    const seq = reply.seqs[index]
    if (seq !== undefined && seq < seqs[index]!)
      return logRegressed(`topic ${topic.name} lacks rows that were there before`, undefined)
  }
  return undefined
}

export function logRegressed(what: string, end: number | undefined): SemelError {
  return new SemelError('LOG_REGRESSED', `the log is not the one it was: ${what}`, {
    end,
    hint: 'an old copy was restored, or a standby was promoted that had not received everything; decide what to do about the missing events, then open the bus again',
  })
}

/** Why the unit at `index` cannot be committed, if it is the reason that nothing was written. */
export function unitProblem({ units }: WriteDraft, index: number, reply: WriteReply): SemelError | undefined {
  const { unit } = units[index]!
  const { group, topic, partition } = unit.lease.task
  const name = `${group} on ${topic}/${partition}`
  const epoch = reply.epochs[index]
  if (epoch !== unit.lease.epoch) {
    return new SemelError(
      'FENCED',
      `${name} has another owner: epoch ${epoch ?? 'none'}, not ${unit.lease.epoch}`,
    )
  }
  const stored = reply.positions[index]! < 0 ? undefined : reply.positions[index]
  if (stored === unit.from) return undefined
  return new SemelError('POSITION_MISMATCH', `${name} is at ${stored}, not at ${unit.from}`)
}
