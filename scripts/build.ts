import { chmodSync, cpSync, existsSync, globSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { root, run, tsc } from './run.ts'

const source = join(root, 'src')
const target = join(root, 'dist')

rmSync(target, { recursive: true, force: true })
const code = await run([...tsc, '-p', 'tsconfig.build.json'])
if (code !== 0) process.exit(code)

for (const file of globSync('**/*.{sql,html,css}', { cwd: source })) {
  cpSync(join(source, file), join(target, file))
}

const command = join(target, 'cli/main.js')
if (existsSync(command)) chmodSync(command, 0o755)
