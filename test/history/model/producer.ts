import type { SeededRandom } from '../../../src/platform/seeded-random.ts'
import type { HistoryClient, MicroCall, Placed, Sent } from '../../../src/testing/history/index.ts'
import { type Event, partitions, type TrueLog, topic } from './true-log.ts'

/** `lost`: done, and the answer did not come. `gone`: never done, and nobody knows. */
type Fate = 'ok' | 'fail' | 'lost' | 'gone'

interface Call {
  readonly events: readonly Event[]
  readonly fate: Fate
  readonly settle: (type: 'ok' | 'fail' | 'info', places: readonly Placed[]) => void
  places: readonly Placed[] | undefined
  settled: boolean
}

const callsOpenMax = 3
const batchMax = 4
const keys = ['red', 'green', 'blue', 'grey', 'pink']

export function partitionOfKey(key: string): number {
  return keys.indexOf(key) % partitions
}

/** Sends with several calls under way, applied in call order (P2), and retries what it does not know. */
export class Producer {
  readonly #log: TrueLog
  readonly #random: SeededRandom
  readonly #client: HistoryClient
  readonly #name: string
  readonly #open: Call[] = []
  readonly #retry: (readonly Event[])[] = []
  #sent = 0

  constructor(name: string, client: HistoryClient, log: TrueLog, random: SeededRandom) {
    this.#name = name
    this.#client = client
    this.#log = log
    this.#random = random
  }

  step(): void {
    const choice = this.#random.below(3)
    if (choice === 0 && this.#open.length < callsOpenMax) this.#start(this.#next())
    else if (choice === 1) this.#apply()
    else this.#settle(this.#random.below(Math.max(1, this.#open.length)))
  }

  /** Ends all calls. An unknown one may never have been done. */
  finish(): void {
    while (this.#open.length > 0) {
      while (this.#apply());
      this.#settle(0)
    }
  }

  #next(): readonly Event[] {
    const again = this.#retry.shift()
    if (again !== undefined) return again
    const count = this.#random.below(3) === 0 ? 2 + this.#random.below(batchMax - 1) : 1
    return Array.from({ length: count }, () => this.#event())
  }

  #event(): Event {
    const val = `${this.#name}-${this.#sent++}`
    const key = keys[this.#random.below(keys.length)]!
    return {
      val,
      id: this.#random.below(2) === 0 ? val : `id-${val}`,
      key,
      crc: this.#random.uint32(),
      n: 1 + this.#random.below(9),
      p: partitionOfKey(key),
      poison: this.#random.below(12) === 0,
    }
  }

  #start(events: readonly Event[]): void {
    const fate = (['ok', 'ok', 'ok', 'ok', 'ok', 'ok', 'fail', 'lost', 'gone'] as const)[
      this.#random.below(9)
    ]!
    this.#open.push({
      events,
      fate,
      settle: events.length === 1 ? this.#publish(events[0]!) : this.#batch(events),
      places: undefined,
      settled: false,
    })
  }

  #publish(event: Event): Call['settle'] {
    const operation = this.#client.start('publish', sentOf(event))
    return (type, places) => {
      if (type === 'ok') operation.ok(places[0])
      else operation[type](type === 'fail' ? 'BUSY' : 'TIMEOUT')
    }
  }

  #batch(events: readonly Event[]): Call['settle'] {
    const micro: MicroCall[] = events.map((event) => ({ f: 'send', ...sentOf(event) }))
    const operation = this.#client.start(this.#random.below(2) === 0 ? 'tx' : 'publishMany', { micro })
    return (type, places) => {
      if (type === 'ok') operation.ok({ micro: places })
      else operation[type](type === 'fail' ? 'ABORTED' : 'TIMEOUT')
    }
  }

  /** Does the first call that is still to be done. An unknown one may be done after its caller gave up. */
  #apply(): boolean {
    const call = this.#open.find((each) => each.places === undefined)
    if (call === undefined) return false
    call.places = call.fate === 'ok' || call.fate === 'lost' ? this.#log.append(call.events) : []
    if (call.settled) this.#open.splice(this.#open.indexOf(call), 1)
    return true
  }

  #settle(index: number): void {
    const call = this.#open[index]
    if (call === undefined || call.settled) return
    const unknown = call.fate === 'lost' || call.fate === 'gone'
    if (call.places === undefined && !unknown) return
    call.settle(unknown ? 'info' : call.fate === 'ok' ? 'ok' : 'fail', call.places ?? [])
    call.settled = true
    if (unknown && this.#random.below(3) > 0) this.#retry.push(call.events)
    if (call.places !== undefined) this.#open.splice(this.#open.indexOf(call), 1)
  }
}

function sentOf({ val, id, key, crc, n }: Event): Sent {
  return { topic, key, id, val, crc, n }
}
