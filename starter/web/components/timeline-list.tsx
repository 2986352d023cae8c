'use client'

/**
 * The timeline as a virtual list: 5,000 events cost what is on the screen.
 *
 * One stop of the keyboard: `j`/`k` or the arrows rove through its rows. It follows new events while it is
 * scrolled to the end; scrolled up, it says how many came.
 */

import { defaultRangeExtractor, type Range, useVirtualizer } from '@tanstack/react-virtual'
import { type KeyboardEvent, type ReactNode, useCallback, useEffect, useMemo, useRef, useState } from 'react'
import type { Row } from '@/lib/rows'
import type { Timeline } from '@/lib/timeline'
import { Icon } from './icon'
import styles from './timeline-list.module.css'
import { GroupHeader, TimelineRowView } from './timeline-row'

/** Rows drawn beyond the edges, so that a fast scroll shows no gap. */
const OVERSCAN_ROWS = 12

/** The room of the last line, pixels. */
const TAIL_PX = 40

/** How near the end counts as "at the end", pixels. */
const END_PX = 40

export interface TimelineListProps {
  readonly rows: readonly Row[]
  readonly timeline: Timeline
  readonly lastSeq: number
  readonly isFollowing: boolean
  readonly onFollow: (follow: boolean) => void
  readonly onToggle: (row: Row) => void
  readonly onOpenDeadLetter: () => void
  readonly search: string
  /** Shown instead of rows, when there are none. */
  readonly empty: ReactNode
  /** The last line, while the run goes on. */
  readonly tail: string | null
  /** The row that holds the keyboard's place; the page moves it by `[` and `]`. */
  readonly active: string | null
  readonly onActive: (key: string) => void
}

/** The scrolled list under the toolbar. */
export function TimelineList(props: TimelineListProps) {
  const { rows, isFollowing, onFollow, lastSeq, active, onActive, onToggle } = props
  const scroller = useRef<HTMLDivElement>(null)
  const activeIndex = Math.max(
    0,
    rows.findIndex((row) => row.key === active),
  )
  const headers = useMemo(() => rows.flatMap((row, index) => (row.kind === 'group' ? [index] : [])), [rows])
  const rangeExtractor = useCallback(
    // The row with the focus stays, however far away it is scrolled.
    (range: Range) => [...new Set([...defaultRangeExtractor(range), activeIndex])].sort((a, b) => a - b),
    [activeIndex],
  )
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: (index) => rows[index]?.height ?? 0,
    getItemKey: (index) => rows[index]?.key ?? index,
    overscan: OVERSCAN_ROWS,
    rangeExtractor,
    initialRect: { width: 600, height: 600 },
  })
  const heights = rows.map((row) => row.height).join()
  // biome-ignore lint/correctness/useExhaustiveDependencies: sizes are read anew when a row's height changed
  useEffect(() => virtual.measure(), [heights, virtual])

  const seen = useNewEvents(isFollowing, lastSeq)
  // biome-ignore lint/correctness/useExhaustiveDependencies: each new row moves the end
  useEffect(() => {
    if (isFollowing && scroller.current !== null) scroller.current.scrollTop = scroller.current.scrollHeight
  }, [isFollowing, rows])

  function scrolled() {
    const element = scroller.current
    if (element === null) return
    const isAtEnd = element.scrollHeight - element.scrollTop - element.clientHeight < END_PX
    if (isAtEnd !== isFollowing) onFollow(isAtEnd)
  }

  function focus(index: number) {
    const row = rows[index]
    if (row === undefined) return
    onActive(row.key)
    virtual.scrollToIndex(index, { align: 'auto' })
    requestAnimationFrame(() => {
      scroller.current?.querySelector<HTMLElement>(`[data-row="${CSS.escape(row.key)}"] [data-rove]`)?.focus()
    })
  }

  function keyDown(event: KeyboardEvent) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (step === undefined && event.key !== 'Home' && event.key !== 'End') return
    event.preventDefault()
    if (step !== undefined) focus(rove(rows, activeIndex, step))
    else focus(event.key === 'Home' ? rove(rows, -1, 1) : rove(rows, rows.length, -1))
  }

  const items = virtual.getVirtualItems()
  const top = virtual.scrollOffset ?? 0
  const sticky = stickyHeader(rows, headers, virtual.measurementsCache, top)
  if (rows.length === 0) return <div className={styles.scroller}>{props.empty}</div>
  return (
    <div className={styles.frame}>
      {sticky !== null && (
        // A second copy for the eye only: the header itself stays in the list.
        <div className={styles.sticky} aria-hidden="true">
          <GroupHeader group={sticky.group} />
        </div>
      )}
      {/* biome-ignore lint/a11y/noStaticElementInteractions: the keys move the focus among the rows' own buttons */}
      <div ref={scroller} className={styles.scroller} onScroll={scrolled} onKeyDown={keyDown} data-timeline>
        <ol
          className={styles.list}
          // biome-ignore lint/a11y/noRedundantRoles: Safari drops the role of a list without bullets
          role="list"
          aria-label="Timeline"
          style={{ height: virtual.getTotalSize() + TAIL_PX }}
        >
          {items.map((item) => {
            const row = rows[item.index]
            if (row === undefined) return null
            return (
              <li
                key={item.key}
                data-row={row.key}
                className={styles.row}
                aria-setsize={rows.length}
                aria-posinset={item.index + 1}
                style={{ height: row.height, transform: `translateY(${item.start}px)` }}
              >
                <TimelineRowView
                  row={row}
                  timeline={props.timeline}
                  search={props.search}
                  isActive={item.index === activeIndex}
                  onToggle={() => {
                    onActive(row.key)
                    onToggle(row)
                  }}
                  onOpenDeadLetter={props.onOpenDeadLetter}
                />
              </li>
            )
          })}
        </ol>
        {props.tail !== null && (
          // Moved by a transform as the rows are: the list grows without a shift of the layout.
          <p className={styles.tail} style={{ transform: `translateY(${virtual.getTotalSize()}px)` }}>
            <span data-status="running">
              <Icon name="dot" />
            </span>
            {props.tail}
          </p>
        )}
      </div>
      {!isFollowing && seen > 0 && (
        <button type="button" className={styles.more} onClick={() => onFollow(true)}>
          {seen} new {seen === 1 ? 'event' : 'events'} ↓
        </button>
      )}
    </div>
  )
}

/** The next row that takes the focus. */
export function rove(rows: readonly Row[], from: number, step: number): number {
  for (let index = from + step; index >= 0 && index < rows.length; index += step) {
    const kind = rows[index]?.kind
    if (kind === 'attempt' || kind === 'entry') return index
  }
  return from
}

function stickyHeader(
  rows: readonly Row[],
  headers: readonly number[],
  places: readonly { readonly start: number }[],
  top: number,
): Extract<Row, { kind: 'group' }> | null {
  const index = headers.findLast((header) => (places[header]?.start ?? 0) < top)
  const row = index === undefined ? undefined : rows[index]
  return row?.kind === 'group' ? row : null
}

/** How many events came since the list stopped following. */
function useNewEvents(isFollowing: boolean, lastSeq: number): number {
  const [left, setLeft] = useState(lastSeq)
  useEffect(() => {
    if (isFollowing) setLeft(lastSeq)
  }, [isFollowing, lastSeq])
  return isFollowing ? 0 : Math.max(0, lastSeq - left)
}
