import { styleText } from 'node:util'
import { storeNames } from '../engine/store-names.ts'
import { SemelError } from '../errors.ts'
import { type DeadLetter, decodeDeadLetter } from '../features/dead-letter-record.ts'
import { realPlatform } from '../platform/real-platform.ts'
import { type BusStatus, type GroupSnapshot, StatusReader } from '../status.ts'
import type { Arguments } from './arguments.ts'
import { type Command, commonOptions } from './command.ts'
import { cloudEvent } from './event-line.ts'
import { writeLine } from './output.ts'
import type { ReadOnlyEngine } from './read-only-engine.ts'
import { safeJson, safeText } from './safe-text.ts'
import { span, table } from './table.ts'
import { UsageError } from './usage-error.ts'
import { nameHint, withLog } from './with-log.ts'

const deadLettersShownMax = 1000

export const groupsCommand: Command = {
  name: 'groups',
  operands: '[GROUP]',
  operandsMax: 1,
  summary: 'Shows positions, lag, owners, epochs and dead letters of consumer groups.',
  options: {
    ...commonOptions,
    'dead-letters': { help: 'list the dead letters of GROUP with their errors' },
  },
  notes: 'With --json: an array of groups as in bus.status(); dead letters one per line.',
  async run(given: Arguments): Promise<void> {
    await withLog(given, async (log) => {
      const status = await new StatusReader(log, realPlatform).read(log.facts.durability[0]!, 0)
      const groups = chooseGroups(status, given.positionals[0])
      if (given.flag('dead-letters')) await showDeadLetters(log, groups, given)
      else await writeLine(given.flag('json') ? safeJson(groups) : groupsText(groups, status))
    })
  },
}

function chooseGroups({ groups }: BusStatus, name: string | undefined): readonly GroupSnapshot[] {
  if (name === undefined) return groups
  const chosen = groups.filter(({ group }) => group === name)
  if (chosen.length > 0) return chosen
  throw new SemelError('NOT_FOUND', `there is no consumer group ${JSON.stringify(name)} in this log`, {
    field: 'group',
    hint: nameHint(
      name,
      groups.map(({ group }) => group),
      'groups',
    ),
  })
}

function groupsText(groups: readonly GroupSnapshot[], { topics }: BusStatus): string {
  if (groups.length === 0) return 'no consumer groups yet'
  const ends = new Map(
    topics.flatMap(({ topic, partitions }) =>
      partitions.map(({ partition, end }) => [`${topic}/${partition}`, end]),
    ),
  )
  const head = ['GROUP', 'TASK', 'POSITION', 'END', 'LAG', 'LAG AGE', 'EPOCH', 'OWNER', 'DEAD LETTERS']
  const rows = groups.flatMap(({ group, tasks }) =>
    tasks.map((task) => {
      const name = `${task.topic}/${task.partition}`
      return [
        safeText(group),
        safeText(name),
        String(task.position ?? '-'),
        String(ends.get(name) ?? '-'),
        task.lagEvents,
        task.lagMs === 0 ? '-' : span(task.lagMs),
        task.epoch,
        task.owner === undefined ? styleText('yellow', 'nobody') : safeText(task.owner),
        task.deadLetters,
      ]
    }),
  )
  return table(head, rows)
}

async function showDeadLetters(
  log: ReadOnlyEngine,
  groups: readonly GroupSnapshot[],
  given: Arguments,
): Promise<void> {
  if (given.positionals.length === 0)
    throw new UsageError('INVALID_OPTION', '--dead-letters needs a GROUP', 'group')
  for (const { group, tasks } of groups) {
    for (const { topic, partition } of tasks) {
      const task = { group, topic, partition }
      const store = storeNames.deadLetters
      const request = { task, store, after: undefined, limit: deadLettersShownMax }
      for (const { key, value } of await log.scanState(request)) {
        const letter = decodeDeadLetter(topic, partition, key, value)
        await writeLine(given.flag('json') ? letterJson(letter) : letterText(letter))
      }
    }
  }
}

function letterJson({ topic, partition, event, error, attempts, failedAt }: DeadLetter): string {
  return safeJson({ ...cloudEvent({ ...event, topic, partition }), error, attempts, failedAt })
}

function letterText({ topic, partition, offset, event, error, attempts, failedAt }: DeadLetter): string {
  const at = new Date(failedAt).toISOString()
  return safeText(
    `${at}  ${topic}/${partition}@${offset}  ${event.id}  ${attempts} attempts  ${error.name}: ${error.message}`,
  )
}
