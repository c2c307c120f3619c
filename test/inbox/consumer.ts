import { postgres } from '../../src/engines/postgres/index.ts'
import { sqlite } from '../../src/engines/sqlite/index.ts'
import { openBus } from '../../src/index.ts'
import { book, booked, payments } from './topics.ts'

/** A consumer that is killed while it works: reads the SQLite file, commits to the database. */
const [file, url] = process.argv.slice(2)
const source = await openBus({ engine: sqlite({ file: file! }), topics: [payments] })
const sink = await openBus({ engine: postgres({ url: url! }), topics: [booked] })
const consumer = source.consume(payments, { group: 'books', sink, leaseMs: 300 }, book)
await consumer.ready()
process.send!('joined')
