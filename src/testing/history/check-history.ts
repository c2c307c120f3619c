import { Circles } from './anomalies/circles.ts'
import { Consuming } from './anomalies/consume.ts'
import { Dedup } from './anomalies/dedup.ts'
import { Fencing } from './anomalies/fencing.ts'
import { HttpKeys } from './anomalies/http.ts'
import { KeyOrder } from './anomalies/key-order.ts'
import { Ledger } from './anomalies/ledger.ts'
import { Liveness } from './anomalies/liveness.ts'
import { LogShape } from './anomalies/log.ts'
import { Outcomes } from './anomalies/loss.ts'
import { Polls } from './anomalies/polls.ts'
import { Positions } from './anomalies/progress.ts'
import { Scans } from './anomalies/scans.ts'
import { Sends } from './anomalies/sends.ts'
import type { AnomalyName } from './anomaly-names.ts'
import { LogFeed } from './feed-log.ts'
import { Findings } from './findings.ts'
import { reasonsToVoid } from './gates.ts'
import { LogModel } from './log-model.ts'
import { Metrics } from './metrics.ts'
import type { Operation } from './operation.ts'
import { type CheckOptions, type ResolvedOptions, resolveCheckOptions } from './options.ts'
import { Pairing } from './pairing.ts'
import { type HistoryEvent, isNote } from './record.ts'
import { buildReport, type HistoryReport } from './report/report.ts'
import { TaskFeed, Tasks } from './tasks.ts'
import type { Scene, Watcher } from './watcher.ts'

/**
 * Judges a history (faults.md section 3): what the system promised against what its clients were told and saw.
 *
 * `history` is read once as a stream, and a second time if something is wrong, to draw what happened around it. The
 * verdict is `invalid` if any anomaly is a fault in this run, `void` if the run proves nothing (its faults did not
 * bite, its recording broke a rule), else `valid`.
 */
export function checkHistory(history: Iterable<HistoryEvent>, options: CheckOptions = {}): HistoryReport {
  const check = new Check(resolveCheckOptions(options))
  for (const event of history) check.take(event)
  return check.finish(history)
}

class Check {
  readonly #options: ResolvedOptions
  readonly #pairing = new Pairing()
  readonly #scene: Scene
  readonly #metrics: Metrics
  readonly #watchers: readonly Watcher[]
  #seq = 0
  #operations = 0
  #t = 0

  constructor(options: ResolvedOptions) {
    this.#options = options
    const findings = new Findings(permittedBy(options), options.witnessesMax)
    this.#scene = { model: new LogModel(), options, findings }
    const scene = this.#scene
    const tasks = new Tasks(scene)
    this.#metrics = new Metrics(scene, tasks)
    this.#watchers = [
      new LogFeed(scene, (problem) => this.#pairing.problem(problem)),
      this.#metrics,
      new Consuming(scene, tasks),
      new TaskFeed(tasks),
      new Positions(scene, tasks),
      new KeyOrder(scene, tasks),
      new Ledger(scene, tasks),
      new Liveness(scene, tasks),
      new Polls(scene),
      new Sends(scene),
      new Fencing(scene),
      new Scans(scene),
      new HttpKeys(scene),
      new LogShape(scene),
      new Outcomes(scene),
      new Dedup(scene),
      new Circles(scene),
    ]
  }

  take(event: HistoryEvent): void {
    const seq = this.#seq++
    this.#t = Math.max(this.#t, event.t)
    if (isNote(event)) {
      const session = this.#pairing.session(event.node, event.sess)
      if (event.f === 'died') this.#died(event.v.node)
      for (const watcher of this.#watchers) watcher.noted?.(event, session)
    } else if (event.type === 'invoke') {
      const operation = this.#pairing.start(event, seq)
      for (const watcher of this.#watchers) watcher.started?.(operation)
    } else this.#settled(this.#pairing.settle(event, seq))
  }

  finish(history: Iterable<HistoryEvent>): HistoryReport {
    for (const operation of this.#pairing.takeOpen()) this.#settled(operation)
    for (const watcher of this.#watchers) watcher.finish?.({ t: this.#t })
    return buildReport({
      history,
      scene: this.#scene,
      metrics: this.#metrics,
      events: this.#seq,
      operations: this.#operations,
      voidReasons: reasonsToVoid(this.#options.gates, this.#metrics, this.#pairing.problems),
    })
  }

  #settled(operation: Operation): void {
    this.#operations++
    for (const watcher of this.#watchers) watcher.settled?.(operation)
    // What was sent and read is in the model by now. Kept, the records of all polls would fill the memory.
    operation.reply = undefined
  }

  /** What a killed process had under way is unknown; it does not hang. */
  #died(node: string): void {
    for (const operation of this.#pairing.takeOpen(node)) {
      operation.outcome = 'info'
      this.#settled(operation)
    }
  }
}

const writeCircles: readonly AnomalyName[] = ['G0', 'G0-process', 'G0-realtime', 'int-send-skip']
const sendOrder: readonly AnomalyName[] = ['nonmonotonic-send', 'int-nonmonotonic-send']

/** Anomalies that are no fault in this run, and why (the table's "allowed when"). */
function permittedBy({ allow, atomicVisibility, ordered }: ResolvedOptions): Map<AnomalyName, string> {
  const permitted = new Map<AnomalyName, string>()
  for (const name of atomicVisibility ? [] : writeCircles)
    permitted.set(name, 'normal where transactions do not become visible at once')
  for (const name of ordered ? [] : sendOrder) permitted.set(name, 'order "none" was chosen')
  for (const name of allow) permitted.set(name, 'allowed for this run')
  return permitted
}
