import type { Engine } from '../../engine/engine.ts'
import { MemoryEngine } from './memory-engine.ts'
import { MemoryLog } from './memory-log.ts'

export { memoryFacts } from './facts.ts'
export { MemoryLog } from './memory-log.ts'

export interface MemoryOptions {
  /** Where the data lives. Engines that are given the same one see the same events, like processes on one database. */
  readonly log?: MemoryLog | undefined
}

/**
 * The engine without durability, for tests and for learning how an engine works: events, positions and state end
 * with the process (D3). Everything else holds as on the durable engines.
 */
export function memory(options: MemoryOptions = {}): Engine {
  return new MemoryEngine(options.log ?? new MemoryLog())
}
