'use client'

/** What follows from live events beside the timeline: the page's title, how far behind it is, the notice at the end. */

import { useEffect, useRef, useState } from 'react'
import type { UseRun } from '@/lib/driftq'
import { seenAt } from '@/lib/now'
import { duration } from '@/lib/time'
import type { Toast } from './toasts'

/** An event older than this was not seen live, but read on arrival; milliseconds. */
const LIVE_MS = 2_000

/** Returns how far the newest live event was behind, milliseconds; null before one. */
export function useLiveSigns(
  runId: string | null,
  startedHereId: string | null,
  run: UseRun,
  refreshRuns: () => void,
  showResult: () => void,
  show: (toast: Toast) => void,
): number | null {
  const { status, lastSeq, events, connection, info } = run
  useTitle(runId, run)
  const [behindMs, setBehind] = useState<number | null>(null)
  const wasLive = useRef(false)
  // biome-ignore lint/correctness/useExhaustiveDependencies: measured once for each newest event
  useEffect(() => {
    const newest = events.at(-1)
    if (newest !== undefined && wasLive.current && document.visibilityState === 'visible') {
      seenAt(newest.ts)
      const age = Date.now() - newest.ts
      if (age >= 0 && age < LIVE_MS) setBehind(age)
    }
    wasLive.current = connection === 'live' && lastSeq > 0
  }, [lastSeq, connection])

  // The list learns of a turn at once; otherwise it asks every few seconds.
  const known = useRef<{ runId: string | null; status: UseRun['status'] }>({ runId: null, status: null })
  // biome-ignore lint/correctness/useExhaustiveDependencies: one turn, one answer
  useEffect(() => {
    const before = known.current
    known.current = { runId, status }
    if (before.runId === runId && before.status === status) return
    // A run that had ended before it was opened is no news.
    const isNews = before.runId === runId && (before.status !== null || runId === startedHereId)
    if (!isNews || status === null) return
    refreshRuns()
    if (status !== 'succeeded') return
    const began = events.findLast(
      (event) => event.type === 'run.replay_requested' || event.type === 'run.created',
    )
    const ended = events.findLast((event) => event.type === 'run.succeeded')
    const took = began !== undefined && ended !== undefined ? ` in ${duration(ended.ts - began.ts)}` : ''
    show({
      kind: 'succeeded',
      text: `Run succeeded${took}.`,
      action: { name: 'Show result', act: showResult },
    })
  }, [runId, status, info])
  return behindMs
}

const SIGNS = {
  queued: '○',
  running: '◐',
  retrying: '↻',
  waiting: '‖',
  succeeded: '✓',
  failed: '✕',
  cancelled: '⊘',
} as const

/** "✕ failed · run_01KB3F9Q · DriftQ": a tab tells the state without being opened. */
function useTitle(runId: string | null, run: UseRun): void {
  const { status } = run
  const state = status === null ? '' : `${SIGNS[status]} ${status} · `
  const title = runId === null ? 'DriftQ starter' : `${state}${runId.slice(0, 16)} · DriftQ`
  useEffect(() => {
    document.title = title
  }, [title])
}
