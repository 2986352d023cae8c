'use client'

/** A status as icon and word on its soft colour. A retry reads as its countdown. */

import type { RunStatus } from '@/lib/driftq'
import { useNow } from '@/lib/now'
import { countdown } from '@/lib/time'
import { Icon, type IconName } from './icon'
import styles from './status-badge.module.css'

export interface StatusBadgeProps {
  readonly status: RunStatus
  /** When the next attempt begins, epoch milliseconds, while it is retrying. */
  readonly retryAtMs?: number | null
  /** Another word or icon than the status's own. */
  readonly word?: string
  readonly icon?: IconName
}

/** A run's or a group's status. */
export function StatusBadge({ status, retryAtMs = null, word, icon }: StatusBadgeProps) {
  const retries = status === 'retrying' && retryAtMs !== null
  return (
    <span className={`${styles.badge} num`} data-status={status}>
      <Icon name={icon ?? status} className={status === 'running' && icon === undefined ? 'spin' : ''} />
      {word ?? (retries ? <Until atMs={retryAtMs} /> : status)}
    </span>
  )
}

/** "in 1.8 s", counting down; "now" at its end. */
export function Until({ atMs }: { readonly atMs: number }) {
  const left = atMs - useNow(100)
  return <>{left <= 0 ? 'now' : `in ${countdown(left)}`}</>
}
