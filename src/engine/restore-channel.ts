import { channel } from 'node:diagnostics_channel'

/**
 * A local copy of a task's state is brought up to date: `{ group, topic, partition, restored, left }`, in records of its
 * changelog. Each batch is one message; `left` is 0 in the last, and an upper bound before.
 */
export const restoreChannel = channel('semel:restore')
