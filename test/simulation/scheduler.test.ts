import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { describe, test } from 'node:test'
import { Scheduler, SimulatedPlatform, SimulationStuck } from '../../src/testing/simulation/index.ts'

function processOn(scheduler: Scheduler, name = 'p'): SimulatedPlatform {
  return new SimulatedPlatform({ name, scheduler, latenessMsMax: 0, turnMsMax: 0 })
}

describe('the scheduler', () => {
  test('a day passes in a few steps, in the order of the times', async () => {
    const scheduler = new Scheduler(1)
    const order: string[] = []
    await scheduler.run(async () => {
      scheduler.after(86_400_000, () => order.push('day'))
      scheduler.after(1_000, () => order.push('second'))
      scheduler.after(1_000, () => order.push('second again'))
      await scheduler.sleep(86_400_000)
    })
    assert.deepEqual(order, ['second', 'second again', 'day'])
    assert.equal(scheduler.nowMs, 86_400_000)
    assert.equal(scheduler.steps, 4)
  })

  test('all promises go on before the next step', async () => {
    const scheduler = new Scheduler(1)
    const order: string[] = []
    await scheduler.run(async () => {
      scheduler.after(1, () => {
        let chain: Promise<unknown> = Promise.resolve()
        for (let n = 0; n < 50; n++) chain = chain.then(() => undefined)
        void chain.then(() => order.push('the end of a long chain'))
      })
      scheduler.after(1, () => order.push('the next step'))
      await scheduler.sleep(2)
    })
    assert.deepEqual(order, ['the end of a long chain', 'the next step'])
  })

  test('a run that nothing will wake is stuck, and says so', async () => {
    const scheduler = new Scheduler(1)
    await assert.rejects(
      scheduler.run(() => new Promise(() => undefined)),
      SimulationStuck,
    )
  })

  test('a timer runs in the asynchronous context it was set in', async () => {
    const scheduler = new Scheduler(1)
    const storage = new AsyncLocalStorage<string>()
    const seen: (string | undefined)[] = []
    await scheduler.run(async () => {
      storage.run('inside', () => scheduler.after(1, () => seen.push(storage.getStore())))
      scheduler.after(1, () => seen.push(storage.getStore()))
      await scheduler.sleep(2)
    })
    assert.deepEqual(seen, ['inside', undefined])
  })
})

describe('a simulated process', () => {
  test('fires nothing while it is paused, and what is due afterwards', async () => {
    const scheduler = new Scheduler(1)
    const process = processOn(scheduler)
    const fired: number[] = []
    await scheduler.run(async () => {
      process.timers.after(10, () => fired.push(scheduler.nowMs))
      process.timers.after(500, () => fired.push(scheduler.nowMs))
      process.pause()
      await scheduler.sleep(100)
      assert.deepEqual(fired, [])
      process.resume()
      await scheduler.sleep(1_000)
    })
    assert.deepEqual(fired, [100, 500])
  })

  test('a timer that was cancelled during the pause does not fire after it', async () => {
    const scheduler = new Scheduler(1)
    const process = processOn(scheduler)
    await scheduler.run(async () => {
      const timer = process.timers.after(10, () => assert.fail('it was cancelled'))
      process.pause()
      await scheduler.sleep(100)
      timer.cancel()
      process.resume()
      await scheduler.sleep(100)
    })
  })

  test('fires nothing after it was killed', async () => {
    const scheduler = new Scheduler(1)
    const process = processOn(scheduler)
    await scheduler.run(async () => {
      process.timers.after(10, () => assert.fail('it is dead'))
      process.timers.soon(() => assert.fail('it is dead'))
      process.kill()
      process.resume()
      await scheduler.sleep(1_000)
    })
  })

  test('has a wall clock that jumps and a monotonic one that does not', async () => {
    const scheduler = new Scheduler(1)
    const [process, other] = [processOn(scheduler), processOn(scheduler, 'other')]
    const before = process.clock.now()
    process.jumpClock(-3_600_000)
    assert.equal(process.clock.now(), before - 3_600_000)
    assert.equal(process.clock.monotonic(), other.clock.monotonic())
  })

  test('draws its own chance, whatever others draw', () => {
    const draw = (others: number): number => {
      const scheduler = new Scheduler(5)
      const other = processOn(scheduler, 'other')
      for (let n = 0; n < others; n++) other.random.uint32()
      return processOn(scheduler).random.uint32()
    }
    assert.equal(draw(0), draw(10))
  })
})
