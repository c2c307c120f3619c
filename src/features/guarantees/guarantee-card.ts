import type { Durability } from '../../engine/facts.ts'
import {
  type Clause,
  type GuaranteeSetting,
  type Judgement,
  type Proof,
  runsOn,
  type Verdict,
} from './clause.ts'
import { consumeClauses, livenessClauses, readClauses } from './consuming-clauses.ts'
import { dedupClauses, durabilityClauses, outcomeClauses, publishClauses } from './publishing-clauses.ts'

/** Every clause of docs/reference/guarantees.md, in its order and under its headings. */
export const clauseSections: readonly { readonly title: string; readonly clauses: readonly Clause[] }[] = [
  { title: 'Outcome of a call', clauses: outcomeClauses },
  { title: 'Durability', clauses: durabilityClauses },
  { title: 'Publishing', clauses: publishClauses },
  { title: 'Deduplication', clauses: dedupClauses },
  { title: 'Consuming', clauses: consumeClauses },
  { title: 'Reading', clauses: readClauses },
  { title: 'Coming back to life', clauses: livenessClauses },
]

/** What a running configuration promises, clause by clause: data for people (`semel guarantees`) and programs. */
export interface GuaranteeCard {
  readonly engine: string
  readonly durability: Durability
  readonly clauses: readonly JudgedClause[]
}

export interface JudgedClause {
  readonly id: string
  readonly section: string
  readonly text: string
  /** A limit says where the promises end. */
  readonly kind: 'promise' | 'limit'
  readonly verdict: Verdict
  /** Why it does not hold, or what it applies to; empty: the text says it all. */
  readonly why: string
  /** Tests of Semel's repository that fail when the clause is broken on this engine. */
  readonly proofs: readonly Proof[]
}

/** Judges every clause for one setting. */
export function guaranteeCard(setting: GuaranteeSetting): GuaranteeCard {
  const { facts, durability } = setting
  const clauses = clauseSections.flatMap(({ title, clauses: own }) =>
    own.map((clause): JudgedClause => {
      const { id, text, kind } = clause
      const proofs = clause.proofs.filter((proof) => runsOn(proof, facts))
      return { id, section: title, text, kind, ...judge(clause, setting), proofs }
    }),
  )
  return { engine: facts.name, durability, clauses }
}

/** What this very storage does not keep outweighs what its engine could. */
function judge({ id, judge }: Clause, setting: GuaranteeSetting): Judgement {
  const exception = setting.exceptions.find(({ clause }) => clause === id)
  return exception === undefined ? judge(setting) : { verdict: 'no', why: exception.why }
}
