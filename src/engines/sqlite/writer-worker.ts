import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { toWire } from './sqlite-errors.ts'
import type { ToWriter, WriterOptions, WriterReady } from './writer-protocol.ts'
import { WriterThread } from './writer-thread.ts'

/** Entry of the writer thread: opens the file, says so, and works until it is told to close. */
function start(port: MessagePort): void {
  const options: WriterOptions = workerData
  try {
    const thread = new WriterThread(port, options)
    port.on('message', (message: ToWriter) => thread.receive(message))
    const ready: WriterReady = { ready: true, logId: thread.logId, hasMarks: thread.hasMarks }
    port.postMessage(ready)
  } catch (error) {
    const ready: WriterReady = { ready: true, error: toWire(error, options.file) }
    port.postMessage(ready)
    port.close()
  }
}

if (parentPort !== null) start(parentPort)
