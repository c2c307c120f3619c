import { SemelError } from '../../errors.ts'
import { postgresLimits } from './postgres-limits.ts'

/** What the driver needs to reach one host. The password is only ever in here. */
export type HostConfig = Readonly<Record<string, unknown>>

const badUrl = 'url must be like postgres://user:password@host:5432/database'

/**
 * Configurations for the hosts of a url, in its order: `postgres://user@one:5432,two:5433/db`, as in libpq. An error
 * never repeats the url, which may hold a password.
 */
export function hostsOfUrl(url: string): readonly HostConfig[] {
  const parts = /^(postgres(?:ql)?:\/\/)([^/?#]*@)?([^/?#@]*)((?:[/?#].*)?)$/s.exec(url)
  if (parts === null) throw wrongUrl()
  const [, scheme, user = '', hosts = '', rest = ''] = parts
  return hosts.split(',').map((host) => {
    const connectionString = `${scheme}${user}${host}${rest}`
    if (!URL.canParse(connectionString)) throw wrongUrl()
    return { connectionString }
  })
}

/** What all our connections have in common. */
export function poolConfig(host: HostConfig, connections: number): HostConfig {
  return {
    application_name: 'semel',
    connectionTimeoutMillis: postgresLimits.connectMs,
    idleTimeoutMillis: postgresLimits.idleConnectionMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: postgresLimits.keepAliveMs,
    ...host,
    max: connections,
  }
}

function wrongUrl(): SemelError {
  return new SemelError('INVALID_OPTION', badUrl, {
    field: 'url',
    hint: 'several hosts are separated by commas',
  })
}
