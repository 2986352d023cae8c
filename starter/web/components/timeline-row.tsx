'use client'

/** The rows of the timeline: group headers, attempts, pauses, steps and events, each of a known height. */

import type { CSSProperties } from 'react'
import type { RunEvent, RunStatus } from '@/lib/driftq'
import { useNow } from '@/lib/now'
import { entryJson, type Row } from '@/lib/rows'
import { clock, countdown, duration, moment, offset } from '@/lib/time'
import {
  type Attempt,
  failureName,
  failureOf,
  type Group,
  groupName,
  type StepRow,
  type Timeline,
  type TimelineRow,
} from '@/lib/timeline'
import { Icon, type IconName } from './icon'
import { JsonText } from './json-view'
import { StatusBadge } from './status-badge'
import styles from './timeline-row.module.css'

export interface TimelineRowViewProps {
  readonly row: Row
  readonly timeline: Timeline
  readonly search: string
  /** Whether this row is the list's one stop of the keyboard. */
  readonly isActive: boolean
  readonly onToggle: () => void
  readonly onOpenDeadLetter: () => void
}

/** One row, by its kind. */
export function TimelineRowView(props: TimelineRowViewProps) {
  const { row } = props
  switch (row.kind) {
    case 'group':
      return <GroupHeader group={row.group} />
    case 'attempt':
      return <AttemptHeader {...props} row={row} />
    case 'waited':
      return (
        <p className={`${styles.waited} num`}>
          <Icon name="retrying" />
          waited {duration(row.ms)}
        </p>
      )
    case 'next':
      return <NextAttempt attempt={row.attempt} maxAttempts={row.maxAttempts} />
    case 'resumed':
      return <p className={`${styles.resumed} num`}>Back after {duration(row.afterMs)}. Nothing missed.</p>
    case 'entry':
      return <Entry {...props} row={row} />
  }
}

/** "First try", "Replay 1 · fix applied: fail_at", with its time and status. */
export function GroupHeader({ group }: { readonly group: Group }) {
  const retryAtMs = group.attempts.at(-1)?.retry?.atMs ?? null
  const change =
    group.replaySeq === 0
      ? ''
      : group.changed.length === 0
        ? ' · as it was'
        : group.changed.join() === 'fail_at'
          ? ' · fix applied: fail_at'
          : ` · changed: ${group.changed.join(', ')}`
  return (
    <div className={styles.group}>
      {group.replaySeq > 0 && (
        <span data-status={group.status}>
          <Icon name="replay" />
        </span>
      )}
      <h2>{groupName(group.replaySeq)}</h2>
      <span className="t3 num trunc" title={moment(group.startedAtMs)}>
        {clock(group.startedAtMs)}
        <span className={styles.wide}>{change}</span>
      </span>
      <span className={styles.space} />
      <StatusBadge status={group.status} retryAtMs={retryAtMs} />
    </div>
  )
}

type RowOf<Kind extends Row['kind']> = Extract<Row, { kind: Kind }>

function AttemptHeader(props: TimelineRowViewProps & { readonly row: RowOf<'attempt'> }) {
  const { attempt, group, isOpen } = props.row
  return (
    <button
      type="button"
      className={styles.attempt}
      aria-expanded={isOpen}
      tabIndex={props.isActive ? 0 : -1}
      onClick={props.onToggle}
      data-rove
    >
      <Icon name={isOpen ? 'down' : 'right'} className="t3" />
      <span data-status={attempt.state}>
        <Icon name={attempt.state} className={attempt.state === 'running' ? 'spin' : ''} />
      </span>
      <span className="trunc">
        <b>Attempt {attempt.number}</b>
        {group.maxAttempts !== null && <span className="t3"> of {group.maxAttempts}</span>}
        <span className="sr"> {attempt.state}</span>
      </span>
      <span className={`${styles.why} trunc`} title={attempt.error?.message}>
        {attempt.error === null ? attempt.owner : failureName(attempt.error)}
      </span>
      <Bar
        status={attempt.state}
        isPast={isPast(group, attempt)}
        isLive={attempt.state === 'running'}
        fromMs={0}
        startedAtMs={attempt.startedAtMs}
        durationMs={attempt.endedAtMs === null ? null : attempt.endedAtMs - attempt.startedAtMs}
        scaleMs={scaleOf(group)}
      />
      <span className={`${styles.seq} num`}>{attempt.lastSeq}</span>
    </button>
  )
}

