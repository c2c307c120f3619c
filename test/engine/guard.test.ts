import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type {
  AppendBatch,
  AppendGroup,
  AppendResult,
  Engine,
  EngineContext,
  ReadRequest,
  ReadResult,
  Unit,
  UnitTransaction,
} from '../../src/engine/engine.ts'
import type { EngineFacts } from '../../src/engine/facts.ts'
import { guardEngine } from '../../src/engine/guard.ts'
import { memoryFacts } from '../../src/engines/memory/facts.ts'
import { MemoryEngine } from '../../src/engines/memory/memory-engine.ts'
import { MemoryLog } from '../../src/engines/memory/memory-log.ts'
import { AssertionFailure, isSemelError, SemelError } from '../../src/errors.ts'
import { ManualPlatform } from './manual-platform.ts'

const task = { group: 'g', topic: 't', partition: 0 }
const unit: Unit = {
  lease: { task, epoch: 1 },
  from: undefined,
  to: 1,
  logId: 'x',
  appends: [],
  state: [],
}
const record = {
  id: 'a',
  source: '/s',
  type: 't',
  time: 0,
  key: null,
  data: 1,
  attributes: undefined,
}
const batch: AppendBatch = { topic: 't', partition: 0, records: [record], callOf: undefined, fresh: false }
const group = { calls: 1, batches: [batch], failuresSeen: 0 }
const memory = { durability: 'memory' } as const
const read = { topic: 't', partition: 0, offset: 0, maxEvents: 10, maxBytes: 1_000 }

/** A memory engine that can be made to misbehave. */
class BadEngine extends MemoryEngine {
  failWith: unknown
  lie: Partial<AppendResult> | undefined
  readLie: ReadResult | undefined
  closed = 0
  /** Reads wait for it. */
  gate: Promise<void> = Promise.resolve()
  readonly transaction = new FakeTransaction()
  override readonly facts: EngineFacts = { ...memoryFacts, sql: 'sqlite' }

  constructor() {
    super(new MemoryLog())
  }

  override async append(calls: AppendGroup): Promise<AppendResult> {
    if (this.failWith !== undefined) throw this.failWith
    return { ...(await super.append(calls)), ...this.lie }
  }

  override async read(request: ReadRequest): Promise<ReadResult> {
    if (this.failWith !== undefined) throw this.failWith
    await this.gate
    return this.readLie ?? (await super.read(request))
  }

  override async begin(): Promise<UnitTransaction> {
    return this.transaction
  }

  override async close(): Promise<void> {
    this.closed += 1
    await super.close()
  }
}

class FakeTransaction implements UnitTransaction {
  readonly client = 'the driver'
  readonly steps: string[] = []
  async query(text: string): Promise<readonly []> {
    this.steps.push(text)
    return []
  }
  async mark(): Promise<void> {
    this.steps.push('mark')
  }
  async restore(): Promise<void> {
    this.steps.push('restore')
  }
  async commit(): Promise<void> {
    this.steps.push('commit')
    throw new SemelError('FENCED', 'no')
  }
  async rollback(): Promise<void> {
    this.steps.push('rollback')
  }
}

async function open(engine: Engine): Promise<Engine> {
  const guarded = guardEngine(engine)
  const context: EngineContext = { platform: new ManualPlatform(), durability: 'memory', member: 'm' }
  await guarded.open(context)
  await guarded.declareTopics([{ name: 't', partitions: 1, dedupWindowMs: 0 }])
  return guarded
}

