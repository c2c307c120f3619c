import {
  always,
  type Clause,
  doesNotHold,
  type GuaranteeSetting,
  holds,
  type Judgement,
  notApplicable,
  partly,
  proof,
  proofIf,
  proofOn,
} from './clause.ts'

const crash = 'test/crash/sqlite-crash.test.ts'
const strace = 'test/crash/strace-crash.test.ts'
const failingDisk = 'test/crash/failing-disk.test.ts'
const servers = 'test/postgres/servers.test.ts'
const outcomes = 'test/postgres/outcomes.test.ts'
const power = 'test/crash/power-loss.test.ts'
const slowDisk = 'test/crash/slow-disk.test.ts'
const outboxFaults = 'test/outbox/faults.test.ts'
const drill = 'test/failover/drill.test.ts'
const kafkaEngine = 'test/kafka/engine.test.ts'
const kafkaSafety = 'test/kafka/safety.test.ts'
const kills = 'test/crash/random-kills.test.ts'
const queue = 'test/bus/queue.test.ts'
const publish = 'test/bus/publish.test.ts'
const conformance = 'src/testing/conformance'

/** Whether anything outlives the process at all. */
function isLasting({ facts }: GuaranteeSetting): boolean {
  return facts.durability[0] !== 'memory'
}

const whileReplicated =
  'brokers acknowledge when all replicas in sync have it, and flush later: while one of those keeps its power'

function judgePowerSafe({ facts, durability }: GuaranteeSetting): Judgement {
  if (!facts.durability.includes('fsync'))
    return doesNotHold(`the engine offers ${facts.durability.join(', ')} at most`)
  if (facts.ownership === 'broker-group') return partly(whileReplicated)
  if (durability === 'fsync') return holds()
  return partly(`publishes are acknowledged at ${durability} here, unless they ask for fsync`)
}

function judgeProcessSafe({ facts }: GuaranteeSetting): Judgement {
  if (facts.durability.includes('os') || facts.durability.includes('fsync')) return holds()
  return doesNotHold('everything ends with the process')
}

function judgeFailStop(setting: GuaranteeSetting): Judgement {
  if (!isLasting(setting)) return notApplicable('nothing is written to a disk')
  if (setting.facts.sharedByMachines)
    return notApplicable(
      'the server flushes, and stops itself when that fails; a commit it cut off is unknown',
    )
  return holds()
}

function judgeRecovery(setting: GuaranteeSetting): Judgement {
  if (setting.facts.ownership === 'broker-group') return partly(whileReplicated)
  return isLasting(setting) ? holds() : notApplicable('there is nothing to recover')
}

function judgeVisibility({ facts }: GuaranteeSetting): Judgement {
  if (facts.atomicVisibility) return holds()
  return partly('all or nothing, but not visible at once in all partitions')
}

/** N1 to N5 need ids that are recognised at publishing, and a window to remember them for. */
function judgeDedup({ facts, topics }: GuaranteeSetting): Judgement {
  if (facts.dedup === 'inbox')
    return partly(
      'not at publishing: a group that asks for an inbox recognises ids when events are handled (N7)',
    )
  const without = topics.filter(({ dedupWindowMs }) => dedupWindowMs === 0).map(({ name }) => name)
  if (without.length === 0) return holds()
  const list = without.join(', ')
  if (without.length === topics.length) return doesNotHold(`every topic here has no window: ${list}`)
  return partly(`not for topics without a window: ${list}`)
}

export const outcomeClauses: readonly Clause[] = [
  {
    id: 'U1',
    text: 'a call succeeds, surely did not happen (not-applied), or may have happened (unknown)',
    kind: 'promise',
    judge: always,
    proofs: [
      proof('test/property/models.test.ts', 'U1: of calls made at once'),
      proof(queue, 'U1: an engine that never answers leaves the outcome unknown'),
      proof('test/engine/guard.test.ts', 'a foreign error in a write may have happened'),
      proofOn(['postgres'], outcomes, 'the reply to a publish is lost: unknown'),
      proofOn(['postgres'], outboxFaults, 'a lost answer to the commit neither loses nor doubles'),
      proofOn(['sqlite'], slowDisk, 'what was told as unknown is there once or not'),
    ],
  },
  {
    id: 'U2',
    text: 'after unknown, publishing again with the same id is safe inside the dedup window',
    kind: 'promise',
    judge: judgeDedup,
    proofs: [
      proof(queue, 'U2: after an unknown outcome the same id is safe'),
      proofOn(['sqlite'], crash, 'nothing lost, doubled, torn or out of order'),
      proofOn(['postgres'], outcomes, 'a write that arrives long after its sender gave up does nothing'),
    ],
  },
  {
    id: 'U3',
    text: 'no call hangs: each settles within a finite deadline',
    kind: 'promise',
    judge: always,
    proofs: [
      proof(queue, 'U3: the deadline counts while waiting for room'),
      proofOn(['postgres'], outcomes, 'nobody waits for a black hole'),
      proofOn(['sqlite'], slowDisk, 'each publish settles within its deadline'),
    ],
  },
]

