import { sleep } from '../../../platform/wait.ts'
import { openLetters } from './drain.ts'
import { type Member, type Run, startMember } from './run.ts'

/** Now and then redrives some dead letters, whether they can be handled by now or not, until all is healed. */
export async function startOperator(run: Run): Promise<Member> {
  const member = await startMember(run, 'operator')
  void operate(run, member)
  return member
}

async function operate(run: Run, { bus, process }: Member): Promise<void> {
  const random = run.cluster.scheduler.stream('operator')
  while (!run.healed) {
    await sleep(process.platform, random.fraction() * 2 * run.knobs.leaseMs)
    try {
      for (const { group, letter } of await openLetters(run, bus))
        if (random.fraction() < 0.5) await bus.deadLetters(group).redrive([letter])
    } catch {
      // The storage did not answer; the letters are still there the next time.
    }
  }
}
