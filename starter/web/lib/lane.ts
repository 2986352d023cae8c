/**
 * The lane strip's geometry: a run's attempts, pauses, dead letters and replays as parts of one line.
 *
 * Time is linear, but idle time over `IDLE_FOLD_MS` takes a fixed width, so that a replay a day later still
 * shows its attempts. Pure: it is given the time.
 */

import { duration } from '@/lib/time'
import { type AttemptState, type Group, groupName, type Timeline } from '@/lib/timeline'

/** Idle time from here on is folded into a label, milliseconds. */
export const IDLE_FOLD_MS = 5_000

/** A strip shows at least so much time, so that a short run is not stretched to a long one's width. */
export const SPAN_MS_MIN = 6_000

/** The share of the strip that a label of the axis takes on a phone. */
const LABEL_SHARE = 0.1

/** The share of the strip that folded idle time takes. */
const IDLE_SHARE = 0.12

export type LanePart =
  | {
      readonly kind: 'attempt'
      readonly key: string
      readonly state: AttemptState
      /** A failure that was retried: history, so it is soft. */
      readonly past: boolean
      readonly label: string
      readonly axis: string | null
      readonly weight: number
    }
  | {
      readonly kind: 'pause' | 'queued' | 'rest'
      readonly key: string
      readonly weight: number
    }
  | { readonly kind: 'idle'; readonly key: string; readonly ms: number; readonly weight: number }
  | { readonly kind: 'dead-letter'; readonly key: string; readonly weight: 0 }

/** The parts of a strip, left to right; `weight` is a share of the whole width. */
export function laneParts(timeline: Timeline, nowMs: number): LanePart[] {
  const parts: LanePart[] = []
  const began = timeline.beganAtMs
  if (began === null) return parts
  let cursor = began
  for (const [index, group] of timeline.groups.entries()) {
    if (index > 0) parts.push(between(group, cursor))
    cursor = Math.max(cursor, group.startedAtMs)
    cursor = addGroup(parts, group, cursor, began, nowMs)
  }
  return closed(parts)
}

/** The strip in a sentence, for those who cannot see it. */
export function laneSentence(timeline: Timeline): string {
  const said = timeline.groups.map((group) => {
    const failed = group.attempts.filter((attempt) => attempt.state === 'failed').length
    const name = groupName(group.replaySeq)
    const tries = failed === 0 ? '' : `, ${failed} failed ${failed === 1 ? 'attempt' : 'attempts'}`
    return `${name}: ${group.status}${tries}${group.hasDeadLetter ? ', a dead letter' : ''}`
  })
  return said.length === 0 ? 'Nothing happened yet.' : `${said.join('. ')}.`
}

function addGroup(parts: LanePart[], group: Group, from: number, began: number, nowMs: number): number {
  let cursor = from
  for (const [index, attempt] of group.attempts.entries()) {
    const key = `${group.replaySeq}.${attempt.number}`
    const isLast = index === group.attempts.length - 1
    const wait = attempt.startedAtMs - cursor
    if (wait > 0) parts.push({ kind: index === 0 ? 'queued' : 'pause', key: `p${key}`, weight: wait })
    const end = attempt.endedAtMs ?? Math.max(nowMs, attempt.startedAtMs)
    parts.push({
      kind: 'attempt',
      key,
      state: attempt.state,
      past: attempt.state === 'failed' && !(isLast && group.status === 'failed'),
      label: String(attempt.number),
      axis: axisLabel(group, index, attempt.startedAtMs - began),
      weight: Math.max(1, end - attempt.startedAtMs),
    })
    cursor = end
    if (isLast && attempt.retry !== null && group.status === 'retrying') {
      // The pause to come is drawn whole: the lane shows when it goes on.
      parts.push({ kind: 'pause', key: `n${key}`, weight: Math.max(1, attempt.retry.atMs - end) })
      cursor = Math.max(end, attempt.retry.atMs)
    }
  }
  if (group.hasDeadLetter) parts.push({ kind: 'dead-letter', key: `d${group.replaySeq}`, weight: 0 })
  return cursor
}

function between(group: Group, cursor: number): LanePart {
  const ms = Math.max(0, group.startedAtMs - cursor)
  const key = `i${group.replaySeq}`
  return ms > IDLE_FOLD_MS
    ? { kind: 'idle', key, ms, weight: 0 }
    : { kind: 'rest', key, weight: Math.max(1, ms) }
}

function axisLabel(group: Group, index: number, ms: number): string | null {
  if (group.replaySeq > 0) return index === 0 ? groupName(group.replaySeq) : null
  return index === 0 ? '0 s' : duration(ms)
}

/** Leaves out the labels of the axis that would stand in each other's way. */
function readable(parts: readonly LanePart[]): LanePart[] {
  let at = 0
  let free = 0
  return parts.map((part, index) => {
    const start = at
    at += part.weight
    if (part.kind !== 'attempt' || part.axis === null) return part
    const isBeforeDead = parts[index + 1]?.kind === 'dead-letter' && part.weight < LABEL_SHARE
    if (start < free || isBeforeDead) return { ...part, axis: null }
    free = start + LABEL_SHARE
    return part
  })
}

/** Turns milliseconds into shares of the width, and keeps room at the end. */
function closed(parts: LanePart[]): LanePart[] {
  const total = parts.reduce((sum, part) => sum + part.weight, 0)
  const folds = parts.filter((part) => part.kind === 'idle').length
  const foldShare = folds === 0 ? 0 : Math.min(0.5, folds * IDLE_SHARE)
  const span = Math.max(SPAN_MS_MIN, total) * 1.02
  const shared = parts.map((part): LanePart => {
    if (part.kind === 'dead-letter') return part
    if (part.kind === 'idle') return { ...part, weight: foldShare / folds }
    return { ...part, weight: (part.weight / span) * (1 - foldShare) }
  })
  const used = shared.reduce((sum, part) => sum + part.weight, 0)
  return [...readable(shared), { kind: 'rest', key: 'rest', weight: Math.max(0, 1 - used) }]
}
