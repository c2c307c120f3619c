import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Engine } from '../engine/engine.ts'
import { guardEngine } from '../engine/guard.ts'
import { kafka } from '../engines/kafka/index.ts'
import { postgres } from '../engines/postgres/index.ts'
import { sqlite } from '../engines/sqlite/index.ts'
import { realPlatform } from '../platform/real-platform.ts'
import type { Arguments } from './arguments.ts'
import type { Command } from './command.ts'
import { UsageError } from './usage-error.ts'
import { openForReading } from './with-log.ts'

/** Where an engine's log is: the path of a SQLite file, `postgres://…`, or `kafka://host:port,host:port/PREFIX`. */
export interface EnginePlace {
  readonly place: string
  /** Of a PostgreSQL database. */
  readonly schema: string | undefined
  /** Path of a JSON file with further options of `kafka()`, such as `settings` with user and password. */
  readonly kafkaOptions?: string | undefined
}

/** Options of commands that go from one place to another with a topic. */
export const twoPlacesOptions = {
  topic: { value: 'TOPIC', help: 'the topic' },
  'from-schema': { value: 'NAME', help: 'schema of a PostgreSQL source (default semel)' },
  'to-schema': { value: 'NAME', help: 'schema of a PostgreSQL target (default semel)' },
  'kafka-options': { value: 'FILE', help: 'JSON file with options of kafka(), e.g. { "settings": { … } }' },
} as const satisfies Command['options']

/** What was asked for with `FROM TO` and these options. */
export function twoPlaces(given: Arguments): {
  readonly from: EnginePlace
  readonly to: EnginePlace
  readonly topic: string
} {
  const [from, to] = given.positionals
  if (from === undefined || to === undefined)
    throw new UsageError('INVALID_OPTION', 'FROM and TO are needed', from === undefined ? 'from' : 'to')
  const topic = given.text('topic')
  if (topic === undefined) throw new UsageError('INVALID_OPTION', '--topic TOPIC is needed', 'topic')
  const kafkaOptions = given.text('kafka-options')
  return {
    from: { place: from, schema: given.text('from-schema'), kafkaOptions },
    to: { place: to, schema: given.text('to-schema'), kafkaOptions },
    topic,
  }
}

export interface Opened extends AsyncDisposable {
  readonly engine: Engine
}

/** What is only read must be there, and is not written to. */
export async function openSource(given: EnginePlace): Promise<Opened> {
  const { place, schema } = given
  if (isKafka(place)) return await openEngine(given)
  return opened(await openForReading(isPostgres(place) ? { url: place, schema } : { file: place }))
}

export async function openEngine(given: EnginePlace): Promise<Opened> {
  const engine = guardEngine(engineOf(given))
  const { random } = realPlatform
  const member = `command-${random.uint32().toString(36)}${random.uint32().toString(36)}`
  await engine.open({ platform: realPlatform, durability: 'fsync', member })
  return opened(engine)
}

/** The place as others may read it: without a password, and so that it is found from elsewhere. */
export function placeName({ place, schema }: EnginePlace): string {
  if (isKafka(place)) return `kafka://${kafkaParts(place).join('/')}`
  if (!isPostgres(place)) return resolve(place)
  const { protocol, host, pathname } = new URL(place)
  return `${protocol}//${host}${pathname}${schema === undefined ? '' : `, schema ${schema}`}`
}

function engineOf({ place, schema, kafkaOptions }: EnginePlace): Engine {
  if (isPostgres(place)) return postgres({ url: place, schema })
  if (!isKafka(place)) return sqlite({ file: place })
  const [brokers, prefix] = kafkaParts(place)
  const options = kafkaOptions === undefined ? {} : readOptions(kafkaOptions)
  return kafka({ ...options, brokers: brokers!, prefix })
}

function readOptions(file: string): object {
  try {
    const options: unknown = JSON.parse(readFileSync(file, 'utf8'))
    if (typeof options === 'object' && options !== null) return options
  } catch {
    // What is in it may be a secret: no word of it gets into a message.
  }
  throw new UsageError('INVALID_OPTION', `${file} is not a file with a JSON object`, 'kafka-options')
}

function kafkaParts(place: string): readonly string[] {
  const found = /^kafka:\/\/([^/@]+)(?:\/([^/]*))?$/.exec(place)
  if (found === null) {
    throw new UsageError(
      'INVALID_OPTION',
      'an address of Kafka is kafka://host:port,host:port/PREFIX',
      'kafka',
    )
  }
  const [, brokers, prefix] = found
  return prefix ? [brokers!, prefix] : [brokers!]
}

function opened(engine: Engine): Opened {
  return { engine, [Symbol.asyncDispose]: () => engine.close() }
}

function isPostgres(place: string): boolean {
  return /^postgres(ql)?:\/\//.test(place)
}

function isKafka(place: string): boolean {
  return place.startsWith('kafka://')
}
