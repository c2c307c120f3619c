import { kafkaConformance } from '../rig/kafka/conformance.ts'

kafkaConformance('binary')
