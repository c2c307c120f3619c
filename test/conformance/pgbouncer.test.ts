import { after, before, describe, test } from 'node:test'
import { postgres, postgresFacts } from '../../src/engines/postgres/index.ts'
import { engineConformance } from '../../src/testing/conformance/index.ts'
import { freshSchema } from '../rig/postgres/fresh.ts'
import { type PgBouncer, startPgBouncer } from '../rig/postgres/pgbouncer.ts'
import { sharedPostgres } from '../rig/postgres/shared.ts'

// Each transaction may run in another session of the server: whoever leaves something in one is found out here (Q9).
const server = await sharedPostgres(18)
let pooler: PgBouncer
before(async () => {
  pooler = await startPgBouncer(server, { mode: 'transaction', poolSize: 8 })
})
after(() => pooler.stop())

engineConformance({
  test,
  describe,
  name: 'postgres 18 through PgBouncer in transaction mode',
  facts: postgresFacts,
  instances: 'many',
  expectSkips: ['appendClock=database', 'retention=false', 'sql=postgres'],
  open: () => {
    const schema = freshSchema(server)
    return {
      engine: () => postgres({ url: pooler.url, schema: schema.name, notify: false }),
      dispose: () => schema.drop(),
    }
  },
})
