'use client'

/**
 * The timelines behind the thin lanes of the runs list: one page of events a run, fetched when its row is seen
 * and again when the run moved. At most `LANES_KEPT` are kept, and `FETCHES_MAX` are under way at a time.
 */

import { useEffect, useState } from 'react'
import type { RunEvent, RunSummary } from '@/lib/driftq'
import { buildTimeline, type Timeline } from '@/lib/timeline'

const LANES_KEPT = 200
const FETCHES_MAX = 3

/** A thin lane needs no more events than this. */
const EVENTS_MAX = 500

interface Kept {
  readonly version: string
  readonly timeline: Timeline
}

const kept = new Map<string, Kept>()
const waiting: (() => void)[] = []
let underWay = 0

/** A run's timeline for its row; null until it is known, or while `isSeen` is false. */
export function useLane(baseUrl: string, run: RunSummary, isSeen: boolean): Timeline | null {
  const version = `${run.status}.${run.replay_seq}.${run.attempts}`
  const { run_id: runId } = run
  const [, redraw] = useState(0)
  useEffect(() => {
    if (!isSeen || kept.get(runId)?.version === version) return
    const gone = new AbortController()
    void load(baseUrl, runId, version, gone.signal).then((isNew) => {
      if (isNew && !gone.signal.aborted) redraw((times) => times + 1)
    })
    return () => gone.abort()
  }, [baseUrl, runId, version, isSeen])
  return kept.get(runId)?.timeline ?? null
}

async function load(baseUrl: string, runId: string, version: string, signal: AbortSignal): Promise<boolean> {
  await turn()
  try {
    if (signal.aborted) return false
    const url = `${baseUrl}/runs/${encodeURIComponent(runId)}/events?limit=${EVENTS_MAX}`
    const answer = await fetch(url, { headers: { Accept: 'application/json' }, signal })
    if (!answer.ok) return false
    const page = (await answer.json()) as { events: RunEvent[] }
    kept.delete(runId)
    kept.set(runId, { version, timeline: buildTimeline(page.events) })
    for (const oldest of kept.keys()) {
      if (kept.size <= LANES_KEPT) break
      kept.delete(oldest)
    }
    return true
  } catch {
    // A row without its lane is still a row; the list itself says when the API is down.
    return false
  } finally {
    underWay--
    waiting.shift()?.()
  }
}

async function turn(): Promise<void> {
  if (underWay >= FETCHES_MAX) await new Promise<void>((resolve) => waiting.push(resolve))
  underWay++
}
