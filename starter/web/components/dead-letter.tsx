'use client'

/** The dead letter of a run: why, where, what changes, what was sent, every attempt; and the three replays. */

import { type Ref, useState } from 'react'
import { diffJson } from '@/lib/diff'
import type { RunDeadLetter, UseRun } from '@/lib/driftq'
import { fixedInput, letterInput, replayBar } from '@/lib/replay'
import { clock, duration, moment } from '@/lib/time'
import { type Group, groupName, type Timeline } from '@/lib/timeline'
import { Button, Kbd } from './button'
import styles from './dead-letter.module.css'
import { DiffView } from './diff-view'
import { Icon } from './icon'
import { JsonView } from './json-view'
import { StatusBadge } from './status-badge'
import { Tabs } from './tabs'

export interface DeadLetterProps {
  readonly letter: RunDeadLetter
  readonly run: UseRun
  readonly timeline: Timeline
  readonly headingRef: Ref<HTMLHeadingElement>
  readonly onCopy: (text: string) => void
  readonly onReplayFixed: () => void
  readonly onReplayAsItWas: () => void
  readonly onEdit: () => void
  readonly onClose: () => void
}

/** The panel at the right; a sheet or a tab on small screens. */
export function DeadLetter(props: DeadLetterProps) {
  const { letter, run, onCopy } = props
  const isReplayed = run.replaySeq > letter.replay_seq
  const [tab, setTab] = useState('change')
  const stack = letter.error.stack
  const tabs = [
    { id: 'change', name: 'Change', panel: <Change {...props} isReplayed={isReplayed} /> },
    {
      id: 'payload',
      name: 'Payload',
      panel: <JsonView value={letter.command} name="payload" onCopy={onCopy} />,
    },
    {
      id: 'attempts',
      name: `Attempts ${letter.attempts.length}`,
      panel: <Attempts letter={letter} isFull />,
    },
    ...(stack == null ? [] : [{ id: 'stack', name: 'Stack', panel: <Stack text={stack} /> }]),
  ]
  return (
    <>
      <header className={styles.header}>
        <div className={styles.first}>
          <h2 ref={props.headingRef} tabIndex={-1}>
            Dead letter
          </h2>
          <LetterState letter={letter} isReplayed={isReplayed} />
          <span className={styles.space} />
          <Button
            look="quiet"
            small
            icon
            aria-label="Copy the dead letter"
            onClick={() => onCopy(JSON.stringify(letter, null, 2))}
          >
            <Icon name="copy" />
          </Button>
          <Button
            look="quiet"
            small
            icon
            className={styles.close}
            aria-label="Close the dead letter"
            onClick={props.onClose}
          >
            <Icon name="close" />
          </Button>
        </div>
        <dl className={styles.facts}>
          <dt>Reason</dt>
          <dd>{reason(letter)}</dd>
          <dt>Stored</dt>
          <dd className="num" title={moment(letter.routed_at_ms)}>
            {clock(letter.routed_at_ms)} <span className="t3">in</span> <code>{letter.topic}</code>
          </dd>
        </dl>
      </header>
      <div className={styles.error}>
        <b>{letter.error.type ?? 'Error'}</b>
        <p>{letter.error.message}</p>
      </div>
      <Tabs label="Dead letter" tabs={tabs} selected={tab} onSelect={setTab} />
      <Actions {...props} />
    </>
  )
}

function LetterState({
  letter,
  isReplayed,
}: {
  readonly letter: RunDeadLetter
  readonly isReplayed: boolean
}) {
  if (letter.state === 'discarded') return <StatusBadge status="cancelled" word="discarded" />
  if (isReplayed) return <StatusBadge status="running" word="replayed" icon="replay" />
  return <StatusBadge status="failed" word="open" icon="dead-letter" />
}

function reason(letter: RunDeadLetter): string {
  const tries = letter.attempts.at(-1)?.attempt ?? letter.attempts.length
  if (letter.reason === 'max_attempts') return `Failed ${tries} of ${tries} attempts`
  if (letter.reason === 'non_retryable') return 'Failed, and must not be tried again'
  if (letter.reason === 'deadline_exceeded') return 'Its deadline passed'
  return letter.reason
}

function Change(props: DeadLetterProps & { readonly isReplayed: boolean }) {
  const { letter, run, timeline, isReplayed } = props
  const before = letterInput(letter)
  const after = isReplayed ? run.info?.input : fixedInput(before)
  const group = timeline.groups.at(-1)
  const lines = after == null ? [] : diffJson(before, after)
  const isSame = lines.every((line) => line.kind === 'same')
  return (
    <>
      {isSame ? (
        <p className={styles.note}>
          {isReplayed
            ? 'It was replayed as it was.'
            : 'This input has no fail_at to take away. Edit the input, or replay it as it was.'}
        </p>
      ) : (
        <DiffView lines={lines} label={isReplayed ? 'What was changed' : 'What the fix changes'} />
      )}
      <Attempts letter={letter} isFull={false} />
      {isReplayed && group !== undefined && <ReplaySteps group={group} />}
    </>
  )
}

