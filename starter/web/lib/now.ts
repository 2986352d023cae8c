'use client'

/**
 * The time of the page: one ticker for everything that counts, and none while nothing does.
 *
 * The server's clock may differ from the browser's; `seenAt` tells the page when an event was seen live.
 */

import { useSyncExternalStore } from 'react'

const TICK_MS = 100

/** Clocks that differ by less are taken for equal: it is the way of the event. */
const SKEW_MS_MIN = 2_000

let skewMs = 0
let timer: ReturnType<typeof setInterval> | undefined
const listeners = new Set<() => void>()

/** The server's time as far as it is known, epoch milliseconds. */
export function now(): number {
  return Date.now() + skewMs
}

/** An event of this moment arrived: corrects a browser's clock that is wrong by seconds. */
export function seenAt(eventAtMs: number): void {
  const difference = eventAtMs - Date.now()
  skewMs = Math.abs(difference) < SKEW_MS_MIN ? 0 : difference
}

/** The time, drawn again each `everyMs` while `active`. 0 on the server and for the first paint after it. */
export function useNow(everyMs: number, active = true): number {
  const snapshot = () => Math.floor(now() / everyMs) * everyMs
  const tick = useSyncExternalStore(active ? subscribe : never, snapshot, () => 0)
  return tick === 0 ? 0 : now()
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  timer ??= setInterval(() => {
    for (const each of listeners) each()
  }, TICK_MS)
  return () => {
    listeners.delete(listener)
    if (listeners.size > 0) return
    clearInterval(timer)
    timer = undefined
  }
}

function never(): () => void {
  return () => undefined
}
