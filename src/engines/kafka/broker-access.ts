import type { ConnectionOptions } from 'node:tls'
import { SemelError } from '../../errors.ts'
import { fileBuffer } from '../../platform/files.ts'
import type { Config } from './client-types.ts'
import type { SaslLogin } from './sasl.ts'

/** How a broker is reached, in Node's terms. */
export interface BrokerAccess {
  readonly tls: ConnectionOptions | undefined
  readonly sasl: SaslLogin | undefined
}

/** UNSUPPORTED where only librdkafka can do what its settings ask for. */
export function brokerAccess(settings: Config): BrokerAccess {
  const protocol = String(settings['security.protocol'] ?? 'plaintext').toLowerCase()
  return {
    tls: protocol.endsWith('ssl') ? tlsOptions(settings) : undefined,
    sasl: protocol.startsWith('sasl') ? saslLogin(settings) : undefined,
  }
}

function tlsOptions(settings: Config): ConnectionOptions {
  const passphrase = textOf(settings, 'ssl.key.password') ?? textOf(settings, 'ssl.keystore.password')
  const isChecked = isOn(settings['enable.ssl.certificate.verification'])
  const isNameChecked = String(settings['ssl.endpoint.identification.algorithm'] ?? 'https') !== 'none'
  return {
    ...given('ca', pem(settings, 'ssl.ca')),
    ...given('cert', pem(settings, 'ssl.certificate')),
    ...given('key', pem(settings, 'ssl.key')),
    ...given('pfx', pem(settings, 'ssl.keystore')),
    ...given('passphrase', passphrase),
    rejectUnauthorized: isChecked,
    ...(isNameChecked ? {} : { checkServerIdentity: () => undefined }),
  }
}

const isOn = (value: unknown) => value === undefined || String(value) === 'true'
const given = (name: string, value: unknown) => (value === undefined ? {} : { [name]: value })

/** As text, or as the path of a file. */
function pem(settings: Config, name: string): string | Buffer | undefined {
  const text = textOf(settings, `${name}.pem`)
  if (text !== undefined) return text
  const path = textOf(settings, `${name}.location`)
  return path === undefined ? undefined : fileBuffer(path)
}

const mechanisms: readonly SaslLogin['mechanism'][] = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512']

function saslLogin(settings: Config): SaslLogin {
  const name = textOf(settings, 'sasl.mechanisms') ?? textOf(settings, 'sasl.mechanism') ?? 'GSSAPI'
  const mechanism = mechanisms.find((one) => one === name)
  if (mechanism === undefined) {
    throw new SemelError(
      'UNSUPPORTED',
      `settings of brokers cannot be read with the SASL mechanism ${name}`,
      {
        field: 'sasl.mechanisms',
      },
    )
  }
  return {
    mechanism,
    username: textOf(settings, 'sasl.username') ?? '',
    password: textOf(settings, 'sasl.password') ?? '',
  }
}

function textOf(settings: Config, name: string): string | undefined {
  const value = settings[name]
  return value === undefined || value === '' ? undefined : String(value)
}
