import type { Guarantee } from '../../runtime/task-context.ts'
import {
  always,
  type Clause,
  type GuaranteeSetting,
  holds,
  type Judgement,
  notApplicable,
  proof,
  proofOn,
} from './clause.ts'

const effects = 'test/runtime/effects.test.ts'
const order = 'test/runtime/order.test.ts'
const deadLetters = 'test/runtime/dead-letters.test.ts'
const members = 'test/runtime/members.test.ts'
const reading = 'test/bus/reading.test.ts'
const crash = 'test/crash/sqlite-crash.test.ts'
const inbox = 'test/inbox/inbox.test.ts'
const failover = 'test/failover'
const slowDisk = 'test/crash/slow-disk.test.ts'
const conformance = 'src/testing/conformance'
const kafkaUnits = 'test/kafka/units.test.ts'

/** A promise to the groups that chose one of `guarantees`. */
function judgeGroups(...guarantees: Guarantee[]): (setting: GuaranteeSetting) => Judgement {
  return ({ groups }) => {
    if (groups.length === 0) return holds(`for groups that ask for ${guarantees.join(' or ')}`)
    const names = groups.filter(({ guarantee }) => guarantees.includes(guarantee)).map(({ group }) => group)
    return names.length === 0
      ? notApplicable(`no group of this process is ${guarantees.join(' or ')}`)
      : holds(`for ${names.join(', ')}`)
  }
}

function judgeEffects(setting: GuaranteeSetting): Judgement {
  const judgement = judgeGroups('exactly-once')(setting)
  const { sql } = setting.facts
  if (judgement.verdict !== 'holds' || sql !== undefined) return judgement
  return holds(`${judgement.why}; the engine has no SQL, so tx.query is refused`)
}

function judgeDeadLetterOrder({ groups }: GuaranteeSetting): Judgement {
  const blocking = groups.filter(({ onExhausted }) => onExhausted === 'block').map(({ group }) => group)
  return blocking.length === 0
    ? holds()
    : holds(`order is kept for ${blocking.join(', ')} (onExhausted: block)`)
}

export const consumeClauses: readonly Clause[] = [
  {
    id: 'A1',
    text: 'at-most-once: the position moves durably before the handler is called',
    kind: 'promise',
    judge: judgeGroups('at-most-once'),
    proofs: [
      proof(effects, 'A1: at most once, no event is handed out twice'),
      proofOn(['postgres'], inbox, 'at-most-once moves the position in the sink before the handler runs'),
    ],
  },
  {
    id: 'L1',
    text: 'every event is handed out until its handler succeeds or it is a dead letter',
    kind: 'promise',
    judge: judgeGroups('at-least-once', 'exactly-once'),
    proofs: [
      proof(effects, 'L1: at least once, every event is handled'),
      proof('test/runtime/window.test.ts', 'L1: the position is the lowest unfinished offset'),
    ],
  },
  {
    id: 'L2',
    text: 'an event is handed out again only after a crash, lost lease, time-out, failed commit or redrive',
    kind: 'promise',
    judge: judgeGroups('at-least-once', 'exactly-once'),
    proofs: [
      proof(order, 'L2: a clean stop hands over what finished'),
      proof(effects, 'L2: what finished above the position is not run again'),
    ],
  },
  {
    id: 'L3',
    text: 'becoming a dead letter and passing the position is one step; the letter keeps the event whole',
    kind: 'promise',
    judge: judgeGroups('at-least-once', 'exactly-once'),
    proofs: [
      proof(deadLetters, 'L3: what cannot be handled is kept whole'),
      proofOn(['postgres'], inbox, 'dead letters are kept in the sink, redriven from there, once'),
    ],
  },
  {
    id: 'X1',
    text: 'exactly-once: what a handler does through tx takes effect once, with the position',
    kind: 'promise',
    judge: judgeEffects,
    proofs: [
      proof(effects, 'X1 U1: commits that fail or lie leave counts exact'),
      proof('test/property/models.test.ts', 'X1 O1: a group is a fold over its keys'),
      proofOn(['sqlite'], crash, 'nothing lost, doubled, torn or out of order'),
      proofOn(['sqlite'], slowDisk, 'one flush in five takes longer than a lease'),
      proofOn(['postgres'], `${failover}/drill.test.ts`, 'a synchronous standby takes over under load'),
      proofOn(['kafka'], 'test/kafka/chaos.test.ts', 'members are killed, stopped for a while and replaced'),
      proofOn(['kafka'], kafkaUnits, 'a member joins in the middle of a unit'),
    ],
  },
  {
    id: 'X2',
    text: 'with sink, events of one bus take effect once in another',
    kind: 'promise',
    judge: judgeGroups('exactly-once'),
    proofs: [
      proof('test/runtime/sql.test.ts', 'X1 X2: where the commit fails'),
      proof(inbox, 'rows, state, emits and position commit together'),
      proofOn(['sqlite', 'postgres'], 'test/inbox/kill.test.ts', 'SQLite to PostgreSQL under kill -9'),
      proofOn(['postgres'], inbox, 'replies to COMMIT are lost, and COMMITs that never arrive'),
      proofOn(
        ['postgres'],
        `${failover}/clients.test.ts`,
        'a sink whose primary is killed while handlers run',
      ),
      proofOn(
        ['sqlite', 'postgres'],
        `${conformance}/transactions.ts`,
        'a fenced commit leaves no user rows',
      ),
    ],
  },
  {
    id: 'X3',
    text: 'never covered: HTTP calls, e-mail, files, other databases; pass event.idempotencyKey on',
    kind: 'limit',
    judge: always,
    proofs: [],
  },
  {
    id: 'X4',
    text: 'one thing that happened, published under two ids, is two events',
    kind: 'limit',
    judge: always,
    proofs: [],
  },
  {
    id: 'Z1',
    text: 'two owners may run code at once for a moment; two can never commit',
    kind: 'promise',
    judge: always,
    proofs: [
      proof(`${conformance}/units.ts`, 'an older epoch is FENCED, and nothing of its unit exists'),
      proof(`${conformance}/ownership.ts`, 'members come, go and stall in turns: each epoch is granted once'),
      proof(members, 'Z1 V2: a paused owner is fenced when it wakes'),
      proofOn(['sqlite'], 'test/crash/pauses.test.ts', 'stopped (SIGSTOP) and woken: another took over'),
      proofOn(['postgres'], 'test/outbox/faults.test.ts', 'a sequencer whose answers are held is replaced'),
      proofOn(['kafka'], kafkaUnits, 'a member is thrown out of its group in the middle of a unit'),
    ],
  },
  {
    id: 'O1',
    text: 'events of a partition start in order, and one of a key waits for the one before it',
    kind: 'promise',
    judge: always,
    proofs: [
      proof(order, 'O1: never two of one key at once, each key in order'),
      proof(order, 'O1: with concurrency 1 the whole partition is in order'),
    ],
  },
  {
    id: 'O2',
    text: 'a dead letter breaks the order of its key; onExhausted: block keeps it',
    kind: 'promise',
    judge: judgeDeadLetterOrder,
    proofs: [proof(deadLetters, 'O2: block keeps trying, and only its key waits')],
  },
  {
    id: 'O3',
    text: 'there is no order between partitions or topics',
    kind: 'limit',
    judge: always,
    proofs: [],
  },
]

