import { crc32 } from 'node:zlib'
import { SemelError } from '../../errors.ts'
import type { EncodedBatch } from '../../event/batch-codec.ts'

/** CRC-32 over all that is stored of a row's events. Written with it, compared at every read (F3). */
export function rowChecksum({ head, body }: EncodedBatch): number {
  return crc32(body, crc32(head))
}

export function damagedRow(where: string, from: number, count: number): SemelError {
  return new SemelError(
    'STORAGE_CORRUPT',
    `offsets ${from} to ${from + count - 1} of ${where} do not match their checksum`,
    { hint: 'restore from a backup; nothing was deleted or skipped. Is data_checksums on?' },
  )
}
