import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { OutgoingEvent } from '../../src/index.ts'
import { type Kafka, startKafka } from '../rig/kafka/broker.ts'
import { type Count, counts, openMember, words } from '../rig/kafka/member.ts'
import { readAll } from '../support/read-all.ts'
import { until } from '../support/until.ts'

let broker: Kafka
before(async () => {
  const settings = { 'group.consumer.session.timeout.ms': 1_500, 'group.consumer.heartbeat.interval.ms': 200 }
  broker = await startKafka({ brokers: 1, settings })
})
after(() => broker.stop())

const keys = 20
const perKey = 60
const program = join(import.meta.dirname, '../rig/kafka/member.ts')

class Members implements AsyncDisposable {
  readonly #prefix: string
  readonly #protocol: 'consumer' | 'classic'
  readonly #live = new Set<ChildProcess>()
  #started = 0

  constructor(prefix: string, protocol: 'consumer' | 'classic') {
    this.#prefix = prefix
    this.#protocol = protocol
  }

  async start(): Promise<ChildProcess> {
    const child = fork(program, [broker.bootstrap, this.#prefix, `m${++this.#started}`, this.#protocol])
    this.#live.add(child)
    child.once('exit', () => this.#live.delete(child))
    await once(child, 'message')
    return child
  }

  async kill(child: ChildProcess): Promise<void> {
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  async stop(child: ChildProcess): Promise<void> {
    const gone = once(child, 'exit')
    child.send('stop')
    await gone
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#live].map((child) => this.kill(child)))
  }
}

const wordsOf = (from: number, to: number): readonly OutgoingEvent[] =>
  Array.from({ length: (to - from) * keys }, (_, i) => {
    return words.event({ key: `k${i % keys}`, n: from + Math.floor(i / keys) })
  })

/** X1: each word was counted once, in the order of its key. */
function requireExact(found: readonly Count[]): void {
  for (let k = 0; k < keys; k++) {
    const own = found.filter(({ key }) => key === `k${k}`)
    assert.deepEqual(
      own.map(({ n, count }) => [n, count]),
      Array.from({ length: perKey }, (_, i) => [i, i + 1]),
      `key k${k}`,
    )
  }
  assert.equal(found.length, keys * perKey)
}

for (const protocol of ['consumer', 'classic'] as const) {
  test(`members are killed, stopped for a while and replaced (${protocol}): every event counts once (K4, K5, X1)`, async () => {
    const prefix = `${protocol}.`
    const bus = await openMember(broker.bootstrap, prefix, 'observer', protocol)
    await using members = new Members(prefix, protocol)
    const counted = async (): Promise<Count[]> => (await readAll(bus, counts)).map(({ data }) => data)
    const some = (least: number) =>
      until(async () => (await counted()).length >= least, 60_000, `${least} counts`)

    const first = await members.start()
    const second = await members.start()
    await bus.publishMany(wordsOf(0, 20))
    await some(1)
    await members.kill(first)
    await bus.publishMany(wordsOf(20, 30))
    await some(20 * keys)

    const third = await members.start()
    second.kill('SIGSTOP')
    await bus.publishMany(wordsOf(30, 40))
    await some(40 * keys)
    second.kill('SIGCONT')
    await bus.publishMany(wordsOf(40, 50))
    await some(41 * keys)
    await members.stop(third)
    await bus.publishMany(wordsOf(50, perKey))
    await some(perKey * keys)
    await members.stop(second)

    requireExact(await counted())
    await bus.stop()
  })
}
