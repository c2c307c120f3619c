import assert from 'node:assert/strict'
import type { Lease, Row, UnitTransaction } from '../../engine/engine.ts'
import { hasCode } from '../../errors.ts'
import type { Instance } from './instance.ts'
import { batchOf, record, refuses } from './records.ts'
import { type Case, checkIf } from './suite.ts'

const needs = { sql: 'any' } as const
const never = new AbortController().signal

/** A user's table with a name of its own: engines may share one database between tests. */
class Accounts {
  readonly #one: Instance
  readonly #table: string
  readonly lease: Lease

  private constructor(one: Instance, lease: Lease, table: string) {
    this.#one = one
    this.lease = lease
    this.#table = table
  }

  static async create(one: Instance): Promise<Accounts> {
    await one.declare({}, { name: 'emitted' })
    const lease = await one.lease()
    const accounts = new Accounts(one, lease, `accounts_${one.platform.random.uint32().toString(36)}`)
    const tx = await accounts.begin()
    await tx.query(
      `create table ${accounts.#table} (id varchar(20) primary key, balance integer not null)`,
      [],
    )
    await tx.commit(one.unit(lease, undefined, 0))
    return accounts
  }

  begin(): Promise<UnitTransaction> {
    return this.#one.engine.begin(this.lease, never)
  }

  async insert(tx: UnitTransaction, id: string, balance: number): Promise<void> {
    const [first, second] = this.#one.engine.facts.sql === 'postgres' ? ['$1', '$2'] : ['?', '?']
    await tx.query(`insert into ${this.#table} (id, balance) values (${first}, ${second})`, [id, balance])
  }

  async rows(tx: UnitTransaction): Promise<readonly Row[]> {
    const rows = await tx.query(`select id, balance from ${this.#table} order by id`, [])
    return rows.map((row) => ({ ...row }))
  }

  /** What is committed. */
  async committed(): Promise<readonly Row[]> {
    const tx = await this.begin()
    try {
      return await this.rows(tx)
    } finally {
      await tx.rollback()
    }
  }
}

export const transactionTests: readonly Case[] = [
  checkIf({ sql: 'none' }, 'begin is UNSUPPORTED', async (bed) => {
    const one = await bed.instance()
    await one.declare()
    const lease = await one.lease()
    await refuses('UNSUPPORTED', () => one.engine.begin(lease, never))
  }),

  checkIf(needs, 'a transaction sees its own writes, and they commit with the unit', async (bed) => {
    const one = await bed.instance()
    const accounts = await Accounts.create(one)
    const tx = await accounts.begin()
    await accounts.insert(tx, 'a', 10)
    assert.deepEqual(await accounts.rows(tx), [{ id: 'a', balance: 10 }])
    await tx.commit(
      one.unit(accounts.lease, 0, 1, {
        appends: [batchOf([record('e')], { topic: 'emitted' })],
        state: [{ store: 's', keys: ['k'], values: ['v'] }],
      }),
    )
    assert.deepEqual(await accounts.committed(), [{ id: 'a', balance: 10 }])
    assert.deepEqual(await one.ids('emitted'), ['e'])
    assert.deepEqual(await one.state(accounts.lease.task, 's'), { k: 'v' })
    assert.equal((await one.engine.load(accounts.lease)).position, 1)
  }),

  checkIf(needs, 'rollback leaves nothing, and the next transaction can begin', async (bed) => {
    const one = await bed.instance()
    const accounts = await Accounts.create(one)
    const tx = await accounts.begin()
    await accounts.insert(tx, 'a', 10)
    await tx.rollback()
    await tx.rollback()
    assert.deepEqual(await accounts.committed(), [])
    assert.equal((await one.engine.load(accounts.lease)).position, 0)
  }),

  checkIf(needs, 'restore goes back to the mark and no further', async (bed) => {
    const one = await bed.instance()
    const accounts = await Accounts.create(one)
    const tx = await accounts.begin()
    await accounts.insert(tx, 'a', 1)
    await tx.mark()
    await accounts.insert(tx, 'b', 2)
    await tx.restore()
    await accounts.insert(tx, 'c', 3)
    await tx.mark()
    await accounts.insert(tx, 'd', 4)
    await tx.mark()
    await accounts.insert(tx, 'e', 5)
    await tx.restore()
    await tx.commit(one.unit(accounts.lease, 0, 1))
    const ids = (await accounts.committed()).map((row) => row.id)
    assert.deepEqual(ids, ['a', 'c', 'd'])
  }),

  checkIf(needs, 'the same mark can be restored more than once', async (bed) => {
    const one = await bed.instance()
    const accounts = await Accounts.create(one)
    const tx = await accounts.begin()
    await tx.mark()
    for (const id of ['a', 'b']) {
      await accounts.insert(tx, id, 1)
      await tx.restore()
    }
    await accounts.insert(tx, 'c', 1)
    await tx.commit(one.unit(accounts.lease, 0, 1))
    assert.deepEqual(await accounts.committed(), [{ id: 'c', balance: 1 }])
  }),

  checkIf(
    needs,
    'a failing statement is QUERY_FAILED, and after restore the transaction goes on',
    async (bed) => {
      const one = await bed.instance()
      const accounts = await Accounts.create(one)
      const tx = await accounts.begin()
      await accounts.insert(tx, 'a', 1)
      await tx.mark()
      for (const statement of [
        () => accounts.insert(tx, 'a', 2),
        () => tx.query('select nonsense from nowhere', []),
      ]) {
        await assert.rejects(statement, (error) => hasCode(error, 'QUERY_FAILED'))
        await tx.restore()
      }
      await accounts.insert(tx, 'b', 2)
      await tx.commit(one.unit(accounts.lease, 0, 1))
      assert.equal((await accounts.committed()).length, 2)
    },
  ),
]

