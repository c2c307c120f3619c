import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, globSync, openSync, readFileSync } from 'node:fs'
import { cp, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { BrokerAccess } from '../../../src/engines/kafka/broker-access.ts'
import { blockingCalls } from '../../../src/engines/kafka/client.ts'
import { freePort } from '../ports.ts'
import { liveBrokers, partitionsOutOfSync } from './questions.ts'

const kept = join(import.meta.dirname, '../../../.kafka')
const jars = join(kept, 'lib')
/** Classes of a started broker as the JVM wants them in memory: halves the time a start takes. Made by the setup. */
export const classArchive = join(kept, 'broker.jsa')
// One for all: clusters are told apart by their ports, and what formatting makes can be kept.
const clusterId = 'c2VtZWwtcmlnLWNsdXN0ZQ'
const readyTimeoutMs = 60_000
/** A leader waits up to 30 s for an answer of a controller that is silent. */
const inSyncTimeoutMs = 60_000
/** A broker that leaves waits up to five minutes for its controller, which here is itself. */
const leaveTimeoutMs = 60_000

export interface KafkaOptions {
  readonly brokers: 1 | 3
  /** Added to every broker's server.properties, over the defaults below. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>
  /** Added to Java's own options, such as another heap size. */
  readonly java?: readonly string[]
  /** How the rig itself reaches the brokers, where the settings ask for TLS or SASL. */
  readonly access?: BrokerAccess
  /** The port that clients are told instead of the broker's own, for a proxy in between. */
  readonly advertise?: (id: number, port: number) => number | Promise<number>
}

export interface Kafka extends AsyncDisposable {
  /** For `bootstrap.servers`. */
  readonly bootstrap: string
  readonly brokers: readonly Broker[]
  /**
   * Every broker says that all copies are in sync. One that came back is not yet: with another one gone, two of three
   * copies are missing, and nothing is written (`min.insync.replicas`) until its leaders have found the new controller, after 30 s.
   */
  inSync(): Promise<void>
  /** Ends all brokers and removes their data. */
  stop(): Promise<void>
}

/** Real brokers in KRaft mode, on loopback, with data in a temporary folder. They end when this process ends. */
export async function startKafka(options: KafkaOptions): Promise<Kafka> {
  if (!existsSync(jars)) throw new Error('no broker in .kafka/lib: run `npm run kafka:setup`')
  const folder = await mkdtemp(join(tmpdir(), 'semel-kafka-'))
  const nodes = await planNodes(options)
  const brokers = nodes.map((node) => new Broker(node, join(folder, `broker-${node.id}`), options))
  const stop = async () => {
    await Promise.all(brokers.map((broker) => broker.kill9()))
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await Promise.all(nodes.map((node, index) => brokers[index]!.format(propertiesOf(node, nodes, options))))
    await Promise.all(brokers.map((broker) => broker.start(brokers.length)))
  } catch (error) {
    await stop()
    throw error
  }
  const inSync = () => untilInSync(brokers, options.access)
  const bootstrap = nodes.map((node) => `127.0.0.1:${node.advertised}`).join(',')
  return { bootstrap, brokers, inSync, stop, [Symbol.asyncDispose]: stop }
}

async function untilInSync(brokers: readonly Broker[], access: BrokerAccess | undefined): Promise<void> {
  const deadline = performance.now() + inSyncTimeoutMs
  for (;;) {
    const asked = brokers.map(({ port }) => partitionsOutOfSync(port, access).catch(() => undefined))
    const lacking = await Promise.all(asked)
    if (lacking.every((count) => count === 0)) return
    if (performance.now() > deadline)
      throw new Error(`partitions out of sync, as each broker says: ${lacking}`)
    await sleep(50)
  }
}

interface Node {
  readonly id: number
  readonly port: number
  readonly controllerPort: number
  readonly advertised: number
}

async function planNodes({ brokers, advertise }: KafkaOptions): Promise<Node[]> {
  const nodes: Node[] = []
  for (let id = 1; id <= brokers; id++) {
    const port = await freePort()
    const advertised = (await advertise?.(id, port)) ?? port
    nodes.push({ id, port, controllerPort: await freePort(), advertised })
  }
  return nodes
}

/** Small, and quick to notice a death: a broker of the dead is missed after 3 s, a transaction of theirs at once. */
function propertiesOf(node: Node, nodes: readonly Node[], options: KafkaOptions): Record<string, unknown> {
  const copies = nodes.length
  const inSync = Math.max(1, copies - 1)
  return {
    'process.roles': 'broker,controller',
    'node.id': node.id,
    'controller.quorum.voters': nodes
      .map(({ id, controllerPort }) => `${id}@127.0.0.1:${controllerPort}`)
      .join(','),
    listeners: `PLAINTEXT://127.0.0.1:${node.port},CONTROLLER://127.0.0.1:${node.controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${node.advertised}`,
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'auto.create.topics.enable': false,
    'default.replication.factor': copies,
    'min.insync.replicas': inSync,
    'offsets.topic.replication.factor': copies,
    'offsets.topic.num.partitions': 4,
    'transaction.state.log.replication.factor': copies,
    'transaction.state.log.min.isr': inSync,
    'transaction.state.log.num.partitions': 4,
    'share.coordinator.state.topic.replication.factor': copies,
    'share.coordinator.state.topic.min.isr': inSync,
    'transaction.abort.timed.out.transaction.cleanup.interval.ms': 500,
    'group.initial.rebalance.delay.ms': 0,
    'group.min.session.timeout.ms': 1_000,
    'group.consumer.min.session.timeout.ms': 1_000,
    'group.consumer.session.timeout.ms': 6_000,
    'group.consumer.min.heartbeat.interval.ms': 200,
    'group.consumer.heartbeat.interval.ms': 500,
    'broker.session.timeout.ms': 3_000,
    'broker.heartbeat.interval.ms': 500,
    'log.cleaner.dedupe.buffer.size': 16 << 20,
    'num.network.threads': 2,
    'num.io.threads': 4,
    ...options.settings,
  }
}

/**
 * One broker, also a controller. UP -> DOWN by `stop` (clean) or `kill9`, UP -> PAUSED by `pause`; `start` and `resume`
 * bring it back with its data.
 */
export class Broker {
  readonly id: number
  readonly port: number
  readonly #folder: string
  readonly #java: readonly string[]
  readonly #access: BrokerAccess | undefined
  #child: ChildProcess | undefined

  constructor({ id, port }: Node, folder: string, { java = [], access }: KafkaOptions) {
    this.id = id
    this.port = port
    this.#folder = folder
    this.#java = java
    this.#access = access
  }

  /** Of the running Java process; `undefined` while it is down. */
  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** What the broker has printed, for a failed test. */
  get log(): string {
    const file = join(this.#folder, 'broker.log')
    return existsSync(file) ? readFileSync(file, 'utf8') : ''
  }

  /** Formatting takes a JVM and depends on the node id alone, so its result is kept for the next time. */
  async format(properties: Readonly<Record<string, unknown>>): Promise<void> {
    await mkdir(this.#folder, { recursive: true })
    const data = join(this.#folder, 'data')
    const lines = Object.entries({ ...properties, 'log.dirs': data }).map(
      ([key, value]) => `${key}=${value}\n`,
    )
    const file = join(this.#folder, 'server.properties')
    await writeFile(file, lines.join(''))
    const formatted = join(kept, 'formatted', String(this.id))
    if (!existsSync(formatted)) {
      const format = ['kafka.tools.StorageTool', 'format', '-t', clusterId, '-c', file]
      await promisify(execFile)('java', [...javaOptions(), ...format])
      await keep(data, formatted)
    } else await cp(formatted, data, { recursive: true })
  }

  /** Ready means: it answers, and counts itself and as many brokers as are wanted among the living. */
  async start(brokersWanted = 1): Promise<void> {
    if (this.#child !== undefined) throw new Error(`broker ${this.id} is running`)
    const output = openSync(join(this.#folder, 'broker.log'), 'a')
    const java = [
      'java',
      '-Xmx512m',
      ...javaOptions(),
      ...this.#java,
      'kafka.Kafka',
      join(this.#folder, 'server.properties'),
    ]
    const [command, ...args] = [...withParent, ...java]
    const child = spawn(command!, args, { stdio: ['ignore', output, output], cwd: this.#folder })
    closeSync(output)
    this.#child = child
    running.add(child)
    child.once('exit', () => {
      running.delete(child)
      if (this.#child === child) this.#child = undefined
    })
    await this.#ready(child, brokersWanted)
  }

  async #ready(child: ChildProcess, brokersWanted: number): Promise<void> {
    const deadline = performance.now() + readyTimeoutMs
    while (performance.now() < deadline) {
      if (this.#child !== child) break
      const alive = await liveBrokers(this.port, this.#access).catch((): number[] => [])
      if (alive.length >= brokersWanted && alive.includes(this.id)) return
      await sleep(50)
    }
    throw new Error(`broker ${this.id} did not get ready:\n${this.log.slice(-4_000)}`)
  }

  /** Asks it to leave: leadership moves away first. */
  stop(): Promise<void> {
    return this.#end('SIGTERM')
  }

  kill9(): Promise<void> {
    return this.#end('SIGKILL')
  }

  /** Alive and silent: connections stay open, nothing is answered. Resolves when its last thread stands still. */
  async pause(): Promise<void> {
    this.#child?.kill('SIGSTOP')
    while (this.pid !== undefined && !standsStill(this.pid)) await sleep(1)
  }

  resume(): void {
    this.#child?.kill('SIGCONT')
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#child
    if (child === undefined) return
    const gone = once(child, 'exit')
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), leaveTimeoutMs)
    const [, endedBy] = await gone
    clearTimeout(timer)
    if (endedBy !== null && endedBy !== signal)
      throw new Error(
        `broker ${this.id} did not leave within ${leaveTimeoutMs} ms:\n${this.log.slice(-4_000)}`,
      )
  }
}

const running = new Set<ChildProcess>()
process.once('exit', (code) => {
  for (const child of running) child.kill('SIGKILL')
  // With the brokers gone, a call that waits for one never comes back, and this process would wait for it for ever.
  if (blockingCalls() > 0) process.execve?.('/bin/sh', ['sh', '-c', `exit ${code}`])
})

// The kernel ends the broker with its parent, however that one dies. Elsewhere than on Linux only a clean exit does.
const withParent = globSync('/usr/bin/setpriv').length > 0 ? ['setpriv', '--pdeathsig', 'KILL', '--'] : []

/** On a busy machine a thread may go on for a while after the signal. Where there is no /proc, nobody can tell. */
function standsStill(pid: number): boolean {
  const states = globSync(`/proc/${pid}/task/*/stat`).map((file) => readFileSync(file, 'utf8'))
  return states.every((stat) => /^\d+ \(.*\) [tTXZ]/.test(stat))
}

function javaOptions(): string[] {
  const archive = existsSync(classArchive) ? [`-XX:SharedArchiveFile=${classArchive}`] : []
  const log = ['-Dorg.slf4j.simpleLogger.defaultLogLevel=warn', '-Dorg.slf4j.simpleLogger.showDateTime=true']
  return ['-XX:+UseSerialGC', '-Xshare:auto', ...archive, ...log, '-cp', join(jars, '*')]
}

/** By renaming, so that another process sees all of it or nothing; if one was faster, ours is not needed. */
async function keep(folder: string, as: string): Promise<void> {
  const partial = `${as}.${process.pid}`
  await cp(folder, partial, { recursive: true })
  await rename(partial, as).catch(() => rm(partial, { recursive: true, force: true }))
}
