import type { Socket } from 'node:net'

/**
 * Ends a connection with an RST, whatever state it is in. While a socket says its FIN, `resetAndDestroy` fails with
 * EINVAL and leaves the handle behind, which then keeps the process in a busy loop at its end; the reset waits
 * for the FIN to be said, which takes one turn of the event loop.
 */
export function resetSocket(socket: Socket): void {
  const sayingFin = socket.writableEnded && !socket.writableFinished && socket.writableLength === 0
  if (!sayingFin || socket.destroyed) socket.resetAndDestroy()
  else socket.once('finish', () => socket.resetAndDestroy())
}
