'use client'

/** What the page says when it has nothing to show: each state names the next step. */

import type { ReactNode } from 'react'
import { useNow } from '@/lib/now'
import type { Outage } from '@/lib/outage'
import { age } from '@/lib/time'
import { Button } from './button'
import styles from './states.module.css'

/** A heading, a sentence, a step. */
export function State({ title, children }: { readonly title: ReactNode; readonly children: ReactNode }) {
  return (
    <section className={styles.state}>
      <h1>{title}</h1>
      {children}
    </section>
  )
}

/** The start page. */
export function NoRun({ hasRuns, onStart }: { readonly hasRuns: boolean; readonly onStart: () => void }) {
  return (
    <State title={hasRuns ? 'Choose a run, or start one' : 'No runs yet'}>
      <p>Start one: it fails, you fix it.</p>
      <Button look="primary" small onClick={onStart}>
        Start run
      </Button>
    </State>
  )
}

/** A link to a run that the broker does not have. */
export function RunGone({
  runId,
  isExpired,
  onStart,
}: {
  readonly runId: string
  readonly isExpired: boolean
  readonly onStart: () => void
}) {
  return (
    <State title={isExpired ? 'This run is no longer kept' : 'There is no such run'}>
      <p>
        <code>{runId}</code>{' '}
        {isExpired
          ? 'was removed by retention.'
          : 'is not in this broker. Look at the link, or at who made it.'}
      </p>
      <Button look="primary" small onClick={onStart}>
        Start another
      </Button>
    </State>
  )
}

export interface OutageNoticeProps {
  readonly outage: Outage
  readonly baseUrl: string
  /** When it is tried again, epoch milliseconds of this browser; null while a try is under way. */
  readonly retryAtMs: number | null
  /** When the data on the page was fetched; null when there is none. */
  readonly dataAtMs: number | null
  readonly onTryNow: () => void
}

/** Over the timeline's foot, so that nothing moves: what does not answer, and what to do. */
export function OutageNotice({ outage, baseUrl, retryAtMs, dataAtMs, onTryNow }: OutageNoticeProps) {
  return (
    <section className={styles.outage}>
      <div role="alert">
        {outage === 'api' ? (
          <>
            <h2>
              The API does not answer at <code>{baseUrl}</code>
            </h2>
            <p>
              Start it, this page reconnects by itself:{' '}
              <code className={styles.command}>python starter/api/scripts/dev_up.py</code>
            </p>
          </>
        ) : (
          <>
            <h2>The broker is away</h2>
            <p>The API answers, its broker does not. Runs go on by themselves once it is back.</p>
          </>
        )}
      </div>
      <footer>
        <Next retryAtMs={retryAtMs} dataAtMs={dataAtMs} />
        <Button small onClick={onTryNow}>
          Try now
        </Button>
      </footer>
    </section>
  )
}

function Next({
  retryAtMs,
  dataAtMs,
}: {
  readonly retryAtMs: number | null
  readonly dataAtMs: number | null
}) {
  useNow(500)
  const left = retryAtMs === null ? 0 : Math.max(0, retryAtMs - Date.now())
  return (
    <p className="t3 num">
      {left === 0 ? 'Trying…' : `Retrying in ${Math.ceil(left / 1_000)} s`}
      {dataAtMs !== null && ` · data is ${age(Date.now() - dataAtMs)} old`}
    </p>
  )
}
