'use client'

/** What a screen reader hears: turns of the run and of the connection, at most one sentence in two seconds. */

import { useEffect, useRef, useState } from 'react'
import type { UseRun } from '@/lib/driftq'
import { duration } from '@/lib/time'
import { failureName, groupName, type Timeline } from '@/lib/timeline'

const PAUSE_MS = 2_000

export interface AnnouncerProps {
  readonly runId: string | null
  readonly run: UseRun
  readonly timeline: Timeline
}

/** A hidden `role="status"`. */
export function Announcer({ runId, run, timeline }: AnnouncerProps) {
  const sentence = runId === null ? '' : `${connectionSays(run)}${runSays(run, timeline)}`
  return (
    <p className="sr" role="status">
      {useThrottled(sentence)}
    </p>
  )
}

function connectionSays({ connection }: UseRun): string {
  if (connection === 'reconnecting') return 'Reconnecting. '
  return connection === 'lost' ? 'The connection is lost. ' : ''
}

function runSays(run: UseRun, timeline: Timeline): string {
  const group = timeline.groups.at(-1)
  const attempt = group?.attempts.at(-1)
  if (group === undefined || attempt === undefined) return run.status === 'queued' ? 'The run is queued.' : ''
  const name = group.replaySeq === 0 ? '' : `${groupName(group.replaySeq)}: `
  switch (group.status) {
    case 'running':
      return `${name}Attempt ${attempt.number} is running.`
    case 'retrying':
      return `${name}Attempt ${attempt.number} failed. Retry in ${duration(attempt.retry?.delayMs ?? 0)}.`
    case 'failed':
      return `${name}The run failed: ${failureName(attempt.error)}. A dead letter is stored.`
    case 'succeeded':
      return `${name}The run succeeded.`
    case 'cancelled':
      return `${name}The run was cancelled.`
    default:
      return ''
  }
}

/** The newest sentence, not oftener than each two seconds. */
function useThrottled(sentence: string): string {
  const [said, setSaid] = useState('')
  const saidAt = useRef(0)
  useEffect(() => {
    const wait = Math.max(0, saidAt.current + PAUSE_MS - Date.now())
    const timer = setTimeout(() => {
      saidAt.current = Date.now()
      setSaid(sentence)
    }, wait)
    return () => clearTimeout(timer)
  }, [sentence])
  return said
}
