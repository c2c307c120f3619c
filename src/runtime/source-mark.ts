import type { Engine } from '../engine/engine.ts'
import { SemelError } from '../errors.ts'
import type { StoredEvent } from '../event/event.ts'

/**
 * The last event that a position has passed. A sink that is not the source keeps it beside the position: the two cannot
 * go back together, so a source that lost events and has grown again since is told by another event in that place (D6).
 */
export type SourceMark = Pick<StoredEvent, 'offset' | 'id' | 'appendTime'>

/** Whether position and log are stored apart, so that one can go back without the other. */
export function isApart({ source, sink }: { readonly source: Engine; readonly sink: Engine }): boolean {
  return source !== sink
}

export function encodeMark({ offset, id, appendTime }: SourceMark): string {
  return JSON.stringify([offset, appendTime, id])
}

/**
 * Checks that the source still holds the marked event, if its retention allows to look.
 *
 * @throws SemelError LOG_REGRESSED if another event is in its place.
 */
export async function checkMark(
  source: Engine,
  task: { readonly group: string; readonly topic: string; readonly partition: number },
  stored: string,
  earliest: number,
): Promise<void> {
  const [offset, appendTime, id] = decodeMark(stored)
  if (offset < earliest) return
  const { topic, partition, group } = task
  const { events } = await source.read({ topic, partition, offset, maxEvents: 1, maxBytes: 1 })
  const found = events[0]
  if (found?.offset === offset && found.id === id && found.appendTime === appendTime) return
  throw new SemelError(
    'LOG_REGRESSED',
    `${group} has handled another event at offset ${offset} of ${topic}/${partition} than the log now holds there`,
    {
      actual: offset,
      hint: 'the source went back to an older state and has grown again; decide where the group goes on, nothing is guessed',
    },
  )
}

function decodeMark(stored: string): readonly [offset: number, appendTime: number, id: string] {
  return JSON.parse(stored)
}
