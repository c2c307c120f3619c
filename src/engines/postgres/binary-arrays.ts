/**
 * Arrays in PostgreSQL's binary form (`array_send` in the server's arrayfuncs.c). As text, each quote in a JSON body
 * would have to be escaped here and unescaped there; so, bytes go as they are. A `Buffer` is what makes the driver
 * send a parameter in binary.
 */
const headerBytes = 20
const lengthBytes = 4
const oids = { int4: 23, int8: 20, text: 25 } as const

export function int4Array(values: ArrayLike<number>): Buffer {
  const buffer = arrayBuffer(oids.int4, values.length, values.length * 4)
  let at = headerBytes
  for (let i = 0; i < values.length; i++) {
    buffer.writeInt32BE(4, at)
    buffer.writeInt32BE(values[i]!, at + lengthBytes)
    at += lengthBytes + 4
  }
  return buffer
}

export function int8Array(values: ArrayLike<number>): Buffer {
  const buffer = arrayBuffer(oids.int8, values.length, values.length * 8)
  let at = headerBytes
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!
    buffer.writeInt32BE(8, at)
    buffer.writeInt32BE(Math.floor(value / 2 ** 32), at + lengthBytes)
    buffer.writeUInt32BE(((value % 2 ** 32) + 2 ** 32) % 2 ** 32, at + lengthBytes + 4)
    at += lengthBytes + 8
  }
  return buffer
}

/** `undefined` is NULL. */
export function textArray(values: readonly (string | undefined)[]): Buffer {
  let bytes = 0
  let hasNull = false
  const lengths = new Array<number>(values.length)
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    if (value === undefined) hasNull = true
    lengths[i] = value === undefined ? 0 : Buffer.byteLength(value)
    bytes += lengths[i]!
  }
  const buffer = arrayBuffer(oids.text, values.length, bytes)
  if (hasNull) buffer.writeInt32BE(1, 4)
  let at = headerBytes
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    buffer.writeInt32BE(value === undefined ? -1 : lengths[i]!, at)
    at += lengthBytes
    if (value === undefined) continue
    buffer.write(value, at, 'utf8')
    at += lengths[i]!
  }
  return buffer
}

/** An empty array has no dimension at all. */
function arrayBuffer(oid: number, count: number, bytes: number): Buffer {
  if (count === 0) {
    const empty = Buffer.alloc(12)
    empty.writeInt32BE(oid, 8)
    return empty
  }
  const buffer = Buffer.allocUnsafe(headerBytes + count * lengthBytes + bytes)
  buffer.writeInt32BE(1, 0)
  buffer.writeInt32BE(0, 4)
  buffer.writeInt32BE(oid, 8)
  buffer.writeInt32BE(count, 12)
  buffer.writeInt32BE(1, 16)
  return buffer
}

/** Numbers of an `int4[]` or `int8[]` that the server sent as text: `{1,-1,3}`. */
export function parseNumbers(text: string | null | undefined): number[] {
  if (text === null || text === undefined || text === '{}') return []
  return text.slice(1, -1).split(',').map(Number)
}
