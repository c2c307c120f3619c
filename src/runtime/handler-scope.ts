import { AsyncLocalStorage } from 'node:async_hooks'

/** Which handler the current asynchronous call chain belongs to, if any. */
export interface HandlerScope {
  readonly group: string
  /** Publishing outside the transaction is refused here. */
  readonly strict: boolean
}

export const handlerScope = new AsyncLocalStorage<HandlerScope>()
