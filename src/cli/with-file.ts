import type { TopicStatus } from '../engine/status.ts'
import { SemelError } from '../errors.ts'
import { nearestName } from '../options.ts'
import type { Arguments } from './arguments.ts'
import { ReadOnlyFile } from './read-only-file.ts'
import { UsageError } from './usage-error.ts'

export function requireFile(given: Arguments): string {
  const file = given.text('file')
  if (file !== undefined) return file
  throw new UsageError('INVALID_OPTION', '--file PATH is needed', 'file')
}

export function requireOperand(given: Arguments, name: string): string {
  const operand = given.positionals[0]
  if (operand !== undefined) return operand
  throw new UsageError('INVALID_OPTION', `${name} is needed`, name.toLowerCase())
}

/** Opens the file for reading as long as `use` runs. */
export async function withFile<T>(given: Arguments, use: (file: ReadOnlyFile) => Promise<T>): Promise<T> {
  const file = new ReadOnlyFile(requireFile(given))
  try {
    return await use(file)
  } finally {
    await file.close()
  }
}

/** The topic as the file knows it. */
export async function findTopic(file: ReadOnlyFile, name: string): Promise<TopicStatus> {
  return topicIn((await file.status()).topics, name)
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
