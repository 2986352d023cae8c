'use client'

/** The middle of the page: the run's header, the tools, and its live timeline. */

import { type Ref, useEffect, useImperativeHandle, useMemo, useState } from 'react'
import { useMedia } from '@/lib/browser'
import type { UseRun } from '@/lib/driftq'
import { attemptKey, DESKTOP, eventTypes, PHONE, type Row, timelineRows } from '@/lib/rows'
import { buildTimeline, isTerminal, type Timeline } from '@/lib/timeline'
import { RunHeader } from './run-header'
import styles from './run-view.module.css'
import { Skeleton } from './skeleton'
import { rove, TimelineList } from './timeline-list'
import { TimelineToolbar } from './timeline-toolbar'

/** What the page's keys do to the timeline. */
export interface RunViewHandle {
  readonly move: (step: 1 | -1) => void
  readonly moveAttempt: (step: 1 | -1) => void
  readonly toggleFollow: () => void
  readonly focusSearch: () => void
  readonly showResult: () => void
}

export interface RunViewProps {
  readonly runId: string
  readonly run: UseRun
  readonly timeline: Timeline
  /** The newest event that is shown while paused; null while it runs. */
  readonly pausedAt: number | null
  readonly isStale: boolean
  readonly headingRef: Ref<HTMLHeadingElement>
  readonly searchRef: { readonly current: HTMLInputElement | null }
  readonly handle: Ref<RunViewHandle>
  readonly onPause: () => void
  readonly onCopy: () => void
  readonly onCopyLink: () => void
  readonly onCancel: () => void
  readonly onOpenDeadLetter: () => void
}

const NOTHING: ReadonlySet<string> = new Set()

/** A run; the page gives each run a view of its own (`key`), so folds and searches do not wander. */
export function RunView(props: RunViewProps) {
  const { run, timeline, pausedAt, searchRef } = props
  const isPhone = useMedia('(max-width: 720px)')
  const [search, setSearch] = useState('')
  const [hidden, setHidden] = useState(NOTHING)
  const [folds, setFolds] = useState<ReadonlyMap<string, boolean>>(new Map())
  const [opened, setOpened] = useState(NOTHING)
  const [isFollowing, setFollowing] = useState(true)
  const [active, setActive] = useState<string | null>(null)

  const shown = useShown(run, timeline, pausedAt)
  const types = useMemo(() => eventTypes(run.events), [run.events])
  const { resumed } = run
  const rows = useMemo(
    () => timelineRows(shown, { heights: isPhone ? PHONE : DESKTOP, folds, opened, search, hidden, resumed }),
    [shown, isPhone, folds, opened, search, hidden, resumed],
  )

  function toggle(row: Row) {
    if (row.kind === 'attempt') setFolds(new Map(folds).set(row.key, !row.isOpen))
    if (row.kind !== 'entry') return
    const next = new Set(opened)
    if (!next.delete(row.key)) next.add(row.key)
    // Somebody reads: what comes must not push it away.
    if (!row.isOpen) setFollowing(false)
    setOpened(next)
  }

  function goTo(row: Row | undefined) {
    if (row === undefined) return
    setFollowing(false)
    setActive(row.key)
    setFocusKey(row.key)
  }

  const [focusKey, setFocusKey] = useState<string | null>(null)
  useFocusRow(focusKey, rows, () => setFocusKey(null))

  useImperativeHandle(props.handle, () => ({
    move(step) {
      const from =
        active === null ? (step === 1 ? -1 : rows.length) : rows.findIndex((row) => row.key === active)
      goTo(rows[rove(rows, from, step)])
    },
    moveAttempt(step) {
      const attempts = rows.filter((row) => row.kind === 'attempt')
      const index = rows.findIndex((row) => row.key === active)
      const before = rows.slice(0, index + 1).findLast((row) => row.kind === 'attempt')
      const at = before === undefined ? (step === 1 ? -1 : 0) : attempts.indexOf(before)
      const isInside = step === -1 && before !== undefined && before.key !== active
      goTo(attempts[Math.min(attempts.length - 1, Math.max(0, isInside ? at : at + step))])
    },
    toggleFollow: () => setFollowing(!isFollowing),
    focusSearch: () => searchRef.current?.focus(),
    showResult() {
      const group = timeline.groups.at(-1)
      const attempt = group?.attempts.at(-1)
      const result = attempt?.rows.findLast(
        (row) => row.kind === 'event' && row.event.type === 'run.succeeded',
      )
      if (attempt === undefined || result?.kind !== 'event') return
      const key = `e${result.seq}`
      setSearch('')
      setHidden(NOTHING)
      setFolds(new Map(folds).set(attemptKey(attempt), true))
      setOpened(new Set([...opened, key]))
      setActive(key)
      setFollowing(true)
    },
  }))

  function clear() {
    setSearch('')
    setHidden(NOTHING)
  }

  const isFiltered = search.trim() !== '' || hidden.size > 0
  return (
    <>
      <RunHeader
        runId={props.runId}
        run={run}
        timeline={timeline}
        headingRef={props.headingRef}
        onCopyLink={props.onCopyLink}
        onCancel={props.onCancel}
      />
      <TimelineToolbar
        search={search}
        onSearch={setSearch}
        searchRef={searchRef}
        types={types}
        hidden={hidden}
        onHidden={setHidden}
        isPaused={pausedAt !== null}
        waiting={pausedAt === null ? 0 : run.lastSeq - pausedAt}
        onPause={props.onPause}
        onCopy={props.onCopy}
      />
      <div className={styles.timeline} data-stale={props.isStale} aria-busy={run.connection === 'connecting'}>
        {run.gap !== null && <p className={`${styles.gap} num`}>{gapSays(run.gap)}</p>}
        <TimelineList
          rows={rows}
          timeline={shown}
          lastSeq={shown.lastSeq}
          isFollowing={isFollowing}
          onFollow={setFollowing}
          onToggle={toggle}
          onOpenDeadLetter={props.onOpenDeadLetter}
          search={search}
          active={active}
          onActive={setActive}
          tail={props.isStale ? null : tailSays(run, pausedAt !== null, isFollowing)}
          empty={isFiltered ? <NoMatch onClear={clear} /> : <Skeleton rows={8} height={28} />}
        />
      </div>
    </>
  )
}