export const durabilityClauses: readonly Clause[] = [
  {
    id: 'D1',
    text: 'acknowledged at fsync: survives a killed process and a power failure',
    kind: 'promise',
    judge: judgePowerSafe,
    proofs: [
      proofOn(['sqlite'], power, 'all acknowledged is there, a prefix, once'),
      proofOn(['sqlite'], crash, 'nothing lost, doubled, torn or out of order'),
      proofOn(['sqlite'], strace, 'nothing lost, doubled or out of order'),
      proofOn(['postgres'], servers, 'kill -9 of the whole server'),
      proofOn(['postgres'], servers, 'synchronous_commit = off of a role or database does not reach'),
      proofOn(['postgres'], 'test/postgres/disk-full.test.ts', 'the disk of the whole server is full'),
    ],
  },
  {
    id: 'D2',
    text: 'acknowledged at os: survives a killed process; a power failure may take it',
    kind: 'promise',
    judge: judgeProcessSafe,
    proofs: [
      proofOn(['sqlite'], kills, 'all acknowledged is there, once'),
      proofOn(['sqlite'], power, 'what is left is still a prefix'),
      proof('test/bus/lifecycle.test.ts', 'D1 D2 D3: the default is the strongest level'),
    ],
  },
  {
    id: 'D3',
    text: 'acknowledged at memory: survives nothing that you may count on',
    kind: 'limit',
    judge: always,
    proofs: [proof('test/bus/lifecycle.test.ts', 'D1 D2 D3: the default is the strongest level')],
  },
  {
    id: 'D4',
    text: 'after the first failed commit nothing is written until the engine is opened again',
    kind: 'promise',
    judge: judgeFailStop,
    proofs: [proofOn(['sqlite'], failingDisk, 'nothing is acknowledged any more')],
  },
  {
    id: 'D5',
    text: 'after a crash the log is a prefix in commit order, with the same bytes at the same offsets',
    kind: 'promise',
    judge: judgeRecovery,
    proofs: [
      proofOn(['sqlite'], power, 'all acknowledged is there, a prefix, once'),
      proofOn(['sqlite'], strace, 'nothing lost, doubled or out of order'),
      proofOn(
        ['sqlite'],
        'test/engines/sqlite/file-faults.test.ts',
        'a flipped byte in a stored event is found',
      ),
      proofOn(['postgres'], servers, 'kill -9 of the whole server'),
    ],
  },
  {
    id: 'D6',
    text: 'a log that went back or was replaced is LOG_REGRESSED, never a silent jump',
    kind: 'promise',
    judge: always,
    proofs: [
      proof('test/runtime/handles.test.ts', 'D6: where the log was replaced'),
      proof(`${conformance}/closing.ts`, 'the identity of the log stays over reopening'),
      proofOn(['postgres'], servers, 'a log that went back and has grown again since'),
      proofOn(
        ['postgres'],
        'test/failover/clients.test.ts',
        'a reader and a group that only read notice a log',
      ),
      proofOn(['postgres'], 'test/postgres/restored.test.ts', 'a database restored from an older copy'),
      proofOn(['postgres'], drill, 'every program reports what is missing'),
      proofOn(['kafka'], kafkaEngine, 'a topic that was deleted and made again is LOG_REGRESSED'),
      proof('test/inbox/inbox.test.ts', 'an old copy that is shorter, and one that has grown past'),
    ],
  },
  {
    id: 'D7',
    text: 'an engine that cannot keep the durability asked for refuses to open',
    kind: 'promise',
    judge: always,
    proofs: [
      proof(`${conformance}/closing.ts`, 'a durability that the facts do not offer is refused'),
      proofOn(['postgres'], servers, 'what the asked durability needs is refused by name'),
      proofOn(
        ['postgres'],
        'test/postgres/errors.test.ts',
        'an isolation level at which offsets could not be dense',
      ),
      proofOn(['kafka'], kafkaEngine, 'unsafe and impossible wishes are refused by name'),
      proofOn(['kafka'], kafkaSafety, 'topics that the engine makes are safe whatever the defaults'),
    ],
  },
]

