import { assert } from '../../errors.ts'

/**
 * A place is one whole number for (partition, offset): the rowid of the batch table, so that one b-tree holds the
 * log of all partitions in order, without a second index.
 */
const offsetsPerPartition = 2 ** 40

/** Largest partition number of a file: places stay exact as JavaScript numbers. */
export const partitionIdMax = 2 ** 53 / offsetsPerPartition - 1

/** `offset` may be one past the last. */
export function placeOf(partitionId: number, offset: number): number {
  assert(offset <= offsetsPerPartition && partitionId <= partitionIdMax, 'a place must be an exact number')
  return partitionId * offsetsPerPartition + offset
}

export function partitionIdOf(place: number): number {
  return Math.floor(place / offsetsPerPartition)
}

export function offsetOf(place: number): number {
  return place % offsetsPerPartition
}
