import { defineEntity, type EntityManager, MikroORM, p } from '@mikro-orm/postgresql'
import { viaMikroOrm } from '../../../src/outbox/index.ts'
import type { Library, Within } from './library.ts'

const account = defineEntity({ name: 'account', properties: { id: p.integer().primary() } })

export async function openMikroOrm(url: string): Promise<Library> {
  const orm = await MikroORM.init({ clientUrl: url, entities: [account] })
  const within = (em: EntityManager): Within => ({
    outbox: viaMikroOrm(em),
    insert: (id) => em.insert(account, { id }),
    savepoint: (work) => em.transactional((inner) => work(within(inner))),
  })
  return {
    transaction: (work) => orm.em.fork().transactional((em) => work(within(em))),
    outside: () => viaMikroOrm(orm.em.fork()),
    close: () => orm.close(),
  }
}
