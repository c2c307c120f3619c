/**
 * Every way a history can be wrong: the Jepsen kafka workload's, in our words, and our own (faults.md 3.3). The
 * sentence is what a report says; the clauses are those of guarantees.md.
 */
export const anomalies = {
  'inconsistent-offset': { clauses: 'P1', meaning: 'one offset was shown with two different events' },
  duplicate: { clauses: 'N1', meaning: 'one event is at two places' },
  G1a: { clauses: 'U1', meaning: 'an event of a refused call or aborted transaction was read' },
  phantom: { clauses: 'D5 F3', meaning: 'an event was read that nobody ever sent' },
  corrupt: {
    clauses: 'D5 F3',
    meaning: 'an event was read with another CRC, id or key than it was sent with',
  },
  'wrong-partition': { clauses: 'P4', meaning: 'an event is not in the partition of its key' },
  'lost-write': { clauses: 'D1 D5', meaning: 'an acknowledged event was passed over by every reader' },
  unseen: { clauses: 'D1 L1', meaning: 'an acknowledged event was never read, not even at the end' },
  'torn-tx': { clauses: 'P3', meaning: 'only a part of a transaction is there' },
  'poll-skip': { clauses: 'O1 R1', meaning: 'a session went on beyond an event that exists' },
  'int-poll-skip': { clauses: 'O1 R1', meaning: 'one read left out an event that exists' },
  'nonmonotonic-poll': { clauses: 'O1', meaning: 'a session went back without being told to' },
  'int-nonmonotonic-poll': { clauses: 'O1', meaning: 'one read returned events out of order' },
  'nonmonotonic-send': { clauses: 'P2', meaning: 'a later send of a session has a lower offset' },
  'int-nonmonotonic-send': { clauses: 'P2', meaning: 'sends of one call are not in its order' },
  'int-send-skip': { clauses: 'P3', meaning: "a foreign event lies between two of one call's" },
  'precommitted-read': { clauses: 'R1', meaning: 'a transaction read what it had not committed' },
  G0: { clauses: 'P3', meaning: 'writes of transactions follow each other in a circle' },
  'G0-process': { clauses: 'P2 P3', meaning: 'writes contradict the order within processes' },
  'G0-realtime': { clauses: 'P1 P3', meaning: 'writes contradict the order in time' },
  G1c: { clauses: 'P3 R1', meaning: 'writes and reads follow each other in a circle' },
  'G1c-process': { clauses: 'P3 R1', meaning: 'writes and reads contradict the order within processes' },
  'G1c-realtime': { clauses: 'P3 R1', meaning: 'writes and reads contradict the order in time' },
  stale: { clauses: 'V1', meaning: 'a group had not caught up in time after the last fault' },
  'prefix-break': {
    clauses: 'D5 D6 R1',
    meaning: 'the log became shorter or another one, and nobody said so',
  },
  'dedup-break': {
    clauses: 'N1 N2',
    meaning: 'one id was accepted twice, or with two contents, or for nothing',
  },
  'over-consume': { clauses: 'A1 X1', meaning: 'an event was handled or took effect more than once' },
  'under-consume': {
    clauses: 'L1 X1',
    meaning: 'an event was neither handled nor moved to the dead letters',
  },
  'both-ways': { clauses: 'L3', meaning: 'an event succeeded and is a dead letter, or is one twice' },
  'commit-ahead': { clauses: 'L1', meaning: 'a position was committed over an event that was not settled' },
  'commit-back': { clauses: 'L1', meaning: "a group's position went back without being told to" },
  'fence-break': { clauses: 'Z1', meaning: 'an owner that had been replaced could still commit' },
  'key-order-break': { clauses: 'O1', meaning: 'events of one key took effect out of order' },
  'replay-diff': { clauses: 'R1', meaning: 'two scans of one range differ' },
  ledger: { clauses: 'X1', meaning: 'what the sink holds is not what the log adds up to' },
  'outcome-lie': { clauses: 'U1', meaning: 'NotApplied was reported and the event is there' },
  hang: { clauses: 'U3', meaning: 'a call did not settle by its deadline' },
  'http-key-break': { clauses: 'H1', meaning: 'one idempotency key had two answers or two effects' },
} as const satisfies Readonly<Record<string, { clauses: string; meaning: string }>>

export type AnomalyName = keyof typeof anomalies

export const anomalyNames: readonly AnomalyName[] = Object.keys(anomalies).filter(isAnomalyName)

export function isAnomalyName(name: string): name is AnomalyName {
  return Object.hasOwn(anomalies, name)
}
