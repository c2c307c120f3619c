import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { PrismaPg } from '@prisma/adapter-pg'
import { viaPrisma } from '../../../src/outbox/index.ts'
import type { Library, Within } from './library.ts'

const modules = fileURLToPath(new URL('../../../node_modules', import.meta.url))

const schema = `
datasource db {
  provider = "postgresql"
}
generator client {
  provider = "prisma-client"
  output   = "./client"
}
model account {
  id Int @id
}
`

/** What the generator makes of the schema above, as far as we use it. */
interface Client {
  readonly account: { create(row: { data: { id: number } }): PromiseLike<unknown> }
  $queryRawUnsafe(text: string, ...values: unknown[]): PromiseLike<unknown>
  $transaction(work: (tx: Client) => Promise<void>): Promise<void>
}

interface RootClient extends Client {
  $connect(): Promise<void>
  $disconnect(): Promise<void>
}

/** Prisma's client is generated code. Generating needs no network as long as no engine is asked for. */
async function generate(folder: string): Promise<new (options: object) => RootClient> {
  symlinkSync(modules, join(folder, 'node_modules'), 'junction')
  const file = join(folder, 'schema.prisma')
  writeFileSync(file, schema)
  // The generator looks for the engine of migrations, which it does not use, and would download it.
  const env = { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: process.execPath, CHECKPOINT_DISABLE: '1' }
  const command = join(modules, 'prisma/build/index.js')
  execFileSync(process.execPath, [command, 'generate', '--schema', file], {
    env,
    stdio: 'pipe',
  })
  const module: { PrismaClient: new (options: object) => RootClient } = await import(
    pathToFileURL(join(folder, 'client/client.ts')).href
  )
  return module.PrismaClient
}

export async function openPrisma(url: string): Promise<Library> {
  const folder = mkdtempSync(join(tmpdir(), 'semel-prisma-'))
  const Generated = await generate(folder)
  const prisma = new Generated({ adapter: new PrismaPg({ connectionString: url }) })
  const within = (tx: Client): Within => ({
    outbox: viaPrisma(tx),
    insert: async (id) => await tx.account.create({ data: { id } }),
    savepoint: (work) => tx.$transaction((inner) => work(within(inner))),
  })
  return {
    transaction: (work) => prisma.$transaction((tx) => work(within(tx))),
    // @ts-expect-error the client, which is no transaction
    outside: () => viaPrisma(prisma),
    close: async () => {
      await prisma.$disconnect()
      rmSync(folder, { recursive: true })
    },
  }
}
