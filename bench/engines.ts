import type { BenchCase } from './measure.ts'
import { postgresCases } from './postgres/index.ts'
import { sqliteCases } from './sqlite/index.ts'

/** Cases by engine. */
export const engines: Readonly<Record<string, readonly BenchCase[]>> = {
  sqlite: sqliteCases,
  postgres: postgresCases,
}
