import { isSemelError, SemelError } from '../../../src/errors.ts'
import { type SimulatedStorage, soundStorage } from '../../../src/testing/simulation/index.ts'
import { wrapEngine } from '../../support/wrap-engine.ts'

/** Takes silence for a no: a call without an answer is reported as not applied (U1). */
export function unknownAsFailed(): SimulatedStorage {
  return {
    ...soundStorage(),
    client: (engine) => {
      return wrapEngine(engine, {
        append: async (group, options) => {
          try {
            return await engine.append(group, options)
          } catch (error) {
            if (!isSemelError(error)) throw error
            throw new SemelError(error.code, error.message, { retryable: true, outcome: 'not-applied' })
          }
        },
      })
    },
  }
}