describe('guardEngine', () => {
  test('guarding twice is guarding once', () => {
    const guarded = guardEngine(new BadEngine())
    assert.equal(guardEngine(guarded), guarded)
  })

  test('a foreign error in a write may have happened, one in a read did not (U1)', async () => {
    const bad = new BadEngine()
    const engine = await open(bad)
    bad.failWith = new Error('password=secret')
    const inWrite = await engine.append(group, memory).catch((error: unknown) => error)
    assert.ok(isSemelError(inWrite))
    assert.deepEqual(
      [inWrite.code, inWrite.outcome, inWrite.cause],
      ['ENGINE_FAILED', 'unknown', bad.failWith],
    )
    assert.ok(!inWrite.message.includes('secret'))
    const inRead = await engine.read(read).catch((error: unknown) => error)
    assert.ok(isSemelError(inRead))
    assert.deepEqual([inRead.code, inRead.outcome], ['ENGINE_FAILED', 'not-applied'])
    await engine.close()
  })

  test('Semel’s own errors and broken promises pass unchanged', async () => {
    const bad = new BadEngine()
    const engine = await open(bad)
    for (const failure of [new SemelError('STORAGE_FULL', 'full'), new AssertionFailure('ours')]) {
      bad.failWith = failure
      await assert.rejects(engine.append(group, memory), (error) => error === failure)
      await assert.rejects(engine.read(read), (error) => error === failure)
    }
    await engine.close()
  })

  test('an engine that answers nonsense is stopped', async () => {
    const bad = new BadEngine()
    const engine = await open(bad)
    bad.lie = { batches: [] }
    await assert.rejects(engine.append(group, memory), AssertionFailure)
    bad.lie = { batches: [{ firstOffset: 0, offsets: [1, 2], duplicates: undefined }] }
    await assert.rejects(engine.append(group, memory), AssertionFailure)
    const event = { ...record, offset: 5, appendTime: 0 }
    for (const lie of [
      { events: [], bytes: 0, next: 3, end: 2 },
      { events: [event], bytes: 1, next: 5, end: 9 },
      { events: new Array(11).fill(event), bytes: 1, next: 9, end: 9 },
      { events: [event, event], bytes: read.maxBytes + 1, next: 9, end: 9 },
    ]) {
      bad.readLie = lie
      await assert.rejects(engine.read(read), AssertionFailure)
    }
    await engine.close()
  })

  test('units and groups that only our own code could get wrong are assertions', async () => {
    const engine = await open(new BadEngine())
    const twice = { store: 's', keys: ['a', 'a'], values: ['1', '2'] }
    for (const wrong of [
      { ...unit, lease: { task, epoch: 0 } },
      { ...unit, to: -1 },
      { ...unit, logId: '' },
      { ...unit, appends: [{ ...batch, callOf: [0] }] },
      { ...unit, appends: [{ ...batch, records: [] }] },
      { ...unit, state: [twice] },
      { ...unit, state: [{ store: 's', keys: ['a'], values: [] }] },
      { ...unit, state: [{ store: '', keys: ['a'], values: ['1'] }] },
      { ...unit, state: [1, 2].map(() => ({ store: 's', keys: [], values: [] })) },
    ]) {
      await assert.rejects(engine.commit(wrong), AssertionFailure)
    }
    for (const wrong of [
      { ...group, calls: 0 },
      { ...group, failuresSeen: -1 },
      { ...group, batches: [{ ...batch, records: [] }] },
      { ...group, batches: [{ ...batch, callOf: [] }] },
      { ...group, batches: [{ ...batch, callOf: [1] }] },
    ]) {
      await assert.rejects(engine.append(wrong, memory), AssertionFailure)
    }
    const huge = { ...batch, records: new Array(10_001).fill(record) }
    await assert.rejects(engine.append({ ...group, batches: [huge] }, memory), { code: 'TOO_LARGE' })
    await engine.close()
  })

  test('a transaction ends once, and the rest is TX_CLOSED', async () => {
    const bad = new BadEngine()
    const engine = await open(bad)
    const tx = await engine.begin(unit.lease, new AbortController().signal)
    assert.equal(tx.client, 'the driver')
    await tx.query('select 1', [])
    await assert.rejects(tx.commit(unit), { code: 'FENCED' })
    await assert.rejects(tx.query('select 2', []), { code: 'TX_CLOSED' })
    await assert.rejects(tx.commit(unit), { code: 'TX_CLOSED' })
    await tx.rollback()
    assert.deepEqual(bad.transaction.steps, ['select 1', 'commit'])
    await engine.close()
  })

  test('an aborted begin rejects with the caller’s reason', async () => {
    const engine = await open(new BadEngine())
    const reason = new Error('enough')
    await assert.rejects(engine.begin(unit.lease, AbortSignal.abort(reason)), (error) => error === reason)
    await engine.close()
  })

  test('close rolls back what is open, leaves what was joined, and closes the engine once', async () => {
    const bad = new BadEngine()
    const engine = await open(bad)
    await engine.begin(unit.lease, new AbortController().signal)
    const revoked: string[] = []
    await engine.join(
      {
        group: 'g',
        topics: [{ topic: 't', partitions: 1 }],
        leaseMs: 1_000,
        report: () => ({ inFlight: 0, retries: 0, handled: 0, commitMs: { p50: 0, p99: 0 } }),
      },
      {
        assigned: () => undefined,
        revoked: async (_leases, reason) => {
          revoked.push(reason)
        },
      },
    )
    await new Promise((resolve) => setImmediate(resolve))
    await Promise.all([engine.close(), engine.close()])
    assert.deepEqual([bad.transaction.steps, revoked, bad.closed], [['rollback'], ['handover'], 1])
    assert.ok(engine.logId.length > 0, 'the identity can still be shown')
  })

  test('close waits for what is under way, and refuses what comes meanwhile', async () => {
    const bad = new BadEngine()
    const engine = await open(bad)
    let pass = (): void => undefined
    bad.gate = new Promise((resolve) => {
      pass = resolve
    })
    const reading = engine.read(read)
    const closing = engine.close()
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(bad.closed, 0)
    await assert.rejects(engine.read(read), { code: 'BUS_CLOSED' })
    pass()
    assert.deepEqual((await reading).events, [])
    await closing
    assert.equal(bad.closed, 1)
  })

  test('an open that failed may be tried again, and close waits for one that is under way', async () => {
    const engine = new BadEngine()
    let attempts = 0
    const plainOpen = engine.open.bind(engine)
    engine.open = async (context) => {
      attempts += 1
      if (attempts === 1) throw new Error('no such host')
      await plainOpen(context)
    }
    const guarded = guardEngine(engine)
    const context: EngineContext = { platform: new ManualPlatform(), durability: 'memory', member: 'm' }
    assert.throws(() => guarded.logId, { code: 'BUS_CLOSED' })
    await assert.rejects(guarded.open(context), { code: 'ENGINE_OPEN_FAILED' })
    const opening = guarded.open(context)
    await guarded.close()
    await opening
    assert.deepEqual([attempts, engine.closed], [2, 1])
  })
})
