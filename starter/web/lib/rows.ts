/**
 * The timeline as a flat list of rows of known heights, which is what a virtual list needs.
 *
 * Folding, opened JSON, the search and the filter are applied here, so a row that is not shown costs nothing.
 */

import type { RunEvent } from '@/lib/driftq'
import type { Attempt, Group, Timeline, TimelineRow } from '@/lib/timeline'

export type Row = { readonly key: string; readonly height: number } & (
  | { readonly kind: 'group'; readonly group: Group }
  | {
      readonly kind: 'attempt'
      readonly group: Group
      readonly attempt: Attempt
      readonly isOpen: boolean
    }
  | { readonly kind: 'waited'; readonly ms: number }
  | { readonly kind: 'next'; readonly attempt: Attempt; readonly maxAttempts: number | null }
  | {
      readonly kind: 'entry'
      readonly group: Group
      readonly attempt: Attempt | null
      readonly entry: TimelineRow
      readonly isOpen: boolean
      readonly isNewest: boolean
    }
  | { readonly kind: 'resumed'; readonly afterMs: number }
)

/** Heights in pixels, by width of the page. */
export interface Heights {
  readonly group: number
  readonly attempt: number
  readonly waited: number
  readonly next: number
  readonly entry: number
}

export const DESKTOP: Heights = { group: 32, attempt: 34, waited: 26, next: 40, entry: 28 }
export const PHONE: Heights = { group: 36, attempt: 44, waited: 32, next: 48, entry: 44 }

const JSON_LINE = 19
const JSON_PADDING = 16
const RESUMED = 24

export interface View {
  readonly heights: Heights
  /** Attempts whose fold was set by hand: true is open. */
  readonly folds: ReadonlyMap<string, boolean>
  /** Keys of the rows whose JSON is shown. */
  readonly opened: ReadonlySet<string>
  readonly search: string
  /** Event types that are left out. */
  readonly hidden: ReadonlySet<string>
  /** The newest return of the connection: a hairline comes after `lastSeq`. */
  readonly resumed: { readonly lastSeq: number; readonly afterMs: number } | null
}

/** What a row's JSON shows. */
export function entryJson(entry: TimelineRow): unknown {
  if (entry.kind === 'event') return entry.event
  if (entry.kind === 'step') return entry.events.length === 1 ? entry.events[0] : entry.events
  return { step: entry.name, kept_from: entry.from, duration_ms: entry.durationMs }
}

/** The rows of a timeline, top to bottom. */
export function timelineRows(timeline: Timeline, view: View): Row[] {
  const rows: Row[] = []
  const filter = filterOf(view)
  for (const [index, group] of timeline.groups.entries()) {
    const isNewestGroup = index === timeline.groups.length - 1
    const inner = groupRows(group, view, filter, isNewestGroup, timeline.lastSeq)
    if (filter !== null && inner.length === 0) continue
    rows.push({ kind: 'group', key: `g${group.replaySeq}`, height: view.heights.group, group }, ...inner)
  }
  return withHairline(rows, view)
}

/** Every type in a timeline, for the filter. */
export function eventTypes(events: readonly RunEvent[]): string[] {
  return [...new Set(events.map((event) => event.type))].sort()
}

type Filter = ((event: RunEvent) => boolean) | null

function filterOf(view: View): Filter {
  const wanted = view.search.trim().toLowerCase()
  if (wanted === '' && view.hidden.size === 0) return null
  return (event) => !view.hidden.has(event.type) && (wanted === '' || searchable(event).includes(wanted))
}

const SEARCHABLE = new WeakMap<RunEvent, string>()

function searchable(event: RunEvent): string {
  let text = SEARCHABLE.get(event)
  if (text === undefined) {
    text = JSON.stringify(event).toLowerCase()
    SEARCHABLE.set(event, text)
  }
  return text
}

