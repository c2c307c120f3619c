// Runs the tests. `node scripts/test.ts [--group unit,crash] [test files] [options of node --test]`
import { globSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startSharedPostgres } from '../test/rig/postgres/shared.ts'
import { root, run } from './run.ts'

// A group is a folder of test/; what is in no group's folder is a unit test. Kafka needs a broker, so it is asked for.
const folders = [
  'conformance',
  'property',
  'simulation',
  'crash',
  'package',
  'postgres',
  'inbox',
  'failover',
  'kafka',
]
const byDefault = ['unit', ...folders].filter((group) => group !== 'kafka')

function groupOf(file: string): string {
  return folders.find((folder) => file.startsWith(`test/${folder}/`)) ?? 'unit'
}

function groupsAskedFor(names: string | undefined): string[] {
  if (names === undefined) return byDefault
  if (names === 'all') return ['unit', ...folders]
  const groups = names.split(',')
  const unknown = groups.find((group) => group !== 'unit' && !folders.includes(group))
  if (unknown === undefined) return groups
  console.error(`no group ${unknown}: there are unit, ${folders.join(', ')} and all`)
  process.exit(1)
}

function splitArguments(): { group: string | undefined; files: string[]; rest: string[] } {
  const { tokens } = parseArgs({ options: { group: { type: 'string' } }, strict: false, tokens: true })
  const files: string[] = []
  const rest: string[] = []
  let group: string | undefined
  for (const token of tokens) {
    if (token.kind === 'option' && token.name === 'group') group = token.value
    else if (token.kind === 'option')
      rest.push(token.value ? `${token.rawName}=${token.value}` : token.rawName)
    else if (token.kind === 'positional') (/\.test\.ts$/.test(token.value) ? files : rest).push(token.value)
  }
  return { group, files, rest }
}

const { group, files, rest } = splitArguments()
const groups = groupsAskedFor(group)
const chosen = globSync('test/**/*.test.ts', { cwd: root }).filter((file) => groups.includes(groupOf(file)))
const asked = files.length > 0 ? files : chosen.sort()
if (asked.length === 0) {
  console.error(`no tests in ${groups.join(', ')}`)
  process.exit(1)
}

// Most tests wait for a disk or a server, so on a small machine two files at a time still leave a core some room.
const concurrency = Math.max(2, availableParallelism())
const options = [
  '--test',
  '--test-reporter=spec',
  `--test-concurrency=${concurrency}`,
  '--test-timeout=600000',
  `--import=${join(root, 'scripts/test-file-limit.ts')}`,
]

// Two servers for all files: starting them again in each would cost more than many of the tests.
const needServers = asked.some((file) => readFileSync(join(root, file), 'utf8').includes('postgres'))
/** Hundreds of processes load the same sources: whoever comes later need not strip and compile them again. */
const compileCache = join(root, 'node_modules/.cache/semel-tests')
const servers = await startSharedPostgres(needServers ? [16, 18] : [])
try {
  process.exitCode = await run([process.execPath, ...options, ...rest, ...asked], {
    NODE_COMPILE_CACHE: compileCache,
    ...servers.env,
  })
} finally {
  await servers.stop()
}
