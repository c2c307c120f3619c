// A member that is stopped in the middle of a unit. `fork` it with bootstrap and protocol; it says `ready` with an open
// transaction, waits for a message, and then tells what became of its offsets, its commit, and its abort.
import {
  abort,
  assignedTo,
  begin,
  commit,
  disconnect,
  errorOf,
  joinGroup,
  openTransactional,
  type Protocol,
  pollUntil,
  produceAll,
  sendOffsets,
} from './client.ts'

const [bootstrap, group, protocol] = process.argv.slice(2) as [string, string, Protocol]

const member = await joinGroup(bootstrap, group, 'in', protocol)
const producer = await openTransactional(bootstrap, `zombie-${process.pid}`)
await pollUntil([member], () => assignedTo(member).length === 2)
await begin(producer)
await produceAll(producer, 'out', [{ value: 'zombie', partition: 0 }])
member.hold = true
const go = new Promise((resolve) => process.once('message', resolve))
process.send!('ready')
await go
const offsets = await errorOf(() =>
  sendOffsets(producer, member.consumer, [{ topic: 'in', partition: 0, offset: 5 }]),
)
const end = await errorOf(() => commit(producer))
await abort(producer)
await pollUntil([member], () => member.held.length > 0)
const lost = member.rebalances.at(-1)?.lost
process.send!({ offsets: { ...offsets }, end: { ...end }, lost })
member.hold = false
member.giveBack()
await disconnect(member.consumer)
await disconnect(producer)
process.exit()
