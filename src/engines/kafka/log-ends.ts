import { sleep } from '../../platform/wait.ts'
import type { Clients } from './client.ts'
import type { Admin, OffsetSpec } from './client-types.ts'
import { clientCode, translated } from './kafka-errors.ts'
import { kafkaLimits } from './kafka-limits.ts'

interface Question {
  readonly topic: string
  readonly partition: number
  /** When it was asked, on the monotonic clock. */
  readonly since: number
  readonly resolve: (offset: number) => void
  readonly reject: (error: Error) => void
}

type InTurn = (work: () => Promise<void>) => Promise<void>

/** One question about many partitions at once: what is asked until its turn comes goes in one request. */
class OffsetQuestions {
  readonly #clients: Clients
  readonly #admin: Admin
  readonly #spec: OffsetSpec
  readonly #isolationLevel: 0 | 1
  readonly #inTurn: InTurn
  #waiting: Question[] = []
  /** How long a request waits for leaders that do not answer. Short at first: by then others may lead. */
  #patienceMs: number = kafkaLimits.firstAnswerMs

  constructor(clients: Clients, admin: Admin, inTurn: InTurn, spec: OffsetSpec, isolationLevel: 0 | 1) {
    this.#clients = clients
    this.#admin = admin
    this.#inTurn = inTurn
    this.#spec = spec
    this.#isolationLevel = isolationLevel
  }

  ask(topic: string, partition: number): Promise<number> {
    const since = this.#clients.platform.clock.monotonic()
    return new Promise((resolve, reject) => this.#add({ topic, partition, since, resolve, reject }))
  }

  #add(question: Question): void {
    if (this.#waiting.length === 0)
      this.#clients.platform.timers.soon(() => void this.#inTurn(() => this.#send()))
    this.#waiting.push(question)
  }

  async #send(): Promise<void> {
    const questions = this.#waiting
    this.#waiting = []
    try {
      const answers = await this.#answers(questions)
      this.#patienceMs = kafkaLimits.firstAnswerMs
      for (const question of questions) {
        const answer = knownAnswer(answers.get(placeOf(question)))
        if (isPassing(answer.error) && !this.#isLate(question)) this.#askAgain(question)
        else settle(question, answer)
      }
    } catch (error) {
      this.#patienceMs = Math.min(2 * this.#patienceMs, kafkaLimits.silentBrokerMs)
      if (isPassing(error)) return this.#again(questions, error)
      this.#fail(questions, error)
    }
  }

  /** A leader is silent or gone: the next one is asked, each question until it is late. */
  #again(questions: readonly Question[], error: unknown): void {
    this.#fail(
      questions.filter((question) => this.#isLate(question)),
      error,
    )
    for (const question of questions) if (!this.#isLate(question)) this.#askAgain(question)
  }

  #fail(questions: readonly Question[], error: unknown): void {
    const failure = translated(error, 'asking for the bounds of a partition', 'not-applied')
    for (const { reject } of questions) reject(failure)
  }

  async #answers(questions: readonly Question[]): Promise<ReadonlyMap<string, OffsetAnswer>> {
    const wanted = new Map(
      questions.map(({ topic, partition }) => {
        return [placeOf({ topic, partition }), { topic, partition, offset: this.#spec }]
      }),
    )
    const options = {
      timeout: Math.min(this.#clients.operationMs, this.#patienceMs),
      isolationLevel: this.#isolationLevel,
    }
    const answers = await this.#clients.question<OffsetAnswer[]>((done) => {
      this.#admin.listOffsets([...wanted.values()], options, done)
    })
    return new Map(answers.map((answer) => [placeOf(answer), answer]))
  }

  #isLate({ since }: Question): boolean {
    return this.#clients.platform.clock.monotonic() - since > this.#clients.operationMs
  }

  /** Leaders move, and a new topic is known to its leader last. */
  #askAgain(question: Question): void {
    this.#clients.platform.timers.after(kafkaLimits.settlePollMs * 10, () => this.#add(question))
  }
}

