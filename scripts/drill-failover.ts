// Kills a primary under load and looks what is left. `npm run drill:failover -- [--asynchronous] [--for 5] [--json]`
import { parseArgs } from 'node:util'
import { type DrillReport, drill } from './drill/run.ts'

const usage = `A primary with a standby, programs that publish and consume, kill -9, promotion.

  npm run drill:failover -- [--asynchronous] [--for SECONDS] [--json]

  --asynchronous   the standby lags behind at the kill: events are lost, and every program must say so
  --for SECONDS    how long the programs run before the kill, and after the recovery (default 5)
  --json           print the report as JSON

Ends with a check: every acknowledged event is there once, every effect happened once. Exit status: 0 it holds, 1 it
does not, 2 the command line was wrong.`

process.exitCode = await main()

async function main(): Promise<number> {
  const options = readOptions()
  if (options === undefined) return 2
  const { json, asynchronous, seconds } = options
  const note = (text: string): void => void process.stderr.write(`${text}\n`)
  const report = await drill({ synchronous: !asynchronous, runMs: seconds * 1000, note })
  console.log(json ? JSON.stringify(report) : textOf(report))
  return isGood(report) ? 0 : 1
}

function readOptions(): { json: boolean; asynchronous: boolean; seconds: number } | undefined {
  try {
    const { values } = parseArgs({
      options: {
        asynchronous: { type: 'boolean', default: false },
        for: { type: 'string', default: '5' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    const seconds = Number(values.for)
    if (!values.help && seconds > 0) return { json: values.json, asynchronous: values.asynchronous, seconds }
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
  }
  console.error(usage)
  return undefined
}

/** An asynchronous drill in which nothing was lost, or somebody did not say so, has not passed either. */
function isGood({ mode, violations, lost, reported, programs }: DrillReport): boolean {
  if (violations.length > 0) return false
  return mode === 'synchronous' || (lost > 0 && reported === programs)
}

function textOf(report: DrillReport): string {
  const { mode, acknowledged, promotedMs, recoveredMs, lost, reported, programs, lagBytes, violations } =
    report
  const lines = [
    `mode              ${mode} standby`,
    `replication lag   ${lagBytes} bytes before the kill, by bus.status()`,
    `recovery          ${recoveredMs} ms from the kill to the first acknowledged publish`,
    `                  ${promotedMs} ms of them until the standby was promoted`,
    `acknowledged      ${acknowledged} events`,
  ]
  if (mode === 'asynchronous') {
    lines.push(`lost              ${lost} acknowledged events, published again under their ids`)
    lines.push(`reported          LOG_REGRESSED by ${reported} of ${programs} programs`)
  }
  lines.push(
    isGood(report)
      ? 'check             every acknowledged event is there once, every effect once, in order'
      : `check             FAILED\n${violations.map((text) => `  ${text}`).join('\n')}`,
  )
  return lines.join('\n')
}
