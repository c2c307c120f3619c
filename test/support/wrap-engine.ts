import type { Engine, UnitTransaction } from '../../src/engine/engine.ts'
import { type Outcome, SemelError } from '../../src/errors.ts'

/** The engine with some of its operations replaced: how tests make storage slow, silent or broken. */
export function wrapEngine(engine: Engine, replaced: Partial<Engine>): Engine {
  return wrap(engine, replaced)
}

export function wrapTransaction(
  transaction: UnitTransaction,
  replaced: Partial<UnitTransaction>,
): UnitTransaction {
  return wrap(transaction, replaced)
}

function wrap<T extends object>(whole: T, replaced: Partial<T>): T {
  return new Proxy(whole, {
    get(target, name) {
      const own: unknown = Reflect.get(replaced, name)
      if (own !== undefined) return own
      const member: unknown = Reflect.get(target, name, target)
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
}

export function storageFailure(outcome: Outcome): SemelError {
  return new SemelError('ENGINE_UNAVAILABLE', `a failure made by the test (${outcome})`, {
    outcome,
    retryable: true,
  })
}

/** Every commit meets one of four fates, drawn by `draw` from 0 to 1. */
export function withFailingCommits(engine: Engine, draw: () => number, rate: number): Engine {
  return wrapEngine(engine, {
    commit: async (unit) => {
      const chance = draw()
      if (chance < rate / 3) throw storageFailure('not-applied')
      if (chance < (rate * 2) / 3) throw storageFailure('unknown')
      await engine.commit(unit)
      if (chance < rate) throw storageFailure('unknown')
    },
  })
}
