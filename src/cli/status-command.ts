import { styleText } from 'node:util'
import { realPlatform } from '../platform/real-platform.ts'
import { sleep } from '../platform/wait.ts'
import { type BusStatus, type GroupSnapshot, StatusReader, type TopicSnapshot } from '../status.ts'
import type { Arguments } from './arguments.ts'
import { type Command, commonOptions } from './command.ts'
import { writeLine } from './output.ts'
import { safeJson, safeText } from './safe-text.ts'
import { bytes, count, span, table } from './table.ts'
import { untilSignal, withLog } from './with-log.ts'

const watchEveryMs = 1000
const clearScreen = '\u001b[2J\u001b[H'

export const statusCommand: Command = {
  name: 'status',
  operands: '',
  operandsMax: 0,
  summary: 'Shows topics, consumer groups and storage of a log.',
  options: {
    ...commonOptions,
    watch: { help: 'show it again every second, with rates, until Ctrl-C' },
  },
  notes: 'With --json: the whole typed snapshot that bus.status() answers, one per line.',
  async run(given: Arguments): Promise<void> {
    await withLog(given, async (log) => {
      const reader = new StatusReader(log, realPlatform)
      const strongest = log.facts.durability[0]!
      const show = async (): Promise<void> => {
        const status = await reader.read(strongest, 0)
        const text = given.flag('json') ? safeJson(status) : statusText(status, given.flag('watch'))
        await writeLine(given.flag('watch') && process.stdout.isTTY ? `${clearScreen}${text}` : text)
      }
      await show()
      if (given.flag('watch')) await repeat(show, untilSignal())
    })
  },
}

async function repeat(show: () => Promise<void>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await sleep(realPlatform, watchEveryMs, signal).catch(() => undefined)
    if (!signal.aborted) await show()
  }
}

function statusText(status: BusStatus, withRates: boolean): string {
  const { engine, at, topics, groups, storage } = status
  const figures = Object.entries(storage)
    .filter(([name]) => name !== 'file')
    .map(([name, value]) => figure(name, value))
  const head = [safeText(String(storage.file ?? engine.name)), `log ${engine.logId.slice(0, 8)}`, ...figures]
  return [
    head.join('  '),
    topics.length === 0 ? 'no topics yet' : topicTable(topics, at, withRates),
    groups.length === 0 ? 'no consumer groups yet' : groupTable(groups),
  ].join('\n\n')
}

/** Figures carry their unit at the end of their name. */
function figure(name: string, value: number | string): string {
  if (typeof value === 'string') return `${name} ${safeText(value)}`
  if (name.endsWith('Bytes')) return `${name.slice(0, -'Bytes'.length)} ${bytes(value)}`
  return `${name} ${count(value)}`
}

function topicTable(topics: readonly TopicSnapshot[], at: number, withRates: boolean): string {
  const head = ['TOPIC', 'PARTITIONS', 'EVENTS', 'DUPLICATES', 'LAST EVENT', 'DEDUP WINDOW']
  if (withRates) head.push('EVENTS/S')
  const isMoved = topics.some(({ movedTo }) => movedTo !== undefined)
  if (isMoved) head.push('MOVED TO')
  const rows = topics.map(({ topic, partitions, dedupWindowMs, eventsPerSecond, movedTo }) => {
    const last = Math.max(...partitions.map(({ lastAppendTime }) => lastAppendTime ?? 0))
    const row = [
      safeText(topic),
      partitions.length,
      partitions.reduce((sum, { earliest, end }) => sum + end - earliest, 0),
      partitions.reduce((sum, { duplicates }) => sum + duplicates, 0),
      last === 0 ? 'never' : `${span(Math.max(0, at - last))} ago`,
      dedupWindowMs === 0 ? 'none' : span(dedupWindowMs),
    ]
    if (withRates) row.push(eventsPerSecond)
    if (isMoved) row.push(movedTo === undefined ? '-' : safeText(movedTo))
    return row
  })
  return table(head, rows)
}

function groupTable(groups: readonly GroupSnapshot[]): string {
  const head = ['GROUP', 'MEMBERS', 'LAG', 'LAG AGE', 'IN FLIGHT', 'RETRIES', 'DEAD LETTERS']
  const rows = groups.map(({ group, members, lagEvents, lagMs, inFlight, retries, deadLetters }) => [
    safeText(group),
    members.length,
    lagEvents,
    lagMs === 0 ? '-' : span(lagMs),
    inFlight,
    retries,
    deadLetters === 0 ? '0' : styleText('red', count(deadLetters)),
  ])
  return table(head, rows)
}
