import type { Random } from '../platform/platform.ts'

/** Three hex digits of 12 bits. */
const hex3: readonly string[] = Array.from({ length: 4096 }, (_, i) => i.toString(16).padStart(3, '0'))
const counterMax = 2 ** 42 - 1

/**
 * Monotonic UUIDv7 ids (RFC 9562, section 5.7 with the fixed-length counter of section 6.2, method 1):
 * 48 bits of milliseconds, 42 bits of counter seeded at random each millisecond, 32 random bits.
 * Ids of one generator sort in the order they were made, also when the wall clock steps back.
 */
export class UuidV7Generator {
  readonly #random: Random
  #lastMs = 0
  #counter = 0
  #prefix = ''
  /** The first 24 characters, as long as only the counter's lowest 16 bits change. */
  #head = ''
  #headOf = -1

  constructor(random: Random) {
    this.#random = random
  }

  /** `nowMs`: the wall clock. */
  next(nowMs: number): string {
    if (nowMs > this.#lastMs || this.#counter >= counterMax)
      this.#startMillisecond(Math.max(nowMs, this.#lastMs + 1))
    const counter = ++this.#counter
    const upper = Math.floor(counter / 2 ** 16)
    if (upper !== this.#headOf) this.#startHead(upper)
    const lower = counter % 2 ** 16
    const tail = this.#random.uint32()
    // 16 bits of counter and 32 random ones are 48: four times three digits.
    const first = hex3[lower >>> 4]! + hex3[((lower & 0xf) << 8) | (tail >>> 24)]!
    return this.#head + (first + hex3[(tail >>> 12) & 0xfff]! + hex3[tail & 0xfff]!)
  }

  /** The counter's upper 26 bits: 12 beside the version, 14 beside the variant. */
  #startHead(upper: number): void {
    this.#headOf = upper
    const variant = (0b10 << 14) | (upper % 2 ** 14)
    this.#head = `${this.#prefix}7${hex3[Math.floor(upper / 2 ** 14)]}-${variant.toString(16)}-`
  }

  #startMillisecond(ms: number): void {
    this.#lastMs = ms
    // Half the range is left free, so a burst within one millisecond cannot run over.
    this.#counter = (this.#random.uint32() % 2 ** 20) * 2 ** 21
    const text = ms.toString(16).padStart(12, '0')
    this.#prefix = `${text.slice(0, 8)}-${text.slice(8)}-`
    this.#headOf = -1
  }
}
