/**
 * Gives memory outside of V8's heap back at once; nobody may use it any more. A collection of garbage would come late: the
 * writer's heap is small, and the megabytes beside it hurry nobody.
 */
export function giveBack(...views: readonly (ArrayBufferView | undefined)[]): void {
  for (const view of views) if (view?.buffer instanceof ArrayBuffer) view.buffer.transfer(0)
}
