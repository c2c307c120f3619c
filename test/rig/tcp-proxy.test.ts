import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { resetSocket } from '../../src/testing/faults/reset-socket.ts'
import { TcpProxy, type TcpProxyOptions } from '../../src/testing/faults/tcp-proxy.ts'
import { until } from './postgres/until.ts'

/** A socket with all that came of it. */
class Peer {
  readonly socket: Socket
  readonly #chunks: Buffer[] = []
  receivedBytes = 0
  ended = false
  error: NodeJS.ErrnoException | undefined

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk)
      this.receivedBytes += chunk.length
    })
    socket.on('end', () => {
      this.ended = true
    })
    socket.on('error', (error) => {
      this.error = error
    })
  }

  get received(): Buffer {
    return Buffer.concat(this.#chunks)
  }

  async has(text: string): Promise<void> {
    await until(`${JSON.stringify(text)} arrives`, () => this.received.toString() === text).catch(
      (cause: unknown) => {
        throw new Error(`there is ${JSON.stringify(this.received.toString().slice(0, 100))}`, { cause })
      },
    )
  }

  async hasEnded(): Promise<void> {
    await until('the other side has closed', () => this.ended)
  }

  async wasReset(): Promise<void> {
    await until('the connection is reset', () => this.error?.code === 'ECONNRESET')
  }
}

let server: Server
let proxy: TcpProxy
const accepted: Peer[] = []
const clients: Peer[] = []

async function listen(options: Partial<TcpProxyOptions> = {}): Promise<void> {
  proxy = await TcpProxy.listen({ target: { port: (server.address() as AddressInfo).port }, ...options })
}

function dial(): Peer {
  const client = new Peer(connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true }))
  clients.push(client)
  return client
}

async function pair(): Promise<{ client: Peer; remote: Peer }> {
  const before = accepted.length
  const client = dial()
  const remote = await until('the server is connected', () => accepted[before])
  return { client, remote }
}

/** Nothing is to be seen: the time in which it would be, on a machine that is not very slow. */
async function neverIn(ms: number, what: string, isSo: () => boolean): Promise<void> {
  await assert.rejects(until(what, isSo, { deadlineMs: ms }), what)
}

beforeEach(async () => {
  server = createServer({ allowHalfOpen: true }, (socket) => accepted.push(new Peer(socket)))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})

afterEach(async () => {
  for (const { socket } of [...clients.splice(0), ...accepted.splice(0)]) socket.destroy()
  server.close()
  await proxy.close()
})

describe('a TCP proxy without faults', () => {
  test('passes bytes both ways, and each side’s end for itself', async () => {
    await listen()
    const { client, remote } = await pair()
    client.socket.end('to the server')
    await remote.has('to the server')
    await remote.hasEnded()
    remote.socket.end('to the client')
    await client.has('to the client')
    await client.hasEnded()
    await until('the proxy has forgotten it', () => proxy.connections.length === 0)
  })

  test('passes on a reset as a reset', async () => {
    await listen()
    const { client, remote } = await pair()
    client.socket.resetAndDestroy()
    await remote.wasReset()
  })

  test('a socket that says its FIN can be reset: its handle is not left behind', async () => {
    await listen()
    const { client } = await pair()
    const closed = once(client.socket, 'close')
    client.socket.end()
    resetSocket(client.socket)
    await closed
    assert.equal(client.error, undefined)
  })

  test('resets a client whose server is not there', async () => {
    await listen({ target: { port: 1 } })
    await dial().wasReset()
  })

  test('passes many bytes unchanged, and keeps few of them when the receiver does not read', async () => {
    await listen()
    const { client, remote } = await pair()
    remote.socket.pause()
    const sent = Buffer.alloc(32 << 20, 'abcdefg')
    client.socket.write(sent)
    await neverIn(200, 'all is taken', () => client.socket.writableLength === 0)
    remote.socket.resume()
    await until('all has arrived', () => remote.receivedBytes === sent.length)
    assert.ok(remote.received.equals(sent))
  })
})