export const readClauses: readonly Clause[] = [
  {
    id: 'R1',
    text: 'reading a range twice gives the same; what is not committed is never seen',
    kind: 'promise',
    judge: always,
    proofs: [proof(reading, 'R1: two scans agree, and a later one extends an earlier one')],
  },
  {
    id: 'R2',
    text: 'from a time: the first event appended at or after it; append time never goes back',
    kind: 'promise',
    judge: always,
    proofs: [
      proof(`${conformance}/reading.ts`, 'offsetAt finds the first event at or after a time'),
      proof(reading, 'R2: from a time gives the first event'),
    ],
  },
  {
    id: 'R3',
    text: 'reading outside the log is OFFSET_OUT_OF_RANGE with both bounds, never a jump',
    kind: 'promise',
    judge: always,
    proofs: [
      proof(`${conformance}/reading.ts`, 'above it OFFSET_OUT_OF_RANGE says what there is'),
      proof(reading, 'R3: outside the log is an error with its bounds'),
    ],
  },
]

export const livenessClauses: readonly Clause[] = [
  {
    id: 'V1',
    text: 'when the last failure is over, every group catches up without help',
    kind: 'promise',
    judge: always,
    proofs: [
      proof(effects, 'V1: after many failed commits a task is soon at work again'),
      proofOn(['sqlite'], slowDisk, 'then all goes on by itself, once'),
      proofOn(
        ['postgres'],
        'test/postgres/dense.test.ts',
        'an event can be read as soon as it is acknowledged',
      ),
    ],
  },
  {
    id: 'V2',
    text: 'a member that is dead or silent holds its partitions up for its lease and a heartbeat',
    kind: 'promise',
    judge: always,
    proofs: [
      proof(
        'test/engine/lease-balancer.test.ts',
        'a member that dies loses its tasks to the others after one lease',
      ),
      proof(members, 'Z1 V2: a paused owner is fenced when it wakes'),
    ],
  },
  {
    id: 'V4',
    text: 'queues, windows and caches have limits; a publisher waits or is refused as BUSY',
    kind: 'promise',
    judge: always,
    proofs: [
      proof('test/bus/queue.test.ts', 'V4: when it is full and may not wait'),
      proof('test/bus/queue.test.ts', 'V4: a queue bounded by bytes refuses as well'),
    ],
  },
]
