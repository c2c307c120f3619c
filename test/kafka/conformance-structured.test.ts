import { kafkaConformance } from '../rig/kafka/conformance.ts'

kafkaConformance('structured')
