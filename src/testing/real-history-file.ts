import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { parseHistoryLine } from './history/parse-record.ts'
import { type HistoryEvent, HistoryFormatError } from './history/record.ts'
import type { HistoryClock, HistoryFile } from './history/recorder.ts'

const readBytes = 1 << 20

/** CLOCK_MONOTONIC, which all processes of a host share; `performance.now` starts anew in each. */
export const hostClock: HistoryClock = {
  monotonic: () => Number(process.hrtime.bigint()) / 1e6,
}

/** Appends to a file, one `write` a line. Not flushed: it must outlive its process, not its kernel. */
export class RealHistoryFile implements HistoryFile, Disposable {
  readonly #descriptor: number

  constructor(path: string) {
    this.#descriptor = openSync(path, 'a', 0o600)
  }

  /** A short write is how a full disk looks (faults.md finding 2). A history with a hole judges nothing. */
  append(line: string): void {
    const bytes = Buffer.from(line)
    const written = writeSync(this.#descriptor, bytes)
    if (written !== bytes.length)
      throw new Error(`history file took ${written} of ${bytes.length} bytes: is its disk full?`)
  }

  [Symbol.dispose](): void {
    closeSync(this.#descriptor)
  }
}

/**
 * A history in a file, read as a stream, any number of times. A last line without an end belongs to a process
 * that was killed while it wrote, and is left out; any other broken line is a HistoryFormatError.
 */
export class StoredHistory implements Iterable<HistoryEvent> {
  readonly path: string

  constructor(path: string) {
    this.path = path
  }

  *[Symbol.iterator](): Generator<HistoryEvent> {
    let number = 0
    for (const { text, ended } of linesOf(this.path)) {
      number++
      if (text.trim() === '') continue
      try {
        yield parseHistoryLine(text, number)
      } catch (error) {
        if (!(error instanceof HistoryFormatError) || ended) throw error
      }
    }
  }
}

function* linesOf(path: string): Generator<{ text: string; ended: boolean }> {
  const descriptor = openSync(path, 'r')
  const buffer = Buffer.alloc(readBytes)
  const decoder = new TextDecoder()
  let rest = ''
  try {
    for (;;) {
      const count = readSync(descriptor, buffer, 0, readBytes, null)
      rest += decoder.decode(buffer.subarray(0, count), { stream: count > 0 })
      if (count === 0) break
      let start = 0
      for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n', start)) {
        yield { text: rest.slice(start, end), ended: true }
        start = end + 1
      }
      rest = rest.slice(start)
    }
    if (rest !== '') yield { text: rest, ended: false }
  } finally {
    closeSync(descriptor)
  }
}
