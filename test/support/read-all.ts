import type { Bus, LogEvent, ReadOptions, Topic } from '../../src/index.ts'

/** Everything that `bus.read` gives, in its order. */
export async function readAll<T>(bus: Bus, topic: Topic<T>, options?: ReadOptions): Promise<LogEvent<T>[]> {
  const events: LogEvent<T>[] = []
  for await (const event of bus.read(topic, options)) events.push(event)
  return events
}
