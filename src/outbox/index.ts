/** The transactional outbox: events that exist if and only if the user's own transaction committed. */
export {
  viaDrizzle,
  viaKnex,
  viaKysely,
  viaMikroOrm,
  viaPg,
  viaPostgresJs,
  viaPrisma,
  viaSequelize,
  viaTypeOrm,
} from './adapters.ts'
export {
  type OutboxStatement,
  type OutboxTransaction,
  type PublishInOptions,
  publishIn,
} from './publish-in.ts'
export {
  type OutboxRelay,
  type OutboxSource,
  type RelayOptions,
  relayOutbox,
  type WaitingRow,
} from './relay.ts'
export { type OutboxSequencer, type SequencerOptions, sequenceOutbox } from './sequencer.ts'
export { publishInSqlite, type SqliteOutboxOptions, sqliteOutbox } from './sqlite-outbox.ts'
