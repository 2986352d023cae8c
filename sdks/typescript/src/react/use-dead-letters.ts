/**
 * `useDeadLetters()`: what was given up and waits for somebody.
 *
 * driftqd lists every open dead letter. An app's router has no such list: there the dead letters of its failed
 * runs are read one by one.
 */

import { DriftQError } from '../errors.js'
import { path, Transport } from '../transport.js'
import type { DeadLetterPage, RunDeadLetter, RunPage } from '../wire.js'
import { REFRESH_MS, useList } from './list-store.js'
import type { DeadLetterItem, UseDeadLetters, UseDeadLettersOptions } from './types.js'
import { DEFAULT_BASE_URL } from './use-run.js'

const PAGE_SIZE = 20
const NO_ITEMS: readonly DeadLetterItem[] = []

/** APIs that were found to have no list of dead letters. */
const withoutList = new Set<string>()

/** Lists the open dead letters, newest first. */
export function useDeadLetters(options: UseDeadLettersOptions = {}): UseDeadLetters {
  const { baseUrl = DEFAULT_BASE_URL, topic, group, limit = PAGE_SIZE, refreshMs = REFRESH_MS } = options
  const key = JSON.stringify([baseUrl, topic, group, limit])
  const load = async (signal: AbortSignal): Promise<readonly DeadLetterItem[]> => {
    const transport = new Transport({ ...options, baseUrl, retry: { maxTries: 1 } })
    if (!withoutList.has(baseUrl)) {
      try {
        return await listed(transport, { topic, group, limit }, signal)
      } catch (error) {
        if (!DriftQError.is(error, 'NOT_FOUND')) throw error
        withoutList.add(baseUrl)
      }
    }
    return ofFailedRuns(transport, topic, limit, signal)
  }
  const { data, ...state } = useList(key, baseUrl, refreshMs, load)
  return { ...state, items: data ?? NO_ITEMS }
}

async function listed(
  transport: Transport,
  query: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): Promise<readonly DeadLetterItem[]> {
  const page = await transport.send<DeadLetterPage>({ method: 'GET', path: '/dlq', query, signal })
  return page.items
}

async function ofFailedRuns(
  transport: Transport,
  topic: string | undefined,
  limit: number,
  signal: AbortSignal,
): Promise<readonly DeadLetterItem[]> {
  const query = { status: 'failed', limit }
  const { runs } = await transport.send<RunPage>({ method: 'GET', path: '/runs', query, signal })
  const letters = await Promise.all(
    runs.map(async ({ run_id, tenant_id }) => {
      try {
        const call = { method: 'GET', path: path`/runs/${run_id}/dlq`, signal } as const
        return { ...(await transport.send<RunDeadLetter>(call)), tenant_id }
      } catch (error) {
        // Its letter was removed, or the run is being replayed just now.
        if (DriftQError.is(error) && error.status === 404) return null
        throw error
      }
    }),
  )
  return letters
    .filter((letter) => letter !== null)
    .filter((letter) => letter.state === 'open')
    .map(itemOf)
    .filter((item) => topic === undefined || item.original_topic === topic)
    .sort((a, b) => b.routed_at_ms - a.routed_at_ms)
}

function itemOf(letter: RunDeadLetter & { readonly tenant_id?: string | null | undefined }): DeadLetterItem {
  const { topic, partition, offset, run_id, reason, routed_at_ms, state, command, error } = letter
  return {
    topic,
    partition,
    offset,
    run_id,
    reason,
    routed_at_ms,
    state,
    tenant_id: letter.tenant_id ?? null,
    group: null,
    key: run_id,
    value: command,
    attempts: letter.attempts.at(-1)?.attempt ?? 0,
    last_error: error.message,
    original_topic: topic.replace(/^dlq\./, ''),
    // A run's record does not say where its command lay.
    original_partition: partition,
    original_offset: -1,
  }
}
