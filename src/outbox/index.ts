/** The transactional outbox: events that exist if and only if the user's own transaction committed. */
export { viaPg } from './adapters.ts'
export {
  type OutboxStatement,
  type OutboxTransaction,
  type PublishInOptions,
  publishIn,
} from './publish-in.ts'
export { type OutboxSequencer, type SequencerOptions, sequenceOutbox } from './sequencer.ts'