describe('a TCP proxy with faults', () => {
  test('delays, and lets go what it holds when it is healed', async () => {
    await listen()
    proxy.set('toServer', { delayMs: 50, jitterMs: 10 })
    const { client, remote } = await pair()
    const start = performance.now()
    client.socket.write('late')
    await remote.has('late')
    assert.ok(performance.now() - start >= 49)
    proxy.set('toServer', { delayMs: 600_000 })
    client.socket.write('r')
    await neverIn(50, 'more', () => remote.receivedBytes > 4)
    proxy.heal()
    await remote.has('later')
  })

  test('delays without reordering or slowing the stream', async () => {
    await listen()
    proxy.set('toServer', { delayMs: 100, jitterMs: 50 })
    const { client, remote } = await pair()
    const start = performance.now()
    let sent = ''
    for (let i = 0; i < 100; i++) {
      const text = `${i};`
      sent += text
      client.socket.write(text)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await remote.has(sent)
    assert.ok(performance.now() - start < 5_000, 'as if each piece had waited for the one before')
  })

  test('keeps to a rate', async () => {
    await listen()
    proxy.set('toClient', { bytesPerSecond: 50_000 })
    const { client, remote } = await pair()
    const start = performance.now()
    remote.socket.write(Buffer.alloc(10_000, 'x'))
    await until('all has arrived', () => client.receivedBytes === 10_000)
    assert.ok(performance.now() - start >= 150)
  })

  test('stalls one way, and goes on without a loss', async () => {
    await listen()
    const { client, remote } = await pair()
    proxy.set('toServer', { stalled: true })
    client.socket.write('waits')
    remote.socket.write('passes')
    await client.has('passes')
    await neverIn(50, 'something', () => remote.receivedBytes > 0)
    proxy.heal()
    await remote.has('waits')
  })

  test('swallows everything, the end too, and resets who lost bytes when it is healed', async () => {
    await listen()
    const { client, remote } = await pair()
    const untouched = await pair()
    proxy.set('toServer', { blackhole: true })
    client.socket.end('lost')
    await neverIn(50, 'something', () => remote.receivedBytes > 0 || remote.ended)
    proxy.heal()
    await remote.wasReset()
    untouched.client.socket.write('fine')
    await untouched.remote.has('fine')
  })

  for (const cutBy of ['close', 'reset'] as const) {
    test(`cuts after exactly so many bytes, by ${cutBy}`, async () => {
      await listen()
      proxy.set('toClient', { cutAfterBytes: 7, cutBy })
      const { client, remote } = await pair()
      remote.socket.write('1234')
      await client.has('1234')
      remote.socket.write('567890')
      await client.has('1234567')
      await (cutBy === 'close' ? client.hasEnded() : client.wasReset())
      await until('the server side is closed', () => remote.ended || remote.error !== undefined)
    })
  }

  test('cuts all that is open, and what comes after is fine', async () => {
    await listen()
    const first = await pair()
    proxy.cut('reset')
    await Promise.all([first.client.wasReset(), first.remote.wasReset()])
    const second = await pair()
    proxy.cut('close')
    await Promise.all([second.client.hasEnded(), second.remote.hasEnded()])
    const third = await pair()
    third.client.socket.write('fine')
    await third.remote.has('fine')
  })

  test('resets new connections, or lets them hang until healed', async () => {
    await listen()
    proxy.newConnections('reset')
    await dial().wasReset()
    proxy.newConnections('hang')
    const client = dial()
    client.socket.write('patient')
    await neverIn(50, 'a connection', () => accepted.length > 0)
    proxy.heal()
    const remote = await until('the server is connected', () => accepted[0])
    await remote.has('patient')
  })
})

describe('a filter', () => {
  test('sees one direction, may hold it and change it, and its cut comes after what it passed', async () => {
    const held = Promise.withResolvers<void>()
    await listen({
      filters: () => ({
        async *toServer(incoming) {
          for await (const bytes of incoming) {
            await held.promise
            yield Buffer.from(bytes.toString().toUpperCase())
            yield 'close'
          }
        },
      }),
    })
    const { client, remote } = await pair()
    client.socket.write('held')
    remote.socket.write('not seen')
    await client.has('not seen')
    assert.equal(remote.receivedBytes, 0)
    held.resolve()
    await remote.has('HELD')
    await Promise.all([client.hasEnded(), remote.hasEnded()])
  })

  test('that throws resets the connection, and closing the proxy says so', async () => {
    await listen({
      filters: () => ({
        // biome-ignore lint/correctness/useYield: it never gets to it
        async *toServer(incoming) {
          for await (const _ of incoming) throw new Error('a bug in the test')
        },
      }),
    })
    const { client } = await pair()
    client.socket.write('x')
    await client.wasReset()
    await assert.rejects(proxy.close(), AggregateError)
    await listen()
  })
})
