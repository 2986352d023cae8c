/** Timelines for the tests, told as one would tell them: `at 0 run.created`, `at 10 worker.received 1`. */

import type { RunEvent } from '@/lib/driftq'

/** The zero of the stories, epoch milliseconds. */
export const BEGAN_AT_MS = 1_700_000_000_000

/** An event as a story tells it. */
export type Told = readonly [atMs: number, type: string, fields?: Readonly<Record<string, unknown>>]

/** Events of one replay, numbered on from `seq`; `attempt` is 1 unless a field says otherwise. */
export function story(told: readonly Told[], from: { seq?: number; replay?: number } = {}): RunEvent[] {
  const { seq = 1, replay = 0 } = from
  return told.map(([atMs, type, fields], index) => ({
    seq: seq + index,
    ts: BEGAN_AT_MS + atMs,
    type,
    run_id: 'run_1',
    replay_seq: replay,
    attempt: type === 'run.created' || type === 'run.replay_requested' ? 0 : 1,
    ...fields,
  }))
}

const error = { message: 'the tool did not answer', type: 'TimeoutError' }

/** Two attempts of two, a dead letter: 14 events. */
export const FAILED = story([
  [0, 'run.created', { workflow: 'demo' }],
  [10, 'worker.received', { owner: 'worker-1' }],
  [20, 'step.started', { step: 'fetch' }],
  [120, 'step.completed', { step: 'fetch', duration_ms: 100 }],
  [130, 'step.started', { step: 'tool' }],
  [330, 'step.failed', { step: 'tool', duration_ms: 200, error }],
  [340, 'run.attempt_failed', { reason: 'error', error, max_attempts: 2 }],
  [
    340,
    'run.retry_scheduled',
    { at_ms: BEGAN_AT_MS + 1_340, delay_ms: 1_000, next_attempt: 2, max_attempts: 2 },
  ],
  [1_340, 'worker.received', { owner: 'worker-2', attempt: 2 }],
  [1_350, 'step.started', { step: 'tool', attempt: 2 }],
  [1_550, 'step.failed', { step: 'tool', duration_ms: 200, error, attempt: 2 }],
  [1_560, 'run.attempt_failed', { reason: 'error', error, max_attempts: 2, attempt: 2 }],
  [1_560, 'run.dlq', { reason: 'max_attempts', error, attempt: 2 }],
  [1_560, 'run.failed', { error, attempt: 2 }],
])

/** `FAILED`, and its replay with the fix, which succeeds. */
export const REPLAYED = [
  ...FAILED,
  ...story(
    [
      [9_000, 'run.replay_requested', { changed: ['fail_at'] }],
      [9_010, 'worker.received', { owner: 'worker-1' }],
      [9_020, 'step.started', { step: 'tool' }],
      [9_220, 'step.completed', { step: 'tool', duration_ms: 200 }],
      [9_230, 'run.succeeded', { result: { words: 3 } }],
    ],
    { seq: FAILED.length + 1, replay: 1 },
  ),
]
