/** How far an acknowledged write is safe (guarantees.md D1, D2, D3). */
export type Durability = 'fsync' | 'os' | 'memory'

/**
 * What an engine is, as data. The core branches on these facts and never on an engine's name; the guarantee table
 * in the docs and the skips of the conformance suite come from the same object.
 */
export interface EngineFacts {
  /** Name for people: error texts, status, docs. */
  readonly name: string
  /** Levels that `publish` can be acknowledged at, the strongest first. The first is the default. */
  readonly durability: readonly Durability[]
  /** Several processes may open the same log at once. */
  readonly sharedByProcesses: boolean
  /** Several machines may. */
  readonly sharedByMachines: boolean
  /** A reader that saw one event of a call can see all of it, in every partition (P3). */
  readonly atomicVisibility: boolean
  /** Where an event id is recognised again: at publishing, per topic (N1), or only by each group's inbox (N7). */
  readonly dedup: 'topic' | 'inbox'
  /** SQL dialect of `tx.query`, or `undefined` where no user transaction exists. */
  readonly sql: 'sqlite' | 'postgres' | undefined
  /** Who hands out partitions: the shared balancer over a lease table, or the broker's consumer group. */
  readonly ownership: 'lease-table' | 'broker-group'
  /** Offsets of a partition have no holes. Where false, never compute counts from offsets (P1). */
  readonly denseOffsets: boolean
  /** A topic can be sealed and moved to another engine while its publishers and groups run (`semel move`). */
  readonly seals: boolean
  /** Append groups that it is given before it has answered the first: many if it writes whatever waits at once. */
  readonly appendGroupsMax: number
  /**
   * Which part of a task's time its commits may take. 1: all of it. Less where a commit is work for a server that has
   * others to serve, whatever is in it: then more events share it.
   */
  readonly commitShareMax: number
  /**
   * Events that a task reads at once where a read costs little: the fewer, the shorter they are in memory. `undefined`: as many as
   * any reader.
   */
  readonly taskReadEventsMax: number | undefined
  /**
   * Size of the rows in which units bring what they emit, already encoded (`AppendBatch.rows`). `undefined`: all of it
   * comes as records.
   */
  readonly emittedRows: { readonly events: number; readonly chars: number } | undefined
  /** What decides append time. */
  readonly appendClock: 'process' | 'database' | 'broker'
}
