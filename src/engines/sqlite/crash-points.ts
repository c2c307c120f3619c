/**
 * Named steps of a commit, in order. A crash test kills the process at one of them; unarmed they cost a comparison.
 * Armed by the environment: `SEMEL_CRASH_AT=name:hit` ends the process with SIGKILL at the hit-th pass.
 */
export const crashPointNames = [
  'writer.begun',
  'writer.caught-up',
  'writer.row-stored',
  'writer.unit-checked',
  'writer.unit-emitted',
  'writer.unit-applied',
  'writer.before-commit',
  'gate.committed',
  'writer.committed',
  'writer.replied',
  'session.begun',
  'session.before-commit',
  'session.committed',
] as const
export type CrashPoint = (typeof crashPointNames)[number]

const armed = parse(process.env.SEMEL_CRASH_AT)
let hits = 0

function parse(text: string | undefined): { name: string; hit: number } | undefined {
  if (text === undefined || text === '') return undefined
  const [name, hit] = text.split(':')
  return { name: name!, hit: Number(hit ?? 1) }
}

/** Ends the process here, if the test said so. */
export function crashPoint(name: CrashPoint): void {
  if (armed === undefined || armed.name !== name) return
  hits++
  if (hits === armed.hit) process.kill(process.pid, 'SIGKILL')
}
