import { hasCode } from '../../../errors.ts'
import { sleep } from '../../../platform/wait.ts'
import type { Consumer } from '../../../runtime/group-consumer.ts'
import type { Delivery, Transaction } from '../../../runtime/handler.ts'
import { givenUp } from '../../history/record.ts'
import type { HistoryClient } from '../../history/recorder.ts'
import { redriveName } from '../recorded-storage.ts'
import { type Member, type Run, startMember } from './run.ts'
import { groups, type InputData, isOwnId } from './topics.ts'

/** Store of each key's sum and count; redriven dead letters have one of their own, as they come out of order. */
export const stores = { live: 'total', redriven: 'redriven' } as const

export interface Total {
  readonly sum: number
  readonly count: number
}

/** Starts the next process of a consumer: one member of every group. */
export async function startConsumer(run: Run, role: string): Promise<Member> {
  const member = await startMember(run, role)
  for (const handling of [exactlyOnce, atLeastOnce, atMostOnce]) consume(run, member, handling)
  return member
}

interface Handling {
  readonly group: string
  readonly guarantee: 'exactly-once' | 'at-least-once' | 'at-most-once'
  readonly effects: (run: Run, event: Delivery<InputData>, tx: Transaction, redrive: boolean) => Promise<void>
}

const exactlyOnce: Handling = {
  group: groups.exactlyOnce,
  guarantee: 'exactly-once',
  effects: async ({ topics }, { data, topic, partition, offset }, tx, redrive) => {
    const total = tx.state<Total>(redrive ? stores.redriven : stores.live)
    const { sum, count } = (await total.get()) ?? { sum: 0, count: 0 }
    await total.set({ sum: sum + data.n, count: count + 1 })
    tx.emit(topics.output, {
      sourceTopic: topic,
      sourcePartition: partition,
      sourceOffset: offset,
      key: data.key,
      n: data.n,
      redrive,
    })
  },
}

const atLeastOnce: Handling = {
  group: groups.atLeastOnce,
  guarantee: 'at-least-once',
  effects: async () => undefined,
}

const atMostOnce: Handling = {
  group: groups.atMostOnce,
  guarantee: 'at-most-once',
  effects: async () => undefined,
}

function consume(run: Run, { process, bus }: Member, handling: Handling): void {
  const { group, guarantee, effects } = handling
  const { knobs, topics, cluster } = run
  const random = cluster.scheduler.stream(`handlers of ${group} on ${process.name}`)
  const client = process.recorder.client(group)
  const attempts = guarantee === 'at-most-once' ? 1 : knobs.attempts
  const consumer = bus.consume(
    topics.input,
    {
      group,
      guarantee,
      concurrency: knobs.concurrency,
      windowEvents: knobs.windowEvents,
      leaseMs: knobs.leaseMs,
      handlerTimeoutMs: knobs.handlerTimeoutMs,
      retry: { attempts, baseDelayMs: 5, maxDelayMs: 200 },
    },
    async (event, tx) => {
      const redrive = event.attempt > attempts
      const isLast = event.attempt >= attempts
      await recorded(client, consumer, event, { redrive, isLast }, async () => {
        const ms = random.fraction() * knobs.handlerMsMax
        const isFlaky = !run.healed && random.fraction() < knobs.flakyShare
        const hangs = !run.healed && random.fraction() < knobs.hangShare
        await sleep(process.platform, hangs ? knobs.handlerTimeoutMs * 3 : ms)
        await effects(run, event, tx, redrive)
        if (event.data.poison && !run.healed) throw new Error('poison')
        if (isFlaky) throw new Error('flaky')
      })
    },
  )
}

/** One attempt in the history. It is over when its time is, whatever its handler does later. */
async function recorded(
  client: HistoryClient,
  consumer: Consumer,
  { topic, partition, offset, id, key, attempt, signal }: Delivery<InputData>,
  { redrive, isLast }: { redrive: boolean; isLast: boolean },
  work: () => Promise<void>,
): Promise<void> {
  const epoch = consumer.tasks().find((task) => task.topic === topic && task.partition === partition)?.epoch
  // At most once, each redrive is a unit of its own (A1, C0).
  const replayName =
    consumer.group === groups.atMostOnce ? `${redriveName(offset)}.${attempt}` : redriveName(offset)
  const operation = client.start('handle', {
    g: consumer.group,
    topic,
    p: partition,
    off: offset,
    id: isOwnId(id) ? id : null,
    key,
    attempt,
    epoch,
    ...(redrive ? { replay: replayName } : undefined),
  })
  const failed = isLast ? givenUp : 'HANDLER'
  const onAbort = (): void => operation.fail(hasCode(signal.reason, 'HANDLER_TIMEOUT') ? failed : 'ABORTED')
  signal.addEventListener('abort', onAbort)
  try {
    await work()
    if (!signal.aborted) operation.ok()
  } catch (error) {
    if (!signal.aborted) operation.fail(failed)
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
