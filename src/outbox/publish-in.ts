import { checkAgainstSchema } from '../event/check-schema.ts'
import { type PublishAttributes, Topic } from '../event/topic.ts'
import { checkOptionNames, invalidOption, requireFunction, requireOptions } from '../options.ts'
import { encodeOutboxEvent } from './outbox-event.ts'
import { outboxPreparer } from './outbox-preparer.ts'

/**
 * A transaction that the caller began, with somebody's library, and will end. An adapter makes one of the library's own
 * transaction object: `viaPg(client)`, `viaDrizzle(tx, sql)`, …
 */
export interface OutboxTransaction {
  /** Runs the outbox's one statement, whose only parameter `$1` is a text. */
  publish(statement: OutboxStatement, event: string): Promise<unknown>
}

/** The statement, in the two ways in which libraries write a parameter. */
export interface OutboxStatement {
  /** `select "semel".publish_event($1::text)` */
  readonly numbered: string
  /** `select "semel".publish_event(?)` */
  readonly questionMark: string
  /** The text before and after the parameter. */
  readonly parts: readonly [string, string]
}

export interface PublishInOptions {
  /** Schema of the outbox. Default `semel`. */
  readonly schema?: string | undefined
}

/**
 * Publishes one event within the caller's transaction: it gets into the topic if and only if that transaction commits,
 * and soon after it does. Events of one key get there in the order in which their transactions committed.
 *
 * Resolves with the event's id when the statement has run, which says nothing about the commit. Errors of the library
 * are passed on as they are, because the library's own retries look at them.
 *
 * @throws SemelError for what `bus.publish` would refuse, too. Nothing was sent then.
 */
export async function publishIn<T>(
  transaction: OutboxTransaction,
  topic: Topic<T>,
  data: T,
  attributes?: PublishAttributes,
  options?: PublishInOptions,
): Promise<string> {
  requireFunction('transaction.publish', transaction?.publish)
  if (!(topic instanceof Topic)) throw invalidOption('topic', 'a topic', topic)
  const statement = statementFor(options)
  const checked = await checkAgainstSchema(topic, data)
  const record = outboxPreparer.prepare(topic, checked, attributes)
  await transaction.publish(statement, encodeOutboxEvent(topic.name, record))
  return record.id
}

function statementFor(given: PublishInOptions | undefined): OutboxStatement {
  const options = requireOptions('publishIn options', given)
  checkOptionNames('publishIn', options, ['schema'])
  const { schema = 'semel' } = options
  if (typeof schema !== 'string' || schema === '')
    throw invalidOption('schema', 'the name of a schema', schema)
  const name = `"${schema.replaceAll('"', '""')}".publish_event`
  return {
    numbered: `select ${name}($1::text)`,
    questionMark: `select ${name}(?)`,
    parts: [`select ${name}(`, ')'],
  }
}
