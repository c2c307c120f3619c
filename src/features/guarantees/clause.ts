import type { Durability, EngineFacts } from '../../engine/facts.ts'
import type { ClauseException } from '../../engine/status.ts'
import type { Guarantee } from '../../runtime/task-context.ts'

/** A running configuration, as far as the clauses depend on it. */
export interface GuaranteeSetting {
  readonly facts: EngineFacts
  /** What a publish is acknowledged at if it does not say. */
  readonly durability: Durability
  readonly topics: readonly { readonly name: string; readonly dedupWindowMs: number }[]
  /** Groups that this process consumes in. */
  readonly groups: readonly GroupSetting[]
  /** Promises that this very storage does not keep, whatever its engine's facts say. */
  readonly exceptions: readonly ClauseException[]
}

export interface GroupSetting {
  readonly group: string
  readonly guarantee: Guarantee
  readonly onExhausted: 'dead-letter' | 'block'
}

/** `partly`: for some topics, or in a weaker form; `why` says which. `not-applicable`: nothing here could break it. */
export type Verdict = 'holds' | 'partly' | 'no' | 'not-applicable'

export interface Judgement {
  readonly verdict: Verdict
  /** The reason, or what it applies to; empty: the text says it all. */
  readonly why: string
}

/** A test that fails when the clause is broken. Paths and names are those of Semel's repository. */
export interface Proof {
  readonly file: string
  /** The test's name, or the part of it that does not vary. */
  readonly test: string
  /** Engines that it runs on. Absent: what is above the port, or the conformance suite, which every engine runs. */
  readonly engines?: readonly string[] | undefined
  /** Facts of an engine without which the conformance suite leaves the test out. */
  readonly needs?: Partial<EngineFacts>
}

/** One promise. The wording that binds is that of docs/reference/guarantees.md; `text` is its short form. */
export interface Clause {
  readonly id: string
  readonly text: string
  /** A limit promises nothing: it says where the promises end, so it may be without a proof. */
  readonly kind: 'promise' | 'limit'
  readonly judge: (setting: GuaranteeSetting) => Judgement
  readonly proofs: readonly Proof[]
}

export function holds(why = ''): Judgement {
  return { verdict: 'holds', why }
}

export function partly(why: string): Judgement {
  return { verdict: 'partly', why }
}

export function doesNotHold(why: string): Judgement {
  return { verdict: 'no', why }
}

export function notApplicable(why: string): Judgement {
  return { verdict: 'not-applicable', why }
}

export const always = (): Judgement => holds()

/** A proof of code above the port, or of the conformance suite. */
export function proof(file: string, test: string): Proof {
  return { file, test }
}

/** A proof of the conformance suite that only engines with these facts run. */
export function proofIf(needs: Partial<EngineFacts>, file: string, test: string): Proof {
  return { file, test, needs }
}

/** Whether a proof runs on an engine with these facts. */
export function runsOn({ engines, needs = {} }: Proof, facts: EngineFacts): boolean {
  if (engines !== undefined && !engines.includes(facts.name)) return false
  return Object.entries(needs).every(([name, wanted]) => facts[name as keyof EngineFacts] === wanted)
}

export function proofOn(engines: readonly string[], file: string, test: string): Proof {
  return { file, test, engines }
}
