import type { ClauseException } from '../../engine/status.ts'
import type { Platform } from '../../platform/platform.ts'
import { hostsOfUrl, poolConfig } from './connection-options.ts'
import { loadDriver } from './driver.ts'
import { translated } from './postgres-errors.ts'
import { postgresLimits } from './postgres-limits.ts'
import { askIdentity, durabilityExceptions } from './server-identity.ts'
import { Servers } from './servers.ts'

/**
 * What a server does not keep, asked without a trace: opening an engine would make its tables.
 *
 * @throws SemelError ENGINE_UNAVAILABLE, ENGINE_OPEN_FAILED, READ_ONLY_STANDBY
 */
export async function serverExceptions(url: string, platform: Platform): Promise<ClauseException[]> {
  const { Pool } = await loadDriver()
  const pools = hostsOfUrl(url).map((host) => new Pool(poolConfig(host, 1)))
  const { statementMsDefault: statementMs, reconnectMsDefault: reconnectMs } = postgresLimits
  const servers = new Servers({ pools, ownsPools: true, platform, statementMs, reconnectMs })
  try {
    const { settings } = await servers.use(askIdentity)
    return durabilityExceptions(settings)
  } catch (error) {
    throw translated(error, 'looking at the server', false)
  } finally {
    await servers.close()
  }
}
