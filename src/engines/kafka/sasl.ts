import { createHash, createHmac, pbkdf2Sync, timingSafeEqual } from 'node:crypto'
import type { Random } from '../../platform/platform.ts'
import { BrokerError } from './broker-error.ts'
import { type Reader, type WireRequest, wire } from './wire.ts'

export interface SaslLogin {
  readonly mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'
  readonly username: string
  readonly password: string
}

type Ask = (request: WireRequest) => Promise<Reader>

const authenticationFailed = 58

/** Must come first on a connection whose broker asks for SASL. */
export async function authenticate(ask: Ask, login: SaslLogin, random: Random): Promise<void> {
  const { mechanism, username, password } = login
  const handshake = await ask({ apiKey: 17, version: 1, body: wire.shortText(mechanism), flexible: false })
  const code = handshake.int16()
  if (code !== 0) throw new BrokerError(code, `the broker does not offer ${mechanism}`)
  if (mechanism === 'PLAIN') {
    await send(ask, Buffer.from(`\u0000${username}\u0000${password}`))
    return
  }
  await scram(ask, login, nonceOf(random))
}

async function send(ask: Ask, token: Buffer): Promise<Buffer> {
  const body = Buffer.concat([wire.bytes(token), wire.noTags])
  const answer = await ask({ apiKey: 36, version: 2, body })
  const code = answer.int16()
  const message = answer.text()
  if (code !== 0) throw new BrokerError(code, message ?? 'authentication failed')
  return answer.bytes()
}

/** RFC 5802, without channel binding. The server proves as well that it knows the password. */
async function scram(ask: Ask, { mechanism, username, password }: SaslLogin, nonce: string): Promise<void> {
  const hash = mechanism === 'SCRAM-SHA-256' ? 'sha256' : 'sha512'
  const hmac = (key: Buffer, text: string) => createHmac(hash, key).update(text).digest()
  const name = username.replaceAll('=', '=3D').replaceAll(',', '=2C')
  const first = `n=${name},r=${nonce}`
  const serverFirst = (await send(ask, Buffer.from(`n,,${first}`))).toString()
  const { r, s, i } = fieldsOf(serverFirst)
  if (r?.startsWith(nonce) !== true || s === undefined || i === undefined) throw badAnswer()
  const size = hash === 'sha256' ? 32 : 64
  const salted = pbkdf2Sync(password, Buffer.from(s, 'base64'), Number(i), size, hash)
  const final = `c=biws,r=${r}`
  const signed = `${first},${serverFirst},${final}`
  const clientKey = hmac(salted, 'Client Key')
  const signature = hmac(createHash(hash).update(clientKey).digest(), signed)
  const proof = Buffer.from(clientKey.map((byte, index) => byte ^ signature[index]!)).toString('base64')
  const { v } = fieldsOf((await send(ask, Buffer.from(`${final},p=${proof}`))).toString())
  const expected = hmac(hmac(salted, 'Server Key'), signed)
  const shown = Buffer.from(v ?? '', 'base64')
  if (shown.length !== expected.length || !timingSafeEqual(shown, expected)) throw badAnswer()
}

function fieldsOf(message: string): Readonly<Record<string, string>> {
  return Object.fromEntries(message.split(',').map((part) => [part.slice(0, 1), part.slice(2)]))
}

function nonceOf(random: Random): string {
  return Array.from({ length: 6 }, () => random.uint32().toString(36)).join('')
}

const badAnswer = () =>
  new BrokerError(authenticationFailed, 'the broker does not prove that it knows this user')
