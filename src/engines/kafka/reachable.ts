import { connect } from 'node:net'
import type { Platform } from '../../platform/platform.ts'
import { sleep } from '../../platform/wait.ts'
import { kafkaLimits } from './kafka-limits.ts'
import type { Place } from './known-brokers.ts'

/** Resolves when one of the brokers takes a connection, or after `waitMs`. */
export async function untilReachable(
  platform: Platform,
  places: readonly Place[],
  waitMs: number,
): Promise<void> {
  const until = platform.clock.monotonic() + waitMs
  for (;;) {
    const taken = await Promise.all(places.map((place) => takesConnections(platform, place)))
    if (taken.includes(true) || platform.clock.monotonic() > until) return
    await sleep(platform, kafkaLimits.reachPollMs)
  }
}

function takesConnections(platform: Platform, { host, port }: Place): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    const end = (isTaken: boolean): void => {
      timer.cancel()
      socket.destroy()
      resolve(isTaken)
    }
    const timer = platform.timers.after(kafkaLimits.firstAnswerMs, () => end(false))
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
}
