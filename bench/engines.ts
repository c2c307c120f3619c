import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { BenchCase } from './measure.ts'
import { postgresCases } from './postgres/index.ts'
import { sqliteCases } from './sqlite/index.ts'

const kafkaClient = join(import.meta.dirname, '../kafka/node_modules')
/** None without the client, which `npm run kafka:setup` compiles. */
const kafkaCases = existsSync(kafkaClient) ? (await import('./kafka/index.ts')).kafkaCases : []

/** Cases by engine. */
export const engines: Readonly<Record<string, readonly BenchCase[]>> = {
  sqlite: sqliteCases,
  postgres: postgresCases,
  kafka: kafkaCases,
}
