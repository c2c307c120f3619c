import { type CopyProgress, type CopyResult, copyBetween } from '../copy-topic.ts'
import { SemelError } from '../errors.ts'
import { realPlatform } from '../platform/real-platform.ts'
import type { Arguments } from './arguments.ts'
import type { Command } from './command.ts'
import { openEngine, openSource, twoPlaces, twoPlacesOptions } from './engine-place.ts'
import { writeLine } from './output.ts'
import { safeJson, safeText } from './safe-text.ts'
import { count } from './table.ts'
import { topicIn, untilSignal } from './with-log.ts'

const progressEveryMs = 1000

export const copyCommand: Command = {
  name: 'copy',
  operands: 'FROM TO',
  operandsMax: 2,
  usage: '--topic TOPIC',
  summary: 'Copies a topic from one SQLite file, PostgreSQL database or Kafka to another.',
  options: {
    ...twoPlacesOptions,
    'no-verify': { help: 'do not compare both sides at the end' },
    json: { help: 'print progress and result as JSON lines; errors too' },
  },
  notes: `FROM and TO are paths of SQLite files, or addresses: postgres://user@host/database, where a password is better left to
PGPASSWORD, or kafka://host:9092,host:9092/PREFIX. Events keep their partition, order, id, time, key and data, and their offsets if the topic in TO
is empty. A copy that was stopped or killed goes on where it ended when the same command is run again.`,
  async run(given: Arguments): Promise<void> {
    const { from, to, topic: name } = twoPlaces(given)
    const signal = untilSignal()
    await using source = await openSource(from)
    const topic = topicIn((await source.engine.status()).topics, name)
    await using target = await openEngine(to)
    const result = await copyBetween({
      source: source.engine,
      target: target.engine,
      topic: { name, partitions: topic.partitions.length, dedupWindowMs: topic.dedupWindowMs },
      signal,
      onProgress: progressPrinter(given.flag('json')),
      verify: !given.flag('no-verify'),
      platform: realPlatform,
    }).catch((error: unknown) => {
      throw signal.aborted ? stopped() : error
    })
    await writeLine(given.flag('json') ? safeJson(result) : resultText(result))
  },
}

function progressPrinter(json: boolean): (progress: CopyProgress) => void {
  const { clock } = realPlatform
  let last = ''
  let printedMs = clock.monotonic()
  return ({ step, copied, total }) => {
    const text = json
      ? safeJson({ step, copied, total })
      : step === 'copying'
        ? `copied ${count(copied)} of ${count(total)} events`
        : `comparing ${count(total)} events`
    const isDue = step === 'verifying' || clock.monotonic() - printedMs >= progressEveryMs
    if (!isDue || text === last) return
    last = text
    printedMs = clock.monotonic()
    // What is not the result must not get in its way, unless it is data as well.
    ;(json ? process.stdout : process.stderr).write(`${text}\n`)
  }
}

function resultText({ topic, total, verified }: CopyResult): string {
  const what = `${safeText(topic)}: ${count(total)} events are in the target`
  if (verified === undefined) return `${what}, not compared`
  const others = verified.reduce((sum, partition) => sum + partition.others, 0)
  const offsets = verified.every(({ sameOffsets }) => sameOffsets) ? 'same offsets' : 'other offsets'
  const mixed = others === 0 ? '' : `, among ${count(others)} others`
  return `${what}${mixed}; ids, contents and order compared, ${offsets}`
}

function stopped(): SemelError {
  return new SemelError('ABORTED', 'the copy was stopped', {
    retryable: true,
    hint: 'run the same command again to go on',
  })
}
