import { SemelError } from '../errors.ts'
import type { SchemaResult } from './standard-schema.ts'
import type { AnyTopic } from './topic.ts'

/**
 * What the topic's schema makes of `data`, or SCHEMA_MISMATCH. A promise only if the schema answers with one, so
 * that most publishes know their data before their caller can change it.
 */
export function checkAgainstSchema(topic: AnyTopic, data: unknown): unknown {
  if (topic.schema === undefined) return data
  const result = topic.schema['~standard'].validate(data)
  return result instanceof Promise
    ? result.then((settled) => acceptedValue(topic, settled))
    : acceptedValue(topic, result)
}

/** The same where nobody can wait. */
export function checkAgainstSchemaNow(topic: AnyTopic, data: unknown): unknown {
  const checked = checkAgainstSchema(topic, data)
  if (!(topic.schema !== undefined && checked instanceof Promise)) return checked
  checked.catch(() => undefined)
  throw new SemelError(
    'UNSUPPORTED',
    `the schema of ${topic.name} answers later, which tx.emit cannot wait for`,
    {
      field: 'schema',
      hint: 'use a synchronous schema for topics that handlers emit to',
    },
  )
}

function acceptedValue(topic: AnyTopic, result: SchemaResult<unknown>): unknown {
  if (result.issues === undefined) return result.value
  const issue = result.issues[0]
  const path = (issue?.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)).join('.')
  const reason = issue?.message ?? 'no reason given'
  throw new SemelError('SCHEMA_MISMATCH', `data does not fit the schema of ${topic.name}: ${reason}`, {
    field: path === '' ? 'data' : `data.${path}`,
  })
}
