import { TcpProxy } from '../../../src/testing/faults/tcp-proxy.ts'
import { Conversation } from './postgres-conversation.ts'
import { Trap, type TrapOptions } from './postgres-trap.ts'

export { isCommit, type Trap, type TrapKind, type TrapOptions } from './postgres-trap.ts'

export interface PostgresProxy extends AsyncDisposable {
  readonly port: number
  /** The server's address with our port. */
  readonly url: string
  /** For faults that need no knowledge of the protocol: delay, stall, cut, new connections. */
  readonly tcp: TcpProxy
  urlOf(database: string): string
  /** Lies in wait for one statement. Traps are tried in the order in which they were set. */
  trap(options: TrapOptions): Trap
  close(): Promise<void>
}

/** A proxy before a server that understands what is said. Encrypted connections pass without being understood. */
export async function startPostgresProxy(server: { readonly url: string }): Promise<PostgresProxy> {
  const address = new URL(server.url)
  const traps: Trap[] = []
  const tcp = await TcpProxy.listen({
    target: { host: address.hostname, port: Number(address.port) },
    filters: () => {
      const talk = new Conversation((sql) => traps.find((trap) => trap.catches(sql)))
      return {
        toServer: (incoming) => talk.toServer(incoming),
        toClient: (incoming) => talk.toClient(incoming),
      }
    },
  })
  const urlOf = (database: string) => {
    const url = new URL(address)
    url.port = String(tcp.port)
    url.pathname = `/${database}`
    return url.href
  }
  const close = async () => {
    for (const trap of traps) trap.cut()
    await tcp.close()
  }
  return {
    port: tcp.port,
    url: urlOf(address.pathname.slice(1)),
    tcp,
    urlOf,
    trap: (options) => {
      const trap = new Trap(options)
      traps.push(trap)
      return trap
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}
