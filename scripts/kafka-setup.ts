// Prepares what Kafka work needs: the compiled client in kafka/node_modules and the broker's jars in .kafka/lib.
// `node scripts/kafka-setup.ts` does what is missing, `--check` only tells it. Both may be run any number of times.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { classArchive, startKafka } from '../test/rig/kafka/broker.ts'
import { root, run } from './run.ts'

const clientFolder = join(root, 'kafka')
const jarFolder = join(root, '.kafka/lib')
const client = '@confluentinc/kafka-javascript'
const debianPackages = [
  'libcurl4-openssl-dev',
  'libssl-dev',
  'zlib1g-dev',
  'libsasl2-dev',
  'libzstd-dev',
  'liblz4-dev',
]
const copyDependencies = 'org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies'

interface Step {
  readonly name: string
  /** What is missing, in words; `undefined` if nothing is. */
  missing(): string | undefined
  make(): Promise<void>
}

const steps: readonly Step[] = [
  {
    name: 'Java and Maven',
    missing: () =>
      listed(['java', 'mvn', 'g++', 'make', 'python3'].filter((command) => !commandExists(command))),
    make: async () => {
      const packages = { java: 'openjdk-17-jre-headless', mvn: 'maven', 'g++': 'g++', make: 'make' } as const
      const wanted = Object.entries({ ...packages, python3: 'python3' })
      await installPackages(wanted.filter(([command]) => !commandExists(command)).map(([, name]) => name))
    },
  },
  {
    name: 'broker jars',
    missing: () => (jarsArePresent() ? undefined : `no Kafka ${kafkaVersion()} in .kafka/lib`),
    make: fetchJars,
  },
  {
    name: 'class archive',
    missing: () => (existsSync(classArchive) ? undefined : 'brokers start in twice the time'),
    make: recordClasses,
  },
  {
    name: 'client',
    missing: () => whyClientDoesNotLoad(),
    make: buildClient,
  },
]

function listed(names: readonly string[]): string | undefined {
  return names.length === 0 ? undefined : names.join(', ')
}

function commandExists(command: string): boolean {
  return (process.env.PATH ?? '').split(':').some((folder) => existsSync(join(folder, command)))
}

const canInstall = () => process.getuid?.() === 0 && commandExists('apt-get')

async function installPackages(packages: readonly string[]): Promise<void> {
  if (packages.length === 0) return
  if (!canInstall()) throw new Error(`please install ${packages.join(' ')} (not root, or no apt here)`)
  const environment = { DEBIAN_FRONTEND: 'noninteractive' }
  const install = ['apt-get', 'install', '-y', '-q', '--no-install-recommends', ...packages]
  if ((await runQuietly(install, environment)) === 0) return
  await runQuietly(['apt-get', 'update', '-q'], environment)
  await must(install, environment)
}

function kafkaVersion(): string {
  const pom = readFileSync(join(clientFolder, 'pom.xml'), 'utf8')
  return /<kafka\.version>([^<]+)</.exec(pom)![1]!
}

function jarsArePresent(): boolean {
  if (!existsSync(jarFolder)) return false
  const jars = readdirSync(jarFolder)
  const wanted = ['kafka_2.13', 'kafka-tools', 'kafka-streams'].map((name) => `${name}-${kafkaVersion()}.jar`)
  return wanted.every((jar) => jars.includes(jar)) && jars.some((jar) => jar.startsWith('slf4j-simple'))
}

/** Into a folder of another name first: a broken download must not look like a finished one. */
async function fetchJars(): Promise<void> {
  const partial = `${jarFolder}.partial`
  rmSync(partial, { recursive: true, force: true })
  mkdirSync(partial, { recursive: true })
  const target = [`-DoutputDirectory=${partial}`, '-DincludeScope=runtime']
  await must(['mvn', '-q', '-B', '-f', 'kafka/pom.xml', copyDependencies, ...target])
  for (const old of [jarFolder, classArchive, join(root, '.kafka/formatted')])
    rmSync(old, { recursive: true, force: true })
  renameSync(partial, jarFolder)
}

/** The JVM writes the archive when a broker that was told so ends by itself. */
async function recordClasses(): Promise<void> {
  await using kafka = await startKafka({ brokers: 1, java: [`-XX:ArchiveClassesAtExit=${classArchive}`] })
  await kafka.brokers[0]!.stop()
}

