// Writes the snapshot of the schema that the migrations lead to: `node scripts/postgres-schema.ts`
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { migratedSchema } from '../test/postgres/schema-text.ts'
import { startPostgres } from '../test/rig/postgres/server.ts'
import { root } from './run.ts'

await using server = await startPostgres({ version: 18, fsync: false })
writeFileSync(join(root, 'docs/internals/postgres-schema.sql'), await migratedSchema(server.url))
