#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { styleText } from 'node:util'
import { isSemelError, SemelError } from '../errors.ts'
import { nearestName, show } from '../options.ts'
import { readArguments } from './arguments.ts'
import { type Command, helpOf } from './command.ts'
import { checkCommand } from './commands/check.ts'
import { copyCommand } from './copy-command.ts'
import { groupsCommand } from './groups-command.ts'
import { guaranteesCommand } from './guarantees-command.ts'
import { moveCommand } from './move-command.ts'
import { endWithPipe } from './output.ts'
import { publishCommand } from './publish-command.ts'
import { safeJson, safeText } from './safe-text.ts'
import { statusCommand } from './status-command.ts'
import { tailCommand } from './tail-command.ts'
import { UsageError } from './usage-error.ts'

const commands: readonly Command[] = [
  statusCommand,
  tailCommand,
  publishCommand,
  groupsCommand,
  guaranteesCommand,
  copyCommand,
  moveCommand,
]
/** Reads its own arguments, and has an exit status of its own. */
const check = { name: 'check', operands: 'HISTORY...', summary: 'Judges recorded histories of a test run.' }
const names = [...commands, check].map(({ name }) => name)
const exit = { ok: 0, failure: 1, usage: 2 } as const

/** Answers the exit status. */
async function run(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args
  if (name === check.name) return await judge(rest)
  if (name === 'help' && rest[0] === check.name) return await judge(['--help'])
  await runCommand(name, rest)
  return exit.ok
}

async function judge(args: readonly string[]): Promise<number> {
  return await checkCommand(args, { out: console.log, err: console.error })
}

async function runCommand(name: string | undefined, rest: readonly string[]): Promise<void> {
  if (name === undefined)
    throw new UsageError('INVALID_OPTION', 'a command is needed', 'command', commandsHint())
  if (name === '--version' || name === '-v') return console.log(version())
  if (name === '--help' || name === '-h') return console.log(overview())
  if (name === 'help') return console.log(rest[0] === undefined ? overview() : helpOf(findCommand(rest[0])))
  const command = findCommand(name)
  if (rest.includes('--help') || rest.includes('-h')) return console.log(helpOf(command))
  await command.run(readArguments(command.name, command.options, rest, command.operandsMax))
}

function findCommand(name: string): Command {
  const command = commands.find((candidate) => candidate.name === name)
  if (command !== undefined) return command
  const near = nearestName(name, names)
  const hint = near === undefined ? commandsHint() : `did you mean semel ${near}?`
  throw new UsageError('INVALID_OPTION', `semel has no command ${show(name)}`, 'command', hint)
}

function commandsHint(): string {
  return `commands: ${names.join(', ')}; semel --help says more`
}

function overview(): string {
  const lines = [...commands, check].map(
    ({ name, operands, summary }) => `  ${`${name} ${operands}`.padEnd(18)}  ${summary}`,
  )
  return `Looks into a Semel log in a SQLite file or a PostgreSQL database, and publishes to it.

  semel COMMAND [--file PATH | --url URL] [options]

${lines.join('\n')}

semel COMMAND --help shows the options of a command; semel --version the version.
Exit status: 0 done, 1 failed, 2 the command line was wrong.`
}

function version(): string {
  const manifest: { version: string } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  )
  return manifest.version
}

function explain(error: unknown, json: boolean): string {
  const known = error instanceof UsageError ? error.error : asSemelError(error)
  if (json) return safeJson({ error: known.toJSON() })
  const outcome = known.outcome === 'not-applied' ? '' : ` (outcome: ${known.outcome})`
  const hint = known.hint === undefined ? '' : `\n  ${safeText(known.hint)}`
  return `${styleText('red', known.code, { stream: process.stderr })} ${safeText(known.message)}${outcome}${hint}`
}

function asSemelError(error: unknown): SemelError {
  if (isSemelError(error)) return error
  return new SemelError('ENGINE_FAILED', error instanceof Error ? error.message : String(error), {
    outcome: 'unknown',
    cause: error,
  })
}

endWithPipe()
const given = process.argv.slice(2)
try {
  process.exitCode = await run(given)
} catch (error) {
  console.error(explain(error, given.includes('--json')))
  process.exitCode = error instanceof UsageError ? exit.usage : exit.failure
}
