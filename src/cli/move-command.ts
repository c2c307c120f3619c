import { SemelError } from '../errors.ts'
import type { MoveProgress, MoveStep } from '../features/move/move-plan.ts'
import { limits } from '../limits.ts'
import { type MoveResult, moveBetween } from '../move-topic.ts'
import { realPlatform } from '../platform/real-platform.ts'
import type { Arguments } from './arguments.ts'
import type { Command } from './command.ts'
import { openEngine, openSource, placeName, twoPlaces, twoPlacesOptions } from './engine-place.ts'
import { writeLine } from './output.ts'
import { safeJson, safeText } from './safe-text.ts'
import { count } from './table.ts'
import { topicIn, untilSignal } from './with-log.ts'

const progressEveryMs = 1000

const texts: Readonly<Record<MoveStep, (progress: MoveProgress) => string>> = {
  preparing: () => 'preparing the target',
  copying: ({ copied, total }) => `copied ${count(copied)} of ${count(total)} events`,
  comparing: ({ total }) => `comparing ${count(total)} events`,
  state: () => 'copying the state of groups',
  holding: () => 'holding the source: it takes no events from here on',
  positions: () => 'copying positions and the rest of the state',
  verifying: () => 'comparing positions and state',
  switching: () => 'switching',
  finishing: () => 'letting groups begin in the target',
}

export const moveCommand: Command = {
  name: 'move',
  operands: 'FROM TO',
  operandsMax: 2,
  usage: '--topic TOPIC',
  summary: 'Moves a topic with its groups to another engine, while programs run.',
  options: {
    ...twoPlacesOptions,
    'hold-ms': { value: 'N', help: 'a killed move leaves the source closed for so long (default 10000)' },
    json: { help: 'print progress and result as JSON lines; errors too' },
  },
  notes: `FROM is the path of a SQLite file or postgres://user@host/database; TO is one of these or
kafka://host:9092,host:9092/PREFIX. A password is better left to PGPASSWORD.

Publishers and consumers of FROM keep running. Log, positions, state, dead letters and inbox of every group are copied and
compared; then FROM is closed in one step, and whoever works there gets TOPIC_MOVED with the new place. Start consumers
on TO when the command has ended. A move that was stopped or killed goes on when the same command is run again.`,
  async run(given: Arguments): Promise<void> {
    const { from, to, topic: name } = twoPlaces(given)
    const holdMs = given.whole('hold-ms', limits.leaseMsMin) ?? limits.leaseMsDefault
    const signal = untilSignal()
    const topic = await topicAt(from, name)
    await using source = await openEngine(from)
    await using target = await openEngine(to)
    const result = await moveBetween({
      source: source.engine,
      target: target.engine,
      topic,
      place: placeName(to),
      holdMs,
      signal,
      onProgress: progressPrinter(given.flag('json')),
      platform: realPlatform,
    }).catch((error: unknown) => {
      throw signal.aborted ? stopped() : error
    })
    await writeLine(given.flag('json') ? safeJson(result) : resultText(result, placeName(to)))
  },
}

/** Looked up without changing anything: opening a log to write to it would make it. */
async function topicAt(place: Parameters<typeof openSource>[0], name: string) {
  await using log = await openSource(place)
  const { partitions, dedupWindowMs } = topicIn((await log.engine.status()).topics, name)
  return { name, partitions: partitions.length, dedupWindowMs }
}

function progressPrinter(json: boolean): (progress: MoveProgress) => void {
  const { clock } = realPlatform
  let last: MoveStep | undefined
  let printedMs = 0
  return (progress) => {
    const isNew = progress.step !== last
    if (!isNew && clock.monotonic() - printedMs < progressEveryMs) return
    last = progress.step
    printedMs = clock.monotonic()
    const text = json ? safeJson(progress) : texts[progress.step](progress)
    // What is not the result must not get in its way, unless it is data as well.
    ;(json ? process.stdout : process.stderr).write(`${text}\n`)
  }
}

function resultText({ topic, events, tasks }: MoveResult, to: string): string {
  const where = `${safeText(topic)} is at ${safeText(to)} now`
  if (events === undefined) return `${where}; it had been switched before`
  const groups = new Set(tasks.map(({ group }) => group)).size
  const entries = tasks.reduce((sum, task) => sum + task.entries, 0)
  return `${where}: ${count(events)} events, ${count(groups)} groups with ${count(tasks.length)} positions and ${count(entries)} entries of state, all compared`
}

function stopped(): SemelError {
  return new SemelError('ABORTED', 'the move was stopped', {
    retryable: true,
    hint: 'run the same command again to go on',
  })
}
