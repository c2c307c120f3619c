import { attributeNames, RawJson } from '../event/event.ts'
import type { LogEvent } from '../runtime/log-reader.ts'
import { safeText } from './safe-text.ts'

const dataCharsShown = 2000

/** An event as CloudEvents JSON (with its partitioning extension), and where it stands in the log. */
export function cloudEvent(event: LogEvent): Record<string, unknown> {
  const { topic, partition, offset, id, source, type, time, key, data, attributes } = event
  const plain: Record<string, unknown> = {
    specversion: '1.0',
    id,
    source,
    type,
    time: new Date(time).toISOString(),
    ...(key === null ? undefined : { partitionkey: key }),
  }
  for (const name of attributeNames) {
    if (attributes?.[name] !== undefined) plain[name] = attributes[name]
  }
  if (data instanceof Uint8Array) plain.data_base64 = Buffer.from(data).toString('base64')
  else plain.data = data instanceof RawJson ? data.parse() : data
  return { ...plain, topic, partition, offset }
}

/** An event on one line for a person. */
export function eventText(event: LogEvent): string {
  const { topic, partition, offset, id, type, key, data, appendTime } = event
  const at = new Date(appendTime).toISOString()
  const shown = dataText(data)
  const short = shown.length > dataCharsShown ? `${shown.slice(0, dataCharsShown)}…` : shown
  return safeText(`${at}  ${topic}/${partition}@${offset}  ${type}  ${key ?? '-'}  ${id}  ${short}`)
}

function dataText(data: unknown): string {
  if (data instanceof Uint8Array) return `${data.length} bytes ${Buffer.from(data).toString('base64')}`
  if (data instanceof RawJson) return data.text
  return JSON.stringify(data)
}
