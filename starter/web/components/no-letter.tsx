'use client'

/** The dead letter panel while the run has none: which runs have one that is open. */

import type { Ref } from 'react'
import type { RunSummary } from '@/lib/driftq'
import { Icon } from './icon'
import styles from './no-letter.module.css'

export interface NoLetterProps {
  readonly hasRun: boolean
  readonly failed: readonly RunSummary[]
  readonly headingRef: Ref<HTMLHeadingElement>
  readonly onSelect: (runId: string) => void
}

/** How many failed runs are named. */
const NAMED_MAX = 8

/** A sentence, and the doors to open dead letters. */
export function NoLetter({ hasRun, failed, headingRef, onSelect }: NoLetterProps) {
  return (
    <div className={styles.none}>
      <h2 ref={headingRef} tabIndex={-1}>
        Dead letter
      </h2>
      <p className="t2">
        {hasRun
          ? 'This run has none. One that fails its last attempt leaves one here, with its payload and every error.'
          : 'A run that fails its last attempt leaves one here, with its payload and every error.'}
      </p>
      {failed.length > 0 && (
        <>
          <h3>Open in other runs</h3>
          <ul>
            {failed.slice(0, NAMED_MAX).map((run) => (
              <li key={run.run_id}>
                <a
                  href={`/runs/${encodeURIComponent(run.run_id)}`}
                  onClick={(event) => {
                    if (event.metaKey || event.ctrlKey || event.shiftKey) return
                    event.preventDefault()
                    onSelect(run.run_id)
                  }}
                >
                  <span data-status="failed">
                    <Icon name="dead-letter" />
                  </span>
                  <span className="mono trunc">{run.run_id}</span>
                </a>
              </li>
            ))}
          </ul>
        </>
      )}
    </div>
  )
}
