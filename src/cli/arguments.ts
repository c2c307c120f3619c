import { parseArgs } from 'node:util'
import { nearestName, show } from '../options.ts'
import { UsageError } from './usage-error.ts'

/** One option of a command. A flag takes no value. */
export interface OptionSpec {
  /** Name of the value in the help, e.g. `N`; absent for a flag. */
  readonly value?: string
  readonly help: string
}

export type OptionSpecs = Readonly<Record<string, OptionSpec>>

/** What stood on the command line, checked against what the command knows. */
export class Arguments {
  readonly positionals: readonly string[]
  readonly #values: ReadonlyMap<string, string | true>

  constructor(positionals: readonly string[], values: ReadonlyMap<string, string | true>) {
    this.positionals = positionals
    this.#values = values
  }

  flag(name: string): boolean {
    return this.#values.get(name) === true
  }

  text(name: string): string | undefined {
    const value = this.#values.get(name)
    return value === true ? undefined : value
  }

  /** A whole number from `min` on, or `undefined` if the option is absent. */
  whole(name: string, min: number): number | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const value = Number(text)
    if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= min) return value
    throw new UsageError(
      'INVALID_OPTION',
      `--${name} must be a whole number from ${min}, not ${show(text)}`,
      name,
    )
  }
}

/** Reads a command's arguments; a UsageError names the nearest option for a typing mistake. */
export function readArguments(
  command: string,
  specs: OptionSpecs,
  given: readonly string[],
  positionalsMax: number,
): Arguments {
  const options = Object.fromEntries(
    Object.entries(specs).map(([name, { value }]) => [
      name,
      { type: value === undefined ? ('boolean' as const) : ('string' as const) },
    ]),
  )
  const { tokens } = parseArgs({
    args: [...given],
    options: { ...options, help: { type: 'boolean', short: 'h' } },
    strict: false,
    allowPositionals: true,
    tokens: true,
  })
  const positionals: string[] = []
  const values = new Map<string, string | true>()
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value)
    if (token.kind !== 'option') continue
    const spec = specs[token.name]
    if (spec === undefined) throw unknownOption(command, token.rawName, Object.keys(specs))
    values.set(token.name, optionValue(token.name, spec, token.value))
  }
  const extra = positionals[positionalsMax]
  if (extra !== undefined)
    throw new UsageError('INVALID_OPTION', `${command} has no use for ${show(extra)}`, 'arguments')
  return new Arguments(positionals, values)
}

function optionValue(name: string, spec: OptionSpec, value: string | undefined): string | true {
  if (spec.value === undefined) {
    if (value === undefined) return true
    throw new UsageError('INVALID_OPTION', `--${name} takes no value`, name)
  }
  if (value !== undefined && value !== '') return value
  throw new UsageError('INVALID_OPTION', `--${name} needs a value: --${name} ${spec.value}`, name)
}

function unknownOption(command: string, rawName: string, known: readonly string[]): UsageError {
  const near = nearestName(rawName, known)
  const hint =
    near === undefined ? `known options: ${known.map((n) => `--${n}`).join(', ')}` : `did you mean --${near}?`
  return new UsageError('UNKNOWN_OPTION', `semel ${command} has no option ${show(rawName)}`, rawName, hint)
}