function NextAttempt({
  attempt,
  maxAttempts,
}: {
  readonly attempt: Attempt
  readonly maxAttempts: number | null
}) {
  const nowMs = useNow(100)
  const { retry } = attempt
  if (retry === null) return null
  const left = Math.max(0, retry.atMs - nowMs)
  const share = retry.delayMs === 0 ? 0 : Math.min(1, left / retry.delayMs)
  return (
    <div className={`${styles.next} num`}>
      <span data-status="retrying">
        <Icon name="retrying" />
      </span>
      <span>
        <b>Attempt {retry.nextAttempt}</b>
        {maxAttempts !== null && <span className="t3"> of {maxAttempts}</span>}{' '}
        <span className={styles.soon} data-status="retrying">
          {left === 0 ? 'now' : `in ${countdown(left)}`}
        </span>
      </span>
      <span className={styles.emptying} aria-hidden="true">
        <i style={{ transform: `scaleX(${share})` }} />
      </span>
    </div>
  )
}

function Entry(props: TimelineRowViewProps & { readonly row: RowOf<'entry'> }) {
  const { row, timeline } = props
  const { entry, group, attempt } = row
  const atMs = entry.kind === 'event' ? entry.event.ts : entry.kind === 'step' ? entry.startedAtMs : null
  const { icon, status, detail } = look(entry)
  const isDead = entry.kind === 'event' && entry.event.type === 'run.dlq'
  const last = lastEvent(entry)
  return (
    <div
      className={styles.entry}
      data-dead={isDead}
      data-new={row.isNewest}
      data-seq={last?.seq}
      data-ts={last?.ts}
    >
      <button
        type="button"
        className={styles.line}
        aria-expanded={row.isOpen}
        tabIndex={props.isActive ? 0 : -1}
        onClick={props.onToggle}
        data-rove
      >
        <time className={`${styles.at} num`} title={atMs === null ? '' : moment(atMs)}>
          {atMs === null || timeline.beganAtMs === null ? '' : offset(atMs - timeline.beganAtMs)}
        </time>
        <span data-status={status} className={status === undefined ? 't3' : ''}>
          <Icon name={icon} />
        </span>
        <span className={`${styles.type} trunc`}>
          <Marked text={entry.kind === 'event' ? entry.event.type : entry.name} search={props.search} />
        </span>
        <span className={`${styles.detail} trunc`}>
          <Marked text={detail} search={props.search} />
        </span>
        {attempt === null ? (
          <span className={styles.bars} />
        ) : (
          <EntryBar entry={entry} attempt={attempt} group={group} />
        )}
        <span className={`${styles.seq} num`}>{entry.kind === 'kept' ? '' : entry.seq}</span>
      </button>
      {isDead && (
        <button
          type="button"
          className={styles.link}
          tabIndex={props.isActive ? 0 : -1}
          onClick={props.onOpenDeadLetter}
        >
          Open dead letter
        </button>
      )}
      {row.isOpen && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways, so the keyboard must reach it
        <pre className={styles.json} tabIndex={0} role="group" aria-label="Raw JSON">
          <JsonText text={JSON.stringify(entryJson(entry), null, 2)} search={props.search} />
        </pre>
      )}
    </div>
  )
}

function EntryBar(props: { readonly entry: TimelineRow; readonly attempt: Attempt; readonly group: Group }) {
  const { entry, attempt, group } = props
  if (entry.kind === 'event') return <span className={styles.bars} />
  const scaleMs = scaleOf(group)
  if (entry.kind === 'kept') {
    const share = Math.min(1, (entry.durationMs ?? 0) / scaleMs)
    return (
      <span className={styles.bars} data-status="succeeded">
        <i className={styles.kept} style={{ '--from': 0, '--wide': share } as CSSProperties} />
      </span>
    )
  }
  return (
    <Bar
      status={STEP_STATUS[entry.state]}
      isPast={entry.state === 'failed' && isPast(group, attempt)}
      isLive={entry.state === 'running'}
      fromMs={Math.max(0, entry.startedAtMs - attempt.startedAtMs)}
      startedAtMs={entry.startedAtMs}
      durationMs={entry.durationMs}
      scaleMs={scaleMs}
    />
  )
}

interface BarProps {
  readonly status: RunStatus
  readonly isPast: boolean
  readonly isLive: boolean
  readonly fromMs: number
  readonly startedAtMs: number
  readonly durationMs: number | null
  readonly scaleMs: number
}

