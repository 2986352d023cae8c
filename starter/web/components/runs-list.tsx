'use client'

/** The runs, newest first: status, id, age and a thin lane; each is a link that opens in a second tab. */

import { type MouseEvent, useEffect, useRef, useState } from 'react'
import type { RunSummary, UseRuns } from '@/lib/driftq'
import { useLane } from '@/lib/lanes'
import { useNow } from '@/lib/now'
import { age } from '@/lib/time'
import { isTerminal, type Timeline } from '@/lib/timeline'
import { Button } from './button'
import { Icon } from './icon'
import { Lane } from './lane'
import styles from './runs-list.module.css'
import { Skeleton } from './skeleton'
import { Until } from './status-badge'

export interface RunsListProps {
  readonly baseUrl: string
  readonly runs: UseRuns
  readonly selectedId: string | null
  /** The selected run's timeline, which is live already. */
  readonly timeline: Timeline
  readonly nextRetryAtMs: number | null
  readonly onSelect: (runId: string) => void
}

/** The list with its states: loading, empty, rows. */
export function RunsList({ baseUrl, runs, selectedId, timeline, nextRetryAtMs, onSelect }: RunsListProps) {
  const isStale = runs.error !== null && runs.runs.length > 0
  return (
    <section className={styles.runs} aria-labelledby="runs-heading">
      <header>
        <h2 id="runs-heading" tabIndex={-1}>
          Runs
        </h2>
        <span className="t3 num">
          {runs.runs.length > 0 && `${runs.runs.length}${runs.hasMore ? '+' : ''}`}
        </span>
      </header>
      {runs.loading && <Skeleton rows={5} height={46} />}
      {!runs.loading && runs.runs.length === 0 && (
        <p className={styles.empty}>
          {runs.error === null
            ? 'No runs yet. Start one: it fails, you fix it.'
            : 'The runs cannot be read now.'}
        </p>
      )}
      <ol data-stale={isStale}>
        {runs.runs.map((run) => (
          <RunRow
            key={run.run_id}
            baseUrl={baseUrl}
            run={run}
            isSelected={run.run_id === selectedId}
            live={run.run_id === selectedId ? timeline : null}
            retryAtMs={run.run_id === selectedId ? nextRetryAtMs : null}
            onSelect={onSelect}
          />
        ))}
      </ol>
      {runs.hasMore && (
        <Button small look="quiet" className={styles.more} onClick={runs.loadMore}>
          Show more
        </Button>
      )}
    </section>
  )
}

interface RunRowProps {
  readonly baseUrl: string
  readonly run: RunSummary
  readonly isSelected: boolean
  readonly live: Timeline | null
  readonly retryAtMs: number | null
  readonly onSelect: (runId: string) => void
}

function RunRow({ baseUrl, run, isSelected, live, retryAtMs, onSelect }: RunRowProps) {
  const place = useRef<HTMLLIElement>(null)
  const isSeen = useSeen(place)
  const fetched = useLane(baseUrl, run, isSeen && live === null)
  const timeline = live !== null && live.groups.length > 0 ? live : fetched
  const status = live?.groups.at(-1)?.status ?? run.status
  const pause = timeline?.groups.at(-1)?.attempts.at(-1)?.retry?.atMs ?? null
  const until = status === 'retrying' ? (retryAtMs ?? pause) : null

  function open(event: MouseEvent) {
    // With a key held the browser opens its own tab or window.
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
    event.preventDefault()
    onSelect(run.run_id)
  }

  return (
    <li ref={place}>
      <a
        href={`/runs/${encodeURIComponent(run.run_id)}`}
        className={styles.row}
        aria-current={isSelected ? 'page' : undefined}
        onClick={open}
      >
        <span data-status={status}>
          <Icon name={status} className={status === 'running' ? 'spin' : ''} />
          <span className="sr">{status}</span>
        </span>
        <span className="mono trunc">{run.run_id}</span>
        <span className="num" data-status={until === null ? undefined : status}>
          {until === null ? (
            <Age atMs={run.created_at_ms} isMoving={!isTerminal(status)} />
          ) : (
            <Until atMs={until} />
          )}
        </span>
        <span className={styles.lane}>{timeline !== null && <Lane timeline={timeline} />}</span>
      </a>
    </li>
  )
}

function Age({ atMs, isMoving }: { readonly atMs: number; readonly isMoving: boolean }) {
  const nowMs = useNow(isMoving ? 1_000 : 10_000)
  return <span className="t3">{nowMs === 0 ? '' : age(nowMs - atMs)}</span>
}

/** Whether an element has been on the screen. */
function useSeen(place: { readonly current: Element | null }): boolean {
  const [isSeen, setSeen] = useState(false)
  useEffect(() => {
    const element = place.current
    if (element === null || isSeen) return
    const observer = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) setSeen(true)
    })
    observer.observe(element)
    return () => observer.disconnect()
  }, [place, isSeen])
  return isSeen
}
