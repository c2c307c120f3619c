import { TcpProxy } from '../../src/testing/faults/tcp-proxy.ts'
import { type PostgresServer, startPostgres } from '../rig/postgres/server.ts'
import { type Standby, startStandby } from '../rig/postgres/standby.ts'

/** A primary and a standby that streams over a link which can be cut. */
export interface Pair extends AsyncDisposable {
  readonly primary: PostgresServer
  readonly standby: Standby
  readonly link: TcpProxy
  /** Names both hosts, the primary first. */
  readonly url: string
  /** kill -9 of the primary, then promotion of the standby. */
  failOver(): Promise<void>
}

export async function startPair({ synchronous }: { readonly synchronous: boolean }): Promise<Pair> {
  const primary = await startPostgres()
  const link = await TcpProxy.listen({ target: { port: primary.port } })
  const standby = await startStandby(primary, { synchronous, through: link })
  return {
    primary,
    standby,
    link,
    url: `postgres://postgres@127.0.0.1:${primary.port},127.0.0.1:${standby.server.port}/postgres`,
    failOver: async () => {
      await primary.kill9()
      await link.close()
      await standby.promote()
    },
    [Symbol.asyncDispose]: async () => {
      await link.close()
      await standby.stop()
      await primary.stop()
    },
  }
}
