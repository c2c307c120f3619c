import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { AnomalyName } from '../../src/testing/history/index.ts'
import {
  type FaultName,
  runCampaignSeed,
  type Scheduler,
  type SimulatedStorage,
} from '../../src/testing/simulation/index.ts'
import { ackBeforeWrite } from './broken/ack-before-write.ts'
import { commitOverHole } from './broken/commit-over-hole.ts'
import { dedupForgotten } from './broken/dedup-forgotten.ts'
import { noFencing } from './broken/no-fencing.ts'
import { noFsync } from './broken/no-fsync.ts'
import { positionBesideState } from './broken/position-beside-state.ts'
import { readBySequence } from './broken/read-by-sequence.ts'
import { sketchDedup } from './broken/sketch-dedup.ts'
import { unknownAsFailed } from './broken/unknown-as-failed.ts'

interface Double {
  readonly name: string
  readonly storage: (scheduler: Scheduler) => SimulatedStorage
  /** Faults without which the mistake does not show; none: it shows without. */
  readonly faults: readonly FaultName[]
  /** Any of these must be what it is found by. */
  readonly by: readonly AnomalyName[]
}

const doubles: readonly Double[] = [
  {
    name: 'ack before write (D1)',
    storage: ackBeforeWrite,
    faults: ['storage-crash'],
    by: ['lost-write', 'unseen', 'inconsistent-offset'],
  },
  {
    name: 'no fsync (D1)',
    storage: noFsync,
    faults: ['storage-crash'],
    by: ['lost-write', 'inconsistent-offset'],
  },
  {
    name: 'read by sequence (P1)',
    storage: readBySequence,
    faults: ['delay'],
    by: ['poll-skip', 'under-consume', 'commit-ahead'],
  },
  {
    name: 'no fencing (Z1)',
    storage: noFencing,
    faults: ['pause', 'delay', 'lost-lease'],
    by: ['fence-break', 'over-consume'],
  },
  {
    name: 'commit over a hole (L1)',
    storage: commitOverHole,
    faults: ['kill', 'pause'],
    by: ['under-consume', 'commit-ahead'],
  },
  {
    name: 'dedup forgotten on restart (N4)',
    storage: dedupForgotten,
    faults: ['storage-crash', 'lost-reply'],
    by: ['dedup-break', 'duplicate'],
  },
  {
    name: 'sketch dedup (N5)',
    storage: sketchDedup,
    faults: ['delay'],
    by: ['dedup-break', 'inconsistent-offset'],
  },
  {
    name: 'unknown treated as failed (U1)',
    storage: unknownAsFailed,
    faults: ['lost-reply'],
    by: ['outcome-lie', 'G1a'],
  },
  {
    name: 'position saved beside state (X1)',
    storage: positionBesideState,
    faults: ['storage-crash'],
    by: ['over-consume', 'ledger'],
  },
]

/** Seeds within which each must be found out. */
const budget = 20

describe('broken doubles', () => {
  for (const { name, storage, faults, by } of doubles) {
    test(`${name}: found within ${budget} seeds, and what is sound is not blamed`, async () => {
      for (let seed = 1; seed <= budget; seed++) {
        const broken = await runCampaignSeed({ seed, knobs: { faults }, storage })
        const names = broken.report.anomalies.map((anomaly) => anomaly.name)
        if (!by.some((anomaly) => names.includes(anomaly))) continue
        const sound = await runCampaignSeed({ seed, knobs: { faults } })
        assert.notEqual(sound.verdict, 'invalid', sound.reasons.join('\n'))
        return
      }
      assert.fail(`not found in ${budget} seeds`)
    })
  }
})
