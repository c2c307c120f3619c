import { realPlatform } from '../platform/real-platform.ts'
import { type ReadOptions, readTopic } from '../read-topic.ts'
import type { Arguments } from './arguments.ts'
import { type Command, commonOptions } from './command.ts'
import { cloudEvent, eventText } from './event-line.ts'
import { writeLine } from './output.ts'
import { safeJson } from './safe-text.ts'
import { UsageError } from './usage-error.ts'
import { findTopic, requireOperand, untilSignal, withLog } from './with-log.ts'

export const tailCommand: Command = {
  name: 'tail',
  operands: 'TOPIC',
  operandsMax: 1,
  summary: 'Prints the events of a topic, one line each.',
  options: {
    ...commonOptions,
    from: {
      value: 'WHERE',
      help: 'earliest (default), latest, an offset, or a time such as 2026-01-31T12:00Z',
    },
    partition: { value: 'P', help: 'only this partition; an offset needs it' },
    follow: { help: 'go on with what comes later, until Ctrl-C' },
    limit: { value: 'N', help: 'stop after N events' },
  },
  notes: `With --json: CloudEvents attributes plus topic, partition and offset, one object per line.
Order holds within a partition, not between partitions.`,
  async run(given: Arguments): Promise<void> {
    const name = requireOperand(given, 'TOPIC')
    const limit = given.whole('limit', 1) ?? Number.POSITIVE_INFINITY
    const partition = given.whole('partition', 0)
    const from = readFrom(given.text('from'), partition)
    const signal = untilSignal()
    await withLog(given, async (log) => {
      const { topic, partitions } = await findTopic(log, name)
      const options: ReadOptions = { from, partition, follow: given.flag('follow'), signal }
      const known = { name: topic, partitions: partitions.length }
      let printed = 0
      for await (const event of readTopic(log, realPlatform, known, options, signal)) {
        await writeLine(given.flag('json') ? safeJson(cloudEvent(event)) : eventText(event))
        if (++printed >= limit) break
      }
    })
  },
}

function readFrom(text: string | undefined, partition: number | undefined): ReadOptions['from'] {
  if (text === undefined || text === 'earliest' || text === 'latest') return text
  if (/^\d+$/.test(text)) {
    if (partition !== undefined) return { offset: Number(text) }
    throw new UsageError(
      'INVALID_OFFSET',
      'an offset belongs to one partition: add --partition P',
      'partition',
    )
  }
  const time = Date.parse(text)
  if (/^\d{4}-/.test(text) && Number.isFinite(time)) return { time }
  throw new UsageError(
    'INVALID_OPTION',
    `--from must be earliest, latest, an offset or a time, not ${JSON.stringify(text)}`,
    'from',
  )
}
