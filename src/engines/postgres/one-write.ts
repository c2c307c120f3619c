import type { PgWire } from './driver.ts'

/**
 * Sends what `compose` gives the wire in one write. A write for each message, even if the socket gathers them, costs
 * more than the message.
 */
export function inOneWrite(wire: PgWire, compose: (gathering: PgWire) => void): void {
  const messages: Uint8Array[] = []
  const gather = {
    writable: true,
    write: (message: Uint8Array): boolean => {
      messages.push(message)
      return true
    },
  }
  try {
    // Whatever the driver writes goes to the stream of its wire.
    compose(Object.create(wire, { stream: { value: gather } }))
  } finally {
    if (wire.stream.writable) wire.stream.write(Buffer.concat(messages))
  }
}
