import type { Platform } from '../platform/platform.ts'

const hex: readonly string[] = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'))
const counterMax = 2 ** 42 - 1

/**
 * Monotonic UUIDv7 ids (RFC 9562, section 5.7 with the fixed-length counter of section 6.2, method 1):
 * 48 bits of milliseconds, 42 bits of counter seeded at random each millisecond, 32 random bits.
 * Ids of one generator sort in the order they were made, also when the wall clock steps back.
 */
export class UuidV7Generator {
  readonly #platform: Platform
  #lastMs = 0
  #counter = 0
  #prefix = ''

  constructor(platform: Platform) {
    this.#platform = platform
  }

  next(): string {
    const now = this.#platform.clock.now()
    if (now > this.#lastMs || this.#counter >= counterMax)
      this.#startMillisecond(Math.max(now, this.#lastMs + 1))
    const counter = ++this.#counter
    // counter: 12 bits beside the version, 30 bits beside the variant
    const high = Math.floor(counter / 2 ** 30)
    const low = counter % 2 ** 30
    const tail = this.#platform.random.uint32()
    return `${this.#prefix}7${hex[high >>> 8]![1]}${hex[high & 0xff]}-${hex[0x80 | (low >>> 24)]}${hex[(low >>> 16) & 0xff]}-${hex[(low >>> 8) & 0xff]}${hex[low & 0xff]}${hex[tail >>> 24]}${hex[(tail >>> 16) & 0xff]}${hex[(tail >>> 8) & 0xff]}${hex[tail & 0xff]}`
  }

  #startMillisecond(ms: number): void {
    this.#lastMs = ms
    // Half the range is left free, so a burst within one millisecond cannot run over.
    this.#counter = (this.#platform.random.uint32() % 2 ** 20) * 2 ** 21
    const text = ms.toString(16).padStart(12, '0')
    this.#prefix = `${text.slice(0, 8)}-${text.slice(8)}-`
  }
}
