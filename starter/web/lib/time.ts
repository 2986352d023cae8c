/**
 * Times in words. Durations are milliseconds, moments epoch milliseconds; clocks show the reader's own time zone.
 */

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** A duration as exact as it is worth: "867 ms", "1.2 s", "33 s", "3 min 5 s", "2 h 4 min". */
export function duration(ms: number): string {
  const whole = Math.max(0, Math.round(ms))
  if (whole < SECOND) return `${whole} ms`
  if (whole < 9_950) return `${(whole / SECOND).toFixed(1)} s`
  if (whole < 59_500) return `${Math.round(whole / SECOND)} s`
  if (whole < HOUR) return pair(Math.round(whole / SECOND), 60, 'min', 's')
  if (whole < DAY) return pair(Math.round(whole / MINUTE), 60, 'h', 'min')
  return pair(Math.round(whole / HOUR), 24, 'd', 'h')
}

/** A countdown: tenths below ten seconds, never negative. */
export function countdown(ms: number): string {
  if (ms >= 9_950) return duration(ms)
  return `${(Math.max(0, ms) / SECOND).toFixed(1)} s`
}

/** How long ago, in one unit: "41 s", "3 min", "2 h", "5 d". */
export function age(ms: number): string {
  if (ms < MINUTE) return `${Math.max(0, Math.floor(ms / SECOND))} s`
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min`
  if (ms < DAY) return `${Math.floor(ms / HOUR)} h`
  return `${Math.floor(ms / DAY)} d`
}

/** A moment after the start: "+4.508 s", "+1:42.3", "+1:02:03". */
export function offset(ms: number): string {
  const sign = ms < 0 ? '−' : '+'
  const whole = Math.abs(Math.round(ms))
  if (whole < 100 * SECOND) return `${sign}${(whole / SECOND).toFixed(3)} s`
  if (whole < HOUR) {
    const tenths = Math.floor(whole / 100)
    return `${sign}${Math.floor(tenths / 600)}:${two(Math.floor(tenths / 10) % 60)}.${tenths % 10}`
  }
  const seconds = Math.floor(whole / SECOND)
  return `${sign}${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`
}

/** A stop watch: "0:41", "12:05", "1:00:00". */
export function stopwatch(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / SECOND))
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes}:${two(seconds % 60)}`
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`
}

/** A moment on the clock: "14:03:21.084". */
export function clock(atMs: number): string {
  const at = new Date(atMs)
  const milliseconds = String(at.getMilliseconds()).padStart(3, '0')
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${milliseconds}`
}

/** A moment with its day, for a title: "2026-11-24 14:03:21.084". */
export function moment(atMs: number): string {
  const at = new Date(atMs)
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(atMs)}`
}

function pair(total: number, per: number, large: string, small: string): string {
  const rest = total % per
  const whole = Math.floor(total / per)
  return rest === 0 ? `${whole} ${large}` : `${whole} ${large} ${rest} ${small}`
}

function two(value: number): string {
  return String(value).padStart(2, '0')
}
