import { setTimeout as pause } from 'node:timers/promises'
import { TcpProxy } from '../../src/testing/faults/tcp-proxy.ts'
import { type PostgresServer, startPostgres } from '../../test/rig/postgres/server.ts'
import type { Address, Storage, StorageFault } from './storage.ts'

/** Longer than the lease of the soak's groups. */
const outageMs = 1_500
/** Of what an operation has between it and its answer. */
const slowMs = 40

/** A real server behind a proxy that is there to fail. The workers go through the proxy, the judge does not. */
export class PostgresStorage implements Storage {
  readonly workers: Address
  readonly observer: Address
  readonly faults: Readonly<Record<string, StorageFault>>
  readonly #server: PostgresServer
  readonly #proxy: TcpProxy

  private constructor(server: PostgresServer, proxy: TcpProxy) {
    this.#server = server
    this.#proxy = proxy
    this.workers = { engine: 'postgres', url: `postgres://postgres@127.0.0.1:${proxy.port}/postgres` }
    this.observer = { engine: 'postgres', url: server.url }
    const { set, cut } = { set: proxy.set.bind(proxy), cut: proxy.cut.bind(proxy) }
    this.faults = {
      'server killed': async () => {
        await server.kill9()
        await server.start()
      },
      'server stopped at once': async () => {
        await server.shutdown('immediate')
        await server.start()
      },
      'backends terminated': () => this.#terminateBackends(),
      'connections reset': async () => cut('reset'),
      'network stalled': () => this.#during(() => set('both', { stalled: true })),
      'answers lost': () => this.#during(() => set('toClient', { blackhole: true }), true),
      'network slow': () => this.#during(() => set('both', { delayMs: slowMs })),
      'nobody let in': () =>
        this.#during(() => {
          proxy.newConnections('reset')
          cut('reset')
        }),
    }
  }

  static async start(): Promise<PostgresStorage> {
    const server = await startPostgres()
    return new PostgresStorage(server, await TcpProxy.listen({ target: { port: server.port } }))
  }

  sample(): void {}

  excess(): string[] {
    return []
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#proxy.close()
    await this.#server.stop()
  }

  /** `cutAfter`: the connections are of no use any more, as those of a router that forgot them. */
  async #during(begin: () => void, cutAfter = false): Promise<void> {
    begin()
    await pause(outageMs)
    if (cutAfter) this.#proxy.cut('reset')
    this.#proxy.heal()
  }

  /** Of the workers: the judge's answers are not at stake. */
  async #terminateBackends(): Promise<void> {
    await this.#server.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where pid <> pg_backend_pid() and application_name = $1 and random() < 0.5`,
      ['semel'],
    )
  }
}
