import { type PostgresAddress, queryOnce } from './server.ts'

export interface FreshDatabase extends PostgresAddress, AsyncDisposable {
  readonly name: string
  /** Also with clients in it. */
  drop(): Promise<void>
}

export interface FreshSchema extends AsyncDisposable {
  readonly name: string
  drop(): Promise<void>
}

let made = 0
const freshName = (kind: string) => `${kind}_${process.pid}_${Date.now().toString(36)}_${++made}`

/** An empty database of one's own, for tests of what a whole database holds. */
export async function freshDatabase(server: PostgresAddress): Promise<FreshDatabase> {
  const name = freshName('db')
  await queryOnce(server.url, `create database ${name}`)
  const url = new URL(server.url)
  url.pathname = `/${name}`
  const drop = async () => {
    await queryOnce(server.url, `drop database if exists ${name} with (force)`)
  }
  return { name, url: url.href, drop, [Symbol.asyncDispose]: drop }
}

/** A name that no other test has, for a schema that the test makes and `drop` removes. Cheaper than a database. */
export function freshSchema(server: PostgresAddress): FreshSchema {
  const name = freshName('schema')
  const drop = async () => {
    await queryOnce(server.url, `drop schema if exists ${name} cascade`)
  }
  return { name, drop, [Symbol.asyncDispose]: drop }
}
