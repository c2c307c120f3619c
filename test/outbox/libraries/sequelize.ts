import { DataTypes, Sequelize, type Transaction } from 'sequelize'
import { viaSequelize } from '../../../src/outbox/index.ts'
import type { Library, Within } from './library.ts'

export async function openSequelize(url: string): Promise<Library> {
  const sequelize = new Sequelize(url, { logging: false })
  const Account = sequelize.define(
    'account',
    { id: { type: DataTypes.INTEGER, primaryKey: true } },
    { timestamps: false, freezeTableName: true },
  )
  const within = (transaction: Transaction): Within => ({
    outbox: viaSequelize(sequelize, transaction),
    insert: (id) => Account.create({ id }, { transaction }),
    savepoint: (work) => sequelize.transaction({ transaction }, (inner) => work(within(inner))),
  })
  return {
    transaction: (work) => sequelize.transaction((transaction) => work(within(transaction))),
    // @ts-expect-error no transaction was begun
    outside: () => viaSequelize(sequelize, undefined),
    close: () => sequelize.close(),
  }
}
