/** The public door of Semel's testing kit: what proves our engines is handed to whoever writes one. */

export { SeededRandom } from '../platform/seeded-random.ts'
export { engineConformance, leaseTableConformance } from './conformance/index.ts'
export type { ConformanceOptions, ConformanceStorage } from './conformance/options.ts'
