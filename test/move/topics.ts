import { type Handler, topic } from '../../src/index.ts'

export interface Payment {
  readonly account: string
  readonly n: number
}

export const group = 'books'
export const payments = topic<Payment>('payments', { partitions: 3, key: ({ account }) => account })
/** Where the topic was moved to and where it came from each have one of these: a unit emits where it commits. */
export const booked = topic<Payment & { readonly count: number }>('booked', {
  partitions: 1,
  key: ({ account }) => account,
})

/** The same for an engine that knows no ids. */
export const withoutDedup = [
  topic<Payment>('payments', { partitions: 3, dedup: false, key: ({ account }) => account }),
  topic('booked', { partitions: 1, dedup: false }),
] as const

/** State that every event of an account changes, and an event that says what it was. */
export const book: Handler<Payment> = async ({ data }, tx) => {
  const state = tx.state<number>('count')
  const count = ((await state.get()) ?? 0) + 1
  await state.set(count)
  tx.emit(booked, { ...data, count })
}
