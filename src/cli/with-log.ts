import type { Engine } from '../engine/engine.ts'
import type { TopicStatus } from '../engine/status.ts'
import { postgres } from '../engines/postgres/index.ts'
import { sqlite } from '../engines/sqlite/index.ts'
import { SemelError } from '../errors.ts'
import { nearestName } from '../options.ts'
import type { Arguments } from './arguments.ts'
import type { ReadOnlyEngine } from './read-only-engine.ts'
import { ReadOnlyFile } from './read-only-file.ts'
import { ReadOnlyServer } from './read-only-server.ts'
import { UsageError } from './usage-error.ts'

type Place = { readonly file: string } | { readonly url: string; readonly schema: string | undefined }

/** Where the log is: a file, or a schema of a database. */
function requirePlace(given: Arguments): Place {
  const [file, url, schema] = [given.text('file'), given.text('url'), given.text('schema')]
  if (file !== undefined && url !== undefined)
    throw new UsageError('INVALID_OPTION', 'only one of --file and --url can be given', 'url')
  if (url !== undefined) return { url, schema }
  if (schema !== undefined) throw new UsageError('INVALID_OPTION', '--schema belongs to --url', 'schema')
  if (file === undefined) throw new UsageError('INVALID_OPTION', '--file PATH or --url URL is needed', 'file')
  if (!/^postgres(ql)?:\/\//.test(file)) return { file }
  throw new UsageError('INVALID_OPTION', '--file is a path; an address is given as --url URL', 'file')
}

/** An engine that can write to the log of the command line. It must be there: opening one would make it. */
export function engineAt(given: Arguments): Engine {
  const place = requirePlace(given)
  return 'file' in place ? sqlite(place) : postgres(place)
}

export async function openForReading(place: Place): Promise<ReadOnlyEngine> {
  if ('file' in place) return new ReadOnlyFile(place.file)
  return await ReadOnlyServer.open(place.url, place.schema ?? 'semel')
}

export function requireOperand(given: Arguments, name: string): string {
  const operand = given.positionals[0]
  if (operand !== undefined) return operand
  throw new UsageError('INVALID_OPTION', `${name} is needed`, name.toLowerCase())
}

/** Opens the log for reading as long as `use` runs. */
export async function withLog<T>(given: Arguments, use: (log: ReadOnlyEngine) => Promise<T>): Promise<T> {
  const log = await openForReading(requirePlace(given))
  try {
    return await use(log)
  } finally {
    await log.close()
  }
}

/** The topic as the log knows it. */
export async function findTopic(log: ReadOnlyEngine, name: string): Promise<TopicStatus> {
  return topicIn((await log.status()).topics, name)
}

/** The topic of this name, or UNKNOWN_TOPIC with what there is. */
export function topicIn(topics: readonly TopicStatus[], name: string): TopicStatus {
  const found = topics.find(({ topic }) => topic === name)
  if (found !== undefined) return found
  const names = topics.map(({ topic }) => topic)
  throw new SemelError('UNKNOWN_TOPIC', `there is no topic ${JSON.stringify(name)}`, {
    field: 'topic',
    hint: nameHint(name, names, 'topics'),
  })
}

/** `did you mean …` if one is near, else what there is. */
export function nameHint(name: string, known: readonly string[], what: string): string {
  const near = nearestName(name, known)
  if (near !== undefined) return `did you mean ${near}?`
  return known.length === 0
    ? `it holds no ${what} yet`
    : `it holds the ${what} ${known.slice(0, 20).join(', ')}`
}

/** Aborts at the first SIGINT or SIGTERM, so that a command that waits ends in order. */
export function untilSignal(): AbortSignal {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => controller.abort())
  return controller.signal
}
