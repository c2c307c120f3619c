import { decodeEnvelopes } from '../../event/batch-codec.ts'
import { endOfScalar, entryEnds, layoutOf } from './batch-bytes.ts'
import {
  addToHash,
  beginHash,
  copyHash,
  endHash,
  type Hash64,
  type HashKey,
  type HashState,
  hashState,
  viewOf,
} from './keyed-hash.ts'

/** Bytes before the first print: the length of each id in bytes, 0 if they differ. */
const headerBytes = 4
const printBytes = 8

/**
 * A row's prints: for each entry 64 bits that stand for its content (type, source, key, subject, content type, data
 * as it is written), so that a repeated event is known without reading the row's body. Events of equal print are
 * taken for the same: two with different content have one with probability 2^-64, whoever made them, for the key is
 * the file's secret. Events whose prints differ may still be the same, written in another way; they must be compared
 * by `event/fingerprint.ts`. An event's print does not depend on the batch it is in.
 */
export type Prints = DataView

interface EncodedRow {
  readonly head: Buffer
  readonly body: Buffer
  readonly entries: number
}

export function printsOf(row: EncodedRow, idBytes: number, key: HashKey): Prints {
  const prints = viewOf(new Uint8Array(printsBytes(row.entries)))
  prints.setUint32(0, idBytes, true)
  const layout = layoutOf(row.head)
  if (layout.common === undefined) printMixed(row, prints, key)
  else printUniform(row, prints, key, layout.keysStart, layout.common)
  return prints
}

/** Bytes of all prints of a row. */
export function printsBytes(entries: number): number {
  return headerBytes + printBytes * entries
}

/** Bytes of each id of the row; 0 if they differ. */
export function idBytesOf(prints: Prints): number {
  return prints.getUint32(0, true)
}

export function samePrint(a: Prints, i: number, b: Prints, j: number): boolean {
  const [at, bt] = [printAt(i), printAt(j)]
  return (
    a.getUint32(at, true) === b.getUint32(bt, true) && a.getUint32(at + 4, true) === b.getUint32(bt + 4, true)
  )
}

export function printText(prints: Prints, index: number): string {
  return prints.getBigUint64(printAt(index), true).toString(16)
}

export function printHalves(prints: Prints, index: number, out: Hash64): void {
  out.hi = prints.getUint32(printAt(index), true)
  out.lo = prints.getUint32(printAt(index) + 4, true)
}

function printAt(index: number): number {
  return headerBytes + printBytes * index
}

const envelope = hashState()
const event = hashState()
const hash: Hash64 = { hi: 0, lo: 0 }

/*
 * Three pieces are hashed: type and source, key, data. All are JSON texts, so nobody can move a byte from one to the
 * next and have the same.
 */

/** Prints of events that share type and source, straight from the head's bytes. */
function printUniform(
  row: EncodedRow,
  prints: Prints,
  key: HashKey,
  keysStart: number,
  common: Buffer,
): void {
  const { head, body, entries } = row
  const ends = entryEnds(body, entries)
  const [headView, bodyView] = [viewOf(head), viewOf(body)]
  const hasOneKey = head[keysStart] !== 0x5b
  let keyStart = hasOneKey ? keysStart : keysStart + 1
  let keyEnd = endOfScalar(head, keyStart)
  beginHash(envelope, key)
  addToHash(envelope, viewOf(common), 0, common.length)
  let start = 1
  for (let i = 0; i < entries; i++) {
    copyHash(event, envelope)
    addToHash(event, headView, keyStart, keyEnd)
    addToHash(event, bodyView, start, ends[i]!)
    put(prints, i)
    start = ends[i]! + 1
    if (hasOneKey) continue
    keyStart = keyEnd + 1
    if (i + 1 < entries) keyEnd = endOfScalar(head, keyStart)
  }
}

/** The same for events of which each has its own: the head is parsed, which costs less than to parse the body. */
function printMixed({ head, body, entries }: EncodedRow, prints: Prints, key: HashKey): void {
  const ends = entryEnds(body, entries)
  const bodyView = viewOf(body)
  const envelopes = decodeEnvelopes(head.toString())
  const kinds = new Map<string, HashState>()
  let start = 1
  for (let i = 0; i < entries; i++) {
    const { kind, key: eventKey } = envelopes.contentAt(i)
    let state = kinds.get(kind)
    if (state === undefined) {
      state = hashState()
      beginHash(state, key)
      addText(state, kind)
      kinds.set(kind, state)
    }
    copyHash(event, state)
    addText(event, eventKey)
    addToHash(event, bodyView, start, ends[i]!)
    put(prints, i)
    start = ends[i]! + 1
  }
}

function addText(state: HashState, text: string): void {
  const bytes = Buffer.from(text)
  addToHash(state, viewOf(bytes), 0, bytes.length)
}

function put(prints: Prints, index: number): void {
  endHash(event, hash)
  prints.setUint32(printAt(index), hash.hi, true)
  prints.setUint32(printAt(index) + 4, hash.lo, true)
}
