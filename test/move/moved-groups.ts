import assert from 'node:assert/strict'
import type { Engine } from '../../src/engine/engine.ts'
import { type Handler, hasCode, type MoveResult, moveTopic } from '../../src/index.ts'
import { readAll } from '../support/read-all.ts'
import { until } from '../support/until.ts'
import { book, booked, group, type Payment, payments } from './topics.ts'
import { consume, openPayments, Publishers, requireExactlyOnce, untilBooked } from './world.ts'

/** Never ends for one account, so that work of others is finished above the position; always fails for another. */
const hampered: Handler<Payment> = async (event, tx) => {
  if (event.data.account === 'stuck') await new Promise(() => undefined)
  if (event.data.account === 'broken') throw new Error('out of order')
  await book(event, tx)
}

/**
 * Moves the topic while programs run whose group has a bit of everything: state, work above its position, a dead letter.
 * Each event counts once, here or there, in its order, and nothing of the group is lost.
 */
export async function requireMoved(
  sourceEngine: () => Engine,
  targetEngine: () => Engine,
): Promise<MoveResult> {
  await using source = await openPayments(sourceEngine())
  await using target = await openPayments(targetEngine())
  const first: readonly Payment[] = ['stuck', 'broken'].map((account) => ({ account, n: 0 }))
  for (const payment of first) await source.publish(payments, payment)
  const arrived = Promise.withResolvers<typeof target>()
  const publishers = new Publishers(source, arrived.promise).start()
  try {
    const old = consume(source, hampered)
    const letters = () => source.deadLetters(group).list()
    await until(async () => (await letters()).length === 1 && publishers.given.length > 200)
    await using mover = await openPayments(sourceEngine())
    const moved = await moveTopic({ from: mover, to: target, topic: payments, place: 'the new place' })
    assert.ok(publishers.refusals.length > 0, 'publishers ran while the topic was held')
    await until(() => hasCode(old.error, 'TOPIC_MOVED'), 20_000, 'the old consumer hears of it')
    await old.stop({ deadlineMs: 0 })

    const handledThere = (await readAll(source, booked)).length
    consume(target)
    arrived.resolve(target)
    const count = publishers.given.length
    await until(() => publishers.given.length > count + 100)
    await publishers.stop()
    const [letter] = await target.deadLetters(group).list()
    assert.deepEqual(
      [letter?.event.data, letter?.error.message],
      [{ account: 'broken', n: 0 }, 'out of order'],
    )
    await target.deadLetters(group).redrive([letter!])
    const given = [...first, ...publishers.given]
    await untilBooked(source, target, given.length)
    await requireExactlyOnce(source, target, given)
    assert.equal((await readAll(source, booked)).length, handledThere, 'nothing was handled there any more')
    const at = await readAll(target, payments)
    const place = at.find(({ id }) => id === letter!.event.id)
    assert.deepEqual([letter!.partition, letter!.offset], [place!.partition, place!.offset])
    return moved
  } finally {
    arrived.resolve(target)
    await publishers.stop().catch(() => undefined)
  }
}
