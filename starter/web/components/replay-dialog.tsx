'use client'

/** Replay with an edited input: the editor at the left, what changes at the right, nothing sent before that. */

import { type KeyboardEvent, useEffect, useId, useRef, useState } from 'react'
import { countChanges, diffJson } from '@/lib/diff'
import { parseJson } from '@/lib/json'
import { planReplay } from '@/lib/replay'
import { Button, Kbd } from './button'
import { DiffView } from './diff-view'
import { Icon } from './icon'
import styles from './replay-dialog.module.css'

/** A longer text is not sent: the broker takes 1 MiB at most, characters. */
const INPUT_LENGTH_MAX = 500_000

export interface ReplayDialogProps {
  readonly runId: string
  readonly nextReplay: number
  /** The input that the run has now. */
  readonly current: unknown
  /** The steps that are finished, and the one that failed. */
  readonly finishedSteps: readonly string[]
  readonly isPending: boolean
  readonly error: string | null
  readonly onSend: (wanted: unknown) => void
  readonly onClose: () => void
}

/** A native dialog: it keeps the focus inside, `Esc` closes it, the focus goes back to where it was. */
export function ReplayDialog(props: ReplayDialogProps) {
  const { current, isPending, onSend, onClose } = props
  const dialog = useRef<HTMLDialogElement>(null)
  const [text, setText] = useState(() => JSON.stringify(current, null, 2) ?? '{}')
  const faultId = useId()
  useEffect(() => {
    dialog.current?.showModal()
  }, [])

  const parsed = parseJson(text)
  const lines = parsed.ok ? diffJson(current, parsed.value) : []
  const changes = countChanges(lines)
  const isTooLong = text.length > INPUT_LENGTH_MAX
  const cannot = !parsed.ok || isTooLong || isPending

  function send() {
    if (parsed.ok && !cannot) onSend(parsed.value)
  }

  function keyDown(event: KeyboardEvent) {
    if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return
    event.preventDefault()
    event.stopPropagation()
    send()
  }

  return (
    <dialog
      ref={dialog}
      className={styles.dialog}
      aria-labelledby="replay-title"
      onClose={onClose}
      onKeyDown={keyDown}
    >
      <header>
        <span data-status="running">
          <Icon name="replay" />
        </span>
        <h2 id="replay-title" className="trunc">
          Replay {props.runId}
        </h2>
        <span className="t3 num">starts replay {props.nextReplay}</span>
        <span className={styles.space} />
        <Kbd>Esc</Kbd>
      </header>
      <div className={styles.two}>
        <div>
          <label htmlFor="replay-input">Input</label>
          <textarea
            id="replay-input"
            value={text}
            rows={12}
            spellCheck={false}
            autoComplete="off"
            aria-invalid={!parsed.ok}
            aria-describedby={faultId}
            onChange={(event) => setText(event.target.value)}
          />
          <p id={faultId} className={styles.fault} role="status">
            {isTooLong ? `This is longer than ${INPUT_LENGTH_MAX.toLocaleString('en')} characters.` : ''}
            {parsed.ok ? '' : `Line ${parsed.fault.line}: ${parsed.fault.message}.`}
          </p>
        </div>
        <div>
          <p className={styles.label}>What changes</p>
          {parsed.ok && changes > 0 && <DiffView lines={lines} label="What changes" />}
          {parsed.ok && changes === 0 && (
            <p className={styles.nothing}>Nothing yet: it would be replayed as it was.</p>
          )}
          {!parsed.ok && <p className={styles.nothing}>The difference shows when the JSON is valid.</p>}
        </div>
      </div>
      <footer>
        <p>{parsed.ok && <Consequence {...props} wanted={parsed.value} />}</p>
        {props.error !== null && (
          <p className={styles.fault} role="alert">
            {props.error}
          </p>
        )}
        <Button look="quiet" onClick={() => dialog.current?.close()}>
          Back
        </Button>
        <Button look="primary" aria-disabled={cannot} onClick={send}>
          {isPending
            ? 'Replaying…'
            : changes === 0
              ? 'Replay as it is'
              : `Replay with ${changes} ${changes === 1 ? 'change' : 'changes'}`}
          <Kbd>Ctrl ↵</Kbd>
        </Button>
      </footer>
    </dialog>
  )
}

/** What the replay does with the steps, before it is sent. */
function Consequence({ current, wanted, finishedSteps }: ReplayDialogProps & { readonly wanted: unknown }) {
  const { keepsSteps } = planReplay(current, wanted)
  if (!keepsSteps) {
    return (
      <>
        New input: <b>every step runs again</b>.
      </>
    )
  }
  if (finishedSteps.length === 0) return <>No step has finished: all of them run.</>
  const names = new Intl.ListFormat('en').format(finishedSteps)
  return (
    <>
      <b>{names}</b> {finishedSteps.length === 1 ? 'is' : 'are'} kept, what failed runs again.
    </>
  )
}
