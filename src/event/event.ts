/**
 * The words every layer uses for an event. The envelope is CloudEvents 1.0
 * (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md); attribute names are the specification's.
 */

/** JSON text that is stored and handed on byte for byte, e.g. a webhook body whose signature must still match. */
export class RawJson {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
  /** The parsed value. Numbers above 2^53 lose digits here, which is why the text is what is stored. */
  parse(): unknown {
    return JSON.parse(this.text)
  }
}

/**
 * A value that was already turned into JSON text by Semel, so that later changes by its owner do not reach the log.
 * Reads back as the plain value; only `RawJson` keeps its text for readers.
 */
export class JsonText {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

/** A plain JSON value (checked), its text, raw JSON text, or bytes. Readers never see `JsonText`. */
export type EventData = unknown

/** CloudEvents attributes beyond the required ones; the last two groups are registered extensions. */
export interface EventAttributes {
  readonly subject?: string | undefined
  readonly datacontenttype?: string | undefined
  readonly dataschema?: string | undefined
  readonly correlationid?: string | undefined
  readonly causationid?: string | undefined
  readonly traceparent?: string | undefined
  /** The producer's own running number for this key or partition. Never interpreted by the log itself. */
  readonly producersequence?: number | undefined
}

/** Names of all optional attributes, in one place for codecs and checks. */
export const attributeNames = [
  'subject',
  'datacontenttype',
  'dataschema',
  'correlationid',
  'causationid',
  'traceparent',
  'producersequence',
] as const satisfies readonly (keyof EventAttributes)[]

/** One event as it crosses the port: already checked, its id, time and key decided. */
export interface EventRecord {
  readonly id: string
  readonly source: string
  readonly type: string
  /** When it happened, milliseconds since 1970 (event time, the producer's word). */
  readonly time: number
  /** Partition key. `null`: no key, any partition will do. The empty string is a key. */
  readonly key: string | null
  readonly data: EventData
  readonly attributes: EventAttributes | undefined
}

/** A record with its place in the log. */
export interface StoredEvent extends EventRecord {
  readonly offset: number
  /** The engine's append clock, milliseconds since 1970; never decreases within a partition (R2). */
  readonly appendTime: number
}
