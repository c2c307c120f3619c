import { decodeBatch, encodeBatch } from '../event/batch-codec.ts'
import type { StoredEvent } from '../event/event.ts'
import { limits } from '../limits.ts'

/** A dead letter: the event as it was, where it came from, and why it failed (L3). */
export interface DeadLetter {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly event: StoredEvent
  readonly error: { readonly name: string; readonly message: string; readonly code: string | undefined }
  readonly attempts: number
  /** When it was given up, ms since 1970. */
  readonly failedAt: number
}

interface StoredDeadLetter {
  readonly v: 1
  readonly head: string
  readonly body: string
  readonly appendTime: number
  readonly error: { readonly name: string; readonly message: string; readonly code?: string }
  readonly attempts: number
  readonly failedAt: number
}

const offsetDigits = 16

/** Key in the dead-letter store: offsets sort as text. */
export function deadLetterKey(offset: number): string {
  return String(offset).padStart(offsetDigits, '0')
}

export function encodeDeadLetter(
  event: StoredEvent,
  error: unknown,
  attempts: number,
  failedAt: number,
): string {
  const { name, message, code } = describeError(error)
  const stored: StoredDeadLetter = {
    v: 1,
    ...encodeBatch([event]),
    appendTime: event.appendTime,
    error: {
      name,
      message: message.slice(0, limits.errorTextCharsMax),
      ...(code === undefined ? undefined : { code }),
    },
    attempts,
    failedAt,
  }
  return JSON.stringify(stored)
}

export function decodeDeadLetter(topic: string, partition: number, key: string, value: string): DeadLetter {
  const stored: StoredDeadLetter = JSON.parse(value)
  const offset = Number(key)
  const [record] = decodeBatch(stored)
  return {
    topic,
    partition,
    offset,
    event: { ...record!, offset, appendTime: stored.appendTime },
    error: { name: stored.error.name, message: stored.error.message, code: stored.error.code },
    attempts: stored.attempts,
    failedAt: stored.failedAt,
  }
}

function describeError(error: unknown): { name: string; message: string; code: string | undefined } {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), code: undefined }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  return { name: error.name, message: error.message, code }
}
