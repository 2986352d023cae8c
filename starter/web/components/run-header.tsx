'use client'

/** The run at a glance: its id, status, figures, and the lane. */

import type { Ref } from 'react'
import type { UseRun } from '@/lib/driftq'
import { useNow } from '@/lib/now'
import { age, moment } from '@/lib/time'
import { isTerminal, type Timeline } from '@/lib/timeline'
import { Button } from './button'
import { Icon } from './icon'
import { Lane } from './lane'
import styles from './run-header.module.css'
import { StatusBadge } from './status-badge'

export interface RunHeaderProps {
  readonly runId: string
  readonly run: UseRun
  readonly timeline: Timeline
  readonly headingRef: Ref<HTMLHeadingElement>
  readonly onCopyLink: () => void
  readonly onCancel: () => void
}

/** Always of the same height, so nothing below it moves. */
export function RunHeader({ runId, run, timeline, headingRef, onCopyLink, onCancel }: RunHeaderProps) {
  const counts = timeline.groups.map((group) => group.attempts.length)
  return (
    <header className={styles.header}>
      <div className={styles.first}>
        <h1 ref={headingRef} tabIndex={-1} className="trunc" title={runId}>
          {runId}
        </h1>
        {run.status !== null && <StatusBadge status={run.status} retryAtMs={run.nextRetryAtMs} />}
        <span className={styles.space} />
        <Button look="quiet" small icon aria-label="Copy the run's link" onClick={onCopyLink}>
          <Icon name="link" />
        </Button>
        <Button
          small
          className={styles.cancel}
          aria-label="Cancel run"
          aria-disabled={run.status === null || isTerminal(run.status) || run.pending !== null}
          title={isTerminal(run.status) ? 'The run has ended.' : undefined}
          onClick={onCancel}
        >
          <Icon name="cancelled" className={styles.phone} />
          <span className={styles.wide}>{run.pending === 'cancel' ? 'Cancelling…' : 'Cancel run'}</span>
        </Button>
      </div>
      <p className={`${styles.meta} num`}>
        <b>{run.info?.workflow ?? ' '}</b>
        {counts.length > 0 && (
          <span>
            replay <b>{run.replaySeq}</b>
          </span>
        )}
        {counts.length > 0 && (
          <span className={styles.wide}>
            attempts <b>{counts.join(' + ')}</b>
          </span>
        )}
        {timeline.beganAtMs !== null && <Started atMs={timeline.beganAtMs} />}
      </p>
      <Lane timeline={timeline} big />
    </header>
  )
}

function Started({ atMs }: { readonly atMs: number }) {
  const nowMs = useNow(1_000)
  return (
    <span title={moment(atMs)}>
      started <b>{age(nowMs - atMs)} ago</b>
    </span>
  )
}
