import { readFileSync } from 'node:fs'
import type { Bus } from '../../src/index.ts'
import { isPoison, type SoakEvent, type SoakTopics } from './topics.ts'

export interface Judgement {
  /** What is not as promised, each with its clause; empty: nothing. */
  readonly off: readonly string[]
  readonly figures: Readonly<Record<string, number>>
}

/** How often each event was noted, by what was noted. */
function readNotes(file: string): (kind: string) => ReadonlyMap<string, number> {
  const notes = new Map<string, Map<string, number>>()
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const [kind, id] = line.split(' ')
    if (kind === undefined || id === undefined) continue
    const counts = notes.get(kind) ?? new Map<string, number>()
    notes.set(kind, counts)
    counts.set(id, (counts.get(id) ?? 0) + 1)
  }
  return (kind) => notes.get(kind) ?? new Map()
}

const idOf = ({ publisher, n }: SoakEvent): string => `${publisher}/${n}`

interface Log {
  /** Position of each event in its partition. */
  readonly offsets: ReadonlyMap<string, number>
  readonly perKey: ReadonlyMap<string, number>
  readonly off: readonly string[]
}

async function readLog(bus: Bus, { input }: SoakTopics): Promise<Log> {
  const offsets = new Map<string, number>()
  const perKey = new Map<string, number>()
  const last = new Map<string, number>()
  let [twice, outOfOrder] = [0, 0]
  for await (const { data, partition, offset } of bus.read(input)) {
    if (offsets.has(idOf(data))) twice++
    offsets.set(idOf(data), offset)
    perKey.set(data.key, (perKey.get(data.key) ?? 0) + 1)
    const lane = `${data.publisher} ${partition}`
    if (data.n <= (last.get(lane) ?? -1)) outOfOrder++
    last.set(lane, data.n)
  }
  const off: string[] = []
  if (twice > 0) off.push(`${twice} ids are in the log twice (N1)`)
  if (outOfOrder > 0) off.push(`${outOfOrder} events are not in their publisher's order (P2)`)
  return { offsets, perKey, off }
}

/** What exactly-once left behind: one effect per event, counted in the order of its key, and the state they come to. */
async function effectsOff(bus: Bus, topics: SoakTopics, { offsets, perKey }: Log): Promise<string[]> {
  const emitted = new Set<string>()
  const counts = new Map<string, number>()
  const last = new Map<string, number>()
  let [twice, miscounted, outOfOrder] = [0, 0, 0]
  for await (const { data } of bus.read(topics.output)) {
    if (emitted.has(idOf(data))) twice++
    emitted.add(idOf(data))
    const count = (counts.get(data.key) ?? 0) + 1
    counts.set(data.key, count)
    if (data.count !== count) miscounted++
    // A dead letter comes back when its key has gone on (O2).
    if (isPoison(data.n)) continue
    const offset = offsets.get(idOf(data)) ?? -1
    if (offset <= (last.get(data.key) ?? -1)) outOfOrder++
    last.set(data.key, offset)
  }
  const off: string[] = []
  const missing = offsets.size - emitted.size
  if (missing !== 0) off.push(`exactly-once: ${missing} events without effect (X1)`)
  if (twice > 0) off.push(`exactly-once: ${twice} effects twice (X1)`)
  if (miscounted > 0) off.push(`exactly-once: ${miscounted} counts do not rise by one (X1)`)
  if (outOfOrder > 0) off.push(`exactly-once: ${outOfOrder} effects out of the order of their key (O1)`)
  const state = await readCounts(bus, topics)
  const wrong = [...perKey].filter(([key, count]) => state.get(key) !== count).length
  if (wrong > 0 || state.size !== perKey.size) off.push(`exactly-once: state of ${wrong} keys is wrong (X1)`)
  return off
}

async function readCounts(bus: Bus, { input }: SoakTopics): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  for (let partition = 0; partition < input.partitions; partition++) {
    const task = { group: 'exactly-once', topic: input.name, partition }
    const entries = await bus.engine.scanState({ task, store: 'count', after: undefined, limit: 1_000 })
    for (const { key, value } of entries) counts.set(key, Number(value))
  }
  return counts
}

/** Recomputes every count from the log and the notes. */
export async function judge(bus: Bus, topics: SoakTopics, notesFile: string): Promise<Judgement> {
  const log = await readLog(bus, topics)
  const notes = readNotes(notesFile)
  const [acked, refused] = [notes('acked'), notes('not-applied')]
  const [atLeast, atMost] = [notes('at-least-once'), notes('at-most-once')]
  const { offsets } = log
  const off = [...log.off, ...(await effectsOff(bus, topics, log))]
  const count = (ids: ReadonlyMap<string, number>, isOff: (id: string, times: number) => boolean): number =>
    [...ids].filter(([id, times]) => isOff(id, times)).length
  const expectNone = (found: number, what: string): void => void (found === 0 || off.push(`${found} ${what}`))
  expectNone(
    count(acked, (id) => !offsets.has(id)),
    'acknowledged events are missing (D1)',
  )
  expectNone(
    count(refused, (id) => offsets.has(id)),
    'events that were refused are in the log (U1)',
  )
  expectNone(
    count(offsets, (id) => !atLeast.has(id)),
    'events at-least-once did not handle (L1)',
  )
  expectNone(notes('other-answer').size, 'events were answered anew when they were published again (N1)')
  expectNone(
    count(atMost, (_, times) => times > 1),
    'events at-most-once handled twice (A1)',
  )
  const figures = {
    events: offsets.size,
    acknowledged: acked.size,
    unknown: notes('unknown').size,
    refused: refused.size,
    atMostOnceLost: offsets.size - atMost.size,
    atLeastOnceAgain: [...atLeast.values()].reduce((sum, times) => sum + times - 1, 0),
  }
  return { off, figures }
}
