import type { Arguments, OptionSpecs } from './arguments.ts'

/** One command of `semel`. */
export interface Command {
  readonly name: string
  /** What follows the name, e.g. `TOPIC`. */
  readonly operands: string
  readonly operandsMax: number
  /** One line for the list of commands. */
  readonly summary: string
  readonly options: OptionSpecs
  /** What every call of it has on its command line. Default `--file PATH | --url URL`. */
  readonly usage?: string | undefined
  /** Sentences and examples below the options. */
  readonly notes: string
  run(given: Arguments): Promise<void>
}

/** Options that every command has. */
export const commonOptions = {
  file: { value: 'PATH', help: 'the SQLite file, or' },
  url: {
    value: 'URL',
    help: 'the PostgreSQL database, postgres://user@host/database; password best in PGPASSWORD',
  },
  schema: { value: 'NAME', help: 'with --url: schema of the log (default semel)' },
  json: { help: 'print JSON; errors too' },
} as const satisfies OptionSpecs

export function helpOf({
  name,
  operands,
  summary,
  options,
  notes,
  usage: needed = '--file PATH | --url URL',
}: Command): string {
  const all: OptionSpecs = { ...options, help: { help: 'show this' } }
  const left = Object.entries(all).map(([option, { value }]) => optionText(option, value))
  const width = Math.max(...left.map(({ length }) => length))
  const lines = Object.values(all).map(({ help }, i) => `  ${left[i]!.padEnd(width)}  ${help}`)
  const usage = ['semel', name, operands, needed, '[options]'].filter((part) => part !== '').join(' ')
  return `${summary}\n\n  ${usage}\n\n${lines.join('\n')}\n\n${notes}`
}

function optionText(option: string, value: string | undefined): string {
  return value === undefined ? `--${option}` : `--${option} ${value}`
}
