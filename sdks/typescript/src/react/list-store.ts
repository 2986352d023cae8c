/**
 * A list that is asked for again: every so often while the page is seen, at once when a run changed, and with
 * growing pauses while nothing answers. What was there stays until there is something newer.
 */

import { useCallback, useEffect, useRef, useState } from 'react'
import { DriftQError } from '../errors.js'
import { backoffMs } from '../retry.js'
import { onRunsChanged } from './lists-bus.js'
import { isPageSeen, onOnline, onPageLife } from './page-life.js'
import type { ListState } from './types.js'

/** How often a list is asked for unless said otherwise. */
export const REFRESH_MS = 5_000

/** How soon a list is asked for again while nothing answers. */
const RETRY = { baseMs: 1_000, capMs: 10_000 }

/** News of a run come in bursts; a list follows this much later, once. */
const CHANGE_DELAY_MS = 200

interface Loaded<T> {
  readonly data: T | null
  readonly error: DriftQError | null
  readonly updatedAtMs: number | null
  readonly retryAtMs: number | null
}

const NOT_LOADED = { data: null, error: null, updatedAtMs: null, retryAtMs: null }

/**
 * Keeps a list fresh.
 *
 * @param key what the list depends on: another key forgets the data.
 * @param load fetches it; must obey the signal.
 */
export function useList<T>(
  key: string,
  baseUrl: string,
  refreshMs: number,
  load: (signal: AbortSignal) => Promise<T>,
): ListState & { readonly data: T | null } {
  const [state, setState] = useState<{ readonly key: string } & Loaded<T>>({ key, ...NOT_LOADED })
  const latest = useRef(load)
  useEffect(() => {
    latest.current = load
  })
  const refresher = useRef<() => void>(() => {})

  useEffect(() => {
    const left = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    let failures = 0
    let isBusy = false
    let isAsked = false

    const later = (ms: number): void => {
      clearTimeout(timer)
      if (!left.signal.aborted && isPageSeen()) timer = setTimeout(() => void look(), ms)
    }
    const look = async (): Promise<void> => {
      clearTimeout(timer)
      if (isBusy) {
        isAsked = true
        return
      }
      isBusy = true
      isAsked = false
      try {
        const data = await latest.current(left.signal)
        failures = 0
        if (left.signal.aborted) return
        setState({ key, data, error: null, updatedAtMs: Date.now(), retryAtMs: null })
        if (refreshMs > 0) later(refreshMs)
      } catch (cause) {
        if (left.signal.aborted) return
        failures += 1
        // At least half of it: a list is not worth a storm.
        const waitMs = RETRY.baseMs / 2 + backoffMs(failures, RETRY)
        const error = DriftQError.is(cause)
          ? cause
          : new DriftQError('UNEXPECTED_ANSWER', String(cause), { cause })
        const retryAtMs = Date.now() + waitMs
        setState((before) => ({ ...(before.key === key ? before : { ...NOT_LOADED, key }), error, retryAtMs }))
        later(waitMs)
      } finally {
        isBusy = false
        if (isAsked) later(0)
      }
    }

    refresher.current = () => void look()
    const stops = [
      onRunsChanged(baseUrl, () => later(CHANGE_DELAY_MS)),
      onOnline(() => void look()),
      onPageLife((isSeen) => (isSeen ? void look() : clearTimeout(timer))),
    ]
    if (isPageSeen()) void look()
    return () => {
      left.abort()
      clearTimeout(timer)
      for (const stop of stops) stop()
    }
  }, [key, baseUrl, refreshMs])

  const refresh = useCallback(() => refresher.current(), [])
  const shown = state.key === key ? state : { key, ...NOT_LOADED }
  return {
    data: shown.data,
    error: shown.error,
    updatedAtMs: shown.updatedAtMs,
    retryAtMs: shown.retryAtMs,
    loading: shown.data === null && shown.error === null,
    refresh,
  }
}
