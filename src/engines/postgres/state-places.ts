import { postgresLimits } from './postgres-limits.ts'

/** The tables that a row of state may be in, as `write` calls them (migrations/0013-state-places.sql). */
export const stateTable = 1
export const hotStateTable = 2
const tables = 4

/** Place of a row, as `tidArray` has it, and its table, as one number. */
export function statePlace(place: number, table: number): number {
  return place * tables + table
}

export const placeIn = (statePlace: number): number => Math.floor(statePlace / tables)
export const tableIn = (statePlace: number): number => statePlace % tables

/**
 * Where rows of state were when they were written last: by store, and there by key. Only a hint: the server takes what it
 * finds there if it has that key, and else looks for it.
 */
export class StatePlaces {
  readonly #stores = new Map<number, Map<string, number>>()

  of(store: number): Map<string, number> {
    let places = this.#stores.get(store)
    if (places === undefined) {
      places = new Map()
      this.#stores.set(store, places)
    }
    return places
  }

  /** What is written often is soon there again. */
  trim(): void {
    let size = 0
    for (const places of this.#stores.values()) size += places.size
    if (size > postgresLimits.statePlacesMax) this.#stores.clear()
  }
}
