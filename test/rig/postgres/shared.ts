import { type PostgresAddress, type PostgresVersion, queryOnce, startPostgres } from './server.ts'

export const variables = { 16: 'SEMEL_TEST_PG16_URL', 18: 'SEMEL_TEST_PG18_URL' } as const

const shared = new Map<PostgresVersion, Promise<PostgresAddress>>()

/**
 * The one server of this version that all test files of a run share. Its address stands in the environment, set by
 * whoever called `startSharedPostgres` for the run; without that the file gets a server of its own, which ends with it.
 * Whatever a test does to the server as a whole, such as killing it, needs `startPostgres`.
 */
export function sharedPostgres(version: PostgresVersion): Promise<PostgresAddress> {
  let server = shared.get(version)
  if (server === undefined) {
    server = findShared(version)
    shared.set(version, server)
  }
  return server
}

async function findShared(version: PostgresVersion): Promise<PostgresAddress> {
  const name = variables[version]
  const url = process.env[name]
  if (url === undefined || url === '') return await startPostgres({ version })
  const rows = await queryOnce<{ server_version_num: string }>(url, 'show server_version_num').catch(
    (cause: unknown) => {
      throw new Error(`the server in ${name} does not answer: ${url}`, { cause })
    },
  )
  const found = Math.floor(Number(rows[0]!.server_version_num) / 10_000)
  if (found !== version) throw new Error(`${name} is the address of version ${found}`)
  return { url }
}

export interface SharedRun {
  /** For the environment of the test processes. */
  readonly env: Readonly<Record<string, string>>
  stop(): Promise<void>
}

/** For the script that runs the tests. What the environment already names is used as it is. */
export async function startSharedPostgres(
  versions: readonly PostgresVersion[] = [16, 18],
): Promise<SharedRun> {
  const wanted = versions.filter((version) => !process.env[variables[version]])
  const servers = await Promise.all(wanted.map((version) => startPostgres({ version })))
  const env = Object.fromEntries(servers.map((server) => [variables[server.version], server.url]))
  return {
    env,
    stop: async () => {
      await Promise.all(servers.map((server) => server.stop()))
    },
  }
}
