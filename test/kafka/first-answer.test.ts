import assert from 'node:assert/strict'
import { test } from 'node:test'
import { firstAnswer } from '../../src/engines/kafka/first-answer.ts'
import type { Platform, Timer } from '../../src/platform/platform.ts'
import { realPlatform } from '../../src/platform/real-platform.ts'

/** Somebody who is asked, and answers when the test says so. */
class Asked {
  isAsked = false
  answer!: (answer: string) => void
  fail!: (error: unknown) => void
  readonly ask = (): Promise<string> => {
    this.isAsked = true
    return new Promise((resolve, reject) => {
      this.answer = resolve
      this.fail = reject
    })
  }
}

/** A clock of which only the timer that was set last is of interest. */
class OneTimer implements Platform {
  readonly clock = realPlatform.clock
  readonly random = realPlatform.random
  #fire: (() => void) | undefined
  readonly timers = {
    after: (_delayMs: number, fire: () => void): Timer => {
      this.#fire = fire
      return {
        cancel: () => {
          if (this.#fire === fire) this.#fire = undefined
        },
      }
    },
    soon: realPlatform.timers.soon,
  }

  get isSet(): boolean {
    return this.#fire !== undefined
  }
  ring(): void {
    this.#fire!()
  }
}

const passing = new Error('silent')
const word = new Error('no')

function asking(count: number) {
  const platform = new OneTimer()
  const asked = Array.from({ length: count }, () => new Asked())
  const answer = firstAnswer(
    platform,
    asked.map(({ ask }) => ask),
    500,
    (error) => error === passing,
    (errors) => errors.at(-1),
  )
  return { platform, asked, answer }
}

const whoIsAsked = (asked: readonly Asked[]) => asked.map(({ isAsked }) => isAsked)

test('whoever is silent is not waited for alone; the first answer counts, and nobody else is asked', async () => {
  const { platform, asked, answer } = asking(3)
  assert.deepEqual(whoIsAsked(asked), [true, false, false])
  platform.ring()
  assert.deepEqual(whoIsAsked(asked), [true, true, false])
  asked[1]!.answer('second')
  assert.equal(await answer, 'second')
  assert.equal(platform.isSet, false)
  asked[0]!.fail(word)
  assert.deepEqual(whoIsAsked(asked), [true, true, false])
})

test('whoever fails in passing is followed by the next at once, and the last of all errors is told', async () => {
  const { asked, answer } = asking(2)
  asked[0]!.fail(passing)
  await Promise.resolve()
  assert.deepEqual(whoIsAsked(asked), [true, true])
  asked[1]!.fail(passing)
  await assert.rejects(answer, passing)
})

test('a refusal is an answer', async () => {
  const { asked, answer } = asking(2)
  asked[0]!.fail(word)
  await assert.rejects(answer, word)
  assert.deepEqual(whoIsAsked(asked), [true, false])
})

test('one that was given up may still answer, after all others have failed', async () => {
  const { platform, asked, answer } = asking(2)
  platform.ring()
  asked[1]!.fail(passing)
  await Promise.resolve()
  asked[0]!.answer('first')
  assert.equal(await answer, 'first')
})
