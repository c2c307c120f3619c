import type { EncodedRow } from '../../engine/engine.ts'
import type { WireBatch, WireRow } from './writer-protocol.ts'

const encoder = new TextEncoder()

/**
 * The texts of rows as UTF-8, one behind the other in one block of memory. It moves to the writer with the request; texts would be
 * copied into the message, out of it, and once more to be bytes.
 */
export function utf8Rows(rows: readonly EncodedRow[]): WireRow[] {
  let chars = 0
  for (const { head, body } of rows) chars += head.length + body.length
  // Mostly all is ASCII, and to encode it is the fastest way to find out.
  return encoded(rows, chars) ?? encoded(rows, utf8Bytes(rows))!
}

/** The block that all rows of a request are in; `undefined` if it has none. */
export function blockOf(batches: readonly WireBatch[]): ArrayBuffer | undefined {
  return batches[0]?.rows[0]?.head.buffer
}

/** `undefined` if so many bytes are too few. */
function encoded(rows: readonly EncodedRow[], bytes: number): WireRow[] | undefined {
  // Not from Node's pool, which must stay in its thread.
  const block: Buffer<ArrayBuffer> = Buffer.allocUnsafeSlow(bytes)
  const wireRows: WireRow[] = []
  let end = 0
  for (const { count, head, body } of rows) {
    const headStart = end
    const first = encoder.encodeInto(head, block.subarray(end))
    const bodyStart = end + first.written
    const second = encoder.encodeInto(body, block.subarray(bodyStart))
    end = bodyStart + second.written
    if (first.read < head.length || second.read < body.length) return undefined
    wireRows.push({
      count,
      head: new Uint8Array(block.buffer, headStart, first.written),
      body: new Uint8Array(block.buffer, bodyStart, second.written),
    })
  }
  return wireRows
}

function utf8Bytes(rows: readonly EncodedRow[]): number {
  return rows.reduce((sum, { head, body }) => sum + Buffer.byteLength(head) + Buffer.byteLength(body), 0)
}
