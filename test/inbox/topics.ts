import { type Handler, topic } from '../../src/index.ts'

export interface Payment {
  readonly account: string
  readonly n: number
}

/** In the source. */
export const payments = topic<Payment>('payments', { partitions: 3, key: ({ account }) => account })
/** In the sink. */
export const booked = topic<Payment & { count: number }>('booked', {
  partitions: 2,
  key: ({ account }) => account,
})

/** All that a handler can do: state, an emitted event, and a row in the user's table. */
const bookBy = (insert: string): Handler<Payment> => {
  return async ({ data }, tx) => {
    const state = tx.state<number>('count')
    const count = ((await state.get()) ?? 0) + 1
    await state.set(count)
    tx.emit(booked, { ...data, count })
    await tx.query(insert, [data.account, data.n])
  }
}

export const book = bookBy('insert into ledger (account, n) values ($1, $2)')
export const bookInSqlite = bookBy('insert into ledger (account, n) values (?, ?)')