/** The timeline that is shown: all of it, or what there was when it was paused. */
function useShown(run: UseRun, timeline: Timeline, pausedAt: number | null): Timeline {
  const { events, maxAttempts } = run
  return useMemo(
    () =>
      pausedAt === null
        ? timeline
        : buildTimeline(
            events.filter((event) => event.seq <= pausedAt),
            maxAttempts,
          ),
    [events, maxAttempts, timeline, pausedAt],
  )
}

/** Brings a row onto the screen and gives it the focus, once it is drawn. */
function useFocusRow(key: string | null, rows: readonly Row[], done: () => void): void {
  // biome-ignore lint/correctness/useExhaustiveDependencies: once for each key that is asked for
  useEffect(() => {
    if (key === null) return
    const scroller = document.querySelector<HTMLElement>('[data-timeline]')
    const index = rows.findIndex((row) => row.key === key)
    if (scroller === null || index < 0) return
    const top = rows.slice(0, index).reduce((sum, row) => sum + row.height, 0)
    const height = rows[index]?.height ?? 0
    // The sticky header covers the first row's height.
    const sticky = DESKTOP.group
    if (top < scroller.scrollTop + sticky) scroller.scrollTop = top - sticky
    else if (top + height > scroller.scrollTop + scroller.clientHeight) {
      scroller.scrollTop = top + height - scroller.clientHeight
    }
    requestAnimationFrame(() => {
      scroller
        .querySelector<HTMLElement>(`[data-row="${CSS.escape(key)}"] [data-rove]`)
        ?.focus({ preventScroll: true })
    })
    done()
  }, [key])
}

function gapSays(gap: NonNullable<UseRun['gap']>): string {
  if (gap.reason === 'ahead')
    return 'The broker started anew without the events before. The timeline shows what it has.'
  return `Events before ${gap.firstSeq} were trimmed. The timeline shows what is kept; status and dead letter are complete.`
}

function tailSays(run: UseRun, isPaused: boolean, isFollowing: boolean): string | null {
  if (isPaused) return 'Paused. New events wait.'
  if (run.connection !== 'live' || !isFollowing) return null
  if (!isTerminal(run.status)) return 'Following. New events appear here.'
  return run.status === 'succeeded'
    ? 'The run has ended. A replay would appear here.'
    : 'The run has ended. Its replay appears here.'
}

function NoMatch({ onClear }: { readonly onClear: () => void }) {
  return (
    <div className={styles.state}>
      <h2>No event matches</h2>
      <p>The search looks into the whole JSON of each event.</p>
      <button type="button" className={styles.link} onClick={onClear}>
        Clear search and filter
      </button>
    </div>
  )
}
