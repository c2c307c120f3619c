import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'

/** Why tests that need strace are left out, if they are. */
export const straceSkip =
  process.env.SEMEL_NO_STRACE === '1' ? 'SEMEL_NO_STRACE=1: no strace wanted here' : false

export function requireStrace(): void {
  if (spawnSync('strace', ['-V']).status === 0) return
  if (process.getuid?.() === 0) spawnSync('apt-get', ['install', '-y', '-qq', 'strace'], { timeout: 120_000 })
  assert.equal(
    spawnSync('strace', ['-V']).status,
    0,
    'strace is needed here, and is neither installed nor can it be (SEMEL_NO_STRACE=1 leaves this test out)',
  )
}
