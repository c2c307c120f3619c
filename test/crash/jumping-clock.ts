// Loaded before a program: its wall clock jumps every few milliseconds, up to a day either way; as `…?past` also to
// before 1970. What counts time without a wall clock (performance.now, timers) goes on as it did.
const dayMs = 86_400_000
const hourMs = 3_600_000
const strobeMs = 20
const past = new URL(import.meta.url).search === '?past' ? [-2 * Date.now()] : []
const jumps = [0, dayMs, -dayMs, hourMs, -hourMs, ...past]
const real = Date.now.bind(Date)
const start = performance.now()

Date.now = () => real() + jumps[Math.floor((performance.now() - start) / strobeMs) % jumps.length]!
