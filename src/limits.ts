import { assert } from './errors.ts'

const kib = 1024
const mib = 1024 * kib
const second = 1000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

/**
 * Every bound of the library, each with its unit in its name. Reaching one is a typed answer, never growth.
 * `…Default` values can be changed by an option; all others are fixed.
 */
export const limits = {
  topicNameCharsMax: 200,
  groupNameCharsMax: 200,
  storeNameCharsMax: 100,
  idBytesMax: 256,
  keyBytesMax: 1 * kib,
  attributeBytesMax: 4 * kib,
  attributesMax: 32,
  partitionsMax: 1024,
  eventDataBytesMax: 1 * mib,
  dataDepthMax: 64,
  stateValueBytesMax: 1 * mib,
  publishManyEventsMax: 10_000,

  publishQueueEventsDefault: 50_000,
  publishQueueBytesDefault: 64 * mib,
  publishDeadlineMsDefault: 30 * second,
  appendGroupEventsMax: 4_000,
  appendGroupBytesMax: 8 * mib,

  dedupWindowMsDefault: 7 * day,
  dedupWindowMsMax: 365 * day,

  readEventsMax: 4_000,
  readBytesMax: 8 * mib,
  /** Events that the tasks of a bus have read and not passed yet, their objects counted as well. */
  readAheadBytesMax: 32 * mib,

  concurrencyDefault: 16,
  concurrencyMax: 10_000,
  windowEventsDefault: 16_000,
  unitEventsMax: 10_000,
  unitBytesMax: 16 * mib,
  /** The open units of all tasks of a bus, and as much again that is being committed. */
  openUnitsBytesMax: 64 * mib,
  /** From then on a unit with SQL takes no more statements; somewhat later, not even those that were sent ahead. */
  sqlUnitAgeMsMax: 200,
  sqlUnitOverdueMs: 300,
  finishedRangesMax: 16_000,
  emitsPerEventMax: 10_000,
  hotStateEntriesMax: 200_000,

  handlerTimeoutMsDefault: 30 * second,
  retryAttemptsDefault: 5,
  retryBaseDelayMsDefault: 100,
  retryMaxDelayMsDefault: 30 * second,
  errorTextCharsMax: 4_000,

  /** Longer units fold more and cost less per event; events count when their unit is committed. */
  unitAgeMsDefault: 100,
  unitAgeMsMax: 5 * second,
  /** Where commits may take only a share of the time, a task waits at most so long for the next. */
  unitRestMsMax: 1 * second,

  leaseMsDefault: 10 * second,
  leaseMsMin: 200,
  leaseMsMax: 10 * minute,
  stopDeadlineMsDefault: 30 * second,
  pollMsMin: 2,
  pollMsMax: 50,
  waitMsMax: 365 * day,
} as const

assert(limits.eventDataBytesMax <= limits.appendGroupBytesMax, 'one event must fit into one append group')
assert(limits.eventDataBytesMax <= limits.readBytesMax, 'one event must fit into one read')
assert(limits.eventDataBytesMax <= limits.unitBytesMax, 'one event must fit into one unit')
assert(limits.pollMsMin < limits.leaseMsMin, 'a lease must outlive a poll')
