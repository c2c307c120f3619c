import { createInterface } from 'node:readline'
import { type Bus, openBus, type Receipt } from '../bus.ts'
import { SemelError } from '../errors.ts'
import { type PublishAttributes, type Topic, topic } from '../event/topic.ts'
import type { Arguments } from './arguments.ts'
import { type Command, commonOptions } from './command.ts'
import { writeLine } from './output.ts'
import { safeJson, safeText } from './safe-text.ts'
import { UsageError } from './usage-error.ts'
import { engineAt, findTopic, requireOperand, withLog } from './with-log.ts'

const underWayMax = 1000

export const publishCommand: Command = {
  name: 'publish',
  operands: 'TOPIC',
  operandsMax: 1,
  summary: 'Publishes events to a topic that exists and prints a receipt for each.',
  options: {
    ...commonOptions,
    data: { value: 'JSON', help: 'the data of one event; without it, one event per line of standard input' },
    id: { value: 'ID', help: 'event id for deduplication; only with --data (default: a new UUIDv7)' },
    key: { value: 'KEY', help: 'partition key: events with equal keys stay in order' },
    type: { value: 'TYPE', help: "CloudEvents type (default: the topic's name)" },
  },
  notes: `Each event stands alone: at the first line that fails the command stops with status 1, and the receipts
printed before are what was published. Running it again publishes again, unless --id says which event it is.`,
  async run(given: Arguments): Promise<void> {
    const name = requireOperand(given, 'TOPIC')
    const data = given.text('data')
    const attributes = { id: given.text('id'), key: given.text('key'), type: given.text('type') }
    if (attributes.id !== undefined && data === undefined)
      throw new UsageError('INVALID_OPTION', '--id names one event, so it needs --data', 'id')
    const only = data === undefined ? undefined : parseJson(data, '--data')
    const target = await topicOf(given, name)
    const bus = await openBus({ engine: engineAt(given), topics: [target] })
    try {
      const print = receiptPrinter(given.flag('json'))
      if (data === undefined) await publishLines(bus, target, attributes, print)
      else await print(await bus.publish(target, only, attributes))
    } finally {
      await bus.stop()
    }
  },
}

/** The topic, declared just as the log holds it: publishing by hand must not change a declaration. */
async function topicOf(given: Arguments, name: string): Promise<Topic> {
  const { partitions, dedupWindowMs } = await withLog(given, (log) => findTopic(log, name))
  const dedup = dedupWindowMs === 0 ? false : ({ windowMs: dedupWindowMs } as const)
  return topic(name, { partitions: partitions.length, dedup })
}

/** Publishes many lines at once, answered in their order. */
async function publishLines(
  bus: Bus,
  target: Topic,
  attributes: PublishAttributes,
  print: (receipt: Receipt) => Promise<void>,
): Promise<void> {
  let printed = Promise.resolve()
  let underWay = 0
  let failed = false
  let lineNumber = 0
  const lines = createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })
  for await (const line of lines) {
    if (failed) break
    lineNumber++
    if (line.trim() === '') continue
    underWay++
    const before = printed
    const receipt = publishLine(bus, target, attributes, line, lineNumber)
    receipt.catch(() => {
      failed = true
      lines.close()
    })
    printed = before.then(async () => print(await receipt)).finally(() => underWay--)
    printed.catch(() => undefined)
    if (underWay >= underWayMax) await printed
  }
  await printed
}

async function publishLine(
  bus: Bus,
  target: Topic,
  attributes: PublishAttributes,
  line: string,
  lineNumber: number,
): Promise<Receipt> {
  return await bus.publish(target, parseJson(line, `line ${lineNumber}`), attributes)
}

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new SemelError('INVALID_DATA', `${where} is not JSON`, {
      field: where,
      hint: 'text needs quotes of its own: \'"hello"\'',
      cause,
    })
  }
}

function receiptPrinter(json: boolean): (receipt: Receipt) => Promise<void> {
  return async (receipt) => {
    const { topic: name, partition, offset, id, duplicate } = receipt
    const text = `${name}/${partition}@${offset}  ${id}${duplicate ? '  duplicate' : ''}`
    await writeLine(json ? safeJson(receipt) : safeText(text))
  }
}
