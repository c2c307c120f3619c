import { inFolder } from './measure.ts'
import { sqliteCases } from './sqlite/index.ts'

/** One measurement in a process of its own: `node bench/run-program.ts CASE PROGRAM`. Prints its figures as JSON. */
const [caseName, programName] = process.argv.slice(2)
const program = sqliteCases.find(({ name }) => name === caseName)?.programs[programName ?? '']
if (program === undefined) throw new Error(`no program ${programName} in case ${caseName}`)
const figures = await inFolder(program)
process.stdout.write(`${JSON.stringify(figures)}\n`)
process.exit(0)
