import { guardEngine } from '../../src/engine/guard.ts'
import { type PostgresOptions, postgres } from '../../src/engines/postgres/index.ts'
import { Instance } from '../../src/testing/conformance/instance.ts'
import { SuitePlatform } from '../../src/testing/conformance/suite-platform.ts'
import { freshSchema } from '../rig/postgres/fresh.ts'
import type { PostgresAddress } from '../rig/postgres/server.ts'

let members = 0

/** Engines on one schema of their own; all are closed and the schema is dropped at the end of the test. */
export class Engines implements AsyncDisposable {
  readonly #server: PostgresAddress
  readonly #opened: Instance[] = []
  readonly schema: ReturnType<typeof freshSchema>

  constructor(server: PostgresAddress) {
    this.#server = server
    this.schema = freshSchema(server)
  }

  /** `wallShiftMs`: how far the wall clock of its process is from the real one. */
  unopened(options: Partial<PostgresOptions> = {}, wallShiftMs = 0): Instance {
    const url = options.pool === undefined && options.connection === undefined ? this.#server.url : undefined
    const engine = guardEngine(postgres({ url, schema: this.schema.name, ...options }))
    return new Instance(engine, new SuitePlatform({ ms: wallShiftMs }), `member-${++members}`)
  }

  async open(options: Partial<PostgresOptions> = {}, wallShiftMs = 0): Promise<Instance> {
    const instance = this.unopened(options, wallShiftMs)
    await instance.open()
    this.#opened.push(instance)
    return instance
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { engine } of this.#opened.reverse()) await engine.close()
    await this.schema.drop()
  }
}

/** Whether a statement is the one that writes. */
export function isWrite(sql: string): boolean {
  return /\.write(_logged)?\(/.test(sql)
}