/** Loads it in another process: it is bound to one Node version, and a half-written binary may crash its reader. */
function whyClientDoesNotLoad(): string | undefined {
  const wanted = lockedClientVersion()
  const manifest = join(clientFolder, 'node_modules', client, 'package.json')
  if (!existsSync(manifest)) return `${client} ${wanted} is not installed in kafka/`
  const { version } = JSON.parse(readFileSync(manifest, 'utf8'))
  if (version !== wanted) return `kafka/ has ${client} ${version}, wanted is ${wanted}`
  const load = `require('${client}').librdkafkaVersion`
  const result = spawnSync(process.execPath, ['-e', load], { cwd: clientFolder, encoding: 'utf8' })
  if (result.status === 0) return undefined
  const reason = /^\w*Error: .*/m.exec(result.stderr)?.[0] ?? result.stderr.trim().split('\n')[0]
  return `${client} does not load in Node ${process.version}: ${reason}`
}

function lockedClientVersion(): string {
  const lock = JSON.parse(readFileSync(join(clientFolder, 'package-lock.json'), 'utf8'))
  return lock.packages[`node_modules/${client}`].version
}

/**
 * Takes the ready binary where it can be had, which is outside the registry. Otherwise compiles, with the headers of
 * the Node that runs this and the system's libraries: the sources of its own would also come from elsewhere.
 */
async function buildClient(): Promise<void> {
  if (canInstall()) await installPackages(debianPackages)
  const path = `${process.execPath.replace(/\/[^/]+$/, '')}:${process.env.PATH ?? ''}`
  const npm = (args: readonly string[], environment: NodeJS.ProcessEnv = {}) =>
    must(['env', '-C', clientFolder, 'npm', ...args], { ...environment, PATH: path })
  await npm(['ci', '--ignore-scripts', '--no-audit', '--no-fund'])
  console.log('without a ready binary to get, librdkafka and the client are compiled: two minutes')
  // In parallel it breaks: its build does not say that everything needs librdkafka's configuration first.
  const nodedir = await nodeHeaders()
  const environment = { CKJS_LINKING: 'dynamic', ...(nodedir && { npm_config_nodedir: nodedir }) }
  await npm(['rebuild', client], environment)
}

/** The folder that holds include/node of the running Node; from its platform package in the registry. */
async function nodeHeaders(): Promise<string | undefined> {
  const beside = join(process.execPath, '../..')
  if (existsSync(join(beside, 'include/node/node_version.h'))) return beside
  const name = `node-${process.platform}-${process.arch}`
  const folder = join(root, '.kafka', `headers-${process.version}`)
  const headers = join(folder, 'node_modules', name)
  if (existsSync(join(headers, 'include/node/node_version.h'))) return headers
  mkdirSync(folder, { recursive: true })
  const wanted = `${name}@${process.versions.node}`
  const code = await run([
    'npm',
    'install',
    '--no-save',
    '--no-audit',
    '--no-fund',
    '--prefix',
    folder,
    wanted,
  ])
  return code === 0 ? headers : undefined
}

async function must(command: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<void> {
  const code = await runQuietly(command, environment)
  if (code !== 0) throw new Error(`${command.slice(0, 6).join(' ')} ended with ${code}`)
}

/** Shows the output only if the command fails: a compiler that succeeds has 3,000 lines to say. */
function runQuietly(command: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  const [name, ...args] = command
  const options = { cwd: root, env: { ...process.env, ...environment }, stdio: 'pipe' } as const
  const child = spawn(name!, args, options)
  const output: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => output.push(chunk))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      if (code !== 0) process.stderr.write(Buffer.concat(output).subarray(-20_000))
      resolve(code ?? 1)
    })
  })
}

async function main(): Promise<void> {
  const onlyCheck = process.argv.includes('--check')
  for (const step of steps) {
    const missing = step.missing()
    console.log(`${step.name}: ${missing ?? 'ready'}`)
    if (missing === undefined) continue
    process.exitCode = onlyCheck ? 1 : 0
    if (onlyCheck) continue
    const start = performance.now()
    await step.make()
    const left = step.missing()
    if (left !== undefined) throw new Error(`${step.name}: still ${left}`)
    console.log(`${step.name}: done in ${((performance.now() - start) / 1000).toFixed(1)} s`)
  }
}

await main()