export const publishClauses: readonly Clause[] = [
  {
    id: 'P1',
    text: 'offsets grow in commit order and name the same bytes for ever',
    kind: 'promise',
    judge: ({ facts }) => holds(facts.denseOffsets ? '' : 'offsets may have gaps'),
    proofs: [
      proof(`${conformance}/append.ts`, 'offsets grow in the order of the records'),
      proof(`${conformance}/append.ts`, 'after reopening, appending goes on at the end'),
      proofOn(['postgres'], 'test/postgres/dense.test.ts', 'offsets are dense and in commit order'),
    ],
  },
  {
    id: 'P2',
    text: 'events of one bus stand in the order of its calls; what is behind a failed one fails too',
    kind: 'promise',
    judge: always,
    proofs: [
      proof(publish, 'P2: five hundred concurrent publishes lie in the order of the calls'),
      proof(publish, 'P2: what was sent behind a failing publish fails too'),
      proof(`${conformance}/append.ts`, 'calls that are under way at once keep their order'),
    ],
  },
  {
    id: 'P3',
    text: 'publishMany is all or nothing, over topics and partitions, and visible at once',
    kind: 'promise',
    judge: judgeVisibility,
    proofs: [
      proof(publish, 'P3: one conflict in a call across topics, and nothing of it is there'),
      proofIf(
        { atomicVisibility: true },
        `${conformance}/append.ts`,
        'whoever saw one event of a call sees all of it',
      ),
      proofOn(['sqlite'], crash, 'nothing lost, doubled, torn or out of order'),
    ],
  },
  {
    id: 'P4',
    text: "equal keys go to one partition, by Kafka's murmur2",
    kind: 'promise',
    judge: always,
    proofs: [
      proof('test/event/partition-of-key.test.ts', "is Kafka's (P4)"),
      proof(publish, 'P4: the key decides'),
    ],
  },
  {
    id: 'P5',
    text: "an event of the user's own transaction (semel/outbox) exists if and only if that commits, per key in commit order",
    kind: 'promise',
    judge: judgeOutbox,
    proofs: [
      proofOn(['postgres'], 'test/outbox/adapters.test.ts', 'if and only if the transaction committed (P5)'),
      proofOn(['postgres'], 'test/outbox/sequencer.test.ts', 'in commit order per key (P5)'),
      proofOn(['postgres'], 'test/outbox/kill.test.ts', 'nothing lost, nothing doubled, in order (P5)'),
      proofOn(['sqlite'], 'test/outbox/sqlite.test.ts', 'nothing lost, nothing doubled, in order (P5)'),
    ],
  },
]

function judgeOutbox({ facts }: GuaranteeSetting): Judgement {
  return facts.sql === undefined ? notApplicable('a database keeps the outbox') : holds()
}

export const dedupClauses: readonly Clause[] = [
  {
    id: 'N1',
    text: 'publishes of one id in a topic give one event, and every answer is its offset',
    kind: 'promise',
    judge: judgeDedup,
    proofs: [
      proof(publish, 'N1: a thousand publishes of one id at once give one offset'),
      proofIf({ dedup: 'topic' }, `${conformance}/dedup.ts`, 'many publishes of an id give one event'),
    ],
  },
  {
    id: 'N2',
    text: 'the same id with other content is ID_CONFLICT and changes nothing',
    kind: 'promise',
    judge: judgeDedup,
    proofs: [
      proofIf(
        { dedup: 'topic' },
        `${conformance}/conflicts.ts`,
        'a known id with other content fails its whole call',
      ),
      proof('test/event/fingerprint.test.ts', 'content changes it, each part in its own way'),
    ],
  },
  {
    id: 'N3',
    text: 'ids are remembered for a window of time from their first acceptance',
    kind: 'promise',
    judge: judgeDedup,
    proofs: [
      proofIf(
        { dedup: 'topic', appendClock: 'process' },
        `${conformance}/dedup.ts`,
        'the window is open until its last moment, then the id is new',
      ),
      proofIf(
        { dedup: 'topic', appendClock: 'process' },
        `${conformance}/dedup.ts`,
        'duplicates do not extend the window',
      ),
      proofOn(['postgres'], 'test/postgres/dedup-window.test.ts', 'an id is remembered for the window'),
    ],
  },
  {
    id: 'N4',
    text: 'what is remembered commits with the event and survives restarts',
    kind: 'promise',
    judge: (setting) =>
      isLasting(setting) ? judgeDedup(setting) : notApplicable('nothing outlives the process'),
    proofs: [
      proofIf({ dedup: 'topic' }, `${conformance}/dedup.ts`, 'the memory survives reopening'),
      proofOn(['sqlite'], crash, 'nothing lost, doubled, torn or out of order'),
    ],
  },
  {
    id: 'N5',
    text: 'an event is never taken for a duplicate by chance',
    kind: 'promise',
    judge: judgeDedup,
    proofs: [
      proofIf({ dedup: 'topic' }, `${conformance}/dedup.ts`, 'ids are compared exactly'),
      proofOn(['sqlite'], 'test/engines/sqlite/dedup.test.ts', 'any mix of appends, seals, merges'),
    ],
  },
  {
    id: 'N7',
    text: 'a group with an inbox passes over an id it accepted within the window, in each partition, exactly',
    kind: 'promise',
    judge: always,
    proofs: [
      proof('test/runtime/inbox.test.ts', 'N7, X1: commits that fail or lie, members that come and go'),
      proofOn(['kafka'], 'test/kafka/inbox.test.ts', 'N7: duplicates from any producer count once'),
    ],
  },
]
