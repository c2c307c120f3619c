import { engines } from './engines.ts'
import { inFolder } from './measure.ts'

/** One measurement in a process of its own: `node bench/run-program.ts ENGINE CASE PROGRAM MS`. Prints its figures as JSON. */
const [engine, caseName, programName, forMs] = process.argv.slice(2)
const program = engines[engine ?? '']?.find(({ name }) => name === caseName)?.programs[programName ?? '']
if (program === undefined) throw new Error(`no program ${programName} in case ${caseName} of ${engine}`)
const figures = await inFolder(program, Number(forMs))
process.stdout.write(`${JSON.stringify(figures)}\n`)
process.exit(0)
