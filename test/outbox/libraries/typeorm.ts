import { DataSource, type EntityManager, EntitySchema } from 'typeorm'
import { viaTypeOrm } from '../../../src/outbox/index.ts'
import type { Library, Within } from './library.ts'

const account = new EntitySchema<{ id: number }>({
  name: 'account',
  columns: { id: { type: Number, primary: true } },
})

export async function openTypeOrm(url: string): Promise<Library> {
  const source = await new DataSource({ type: 'postgres', url, entities: [account] }).initialize()
  const within = (manager: EntityManager): Within => ({
    outbox: viaTypeOrm(manager),
    insert: (id) => manager.insert(account, { id }),
    savepoint: (work) => manager.transaction((inner) => work(within(inner))),
  })
  return {
    transaction: (work) => source.transaction((manager) => work(within(manager))),
    outside: () => viaTypeOrm(source.manager),
    close: () => source.destroy(),
  }
}