export const refusedTransactionTests: readonly Case[] = [
  checkIf(needs, 'a fenced commit leaves no user rows (Z1, X2)', async (bed) => {
    const one = await bed.instance()
    const accounts = await Accounts.create(one)
    const tx = await accounts.begin()
    await accounts.insert(tx, 'zombie', 1)
    const stale = { ...accounts.lease, epoch: accounts.lease.epoch + 1 }
    await refuses('FENCED', () => tx.commit(one.unit(stale, 0, 1)))
    assert.deepEqual(await accounts.committed(), [])
    await refuses('TX_CLOSED', () => tx.query('select 1', []))
  }),

  checkIf(needs, 'neither does a unit from another position, nor one with a conflict', async (bed) => {
    const one = await bed.instance()
    const accounts = await Accounts.create(one)
    const first = await accounts.begin()
    await accounts.insert(first, 'a', 1)
    await refuses('POSITION_MISMATCH', () => first.commit(one.unit(accounts.lease, 5, 6)))
    assert.deepEqual(await accounts.committed(), [])
    if (one.engine.facts.dedup !== 'topic') return
    await one.publish([record('known')], { topic: 'emitted' })
    const second = await accounts.begin()
    await accounts.insert(second, 'a', 1)
    const appends = [batchOf([record('known', 'other')], { topic: 'emitted' })]
    await refuses('ID_CONFLICT', () => second.commit(one.unit(accounts.lease, 0, 1, { appends })))
    assert.deepEqual(await accounts.committed(), [])
    assert.equal((await one.engine.load(accounts.lease)).position, 0)
  }),

  checkIf(needs, 'after its end, a transaction is TX_CLOSED', async (bed) => {
    const one = await bed.instance()
    const accounts = await Accounts.create(one)
    const tx = await accounts.begin()
    await tx.commit(one.unit(accounts.lease, 0, 1))
    await refuses('TX_CLOSED', () => tx.query('select 1', []))
    await refuses('TX_CLOSED', () => tx.mark())
    await refuses('TX_CLOSED', () => tx.restore())
    await refuses('TX_CLOSED', () => tx.commit(one.unit(accounts.lease, 1, 2)))
    await tx.rollback()
    assert.equal((await one.engine.load(accounts.lease)).position, 1)
  }),

  checkIf(needs, 'begin honours its signal, before and while it waits', async (bed) => {
    const one = await bed.instance()
    const accounts = await Accounts.create(one)
    const reason = new Error('enough')
    await assert.rejects(
      one.engine.begin(accounts.lease, AbortSignal.abort(reason)),
      (error) => error === reason,
    )
    const holder = await accounts.begin()
    const controller = new AbortController()
    const waiting = one.engine.begin(accounts.lease, controller.signal).then(
      (tx) => tx.rollback(),
      (error: unknown) => assert.ok(error === reason || hasCode(error, 'ABORTED'), String(error)),
    )
    controller.abort(reason)
    await waiting
    await holder.rollback()
    assert.deepEqual(await accounts.committed(), [])
  }),

  checkIf(
    needs,
    'publishes and plain units arrive while a transaction is open, at the latest when it ends',
    async (bed) => {
      const one = await bed.instance()
      const accounts = await Accounts.create(one)
      const tx = await accounts.begin()
      await accounts.insert(tx, 'a', 1)
      const publishing = one.publish([record('p')])
      await accounts.insert(tx, 'b', 2)
      await tx.commit(one.unit(accounts.lease, 0, 1))
      await publishing
      assert.deepEqual(await one.ids(), ['p'])
      assert.equal((await accounts.committed()).length, 2)
    },
  ),

  checkIf(needs, 'transactions that nobody ended end with the engine', async (bed) => {
    const one = await bed.instance()
    const accounts = await Accounts.create(one)
    const tx = await accounts.begin()
    await accounts.insert(tx, 'a', 1)
    const again = await bed.reopen(one)
    await refuses('BUS_CLOSED', () => tx.query('select 1', []))
    assert.equal((await again.engine.load(accounts.lease)).position, 0)
  }),
]
