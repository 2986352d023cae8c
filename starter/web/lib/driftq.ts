/**
 * The one door to `@driftq/client`: what the page uses of it, and nothing else.
 */

export type {
  AttemptRecord,
  DriftQError,
  Failure,
  Run,
  RunDeadLetter,
  RunEvent,
  RunStatus,
  RunSummary,
} from '@driftq/client'
export type {
  ConnectionState,
  ReplayOptions,
  Resumed,
  UseRun,
  UseRuns,
  UseStartRun,
} from '@driftq/client/react'
export { useRun, useRuns, useStartRun } from '@driftq/client/react'
