/**
 * `<RunTimeline>`: the events of a run as an ordered list, without any style.
 *
 * It is meant to be read out as well as seen: what happens is announced politely in one sentence, and every
 * time is a `<time>`. Bring your own look by class names and by rendering an event yourself.
 */

import type { ReactNode } from 'react'
import { isEvent, type RunEvent } from '../wire.js'
import type { UseRun } from './types.js'

/** What `<RunTimeline>` takes. */
export interface RunTimelineProps {
  /** What `useRun` returned. */
  readonly run: Pick<UseRun, 'events' | 'status' | 'connection' | 'droppedEvents' | 'gap'>
  /** The name of the list for those who hear it; "Timeline" unless given. */
  readonly label?: string
  readonly className?: string
  /** Draws what is within one `<li>`. */
  readonly renderEvent?: (event: RunEvent) => ReactNode
  /** Instead of "No events yet." */
  readonly empty?: ReactNode
}

/** The events of a run, oldest first. */
export function RunTimeline(props: RunTimelineProps): ReactNode {
  const { run, label = 'Timeline', className, renderEvent = drawEvent, empty = 'No events yet.' } = props
  const newest = run.events.at(-1)
  return (
    <section aria-label={label} className={className} data-status={run.status} data-connection={run.connection}>
      <p role="status">{newest === undefined ? empty : describeEvent(newest)}</p>
      {run.gap !== null && <p>Events before {run.gap.firstSeq} are no longer kept.</p>}
      {run.droppedEvents > 0 && <p>{run.droppedEvents} older events are not shown.</p>}
      <ol>
        {run.events.map((event) => (
          <li key={event.seq} value={event.seq} data-type={event.type}>
            {renderEvent(event)}
          </li>
        ))}
      </ol>
    </section>
  )
}

/** An event in one sentence, for people. */
export function describeEvent(event: RunEvent): string {
  if (isEvent(event, 'run.created')) return `The run of ${event.workflow} was created.`
  if (isEvent(event, 'worker.received')) return `Attempt ${event.attempt} began.`
  if (isEvent(event, 'run.attempt_failed')) return `Attempt ${event.attempt} failed: ${event.error.message}`
  if (isEvent(event, 'run.retry_scheduled')) {
    return `Attempt ${event.next_attempt} begins in ${(event.delay_ms / 1000).toFixed(1)} s.`
  }
  if (isEvent(event, 'run.dlq')) return 'It was given up and stored as a dead letter.'
  if (isEvent(event, 'run.failed')) return `The run failed: ${event.error.message}`
  if (isEvent(event, 'run.succeeded')) return 'The run succeeded.'
  if (isEvent(event, 'run.cancelled')) return 'The run was cancelled.'
  if (isEvent(event, 'run.replay_requested')) return `Replay ${event.replay_seq} was asked for.`
  if (isEvent(event, 'step.completed')) return `Step ${event.step} is done.`
  if (event.type === 'step.started') return `Step ${String(event.step)} began.`
  if (event.type === 'step.failed') return `Step ${String(event.step)} failed.`
  return typeof event.message === 'string' ? event.message : event.type
}

function drawEvent(event: RunEvent): ReactNode {
  const at = new Date(event.ts)
  return (
    <>
      <time dateTime={at.toISOString()}>{at.toISOString().slice(11, 23)}</time> <code>{event.type}</code>{' '}
      <span>{describeEvent(event)}</span>
    </>
  )
}
