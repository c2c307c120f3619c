import { describe, test } from 'node:test'
import { postgres, postgresFacts } from '../../src/engines/postgres/index.ts'
import { engineConformance } from '../../src/testing/conformance/index.ts'
import { freshSchema } from '../rig/postgres/fresh.ts'
import { sharedPostgres } from '../rig/postgres/shared.ts'

for (const version of [16, 18] as const) {
  engineConformance({
    test,
    describe,
    name: `postgres ${version}`,
    facts: postgresFacts,
    instances: 'many',
    expectSkips: ['appendClock=database', 'retention=false', 'sql=postgres'],
    open: async () => {
      const server = await sharedPostgres(version)
      const schema = freshSchema(server)
      return {
        engine: () => postgres({ url: server.url, schema: schema.name }),
        dispose: () => schema.drop(),
      }
    },
  })
}
