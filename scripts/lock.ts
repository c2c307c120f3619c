// Completes package-lock.json after an install from a registry that lacks some platforms' optional packages.
// npm leaves such packages out of the lock file, and `npm ci` then refuses the lock on every machine. The versions
// are known all the same: the package that wants them pins them. Run after changing a dependency.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

interface LockedPackage {
  readonly version?: string
  readonly dev?: boolean
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

const systems = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'openharmony', 'sunos', 'win32']
const processors = ['arm64', 'arm', 'ia32', 'loong64', 'ppc64', 'riscv64', 's390x', 'wasm32', 'x64']

/** Names of platform packages end in their platform, such as `cli-linux-x64-musl`. */
export function platformOf(name: string): { os: string[]; cpu: string[]; libc?: string[] } | undefined {
  const words = name.split(/[-/]/)
  const os = systems.find((system) => words.includes(system))
  const cpu = processors.find((processor) => words.includes(processor))
  if (os === undefined || cpu === undefined) return undefined
  const libc = words.some((word) => word.startsWith('musl'))
    ? 'musl'
    : words.includes('gnu')
      ? 'glibc'
      : undefined
  return { os: [os], cpu: [cpu], ...(libc && { libc: [libc] }) }
}

export function missingPackages(packages: Readonly<Record<string, LockedPackage>>): Record<string, object> {
  const missing: Record<string, object> = {}
  for (const [folder, locked] of Object.entries(packages)) {
    for (const [name, version] of Object.entries(locked.optionalDependencies ?? {})) {
      const places = [`${folder}/node_modules/${name}`, `node_modules/${name}`]
      if (places.some((place) => place in packages)) continue
      const platform = platformOf(name)
      if (platform === undefined || !/^\d+\.\d+\.\d+/.test(version)) continue
      missing[`node_modules/${name}`] = {
        version,
        ...platform,
        ...(locked.dev && { dev: true }),
        optional: true,
      }
    }
  }
  return missing
}

function main(root: string): void {
  const path = join(root, 'package-lock.json')
  const lock = JSON.parse(readFileSync(path, 'utf8'))
  const missing = missingPackages(lock.packages)
  const [own, ...rest] = Object.entries({ ...lock.packages, ...missing })
  rest.sort(([a], [b]) => a.localeCompare(b, 'en'))
  lock.packages = Object.fromEntries([own!, ...rest])
  if (Object.keys(missing).length > 0) writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`)
  for (const place of Object.keys(missing)) console.log(`added ${place}`)
}

if (import.meta.main) main(process.argv[2] ?? join(import.meta.dirname, '..'))
