'use client'

/** The script of the two-minute demo, ticking live: four steps, the next thing to press, the time it took. */

import { demoScript } from '@/lib/demo'
import { useNow } from '@/lib/now'
import { stopwatch } from '@/lib/time'
import type { Timeline } from '@/lib/timeline'
import { Button } from './button'
import styles from './demo-line.module.css'
import { Icon } from './icon'

/** A demo left alone for longer is not timed any more, milliseconds. */
const ELAPSED_MS_MAX = 60 * 60 * 1_000

export interface DemoLineProps {
  readonly timeline: Timeline
  readonly hasRun: boolean
  readonly onStartOver: () => void
}

/** The panel under the top bar. */
export function DemoLine({ timeline, hasRun, onStartOver }: DemoLineProps) {
  const nowMs = useNow(100, hasRun)
  const { steps, endedAtMs } = demoScript(timeline, hasRun, nowMs)
  const began = timeline.beganAtMs
  const elapsedMs = began === null ? 0 : (endedAtMs ?? Math.max(nowMs, began)) - began
  const at = steps.findIndex((step) => step.state === 'now')
  return (
    <section className={styles.demo} aria-labelledby="demo-heading">
      <div className={styles.title}>
        <h2 id="demo-heading">🗂️ 2-Minute Demo</h2>
        <p className="num">
          {elapsedMs > ELAPSED_MS_MAX ? 'an hour and more' : `${stopwatch(elapsedMs)} elapsed`}
        </p>
      </div>
      <ol className={styles.steps}>
        {steps.map((step) => (
          <li
            key={step.name}
            data-state={step.state}
            aria-current={step.state === 'now' ? 'step' : undefined}
          >
            <Icon name={step.state === 'done' ? 'succeeded' : step.state === 'now' ? 'running' : 'queued'} />
            <strong>
              {step.name}
              <span className="sr">{step.state === 'done' ? ': done' : ''}</span>
            </strong>
            <p className="trunc num" title={step.says}>
              {step.says}
            </p>
          </li>
        ))}
      </ol>
      {/* On a phone the four steps are segments, and this sentence says where it is. */}
      <p className={styles.sentence} aria-hidden="true">
        <b>{at < 0 ? '4 of 4 · Success ·' : `${at + 1} of 4 · ${steps[at]?.name} ·`}</b>
        <span className="trunc num">{at < 0 ? steps[3].says : steps[at]?.says}</span>
      </p>
      <Button small onClick={onStartOver}>
        Start over
      </Button>
    </section>
  )
}
