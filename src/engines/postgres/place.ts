import { assert } from '../../errors.ts'

/** A place is one whole number for (partition of a topic, offset), so that an index of ids needs only one column. */
const offsetsPerPartition = 2 ** 42

export function placeOf(partition: number, offset: number): number {
  assert(offset < offsetsPerPartition, 'a place must be an exact number')
  return partition * offsetsPerPartition + offset
}

export function partitionOf(place: number): number {
  return Math.floor(place / offsetsPerPartition)
}

export function offsetOf(place: number): number {
  return place % offsetsPerPartition
}
