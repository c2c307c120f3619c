import { execFileSync } from 'node:child_process'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { root, run, tsc } from '../../scripts/run.ts'
import type { BenchCase, Figures } from '../measure.ts'

/**
 * The program runs compiled, as the package does, in a process that has nothing else: what strips types at run time takes 38 MiB, which
 * no user has.
 */
async function compiled(folder: string): Promise<string> {
  const code = await run([...tsc, '-p', 'bench/tsconfig.memory.json', '--outDir', folder])
  if (code !== 0) throw new Error(`the memory program does not compile: ${code}`)
  // It says that these are modules.
  cpSync(join(root, 'package.json'), join(folder, 'package.json'))
  return join(folder, 'bench/sqlite/memory-program.js')
}

export const memory: BenchCase = {
  name: 'memory',
  figure: 'rssMaxMB',
  better: 'lower',
  reach: { rssMaxMB: 300 },
  ratios: {},
  programs: {
    semel: async (folder): Promise<Figures> => {
      const program = await compiled(join(folder, 'compiled'))
      return JSON.parse(execFileSync(process.execPath, [program, folder], { encoding: 'utf8' }))
    },
  },
}
