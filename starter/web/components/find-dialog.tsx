'use client'

/** Find a run by a part of its id, its status or workflow; a whole id opens even if it is not in the list. */

import { type FormEvent, useState } from 'react'
import type { RunSummary } from '@/lib/driftq'
import { Dialog } from './dialog'
import styles from './find-dialog.module.css'
import { Icon } from './icon'

const FOUND_MAX = 8
const RUN_ID = /^[A-Za-z0-9._-]{1,128}$/

export interface FindDialogProps {
  readonly runs: readonly RunSummary[]
  readonly onSelect: (runId: string) => void
  readonly onClose: () => void
}

/** What `Ctrl K` opens. */
export function FindDialog({ runs, onSelect, onClose }: FindDialogProps) {
  const [text, setText] = useState('')
  const wanted = text.trim().toLowerCase()
  const found = runs
    .filter((run) => `${run.run_id} ${run.status} ${run.workflow}`.toLowerCase().includes(wanted))
    .slice(0, FOUND_MAX)
  const first = found[0]?.run_id ?? (RUN_ID.test(text.trim()) ? text.trim() : null)

  function submit(event: FormEvent) {
    event.preventDefault()
    if (first !== null) onSelect(first)
  }

  return (
    <Dialog title="Find a run" onClose={onClose}>
      <form className={styles.form} onSubmit={submit}>
        <label className="sr" htmlFor="find-text">
          A part of the run's id, its status or workflow
        </label>
        <input
          id="find-text"
          autoFocus
          value={text}
          placeholder="An id, a status, a workflow"
          autoComplete="off"
          onChange={(event) => setText(event.target.value)}
        />
        <ul>
          {found.map((run) => (
            <li key={run.run_id}>
              <button type="button" onClick={() => onSelect(run.run_id)}>
                <span data-status={run.status}>
                  <Icon name={run.status} />
                </span>
                <span className="mono trunc">{run.run_id}</span>
                <span className="t3">{run.status}</span>
              </button>
            </li>
          ))}
        </ul>
        {found.length === 0 && (
          <p className="t2">{first === null ? 'No run matches.' : 'Not in the list. Enter opens that id.'}</p>
        )}
      </form>
    </Dialog>
  )
}
