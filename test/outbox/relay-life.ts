import { sqlite } from '../../src/engines/sqlite/index.ts'
import { openBus } from '../../src/index.ts'
import { relayOutbox, sqliteOutbox } from '../../src/outbox/index.ts'
import { notes, orders } from './outbox-topics.ts'

/** A process that relays the outbox of one file to a log in another, until it is killed. */
const [outbox, log] = process.argv.slice(2)
const bus = await openBus({ engine: sqlite({ file: log! }), topics: [orders, notes] })
const relay = relayOutbox({ from: sqliteOutbox({ file: outbox! }), to: bus })
process.stdout.write('ready\n')
process.once('SIGTERM', () => {
  void relay.stop().then(() => bus.stop())
})
