import { SemelError } from './errors.ts'

/**
 * Small checks that every option passes once, at the edge. Deeper code takes resolved values.
 * All throw before anything was written, so their outcome is always `not-applied`.
 */

/** UNKNOWN_OPTION for any member of `options` that is not in `known`, with the nearest known name. */
export function checkOptionNames(where: string, options: object, known: readonly string[]): void {
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue
    const near = nearestName(name, known)
    throw new SemelError('UNKNOWN_OPTION', `${where} has no option ${quote(name)}`, {
      field: name,
      hint: near === undefined ? `known options: ${known.join(', ')}` : `did you mean ${quote(near)}?`,
    })
  }
}

/** `value` if it is an object with members (options), `{}` if absent; INVALID_OPTION otherwise. */
export function requireOptions<T extends object>(
  where: string,
  value: T | undefined,
): T | Record<string, never> {
  if (value === undefined) return {}
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidOption(where, 'an object of options', value)
  }
  return value
}

/** A whole number from `min` to `max`, or `fallback` if absent. */
export function wholeNumber(
  field: string,
  value: number | undefined,
  range: { readonly min: number; readonly max: number; readonly fallback: number },
): number {
  if (value === undefined) return range.fallback
  if (Number.isInteger(value) && value >= range.min && value <= range.max) return value
  throw new SemelError(
    'INVALID_OPTION',
    `${field} must be a whole number from ${range.min} to ${range.max}, not ${show(value)}`,
    {
      field,
      limit: typeof value === 'number' && value > range.max ? range.max : range.min,
    },
  )
}

/** One of `choices`, or the fallback if absent. */
export function oneOf<T extends string>(
  field: string,
  value: T | undefined,
  choices: readonly T[],
  fallback: T,
): T {
  if (value === undefined) return fallback
  if (choices.includes(value)) return value
  const near = typeof value === 'string' ? nearestName(value, choices) : undefined
  throw new SemelError(
    'INVALID_OPTION',
    `${field} must be one of ${choices.map(quote).join(', ')}, not ${show(value)}`,
    {
      field,
      hint: near === undefined ? undefined : `did you mean ${quote(near)}?`,
    },
  )
}

export function requireFunction<T>(field: string, value: T): T {
  if (typeof value === 'function') return value
  throw invalidOption(field, 'a function', value)
}

export function invalidOption(field: string, expected: string, value: unknown): SemelError {
  return new SemelError('INVALID_OPTION', `${field} must be ${expected}, not ${show(value)}`, { field })
}

const shownCharsMax = 40

/** A short, safe picture of a value for an error message: never a whole payload. */
export function show(value: unknown): string {
  if (typeof value === 'string') {
    return quote(value.length > shownCharsMax ? `${value.slice(0, shownCharsMax)}…` : value)
  }
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function') return 'a function'
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (typeof value === 'object' && value !== null) return 'an object'
  return String(value)
}

function quote(text: string): string {
  return JSON.stringify(text)
}

/** The known name with the smallest edit distance, if it is close enough to be a typing mistake. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1
  for (const candidate of known) {
    const distance = editDistance(squeeze(name), squeeze(candidate))
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

function squeeze(name: string): string {
  return name
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '')
    .slice(0, shownCharsMax)
}

/** Levenshtein distance by the two-row method. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replace = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(replace, previous[j]! + 1, row[j - 1]! + 1))
    }
    previous = row
  }
  return previous[b.length]!
}
