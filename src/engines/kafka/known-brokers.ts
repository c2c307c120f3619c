import type { Metadata } from './client-types.ts'

export interface Place {
  readonly host: string
  readonly port: number
}

const defaultPort = 9092

/**
 * Where a client that is opened later, or a question of our own, may begin: the brokers that were named, and those that
 * told of themselves since. Of several brokers all that were named may be gone, and the others are still there.
 */
export class KnownBrokers {
  readonly #named: string
  #told: readonly Place[] = []

  constructor(named: string) {
    this.#named = named
  }

  /** What the latest client has heard when it connected takes the place of what was heard before. */
  learn({ brokers }: Pick<Metadata, 'brokers'>): void {
    if (brokers.length > 0) this.#told = brokers.map(({ host, port }) => ({ host, port }))
  }

  /** As the client wants them: `host:port`, with commas between. */
  get list(): string {
    return [this.#named, ...this.#told.map(textOf)].join(',')
  }

  get places(): readonly Place[] {
    return placesOf(this.list)
  }
}

function textOf({ host, port }: Place): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** `kafka-1:9092,SSL://kafka-2,[::1]:9092` */
function placesOf(list: string): Place[] {
  return list.split(',').map((text) => {
    const address = text.trim().replace(/^[a-z_]+:\/\//i, '')
    const [, host, port] = /^(.*?)(?::(\d+))?$/.exec(address)!
    return { host: host!.replace(/^\[(.*)\]$/, '$1'), port: port === undefined ? defaultPort : Number(port) }
  })
}
