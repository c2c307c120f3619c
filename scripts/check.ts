// The one command before a commit. Stops at the first step that fails. `node scripts/check.ts [--no-test]`
import { run, tsc } from './run.ts'

const steps: readonly (readonly [name: string, command: readonly string[]])[] = [
  ['format and lint', ['biome', 'check', '--error-on-warnings', '.']],
  ['tidy', ['node', 'scripts/tidy.ts']],
  ['types', [...tsc, '--noEmit']],
  ['build', ['node', 'scripts/build.ts']],
  ['package', ['publint', '--strict']],
  ['package types', ['attw', '--pack', '.', '--profile', 'esm-only', '--no-emoji']],
  ['tests', ['node', 'scripts/test.ts']],
]

const withoutTests = process.argv.includes('--no-test')
const took: string[] = []

for (const [name, command] of steps) {
  if (name === 'tests' && withoutTests) continue
  const start = performance.now()
  const code = await run(command)
  took.push(
    `${((performance.now() - start) / 1000).toFixed(1).padStart(6)} s  ${name}${code === 0 ? '' : '  FAILED'}`,
  )
  if (code === 0) continue
  process.exitCode = code
  break
}

console.log(`\n${took.join('\n')}`)