function groupRows(group: Group, view: View, filter: Filter, isNewestGroup: boolean, lastSeq: number): Row[] {
  const rows: Row[] = []
  const add = (entry: TimelineRow, attempt: Attempt | null) => {
    if (filter !== null && !matches(entry, filter)) return
    rows.push(entryRow(group, attempt, entry, view, lastSeq))
  }
  for (const entry of group.before) add(entry, null)
  for (const [index, attempt] of group.attempts.entries()) {
    const previous = group.attempts[index - 1]
    if (previous !== undefined && filter === null) {
      const ms = attempt.startedAtMs - (previous.endedAtMs ?? attempt.startedAtMs)
      const key = `w${group.replaySeq}.${attempt.number}`
      rows.push({ kind: 'waited', key, height: view.heights.waited, ms })
    }
    const isNewest = isNewestGroup && index === group.attempts.length - 1
    const isLastOfGroup = index === group.attempts.length - 1
    const entries = attemptEntries(attempt, filter)
    if (filter !== null && entries.length === 0) continue
    const key = attemptKey(attempt)
    // All but the newest are folded; the one that left a dead letter tells why, so it stays open.
    const isOpen =
      filter !== null || (view.folds.get(key) ?? (isNewest || (isLastOfGroup && group.hasDeadLetter)))
    rows.push({ kind: 'attempt', key, height: view.heights.attempt, group, attempt, isOpen })
    if (isOpen) for (const entry of entries) rows.push(entryRow(group, attempt, entry, view, lastSeq))
  }
  const last = group.attempts.at(-1)
  if (filter === null && last !== undefined && last.retry !== null && group.status === 'retrying') {
    const key = `n${group.replaySeq}.${last.number}`
    const { maxAttempts } = group
    rows.push({ kind: 'next', key, height: view.heights.next, attempt: last, maxAttempts })
  }
  return rows
}

/** The key under which an attempt's fold is kept. */
export function attemptKey(attempt: Attempt): string {
  return `a${attempt.replaySeq}.${attempt.number}`
}

function attemptEntries(attempt: Attempt, filter: Filter): TimelineRow[] {
  if (filter === null) return [...attempt.rows]
  const told = attempt.told.map((event) => ({ kind: 'event', seq: event.seq, event }) as const)
  return [...attempt.rows, ...told]
    .filter((entry) => matches(entry, filter))
    .sort((a, b) => seqOf(a) - seqOf(b))
}

function seqOf(entry: TimelineRow): number {
  return entry.kind === 'kept' ? 0 : entry.seq
}

function matches(entry: TimelineRow, filter: NonNullable<Filter>): boolean {
  if (entry.kind === 'event') return filter(entry.event)
  return entry.kind === 'step' && entry.events.some(filter)
}

function entryRow(
  group: Group,
  attempt: Attempt | null,
  entry: TimelineRow,
  view: View,
  lastSeq: number,
): Row {
  const place = attempt === null ? `b${group.replaySeq}` : attemptKey(attempt)
  const key = entry.kind === 'kept' ? `${place}k${entry.name}` : `e${entry.seq}`
  const isOpen = view.opened.has(key)
  const json = isOpen ? JSON.stringify(entryJson(entry), null, 2).split('\n').length : 0
  const newest = entry.kind === 'step' ? entry.events.at(-1)?.seq : entry.kind === 'event' ? entry.seq : 0
  return {
    kind: 'entry',
    key,
    height: view.heights.entry + (isOpen ? json * JSON_LINE + JSON_PADDING : 0),
    group,
    attempt,
    entry,
    isOpen,
    isNewest: newest === lastSeq,
  }
}

function withHairline(rows: Row[], view: View): Row[] {
  const { resumed } = view
  if (resumed === null) return rows
  const after = rows.findIndex((row) => row.kind === 'entry' && seqOf(row.entry) > resumed.lastSeq)
  if (after < 0) return rows
  const line: Row = { kind: 'resumed', key: `r${resumed.lastSeq}`, height: RESUMED, afterMs: resumed.afterMs }
  return [...rows.slice(0, after), line, ...rows.slice(after)]
}
