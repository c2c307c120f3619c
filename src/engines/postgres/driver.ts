import { SemelError } from '../../errors.ts'

/*
 * What we use of the driver `pg`, as structural types: the package is an optional peer, and a user's pool may come
 * from another copy of it.
 */

export interface PgResult {
  readonly rows: readonly unknown[]
  readonly command: string
  readonly rowCount: number | null
}

export interface PgStatement {
  readonly text: string
  readonly values?: readonly unknown[]
  readonly name?: string
  readonly rowMode?: 'array'
  readonly types?: { getTypeParser(oid: number, format?: string): (value: string) => unknown }
}

/** Messages of the protocol, as the driver writes them. */
export interface PgWire {
  readonly stream: { readonly writable: boolean; write(bytes: Uint8Array): unknown }
  readonly parsedStatements: object
  readonly submittedNamedStatements: object
  parse(message: object): void
  bind(message: {
    readonly statement?: string | undefined
    readonly values?: readonly unknown[]
    readonly valueMapper?: ValueMapper
  }): void
  describe(message: object): void
  execute(message: object): void
  close(message: object): void
  sync(): void
  sendCopyFail(message: string): void
}

/** One statement of the driver: writes its messages, and collects the answers that it is given. */
export interface PgQuery {
  submit(wire: PgWire): unknown
  handleRowDescription(message: unknown): void
  handleDataRow(message: unknown): void
  handleCommandComplete(message: unknown, wire: PgWire): void
  handleReadyForQuery(wire: PgWire): void
  handleError(error: unknown, wire: PgWire): void
  handleCopyInResponse(wire: PgWire): void
}

export type PgQueryClass = new (
  config: PgStatement,
  values: undefined,
  callback: (error: unknown, result?: PgResult) => void,
) => PgQuery

/** How the driver writes a value of a statement. */
export type ValueMapper = (value: unknown) => unknown

export interface PgClient {
  /** Something of the user's own that writes to the wire. */
  query(submittable: { submit(wire: PgWire): unknown }): unknown
  query(statement: PgStatement): Promise<PgResult>
  query(text: string, values?: readonly unknown[]): Promise<PgResult>
  on(event: string, listener: (...args: never[]) => void): unknown
  release(destroy?: boolean): void
  getTransactionStatus?(): string | null
  getTypeParser?(oid: number, format?: string): (value: string) => unknown
  readonly connection?: { readonly stream?: { destroy(): unknown } }
}

/** The class of the client's statements; `undefined` if it is not the driver's own client. */
export function queryClassOf(client: PgClient): PgQueryClass | undefined {
  const found: unknown = Reflect.get(client.constructor, 'Query')
  // The driver exports it; its shape is that of the versions which package.json names.
  return typeof found === 'function' && client.getTypeParser !== undefined
    ? (found as PgQueryClass)
    : undefined
}

const mappers = new WeakMap<PgQueryClass, ValueMapper>()

/** How a class of statements writes values: as it tells the wire, so that no other copy of the driver decides it. */
export function valueMapperOf(Query: PgQueryClass): ValueMapper | undefined {
  const known = mappers.get(Query)
  if (known !== undefined) return known
  let mapper: ValueMapper | undefined
  const ignored = (): undefined => undefined
  new Query({ text: 'select $1', values: [0] }, undefined, ignored).submit({
    stream: { writable: true, write: ignored },
    parsedStatements: {},
    submittedNamedStatements: {},
    parse: ignored,
    bind: (message) => {
      mapper = message.valueMapper
    },
    describe: ignored,
    execute: ignored,
    close: ignored,
    sync: ignored,
    sendCopyFail: ignored,
  })
  if (mapper !== undefined) mappers.set(Query, mapper)
  return mapper
}

export interface PgNotification {
  readonly payload?: string | undefined
}

export interface PgPool {
  connect(): Promise<PgClient>
  end(): Promise<void>
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'connect', listener: (client: PgClient) => void): unknown
  readonly options?: { readonly max?: number }
}

interface PgModule {
  readonly Pool: new (config: Readonly<Record<string, unknown>>) => PgPool
}

/** Loads the driver when an engine opens. DRIVER_MISSING names the package. */
export async function loadDriver(): Promise<PgModule> {
  try {
    // Not a literal, or every user's compiler would ask for the package's types.
    const name: string = 'pg'
    const module: { default?: PgModule } & Partial<PgModule> = await import(name)
    return module.default ?? { Pool: module.Pool! }
  } catch (cause) {
    const isMissing = (cause as { code?: unknown }).code === 'ERR_MODULE_NOT_FOUND'
    const what = isMissing ? 'is not installed' : 'could not be loaded'
    throw new SemelError('DRIVER_MISSING', `the postgres engine needs the package "pg", which ${what}`, {
      hint: 'npm install pg',
      cause,
    })
  }
}
