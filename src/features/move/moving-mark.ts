import type { Engine, TaskId } from '../../engine/engine.ts'
import { storeNames } from '../../engine/store-names.ts'
import { SemelError } from '../../errors.ts'
import { copyGroup } from '../copy/copy-plan.ts'

/** The task that says of a partition whether it is still on its way here. */
function markTask({ topic, partition }: Pick<TaskId, 'topic' | 'partition'>): TaskId {
  return { group: copyGroup, topic, partition }
}

/** Where the topic is being moved from, if it is still on its way to this engine. */
export async function movingFrom(
  engine: Engine,
  place: Pick<TaskId, 'topic' | 'partition'>,
): Promise<string | undefined> {
  const [mark] = await engine.readState(markTask(place), storeNames.moving, [''])
  return mark
}

/**
 * No group may begin on a topic before the place it comes from is closed: it would handle events there and here.
 *
 * @throws SemelError TOPIC_MOVED, retryable.
 */
export async function checkArrived(engine: Engine, task: TaskId): Promise<void> {
  if ((await movingFrom(engine, task)) === undefined) return
  throw new SemelError('TOPIC_MOVED', `topic ${task.topic} is still being moved here`, {
    retryable: true,
    hint: 'the group begins when the move has ended; if it was killed, run it again',
  })
}
