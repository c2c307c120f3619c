import type { Bus } from '../bus.ts'
import { SemelError } from '../errors.ts'
import type { EventRecord } from '../event/event.ts'
import { JsonText } from '../event/event.ts'
import { type OutgoingEvent, Topic } from '../event/topic.ts'

/**
 * Publishes events of an outbox to any bus, in their order, all or nothing. Each keeps the id that it got in its own
 * transaction: what was published before, by us or by somebody whom we replace, is left out (N1).
 *
 * Schemas are not asked again: they have seen the event when it was published, and may have changed it.
 */
export async function publishRelayed(
  bus: Bus,
  events: readonly { readonly topic: string; readonly record: EventRecord }[],
): Promise<void> {
  const topics = new Map<string, Topic>()
  const outgoing = events.map(({ topic, record }): OutgoingEvent => {
    const known = topics.get(topic) ?? withoutSchema(bus, topic)
    topics.set(topic, known)
    const { data, attributes, ...rest } = record
    return known.event(data instanceof JsonText ? JSON.parse(data.text) : data, { ...attributes, ...rest })
  })
  await bus.publishMany(outgoing)
}

function withoutSchema(bus: Bus, name: string): Topic {
  const declared = bus.topics.get(name)
  if (declared !== undefined) return new Topic(name, { partitions: declared.partitions })
  throw undeclaredTopic(name)
}

export function undeclaredTopic(name: string): SemelError {
  return new SemelError(
    'UNKNOWN_TOPIC',
    `topic ${name} of the outbox is not declared by the bus it goes to`,
    { field: 'topic' },
  )
}
