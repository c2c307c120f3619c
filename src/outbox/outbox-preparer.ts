import type { EventRecord } from '../event/event.ts'
import type { AnyTopic, PublishAttributes } from '../event/topic.ts'
import { UuidV7Generator } from '../event/uuid-v7.ts'
import { realPlatform } from '../platform/real-platform.ts'
import { CallPreparer } from '../runtime/prepare-call.ts'

const preparer = new CallPreparer(new UuidV7Generator(realPlatform.random), () => realPlatform.clock.now())

/** Makes records as `bus.publish` does, with the same checks, where there is no bus. */
export const outboxPreparer = {
  /** `data` has passed the topic's schema. */
  prepare(topic: AnyTopic, data: unknown, attributes: PublishAttributes | undefined): EventRecord {
    const { batches } = preparer.prepare([{ topic, data, attributes }])
    return batches[0]!.records[0]!
  },
}