function Attempts({ letter, isFull }: { readonly letter: RunDeadLetter; readonly isFull: boolean }) {
  return (
    <section className={styles.attempts}>
      <h3>Attempts of {letter.replay_seq === 0 ? 'the first try' : `replay ${letter.replay_seq}`}</h3>
      <ol>
        {letter.attempts.map((attempt) => (
          <li key={`${attempt.attempt} ${attempt.started_at_ms}`}>
            <span data-status="failed">
              <Icon name="failed" />
            </span>
            <span>Attempt {attempt.attempt}</span>
            <span className="t3 trunc" title={`${attempt.owner}: ${attempt.error.message}`}>
              {attempt.owner} · {attempt.error.type ?? attempt.reason}
            </span>
            <span className="t3 num">{duration(attempt.ended_at_ms - attempt.started_at_ms)}</span>
            {isFull && (
              <p className={styles.detail}>
                <span className="num t3">
                  {clock(attempt.started_at_ms)} to {clock(attempt.ended_at_ms)}
                </span>
                <br />
                {attempt.reason}: {attempt.error.message}
              </p>
            )}
          </li>
        ))}
      </ol>
    </section>
  )
}

function ReplaySteps({ group }: { readonly group: Group }) {
  const rows = group.attempts.at(-1)?.rows.filter((row) => row.kind !== 'event') ?? []
  if (rows.length === 0) return null
  return (
    <section className={styles.attempts}>
      <h3>Steps in replay {group.replaySeq}</h3>
      <ol>
        {rows.map((row) => {
          const status =
            row.kind === 'kept' || row.state === 'completed'
              ? 'succeeded'
              : row.state === 'running'
                ? 'running'
                : 'failed'
          return (
            <li key={row.kind === 'kept' ? row.name : `${row.name} ${row.seq}`} className={styles.step}>
              <span data-status={status}>
                <Icon
                  name={row.kind === 'kept' ? 'ring' : status}
                  className={status === 'running' ? 'spin' : ''}
                />
              </span>
              <code className="trunc">{row.name}</code>
              <span className="t3">
                {row.kind === 'kept' ? 'kept, not run again' : STEP_WORDS[row.state]}
              </span>
              <span className="t3 num">{row.durationMs === null ? '' : duration(row.durationMs)}</span>
            </li>
          )
        })}
      </ol>
    </section>
  )
}

const STEP_WORDS = {
  running: 'running',
  completed: 'done',
  failed: 'failed',
  stopped: 'did not finish',
} as const

function Stack({ text }: { readonly text: string }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways, so the keyboard must reach it
    <pre className={styles.stack} tabIndex={0} role="group" aria-label="Stack">
      {text}
    </pre>
  )
}

function Actions(props: DeadLetterProps) {
  const { letter, run } = props
  const bar = replayBar(run)
  const isFixable = fixedInput(run.info?.input) !== null
  const nothingToFix = isFixable ? null : 'The input has no fail_at any more: there is no fix to apply.'
  const isReplayed = run.replaySeq > letter.replay_seq
  const done = isReplayed && run.status === 'succeeded' ? `${groupName(run.replaySeq)} succeeded.` : null
  const says = bar ?? done ?? nothingToFix ?? 'The fix takes fail_at away. Finished steps are kept.'
  return (
    <footer className={styles.actions}>
      <p className={styles.says} id="replay-says">
        <span data-status={done === null ? 'running' : 'succeeded'}>
          <Icon name={done === null ? 'replay' : 'succeeded'} />
        </span>
        {says}
      </p>
      <Button
        look="primary"
        aria-disabled={bar !== null || nothingToFix !== null}
        aria-describedby="replay-says"
        onClick={props.onReplayFixed}
      >
        {run.pending === 'replay' ? 'Replaying…' : 'Replay (fix applied)'} <Kbd>R</Kbd>
      </Button>
      <div className={styles.two}>
        <Button aria-disabled={bar !== null} aria-describedby="replay-says" onClick={props.onReplayAsItWas}>
          Replay as it was
        </Button>
        <Button aria-disabled={bar !== null} aria-describedby="replay-says" onClick={props.onEdit}>
          Edit input…
        </Button>
      </div>
    </footer>
  )
}
