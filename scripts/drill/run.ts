import { setTimeout as pause } from 'node:timers/promises'
import { postgres } from '../../src/engines/postgres/index.ts'
import { openBus } from '../../src/index.ts'
import { TcpProxy } from '../../src/testing/faults/tcp-proxy.ts'
import { type PostgresServer, startPostgres } from '../../test/rig/postgres/server.ts'
import { type Standby, startStandby } from '../../test/rig/postgres/standby.ts'
import { until } from '../../test/rig/postgres/until.ts'
import { lostSteps, readHolding, violations } from './check.ts'
import { createEffects, results, steps } from './topics.ts'
import { consumers, Workload } from './workload.ts'

export interface DrillOptions {
  readonly synchronous: boolean
  /** How long the workload runs before the primary is killed, and after the standby was promoted. */
  readonly runMs: number
  readonly note: (text: string) => void
}

export interface DrillReport {
  readonly mode: 'synchronous' | 'asynchronous'
  readonly acknowledged: number
  /** From the kill to the standby's promotion, and to the first publish that was acknowledged after it. */
  readonly promotedMs: number
  readonly recoveredMs: number
  /** Acknowledged steps that the promoted server lacked. */
  readonly lost: number
  /** How many of the programs reported LOG_REGRESSED, of how many. */
  readonly reported: number
  readonly programs: number
  /** What the replication lag in the status came to before the kill, in bytes. */
  readonly lagBytes: number
  readonly violations: readonly string[]
}

/** Before an asynchronous standby's primary is killed, each publisher has this much acknowledged that nobody else has. */
const lostPerPublisher = 25
const drainMsMax = 60_000
const recoveryMsMax = 60_000

/** A primary, a standby, and programs that publish and consume; the primary is killed, the standby takes over. */
export async function drill({ synchronous, runMs, note }: DrillOptions): Promise<DrillReport> {
  await using primary = await startPostgres()
  await using link = await TcpProxy.listen({ target: { port: primary.port } })
  await using standby = await startStandby(primary, { synchronous, through: link })
  const url = `postgres://postgres@127.0.0.1:${primary.port},127.0.0.1:${standby.server.port}/postgres`
  await prepare(primary)
  await using workload = new Workload(url)
  await workload.start()
  note('publishers and consumers are at work')
  await pause(runMs)
  const acknowledgedBefore = workload.acknowledgements
  if (acknowledgedBefore === 0)
    throw new Error('nothing was acknowledged before the kill: the drill proves nothing')

  const lagBytes = synchronous ? await lagOf(primary) : await cutOff(primary, link, workload)
  const { killedAt, promotedMs } = await failOver(primary, link, standby, note)
  const after = synchronous
    ? { lost: 0, reported: 0, programs: workload.regressions.length }
    : await restart(standby, workload, note)
  const before = workload.acknowledgements
  const isBack = () => workload.acknowledgements > before
  await until('publishes are acknowledged again', isBack, { deadlineMs: recoveryMsMax, everyMs: 1 })
  const recoveredMs = Math.round(performance.now() - killedAt)
  note(`publishes are acknowledged again ${recoveredMs} ms after the kill`)
  await pause(runMs)
  return {
    mode: synchronous ? 'synchronous' : 'asynchronous',
    promotedMs,
    recoveredMs,
    lagBytes,
    ...after,
    violations: await finish(standby, workload, note),
    acknowledged: workload.acknowledgements,
  }
}

async function prepare(primary: PostgresServer): Promise<void> {
  await primary.query(createEffects)
  const bus = await openBus({ engine: postgres({ url: primary.url }), topics: [steps, results] })
  await bus.stop()
}

/** As the status of a bus shows it. */
async function lagOf({ url }: { readonly url: string }): Promise<number> {
  await using bus = await openBus({ engine: postgres({ url }), topics: [] })
  return Number((await bus.status()).storage.replicationLagBytes)
}

/** From here on the primary acknowledges what the standby never gets. Waits until every program knows of some of it. */
async function cutOff(primary: PostgresServer, link: TcpProxy, workload: Workload): Promise<number> {
  link.set('both', { stalled: true })
  const before = workload.acknowledgedBy
  await until('each publisher has something to lose', () =>
    workload.acknowledgedBy.every((count, p) => count >= before[p]! + lostPerPublisher),
  )
  const [last] = await primary.query<{ seq: string }>(
    'select coalesce(max(seq), 0) as seq from public.effects',
  )
  const programs = 'select distinct program from public.effects where seq > $1'
  await until(
    'and each consumer',
    async () => (await primary.query(programs, [last!.seq])).length === consumers,
  )
  return await until('the lag shows in the status', async () => {
    const bytes = await lagOf(primary)
    return bytes > 0 ? bytes : undefined
  })
}

async function failOver(
  primary: PostgresServer,
  link: TcpProxy,
  standby: Standby,
  note: (text: string) => void,
): Promise<{ killedAt: number; promotedMs: number }> {
  const killedAt = performance.now()
  await primary.kill9()
  note('the primary was killed')
  await link.close()
  await standby.promote()
  const promotedMs = Math.round(performance.now() - killedAt)
  note(`the standby is primary ${promotedMs} ms later`)
  return { killedAt, promotedMs }
}

/** What the operator does when acknowledged events are gone: look, start the programs again, publish again (D6, N1). */
async function restart(
  standby: Standby,
  workload: Workload,
  note: (text: string) => void,
): Promise<Pick<DrillReport, 'lost' | 'reported' | 'programs'>> {
  await until('all programs have reported and ended', () =>
    workload.regressions.every((message) => message !== undefined),
  )
  await workload.ended()
  const reported = workload.regressions.filter((message) => message !== undefined).length
  const programs = workload.regressions.length
  const missing = lostSteps(await readHolding(standby.url), workload.acknowledged)
  const lost = [...missing.values()].reduce((sum, count) => sum + count, 0)
  note(`${reported} of ${programs} programs reported LOG_REGRESSED; ${lost} acknowledged events are gone`)
  for (const [lane, count] of missing)
    workload.acknowledged.set(lane, workload.acknowledged.get(lane)! - count)
  workload.forget()
  await workload.start()
  return { lost, reported, programs }
}

async function finish(standby: Standby, workload: Workload, note: (text: string) => void): Promise<string[]> {
  await workload.stop('publisher')
  note(`publishers ended after ${workload.acknowledgements} acknowledged events`)
  const effects = async () => {
    const rows = await standby.server.query<{ n: string }>('select count(*) as n from public.effects')
    return Number(rows[0]!.n)
  }
  const isDrained = await until(
    'consumers have caught up',
    async () => (await effects()) >= workload.acknowledgements,
    {
      deadlineMs: drainMsMax,
    },
  ).catch(() => false)
  await workload.stop('consumer')
  const found = violations(await readHolding(standby.url), workload.acknowledged)
  return isDrained ? found : [`the consumers did not catch up within ${drainMsMax} ms`, ...found]
}
