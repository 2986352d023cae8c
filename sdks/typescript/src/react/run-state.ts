/**
 * What a timeline says about its run: a pure fold over events, in order.
 *
 * Only the broker's own events move the status; what somebody produced to the timeline is shown and nothing
 * more.
 */

import type { Failure, RunEvent, RunStatus } from '../wire.js'
import { isEvent } from '../wire.js'

/** What is known of a run from its events alone. */
export interface RunState {
  readonly status: RunStatus | null
  readonly replaySeq: number
  readonly attempt: number
  readonly maxAttempts: number | null
  readonly nextRetryAtMs: number | null
  readonly error: Failure | null
  readonly result: unknown
}

/** Before the first event. */
export const NOTHING_KNOWN: RunState = {
  status: null,
  replaySeq: 0,
  attempt: 0,
  maxAttempts: null,
  nextRetryAtMs: null,
  error: null,
  result: null,
}

/** The state after one more event. */
export function advance(state: RunState, event: RunEvent): RunState {
  if (isEvent(event, 'run.created')) {
    return { ...NOTHING_KNOWN, status: 'queued', replaySeq: event.replay_seq }
  }
  if (isEvent(event, 'worker.received')) {
    return { ...state, status: 'running', attempt: event.attempt, nextRetryAtMs: null }
  }
  if (isEvent(event, 'run.attempt_failed')) {
    return { ...state, error: event.error, maxAttempts: event.max_attempts || state.maxAttempts }
  }
  if (isEvent(event, 'run.retry_scheduled')) {
    const maxAttempts = event.max_attempts || state.maxAttempts
    return { ...state, status: 'retrying', nextRetryAtMs: event.at_ms, maxAttempts }
  }
  if (isEvent(event, 'run.failed')) {
    return { ...state, status: 'failed', error: event.error, nextRetryAtMs: null }
  }
  if (isEvent(event, 'run.succeeded')) {
    return { ...state, status: 'succeeded', error: null, result: event.result ?? null, nextRetryAtMs: null }
  }
  if (isEvent(event, 'run.cancelled')) return { ...state, status: 'cancelled', nextRetryAtMs: null }
  if (isEvent(event, 'run.replay_requested')) {
    const { maxAttempts } = state
    return { ...NOTHING_KNOWN, status: 'queued', replaySeq: event.replay_seq, maxAttempts }
  }
  return state
}

/** Whether an event changes what the run's record says, so that it is worth reading again. */
export function isTurn(event: RunEvent): boolean {
  return TURNS.has(event.type)
}

const TURNS: ReadonlySet<string> = new Set([
  'run.failed',
  'run.succeeded',
  'run.cancelled',
  'run.replay_requested',
])
