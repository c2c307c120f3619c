import { createRequire } from 'node:module'
import { SeededRandom } from '../platform/seeded-random.ts'

/** One HTTP delivery of a webhook, as GitHub makes them. */
export interface GithubDelivery {
  /** `X-GitHub-Delivery`: the same when GitHub delivers again. */
  readonly deliveryId: string
  /** `X-GitHub-Event`. */
  readonly type: string
  readonly repository: string
  /** The body, byte for byte. */
  readonly body: string
}

interface ExampleGroup {
  readonly name: string
  readonly examples: readonly ExamplePayload[]
}

interface ExamplePayload {
  readonly repository?: { readonly full_name?: string }
  readonly organization?: { readonly login?: string }
  readonly sender?: { readonly login?: string }
}

const redeliveryShare = 0.2
/** Positions that a delivery may move: at 1,000 deliveries a second, about three seconds. */
const disorderPositions = 3_000

/**
 * Real webhook payloads in the order in which they arrive: about a fifth is delivered again under its old id, and
 * neighbours trade places within seconds. One seed gives one list.
 */
export function githubDeliveries(count: number, seed: number): GithubDelivery[] {
  const random = new SeededRandom(seed)
  const payloads = loadPayloads()
  const arrivals: { at: number; delivery: GithubDelivery }[] = []
  const originals: GithubDelivery[] = []
  for (let i = 0; i < count; i++) {
    const again = originals.length > 0 && random.fraction() < redeliveryShare
    const delivery = again
      ? originals[random.below(originals.length)]!
      : { ...payloads[random.below(payloads.length)]!, deliveryId: deliveryIdOf(random) }
    if (!again) originals.push(delivery)
    arrivals.push({ at: i + random.fraction() * disorderPositions, delivery })
  }
  return arrivals.sort((a, b) => a.at - b.at).map(({ delivery }) => delivery)
}

function loadPayloads(): Omit<GithubDelivery, 'deliveryId'>[] {
  const require = createRequire(import.meta.url)
  const groups: readonly ExampleGroup[] = require('@octokit/webhooks-examples/api.github.com/index.json')
  return groups.flatMap(({ name, examples }) =>
    examples.map((payload) => ({
      type: name,
      repository: repositoryOf(payload),
      body: JSON.stringify(payload),
    })),
  )
}

function repositoryOf(payload: ExamplePayload): string {
  const { repository, organization, sender } = payload
  return repository?.full_name ?? `(no repository) ${organization?.login ?? sender?.login ?? 'unknown'}`
}

function deliveryIdOf(random: SeededRandom): string {
  const hex = Array.from({ length: 4 }, () => random.uint32().toString(16).padStart(8, '0')).join('')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
