/**
 * `useCountdown(atMs)`: the seconds until a moment, for "Attempt 3 in 2 s".
 */

import { useEffect, useState } from 'react'

/** Whole seconds until `atMs` (epoch milliseconds), rounded up, never below 0; null without a moment. */
export function useCountdown(atMs: number | null): number | null {
  const [now, setNow] = useState(() => Date.now())
  useEffect(() => {
    if (atMs === null) return
    let timer: ReturnType<typeof setTimeout> | undefined
    const tick = (): void => {
      const at = Date.now()
      setNow(at)
      // Wakes when the number shown changes, and not after the moment has come.
      if (at < atMs) timer = setTimeout(tick, (atMs - at) % 1000 || 1000)
    }
    tick()
    return () => clearTimeout(timer)
  }, [atMs])
  return atMs === null ? null : Math.max(0, Math.ceil((atMs - now) / 1000))
}