function Bar({ status, isPast, isLive, fromMs, startedAtMs, durationMs, scaleMs }: BarProps) {
  const nowMs = useNow(100, isLive)
  const ms = durationMs ?? (isLive ? Math.max(0, nowMs - startedAtMs) : null)
  if (ms === null) return <span className={styles.bars} />
  const scale = Math.max(scaleMs, fromMs + ms)
  const style = { '--from': fromMs / scale, '--wide': ms / scale } as CSSProperties
  return (
    <span className={styles.bars} data-status={status}>
      <i className={isPast ? styles.past : ''} style={style} />
      <em className="num" style={style}>
        {duration(ms)}
      </em>
    </span>
  )
}

const STEP_STATUS = {
  running: 'running',
  completed: 'succeeded',
  failed: 'failed',
  stopped: 'cancelled',
} as const satisfies Record<StepRow['state'], RunStatus>

/** The longest attempt of a group: one scale for all its bars, so that they compare. */
function scaleOf(group: Group): number {
  const lengths = group.attempts.map(
    (attempt) => (attempt.endedAtMs ?? attempt.startedAtMs) - attempt.startedAtMs,
  )
  return Math.max(500, ...lengths)
}

/** A failure that was tried again is history, and soft. */
function isPast(group: Group, attempt: Attempt): boolean {
  return attempt.state === 'failed' && !(attempt === group.attempts.at(-1) && group.status === 'failed')
}

function lastEvent(entry: TimelineRow): RunEvent | undefined {
  if (entry.kind === 'event') return entry.event
  return entry.kind === 'step' ? entry.events.at(-1) : undefined
}

interface Look {
  readonly icon: IconName
  readonly status: RunStatus | undefined
  readonly detail: string
}

function look(entry: TimelineRow): Look {
  if (entry.kind === 'kept') return { icon: 'ring', status: 'succeeded', detail: `kept from ${entry.from}` }
  if (entry.kind === 'step') {
    const failed = entry.error === null ? 'failed' : `failed: ${entry.error.message}`
    const detail = { running: 'running', completed: 'done', failed, stopped: 'did not finish' }[entry.state]
    return { icon: entry.state === 'completed' ? 'ring' : 'dot', status: STEP_STATUS[entry.state], detail }
  }
  return eventLook(entry.event)
}

function eventLook(event: RunEvent): Look {
  const error = failureOf(event)?.message
  switch (event.source === 'produce' ? '' : event.type) {
    case 'run.created':
      return { icon: 'ring', status: undefined, detail: String(event.workflow ?? '') }
    case 'worker.received':
      return { icon: 'ring', status: undefined, detail: String(event.owner ?? '') }
    case 'run.started':
      return { icon: 'ring', status: undefined, detail: String(event.sdk ?? event.owner ?? '') }
    case 'run.attempt_failed':
      return { icon: 'dot', status: 'failed', detail: error ?? String(event.reason ?? '') }
    case 'run.retry_scheduled':
      return {
        icon: 'dot',
        status: 'retrying',
        detail: `attempt ${event.next_attempt} after ${duration(Number(event.delay_ms))}`,
      }
    case 'run.dlq':
      return { icon: 'dead-letter', status: 'failed', detail: `stored after ${event.attempt} attempts` }
    case 'run.failed':
      return { icon: 'failed', status: 'failed', detail: error ?? '' }
    case 'run.succeeded':
      return { icon: 'succeeded', status: 'succeeded', detail: JSON.stringify(event.result) ?? '' }
    case 'run.cancelled':
      return { icon: 'cancelled', status: 'cancelled', detail: '' }
    case 'run.replay_requested': {
      const changed = Array.isArray(event.changed) ? event.changed.join(', ') : ''
      return {
        icon: 'replay',
        status: 'running',
        detail: changed === '' ? 'as it was' : `changed: ${changed}`,
      }
    }
    default:
      return { icon: 'ring', status: undefined, detail: ownDetail(event) }
  }
}

const COMMON = new Set(['seq', 'ts', 'type', 'run_id', 'replay_seq', 'attempt', 'source'])

/** An event of the app's own: its message, or whatever it says. */
function ownDetail(event: RunEvent): string {
  if (typeof event.message === 'string') return event.message
  const own = Object.entries(event).filter(([name]) => !COMMON.has(name))
  return own.length === 0 ? '' : JSON.stringify(Object.fromEntries(own))
}

function Marked({ text, search }: { readonly text: string; readonly search: string }) {
  const wanted = search.trim().toLowerCase()
  const at = wanted === '' ? -1 : text.toLowerCase().indexOf(wanted)
  if (at < 0) return text
  return (
    <>
      {text.slice(0, at)}
      <mark className={styles.mark}>{text.slice(at, at + wanted.length)}</mark>
      {text.slice(at + wanted.length)}
    </>
  )
}
