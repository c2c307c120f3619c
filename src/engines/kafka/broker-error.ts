/** A code of Kafka's protocol, or one of librdkafka's own (negative) for what it would say of such a connection. */
export class BrokerError extends Error {
  readonly code: number
  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}
