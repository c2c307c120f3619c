import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Figures } from '../measure.ts'
import { bootstrap, prefix } from './by-hand.ts'

const jars = join(import.meta.dirname, '../../.kafka/lib/*')
const source = join(import.meta.dirname, 'CountOrders.java')

export interface StreamsRun {
  /** For its state. */
  readonly folder: string
  /** Events that are counted before the measuring begins: a JVM is slow at first. */
  readonly warmUp: number
  readonly count: number
}

/** Kafka Streams counts the orders of each customer. The process is Java's own; compiling is not in the figure. */
export async function countWithStreams({ folder, warmUp, count }: StreamsRun): Promise<Figures> {
  const given = [bootstrap(), `${prefix}streams`, `${prefix}orders`, `${prefix}totals`, folder, warmUp, count]
  const flags = ['-Dorg.slf4j.simpleLogger.defaultLogLevel=error', '-cp', jars, source]
  const { stdout } = await promisify(execFile)('java', [...flags, ...given.map(String)])
  return { eventsPerSecond: Number(stdout.trim()) }
}