function placeOf({ topic, partition }: { readonly topic: string; readonly partition: number }): string {
  return `${topic}/${partition}`
}

const noAnswer = -185

/** No answer, no leader of any of them, no connection, no leader, another leader, a request that took too long, a replica that is not there, a leader that is new. */
const passingCodes: readonly number[] = [-195, -185, -156, 5, 6, 7, 9, 74, 75, 76, 78]

function isPassing(error: unknown): boolean {
  return passingCodes.includes(clientCode(error) ?? 0)
}

interface OffsetAnswer {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly timestamp: number
  readonly error?: Error
}

interface KnownAnswer {
  readonly offset: number
  readonly error: unknown
}

/** Of a partition that nobody answered for, the client tells an offset below zero, and no error (M). */
function knownAnswer(answer: OffsetAnswer | undefined): KnownAnswer {
  if (answer?.error) return { offset: -1, error: answer.error }
  if (answer !== undefined && answer.offset >= 0) return { offset: answer.offset, error: undefined }
  return { offset: -1, error: Object.assign(new Error('no answer for this partition'), { code: noAnswer }) }
}

function settle({ topic, partition, resolve, reject }: Question, { offset, error }: KnownAnswer): void {
  if (error === undefined) resolve(offset)
  else reject(translated(error, `asking for the bounds of ${topic}/${partition}`, 'not-applied'))
}

/**
 * Where partitions begin and end. The end is the last stable offset (R1): what is above it may still be aborted.
 * A transaction whose commit was acknowledged is stable only a moment later, when its markers are written. So that
 * what was acknowledged before is seen, a question waits for the transactions that are ending at the time.
 */
export class LogEnds {
  readonly #clients: Clients
  readonly #earliest: OffsetQuestions
  readonly #stable: OffsetQuestions
  readonly #highest: OffsetQuestions
  /** Stable ends that did not move while we waited: somebody's transaction hangs there, and we wait no more. */
  readonly #stuck = new Map<string, number>()

  constructor(clients: Clients, admin: Admin) {
    const { EARLIEST, LATEST } = clients.module.OffsetSpec
    this.#clients = clients
    // The client takes one question at a time, and each that waits for it would hold a thread.
    let last: Promise<void> = Promise.resolve()
    const inTurn: InTurn = (work) => {
      last = last.then(work)
      return last
    }
    this.#earliest = new OffsetQuestions(clients, admin, inTurn, EARLIEST, 0)
    this.#stable = new OffsetQuestions(clients, admin, inTurn, LATEST, 1)
    this.#highest = new OffsetQuestions(clients, admin, inTurn, LATEST, 0)
  }

  earliest(topic: string, partition: number): Promise<number> {
    return this.#earliest.ask(topic, partition)
  }

  async end(topic: string, partition: number): Promise<number> {
    const [highest, stable] = await Promise.all([
      this.#highest.ask(topic, partition),
      this.#stable.ask(topic, partition),
    ])
    if (stable < highest) return await this.#settled(topic, partition, highest, stable)
    this.#stuck.delete(`${topic}/${partition}`)
    return stable
  }

  async #settled(topic: string, partition: number, highest: number, seen: number): Promise<number> {
    const place = `${topic}/${partition}`
    if (this.#stuck.get(place) === seen) return seen
    const { platform } = this.#clients
    const until = platform.clock.monotonic() + kafkaLimits.settleMsMax
    let stable = seen
    while (stable < highest && platform.clock.monotonic() < until) {
      await sleep(platform, kafkaLimits.settlePollMs)
      stable = await this.#stable.ask(topic, partition)
    }
    if (stable < highest) this.#stuck.set(place, stable)
    else this.#stuck.delete(place)
    return stable
  }

  /** Partitions whose stable end stands still below an open transaction. */
  get stuck(): readonly { readonly topic: string; readonly partition: number }[] {
    return [...this.#stuck.keys()].map((place) => {
      const slash = place.lastIndexOf('/')
      return { topic: place.slice(0, slash), partition: Number(place.slice(slash + 1)) }
    })
  }
}
