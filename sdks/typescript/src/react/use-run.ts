/**
 * `useRun(runId)`: a run as it happens.
 *
 * All components with the same run and API share one store and one stream, however often they mount.
 */

import { useEffect, useMemo, useSyncExternalStore } from 'react'
import { CONNECTING, IDLE, IDLE_STORES_MAX, type RunSnapshot, RunStore } from './run-store.js'
import type { ApiOptions, UseRun, UseRunOptions } from './types.js'

/** The base URL of the hooks unless one is given. */
export const DEFAULT_BASE_URL = '/api'

/**
 * Follows a run: status, timeline, dead letter, and what can be done with it.
 *
 * @param runId null follows nothing yet.
 */
export function useRun<Result = unknown>(runId: string | null, options: UseRunOptions = {}): UseRun<Result> {
  const { baseUrl = DEFAULT_BASE_URL, headers, credentials, fetch, pauseWhenHidden = true } = options
  // biome-ignore lint/correctness/useExhaustiveDependencies: a store outlives a change of how it asks; see below
  const store = useMemo(
    () => (runId === null ? null : storeOf(runId, { baseUrl, headers, credentials, fetch }, pauseWhenHidden)),
    [runId, baseUrl, pauseWhenHidden],
  )
  useEffect(() => store?.adopt({ headers, credentials, fetch }), [store, headers, credentials, fetch])
  const snapshot = useSyncExternalStore(
    store?.subscribe ?? subscribeToNothing,
    store?.snapshot ?? idle,
    store === null ? idle : connecting,
  )
  return useMemo(() => {
    const { reconnect, replay, cancel } = store ?? NO_RUN
    return { ...snapshot, runId, reconnect, replay, cancel } as UseRun<Result>
  }, [snapshot, store, runId])
}

const idle = (): RunSnapshot => IDLE
const connecting = (): RunSnapshot => CONNECTING
const subscribeToNothing = (): (() => void) => () => {}
const NO_RUN = {
  reconnect: (): void => {},
  replay: (): Promise<undefined> => Promise.resolve(undefined),
  cancel: (): Promise<undefined> => Promise.resolve(undefined),
}

const stores = new Map<string, RunStore>()

/** The one store of a run; made when it is first asked for. */
function storeOf(
  runId: string,
  api: ApiOptions & { readonly baseUrl: string },
  pauseWhenHidden: boolean,
): RunStore {
  const key = JSON.stringify([api.baseUrl, runId, pauseWhenHidden])
  const known = stores.get(key)
  if (known !== undefined) return known
  // On a server nothing is kept: a store would outlive its request and be seen by the next one.
  const store = new RunStore(runId, api, pauseWhenHidden, makeRoom)
  if (typeof window === 'undefined') return store
  stores.set(key, store)
  forgetIdle()
  return store
}

/** A page has one stream at a time: what nobody reads any more makes room for what is read now. */
function makeRoom(read: RunStore): void {
  for (const store of stores.values()) if (store !== read && store.isIdle) store.close()
}

/** Keeps the newest stores that nobody reads, for a way back. */
function forgetIdle(): void {
  const idleOnes = [...stores].filter(([, store]) => store.isIdle)
  for (const [key, store] of idleOnes.slice(0, Math.max(0, idleOnes.length - IDLE_STORES_MAX))) {
    store.close()
    stores.delete(key)
  }
}
