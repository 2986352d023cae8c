/**
 * `useRuns()`: the newest runs, kept fresh while the page is seen.
 */

import { useCallback, useState } from 'react'
import { Transport } from '../transport.js'
import type { RunPage, RunSummary } from '../wire.js'
import { REFRESH_MS, useList } from './list-store.js'
import type { UseRuns, UseRunsOptions } from './types.js'
import { DEFAULT_BASE_URL } from './use-run.js'

/** How many runs a list holds at most, over all its pages. */
export const LIST_ITEMS_MAX = 1_000

const PAGE_SIZE = 50
const NO_RUNS: readonly RunSummary[] = []

/** Lists runs, newest first. */
export function useRuns(options: UseRunsOptions = {}): UseRuns {
  const { baseUrl = DEFAULT_BASE_URL, status, workflow, tag, limit = PAGE_SIZE, refreshMs = REFRESH_MS } = options
  const query = { status, workflow, tag }
  const key = JSON.stringify([baseUrl, query, limit])
  // Pages beyond the first are asked for again with the others, so that the list is one picture.
  const [wanted, setWanted] = useState({ key, pages: 1 })
  const pages = wanted.key === key ? wanted.pages : 1

  const load = async (signal: AbortSignal): Promise<Required<Pick<UseRuns, 'runs' | 'hasMore'>>> => {
    const transport = new Transport({ ...options, baseUrl, retry: { maxTries: 1 } })
    const most = Math.min(pages * limit, LIST_ITEMS_MAX)
    let runs: readonly RunSummary[] = []
    let cursor: string | null | undefined
    do {
      const page: RunPage = await transport.send<RunPage>({
        method: 'GET',
        path: '/runs',
        query: { ...query, limit: Math.min(limit, most - runs.length), cursor },
        signal,
      })
      runs = [...runs, ...page.runs]
      cursor = page.next_cursor
    } while (cursor != null && runs.length < most)
    return { runs, hasMore: cursor != null && runs.length < LIST_ITEMS_MAX }
  }
  const { data, refresh, ...state } = useList(key, baseUrl, refreshMs, load)
  const loadMore = useCallback(() => {
    setWanted((before) => ({ key, pages: (before.key === key ? before.pages : 1) + 1 }))
    // After the next render, when `load` knows of the other page.
    setTimeout(refresh)
  }, [key, refresh])
  return { ...state, refresh, runs: data?.runs ?? NO_RUNS, hasMore: data?.hasMore ?? false, loadMore }
}
