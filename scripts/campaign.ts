// Runs what takes longer than a commit may, in slices: `npm run campaign -- --slice 10m`. See the usage below.
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Kind, kindsOf, mixedSecondsMeant } from './campaign/kinds.ts'
import { kindOf, readTotals, type Slice, type Totals, totalsFile, writeTotals } from './campaign/totals.ts'
import { root } from './run.ts'

const usage = `Long proofs, one unit of each kind in turn, until the slice is over. Goes on where the last slice ended.

  npm run campaign -- [--slice 10m] [--kinds ${kindsOf()
    .map(({ name }) => name)
    .join(',')}] [--units N] [--run 5m] [--file FILE] [--json]

--units  end after so many units, whatever is left of the slice
--run    length of a mixed run; shorter ones than 5m are listed and not counted
--file   where the totals are kept (default ${totalsFile}); another one begins anew
--json   print the totals at the end, and nothing else
Exit status: 1 if any unit of this slice found a violation. npm run evidence writes the totals into the docs.
`
const messageCharsMax = 4_000

function milliseconds(text: string): number {
  const match = /^(\d+)(s|m|h)$/.exec(text)
  if (match === null)
    throw new RangeError(`a length must look like 90s, 10m or 1h, not ${JSON.stringify(text)}`)
  return Number(match[1]) * { s: 1_000, m: 60_000, h: 3_600_000 }[match[2] as 's' | 'm' | 'h']
}

function chosenKinds(names: string | undefined, kinds: readonly Kind[]): readonly Kind[] {
  if (names === undefined) return kinds
  return names.split(',').map((name) => {
    const kind = kinds.find((candidate) => candidate.name === name)
    if (kind !== undefined) return kind
    throw new RangeError(`there is no kind ${JSON.stringify(name)}`)
  })
}

/** The commit that the code is of, and whether it was changed since. What a campaign writes itself is no change. */
function commitOf(): string {
  const git = (...args: string[]): string => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim()
  const changes = git('status', '--porcelain', '--', '.', `:!${totalsFile}`, ':!docs/reference/evidence.md')
  return `${git('rev-parse', '--short', 'HEAD')}${changes === '' ? '' : ' with changes'}`
}

class Campaign {
  readonly #totals: Totals
  readonly #slice: Slice
  readonly #file: string
  readonly #say: (line: string) => void
  violations = 0

  constructor(file: string, say: (line: string) => void) {
    this.#file = file
    this.#say = say
    this.#totals = readTotals(file)
    const now = new Date().toISOString()
    this.#slice = { from: now, to: now, commit: commitOf(), kinds: {} }
    this.#totals.slices.push(this.#slice)
  }

  get totals(): Totals {
    return this.#totals
  }

  /** One unit of a kind. Answers whether there was one. */
  async step(kind: Kind): Promise<boolean> {
    const unit = kind.next(this.#totals)
    if (unit === undefined) return false
    const start = performance.now()
    const total = kindOf(this.#totals, kind.name)
    try {
      const { done, void: nothing = 0, operations = 0 } = await kind.run(this.#totals)
      total.done += done
      total.void += nothing
      total.operations += operations
      this.#slice.kinds[kind.name] = (this.#slice.kinds[kind.name] ?? 0) + done
    } catch (error) {
      this.violations++
      const message = describe(error).slice(0, messageCharsMax)
      this.#totals.violations.push({ kind: kind.name, at: new Date().toISOString(), unit, message })
      this.#say(`VIOLATION in ${kind.name}, ${unit}\n${message}`)
    }
    total.seconds += (performance.now() - start) / 1_000
    this.#slice.to = new Date().toISOString()
    writeTotals(this.#file, this.#totals)
    this.#say(`${kind.name.padEnd(12)} ${String(total.done).padStart(7)} of ${kind.target}   (${unit})`)
    return true
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause === undefined ? error.message : `${error.message}\n${describe(error.cause)}`
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      slice: { type: 'string', default: '10m' },
      kinds: { type: 'string' },
      run: { type: 'string', default: `${mixedSecondsMeant}s` },
      units: { type: 'string', default: 'Infinity' },
      file: { type: 'string', default: join(root, totalsFile) },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) return console.log(usage)
  const endMs = performance.now() + milliseconds(values.slice)
  const say = values.json ? () => undefined : (line: string) => console.log(line)
  const campaign = new Campaign(values.file, say)
  let units = Number(values.units)
  let open = chosenKinds(values.kinds, kindsOf(milliseconds(values.run) / 1_000))
  while (open.length > 0) {
    const left: Kind[] = []
    for (const kind of open) {
      const fits = performance.now() + kind.unitSeconds * 1_000 <= endMs && units > 0
      if (!fits && units > 0)
        say(`${kind.name.padEnd(12)} not begun: a unit takes ${kind.unitSeconds} s, more than is left`)
      if (!fits || !(await campaign.step(kind))) continue
      units--
      left.push(kind)
    }
    open = left
  }
  if (values.json) console.log(JSON.stringify(campaign.totals))
  if (campaign.violations > 0) process.exitCode = 1
}

await main()
