import { styleText } from 'node:util'
import type { Durability, EngineFacts } from '../engine/facts.ts'
import type { EngineStatus } from '../engine/status.ts'
import { kafkaFacts } from '../engines/kafka/facts.ts'
import { memoryFacts } from '../engines/memory/facts.ts'
import { postgresFacts } from '../engines/postgres/facts.ts'
import { serverExceptions } from '../engines/postgres/look.ts'
import { sqliteFacts } from '../engines/sqlite/facts.ts'
import { reservedNamePrefix } from '../event/check-names.ts'
import type { Verdict } from '../features/guarantees/clause.ts'
import {
  type GuaranteeCard,
  guaranteeCard,
  type JudgedClause,
} from '../features/guarantees/guarantee-card.ts'
import { nearestName, show } from '../options.ts'
import { realPlatform } from '../platform/real-platform.ts'
import type { Arguments } from './arguments.ts'
import type { Command } from './command.ts'
import { writeLine } from './output.ts'
import { safeJson, safeText } from './safe-text.ts'
import { UsageError } from './usage-error.ts'
import { withLog } from './with-log.ts'

const engines = {
  memory: memoryFacts,
  sqlite: sqliteFacts,
  postgres: postgresFacts,
  kafka: kafkaFacts,
} as const satisfies Record<string, EngineFacts>
type EngineName = keyof typeof engines

const marks: Readonly<Record<Verdict, string>> = {
  holds: styleText('green', 'holds'),
  partly: styleText('yellow', 'partly'),
  no: styleText('red', 'does not hold'),
  'not-applicable': styleText('dim', 'does not apply'),
}

export const guaranteesCommand: Command = {
  name: 'guarantees',
  operands: '',
  operandsMax: 0,
  usage: '[--engine NAME]',
  summary: 'Shows which guarantees hold, which do not and why, and the test that proves each.',
  options: {
    engine: { value: 'NAME', help: `${Object.keys(engines).join(', ')} (default sqlite)` },
    file: { value: 'PATH', help: 'with sqlite: count the topics of this file' },
    url: { value: 'URL', help: 'with postgres: ask this server for its settings' },
    durability: { value: 'LEVEL', help: 'what publishes ask for (default: the strongest)' },
    json: { help: 'print JSON; errors too' },
  },
  notes:
    'Without --file and --url: what the engine can keep. A program asks bus.guarantees(), which knows its groups, too.',
  async run(given: Arguments): Promise<void> {
    const card = await cardOf(given)
    await writeLine(given.flag('json') ? safeJson(card) : cardText(card))
  },
}

async function cardOf(given: Arguments): Promise<GuaranteeCard> {
  const engine = engineOf(given)
  const facts: EngineFacts = engines[engine]
  const strongest = facts.durability[0]!
  const durability: Durability = choice(given, 'durability', facts.durability) ?? strongest
  const { topics, exceptions = [] } = await lookAt(engine, given)
  const named = topics
    .filter(({ topic }) => !topic.startsWith(reservedNamePrefix))
    .map(({ topic, dedupWindowMs }) => ({ name: topic, dedupWindowMs }))
  return guaranteeCard({ facts, durability, topics: named, groups: [], exceptions })
}

function engineOf(given: Arguments): EngineName {
  const names = Object.keys(engines) as EngineName[]
  const engine = choice(given, 'engine', names) ?? (given.text('url') === undefined ? 'sqlite' : 'postgres')
  for (const [option, owner] of [
    ['file', 'sqlite'],
    ['url', 'postgres'],
  ] as const) {
    if (given.text(option) !== undefined && engine !== owner)
      throw new UsageError('INVALID_OPTION', `--${option} belongs to --engine ${owner}`, option)
  }
  return engine
}

function choice<T extends string>(given: Arguments, option: string, choices: readonly T[]): T | undefined {
  const text = given.text(option)
  const found = choices.find((name) => name === text)
  if (text === undefined || found !== undefined) return found
  const near = nearestName(text, choices)
  throw new UsageError(
    'INVALID_OPTION',
    `--${option} is one of ${choices.join(', ')}, not ${show(text)}`,
    option,
    near === undefined ? undefined : `did you mean ${near}?`,
  )
}

async function lookAt(
  engine: EngineName,
  given: Arguments,
): Promise<Pick<EngineStatus, 'topics' | 'exceptions'>> {
  const [file, url] = [given.text('file'), given.text('url')]
  if (engine === 'sqlite' && file !== undefined) return await withLog(given, (opened) => opened.status())
  if (engine === 'postgres' && url !== undefined)
    return { topics: [], exceptions: await serverExceptions(url, realPlatform) }
  return { topics: [] }
}

function cardText({ engine, durability, clauses }: GuaranteeCard): string {
  const lines = [`${safeText(engine)}, acknowledged at ${durability}`]
  let section = ''
  for (const clause of clauses) {
    if (clause.section !== section) lines.push('', styleText('bold', clause.section))
    section = clause.section
    lines.push(...clauseLines(clause))
  }
  const count = (verdict: Verdict): number => clauses.filter((clause) => clause.verdict === verdict).length
  lines.push(
    '',
    `${count('holds')} hold, ${count('partly')} partly, ${count('no')} do not, ${count('not-applicable')} do not apply`,
    'The tests are those of the Semel repository; docs/reference/guarantees.md has the wording that binds.',
  )
  return lines.join('\n')
}

function clauseLines({ id, text, kind, verdict, why, proofs }: JudgedClause): string[] {
  const mark = kind === 'limit' ? 'limit' : marks[verdict]
  const reason = why === '' ? '' : `: ${safeText(why)}`
  const lines = [`  ${id}  ${text}`, `      ${mark}${reason}`]
  const shown = verdict === 'holds' || verdict === 'partly' ? proofs : []
  return [...lines, ...shown.map(({ file, test }) => styleText('dim', `      ${file} › ${test}`))]
}
