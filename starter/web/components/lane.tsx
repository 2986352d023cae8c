'use client'

/** The lane strip: attempts, pauses, dead letter and replay of a run on a time axis. */

import type { CSSProperties } from 'react'
import { type LanePart, laneParts, laneSentence } from '@/lib/lane'
import { useNow } from '@/lib/now'
import { duration } from '@/lib/time'
import { isTerminal, type Timeline } from '@/lib/timeline'
import { Icon } from './icon'
import styles from './lane.module.css'

export interface LaneProps {
  readonly timeline: Timeline
  /** Big in the run's header, with numbers and an axis; thin in a list's row. */
  readonly big?: boolean
}

/** A run as one line. */
export function Lane({ timeline, big = false }: LaneProps) {
  const status = timeline.groups.at(-1)?.status ?? null
  const isMoving = status === 'running'
  const nowMs = useNow(big ? 100 : 1_000, isMoving)
  const parts = laneParts(timeline, nowMs)
  return (
    <div
      className={big ? styles.big : styles.thin}
      data-live={status !== null && !isTerminal(status)}
      role="img"
      aria-label={laneSentence(timeline)}
    >
      {parts.map((part) => (
        <Part key={part.key} part={part} big={big} />
      ))}
    </div>
  )
}

function Part({ part, big }: { readonly part: LanePart; readonly big: boolean }) {
  const style = { '--weight': part.weight } as CSSProperties
  if (part.kind === 'attempt') {
    return (
      <span className={styles.attempt} data-status={part.state} data-past={part.past} style={style}>
        {big && <b className="num">{part.label}</b>}
        {big && part.axis !== null && (
          <span className={styles.axis} data-replay={part.axis.startsWith('Replay')}>
            {part.axis}
          </span>
        )}
      </span>
    )
  }
  if (part.kind === 'dead-letter') {
    return (
      <span className={styles.dead} data-status="failed">
        {big && <Icon name="dead-letter" />}
        {big && <span className={styles.axis}>DLQ</span>}
      </span>
    )
  }
  if (part.kind === 'idle') {
    return (
      <span className={styles.idle} style={style}>
        {big && <em className="num">{duration(part.ms)} idle</em>}
      </span>
    )
  }
  return <span className={styles[part.kind]} style={style} />
}
