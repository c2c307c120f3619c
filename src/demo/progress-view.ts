import { stripVTControlCharacters, styleText } from 'node:util'
import type { Bus, GroupSnapshot } from '../index.ts'
import { countersGroup } from './topics.ts'
import type { WorkerPool } from './worker-pool.ts'

const barCells = 40

/** What the view looks at. */
export interface ProgressSource {
  readonly input: number
  readonly totals: { readonly published: number; readonly duplicates: number }
  readonly pool: WorkerPool
  readonly seed: number
}

/** Shows how the demo gets on: redrawn in place on a terminal, one plain line a second otherwise. */
export class ProgressView {
  readonly #bus: Bus
  readonly #source: ProgressSource
  readonly #live = process.stdout.isTTY
  #timer: NodeJS.Timeout | undefined
  #linesDrawn = 0

  constructor(bus: Bus, source: ProgressSource) {
    this.#bus = bus
    this.#source = source
  }

  start(): void {
    console.log(
      `${this.#source.input.toLocaleString('en')} deliveries, 3 worker processes, seed ${this.#source.seed}`,
    )
    this.#timer = setInterval(() => void this.#draw(), this.#live ? 200 : 1000)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  async #draw(): Promise<void> {
    const status = await this.#bus.status().catch(() => undefined)
    const group = status?.groups.find(({ group: name }) => name === countersGroup)
    if (!this.#live) {
      console.log(stripVTControlCharacters(this.#summary(group)))
      return
    }
    const lines = [this.#bar(), this.#summary(group), ...this.#tasks(group)]
    const up = this.#linesDrawn === 0 ? '' : `\u001b[${this.#linesDrawn}A`
    process.stdout.write(`${up}${lines.map((line) => `\u001b[2K${line}`).join('\n')}\n`)
    this.#linesDrawn = lines.length
  }

  #bar(): string {
    const share = this.#source.totals.published / this.#source.input
    const filled = Math.round(share * barCells)
    return `${styleText('green', '█'.repeat(filled))}${'░'.repeat(barCells - filled)} ${(share * 100).toFixed(0)} %`
  }

  #summary(group: GroupSnapshot | undefined): string {
    const { totals, pool } = this.#source
    const counted = group?.tasks.reduce((sum, { position }) => sum + (position ?? 0), 0) ?? 0
    return [
      `published ${totals.published.toLocaleString('en')}`,
      `duplicates ${totals.duplicates.toLocaleString('en')}`,
      `counted ${counted.toLocaleString('en')}`,
      `lag ${(group?.lagEvents ?? 0).toLocaleString('en')}`,
      styleText('red', `kills ${pool.kills}`),
    ].join('  ')
  }

  #tasks(group: GroupSnapshot | undefined): string[] {
    const tasks = [...(group?.tasks ?? [])].sort((a, b) => a.partition - b.partition)
    return tasks.map(
      ({ partition, owner, epoch, lagEvents }) =>
        `  partition ${partition}  ${(owner ?? styleText('yellow', 'nobody')).padEnd(14)} epoch ${String(epoch).padStart(3)}  lag ${lagEvents}`,
    )
  }
}
