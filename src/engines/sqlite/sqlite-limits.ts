import { assert } from '../../errors.ts'

const kib = 1024
const mib = 1024 * kib

/** Bounds of this engine alone, each with its unit. All were chosen by measuring; bench/sqlite-*.ts measures again. */
export const sqliteLimits = {
  /** Events in one row. Larger rows cost less per event. */
  rowEventsMax: 256,
  /** The same where ids are the caller's own, may come again and are no UUIDs: then one event of a row must be looked up. */
  lookedUpRowEventsMax: 64,
  /** Bodies much longer than this are split into rows of about this many characters. */
  rowCharsTarget: 64 * 1024,
  /** Events that a task reads at once: about two rows. With more, what was read is in memory for longer. */
  taskReadEventsMax: 512,
  /** Requests and bytes that share one transaction. */
  groupRequestsMax: 256,
  groupBytesMax: 16 * mib,

  pageBytes: 8 * kib,
  writerCacheKib: 4 * kib,
  readerCacheKib: 2 * kib,
  /** The writer thread's young generation: its garbage is messages, which live briefly. */
  writerYoungMib: 24,
  /** Bytes written to the write-ahead log before they are copied into the file: larger spreads the copying. */
  checkpointBytes: 32 * mib,
  /** Beyond this, others are holding the log up: then the writer waits for them, this long. */
  walBytesMax: 128 * mib,
  checkpointWaitMs: 1_000,

  lockWaitMsDefault: 10_000,
  lockWaitMsMax: 600_000,
  /** A user transaction keeps all other writers of the file waiting, heartbeats too. */
  sessionMsMax: 5_000,
  sessionsWaitingMax: 10_000,
  requestMsMax: 120_000,

  /** Ids in memory before they are sealed, per topic, and all topics together. */
  hotIdsMax: 2 ** 18,
  hotIdsTotalMax: 2 ** 21,
  /** Time a commit may be prolonged by, for sealing and merging ids. */
  sealSliceMs: 2,
  /** A seal that made no step for this long belonged to a process that is gone. */
  sealClaimMs: 30_000,
} as const

assert(sqliteLimits.checkpointBytes < sqliteLimits.walBytesMax, 'a checkpoint is due before it is late')
assert(sqliteLimits.hotIdsMax < sqliteLimits.hotIdsTotalMax, 'one topic alone is not too much')
