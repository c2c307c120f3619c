import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import type { Platform } from '../../platform/platform.ts'
import { realPlatform } from '../../platform/real-platform.ts'
import { type Cut, type LaneFaults, type ProxyFilter, ProxyLane } from './proxy-lane.ts'
import { resetSocket } from './reset-socket.ts'

export type { Cut, LaneFaults, ProxyFilter } from './proxy-lane.ts'

export type Direction = 'toServer' | 'toClient'
export type ProxyFilters = Partial<Readonly<Record<Direction, ProxyFilter>>>

/** What becomes of new connections: `reset` ends them at once, `hang` answers nothing until healed. */
export type Acceptance = 'accept' | 'reset' | 'hang'

export interface TcpProxyOptions {
  readonly target: { readonly host?: string; readonly port: number }
  /** The port to listen on; a free one if not given. Always of 127.0.0.1. */
  readonly port?: number
  /** Called once per connection: whoever knows the protocol brings what looks into it. */
  readonly filters?: (connection: ProxyConnection) => ProxyFilters
  readonly platform?: Platform
}

/**
 * A TCP proxy on loopback with faults that are switched while it runs. They count for the connections that are open and
 * for those that come.
 */
export class TcpProxy implements AsyncDisposable {
  readonly #server: Server
  readonly #options: TcpProxyOptions
  readonly #connections = new Set<ProxyConnection>()
  readonly #filterErrors: unknown[] = []
  #faults: Record<Direction, LaneFaults> = { toServer: {}, toClient: {} }
  #acceptance: Acceptance = 'accept'
  #hanging: Socket[] = []

  private constructor(options: TcpProxyOptions) {
    this.#options = options
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#accept(client))
  }

  static async listen(options: TcpProxyOptions): Promise<TcpProxy> {
    const proxy = new TcpProxy(options)
    proxy.#server.listen(options.port ?? 0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Those open now. */
  get connections(): readonly ProxyConnection[] {
    return [...this.#connections]
  }

  /** Replaces the faults of one direction, or of both. */
  set(direction: Direction | 'both', faults: LaneFaults): void {
    const directions = direction === 'both' ? (['toServer', 'toClient'] as const) : [direction]
    for (const each of directions) {
      this.#faults[each] = faults
      for (const connection of this.#connections) connection.set(each, faults)
    }
  }

  newConnections(acceptance: Acceptance): void {
    this.#acceptance = acceptance
    if (acceptance === 'hang') return
    const hanging = this.#hanging
    this.#hanging = []
    for (const client of hanging) this.#accept(client)
  }

  /** Ends all faults. */
  heal(): void {
    this.set('both', {})
    this.newConnections('accept')
  }

  /** Cuts all connections that are open now. */
  cut(how: Cut = 'reset'): void {
    for (const connection of this.#connections) connection.cut(how)
  }

  /** Rejects with what a filter has thrown, for that is a mistake in the test. */
  async close(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const client of this.#hanging) client.destroy()
    this.cut('reset')
    await closed
    if (this.#filterErrors.length > 0)
      throw new AggregateError(this.#filterErrors, 'a proxy filter has failed')
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #accept(client: Socket): void {
    client.on('error', ignore)
    if (this.#acceptance === 'reset') resetSocket(client)
    else if (this.#acceptance === 'hang') this.#hanging.push(client)
    else this.#forward(client)
  }

  #forward(client: Socket): void {
    const { target, filters, platform = realPlatform } = this.#options
    const server = connect({
      host: target.host ?? '127.0.0.1',
      port: target.port,
      allowHalfOpen: true,
      noDelay: true,
    })
    server.on('error', ignore)
    const connection = new ProxyConnection(client, server)
    connection.open(filters?.(connection) ?? {}, this.#faults, platform, (error) =>
      this.#filterErrors.push(error),
    )
    this.#connections.add(connection)
    void connection.closed.then(() => this.#connections.delete(connection))
  }
}

export class ProxyConnection {
  /** Resolves when both sockets are closed. */
  readonly closed: Promise<void>
  readonly #client: Socket
  readonly #server: Socket
  #lanes: Partial<Record<Direction, ProxyLane>> = {}

  constructor(client: Socket, server: Socket) {
    this.#client = client
    this.#server = server
    const closed = [client, server].map(
      (socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())),
    )
    this.closed = Promise.all(closed).then(() => this.#closeLanes())
  }

  open(
    filters: ProxyFilters,
    faults: Readonly<Record<Direction, LaneFaults>>,
    platform: Platform,
    filterFailed: (error: unknown) => void,
  ): void {
    const shared = { cut: (how: Cut) => this.cut(how), filterFailed }
    const toServer = { ...shared, source: this.#client, sink: this.#server }
    const toClient = { ...shared, source: this.#server, sink: this.#client }
    this.#lanes = {
      toServer: new ProxyLane(toServer, filters.toServer, faults.toServer, platform),
      toClient: new ProxyLane(toClient, filters.toClient, faults.toClient, platform),
    }
    this.#lanes.toServer?.start()
    this.#lanes.toClient?.start()
  }

  set(direction: Direction, faults: LaneFaults): void {
    this.#lanes[direction]?.set(faults)
  }

  /** Ends both halves: in order by `close`, with an RST by `reset`. What has been passed on still arrives. */
  cut(how: Cut): void {
    this.#closeLanes()
    for (const socket of [this.#client, this.#server]) {
      if (how === 'close') socket.destroySoon()
      else resetSocket(socket)
    }
  }

  #closeLanes(): void {
    this.#lanes.toServer?.close()
    this.#lanes.toClient?.close()
  }
}

/** What breaks a socket ends its stream too, which is where it is handled. */
function ignore(): void {}
