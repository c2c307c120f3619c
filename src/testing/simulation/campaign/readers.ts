import type { Topic } from '../../../event/topic.ts'
import { sleep } from '../../../platform/wait.ts'
import type { LogEvent } from '../../../runtime/log-reader.ts'
import type { PolledRecord } from '../../history/record.ts'
import type { HistoryClient } from '../../history/recorder.ts'
import { crcOf } from '../recorded-storage.ts'
import { type Member, type Run, startMember } from './run.ts'
import type { InputData } from './topics.ts'

const readAgainMs = 30

/** Starts a process that follows both topics live, from the beginning, as often as its reading fails. */
export async function startFollower(run: Run): Promise<Member> {
  const member = await startMember(run, 'follower')
  for (const name of ['input', 'output'] as const) void follow(run, member, name)
  return member
}

async function follow(run: Run, { process, bus }: Member, name: 'input' | 'output'): Promise<void> {
  const client = process.recorder.client(`follows ${name}`)
  while (process.platform.isRunning) {
    try {
      for await (const event of bus.read(named(run, name), { follow: true })) polled(client, event)
      return
    } catch {
      client.newSession()
      await sleep(process.platform, readAgainMs)
    }
  }
}

/** Reads both topics to their ends; tried until it works, for nothing is wrong any more. */
export async function finalReads(run: Run, { process, bus }: Member): Promise<void> {
  for (const name of ['input', 'output'] as const) {
    const client = process.recorder.client(`reads ${name}`)
    for await (const event of bus.read(named(run, name))) polled(client, event)
  }
}

/** One topic, whatever its events are. */
function named({ topics: { input, output } }: Run, name: 'input' | 'output'): Topic<never> {
  return (name === 'input' ? input : output) as unknown as Topic<never>
}

function polled(client: HistoryClient, { topic, partition, offset, id, key, data }: LogEvent<unknown>): void {
  const val = topic === 'input' ? (data as InputData).val : id
  const record: PolledRecord = [offset, id, val, crcOf(data), key]
  client.start('poll', { topic }).ok({ recs: { [partition]: [record] } })
}
