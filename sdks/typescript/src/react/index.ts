'use client'

/**
 * React hooks for runs: `useRun`, `useStartRun`, `useRuns`, `useDeadLetters`, and an unstyled `<RunTimeline>`.
 *
 * They speak to driftqd or to an app's router alike, hold at most one stream for each run, and none while the
 * page is hidden.
 */

export { DriftQError, type DriftQErrorCode } from '../errors.js'
export * from '../wire.js'
export { CLOSE_AFTER_MS, EVENTS_MAX, SHOWN_AFTER_MS } from './run-store.js'
export { describeEvent, RunTimeline, type RunTimelineProps } from './run-timeline.js'
export type * from './types.js'
export { useCountdown } from './use-countdown.js'
export { useDeadLetters } from './use-dead-letters.js'
export { DEFAULT_BASE_URL, useRun } from './use-run.js'
export { LIST_ITEMS_MAX, useRuns } from './use-runs.js'
export { useStartRun } from './use-start-run.js'
