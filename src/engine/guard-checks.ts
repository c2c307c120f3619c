import { assert, SemelError } from '../errors.ts'
import { limits } from '../limits.ts'
import type {
  AppendBatch,
  AppendGroup,
  JoinRequest,
  ReadRequest,
  ScanRequest,
  SealRequest,
  TopicSpec,
  Unit,
} from './engine.ts'
import type { EngineFacts } from './facts.ts'

/*
 * What a user may have passed down is answered with an error; what only our own code can get wrong is asserted.
 * All of it costs per batch, request or key, never per event.
 */

/** One call may be larger than what a group of small ones is cut at. */
const groupEventsMax = Math.max(limits.publishManyEventsMax, limits.appendGroupEventsMax)

export function checkTopics(topics: readonly TopicSpec[]): void {
  const names = new Set<string>()
  for (const { name, partitions, dedupWindowMs } of topics) {
    if (name === '' || name.length > limits.topicNameCharsMax) {
      throw new SemelError('INVALID_TOPIC', `a topic name has 1 to ${limits.topicNameCharsMax} characters`, {
        limit: limits.topicNameCharsMax,
        actual: name.length,
      })
    }
    if (names.has(name)) throw new SemelError('TOPIC_CONTRADICTION', `topic ${name} is declared twice`)
    names.add(name)
    checkWhole('INVALID_OPTION', 'partitions', partitions, 1, limits.partitionsMax)
    checkWhole('INVALID_OPTION', 'dedupWindowMs', dedupWindowMs, 0, limits.dedupWindowMsMax)
  }
}

export function checkGroup({ calls, batches, failuresSeen }: AppendGroup): void {
  assert(isWhole(calls) && calls >= 1, 'a group holds at least one call')
  assert(isWhole(failuresSeen), 'failuresSeen is a count')
  let events = 0
  for (const batch of batches) {
    checkBatch(batch)
    const { callOf, records, rows } = batch
    assert(rows === undefined, 'only units bring rows')
    if (callOf !== undefined) {
      assert(callOf.length === records.length, 'every record of a mixed batch names its call')
      assert(callOf.at(-1)! < calls, 'a record belongs to a call of its group')
    }
    events += records.length
  }
  if (events <= groupEventsMax) return
  throw new SemelError('TOO_LARGE', `a group holds at most ${groupEventsMax} events`, {
    limit: groupEventsMax,
    actual: events,
  })
}

function checkBatch({ topic, partition, records, rows = [] }: AppendBatch): void {
  assert(topic !== '', 'a batch names its topic')
  checkOffset('partition', partition)
  assert(records.length > 0 || rows.length > 0, 'a batch is not empty')
}

export function checkRead({ partition, offset, maxEvents, maxBytes }: ReadRequest): void {
  checkOffset('partition', partition)
  checkOffset('offset', offset)
  checkWhole('INVALID_OPTION', 'maxEvents', maxEvents, 1, limits.readEventsMax)
  checkWhole('INVALID_OPTION', 'maxBytes', maxBytes, 1, limits.readBytesMax)
}

export function checkScan({ store, limit }: ScanRequest): void {
  checkStore(store)
  checkWhole('INVALID_OPTION', 'limit', limit, 1, Number.MAX_SAFE_INTEGER)
}

export function checkSeal(request: SealRequest): void {
  assert(request.holder !== '', 'a move has a name')
  if (request.step === 'move') assert(request.to !== '', 'a move goes somewhere')
  else if (request.step !== 'release')
    checkWhole('INVALID_OPTION', 'forMs', request.forMs, 1, limits.leaseMsMax)
}

export function checkJoin({ group, topics, leaseMs }: JoinRequest): void {
  if (group === '' || group.length > limits.groupNameCharsMax) {
    throw new SemelError('INVALID_GROUP', `a group name has 1 to ${limits.groupNameCharsMax} characters`, {
      limit: limits.groupNameCharsMax,
      actual: group.length,
    })
  }
  assert(topics.length > 0, 'a member names its topics')
  for (const { partitions } of topics) {
    checkWhole('INVALID_OPTION', 'partitions', partitions, 1, limits.partitionsMax)
  }
  checkWhole('INVALID_OPTION', 'leaseMs', leaseMs, limits.leaseMsMin, limits.leaseMsMax)
}

export function checkUnit({ lease, from, to, logId, appends, state }: Unit, facts: EngineFacts): void {
  assert(isWhole(lease.epoch) && lease.epoch >= 1, 'an epoch that was granted is at least 1')
  assert(isWhole(to) && (from === undefined || isWhole(from)), 'a position is an offset')
  assert(logId !== '', 'a position belongs to a log')
  for (const batch of appends) {
    checkBatch(batch)
    assert(batch.callOf === undefined, 'a unit is one call')
    assert(batch.rows === undefined || facts.emittedRows !== undefined, 'this engine takes records only')
  }
  for (const { store, keys, values } of state) {
    checkStore(store)
    assert(keys.length === values.length, 'every key has its value')
    assert(new Set(keys).size === keys.length, 'a key occurs at most once in a store')
  }
  assert(new Set(state.map(({ store }) => store)).size === state.length, 'a store occurs at most once')
}

function checkStore(store: string): void {
  assert(store !== '' && store.length <= limits.storeNameCharsMax, 'a store has a name within its limit')
}

export function checkOffset(field: string, value: number): void {
  checkWhole('INVALID_OFFSET', field, value, 0, Number.MAX_SAFE_INTEGER)
}

export function checkTime(value: number): void {
  if (Number.isFinite(value)) return
  throw new SemelError('INVALID_TIME', 'a time is a number of milliseconds since 1970', { field: 'time' })
}

function checkWhole(
  code: 'INVALID_OPTION' | 'INVALID_OFFSET',
  field: string,
  value: number,
  min: number,
  max: number,
): void {
  if (isWhole(value) && value >= min && value <= max) return
  throw new SemelError(code, `${field} is a whole number from ${min} to ${max}, not ${value}`, {
    field,
    limit: value > max ? max : min,
    actual: value,
  })
}

function isWhole(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}
