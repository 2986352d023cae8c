/**
 * The script of the two-minute demo: which of its four steps are done, which is next, and what to press.
 *
 * Derived from a run's timeline alone, so a reload or a second tab tells the same.
 */

import { countdown } from '@/lib/time'
import { type Group, isTerminal, type StepRow, type Timeline } from '@/lib/timeline'

export interface DemoStep {
  readonly name: string
  readonly state: 'done' | 'now' | 'next'
  readonly says: string
}

export interface Demo {
  readonly steps: readonly [DemoStep, DemoStep, DemoStep, DemoStep]
  /** When the demo ended, epoch milliseconds; null while it goes on. */
  readonly endedAtMs: number | null
}

const NAMES = ['Forced failure', 'Dead letter stored', 'Replay with the fix', 'Success'] as const

/** Where the demo stands; `hasRun` is false on the start page. */
export function demoScript(timeline: Timeline, hasRun: boolean, nowMs: number): Demo {
  const first = timeline.groups[0]
  const newest = timeline.groups.at(-1)
  const failed = timeline.groups.findLast((group) => group.hasDeadLetter)
  if (!hasRun || first === undefined || newest === undefined) {
    return script(hasRun ? 'Waiting for its first event' : 'Press Start run', 0)
  }
  if (failed === undefined) {
    return isTerminal(newest.status) ? unforced(newest) : script(attemptSays(newest, nowMs), 0)
  }
  const done = [failureSays(failed), 'Payload and error are kept']
  const isFixed = newest.replaySeq > failed.replaySeq
  if (!isFixed) return script('Press Replay (fix applied)', 2, done)
  if (newest.status === 'cancelled')
    return script('The replay was cancelled. Press Replay (fix applied)', 2, done)
  if (newest.status !== 'succeeded') return script(attemptSays(newest, nowMs), 2, done)
  const change = newest.changed.length === 0 ? 'Sent as it was' : `Changed ${newest.changed.join(', ')}`
  return script('', 4, [...done, change, 'Same run, same link'], newest.endedAtMs)
}

function script(
  says: string,
  at: number,
  done: readonly string[] = [],
  endedAtMs: number | null = null,
): Demo {
  const waiting = [
    'Three attempts, then it gives up',
    'Payload and error are kept',
    'You press it',
    'Same run, same link',
  ]
  const step = (index: number): DemoStep => ({
    name: NAMES[index] as string,
    state: index < at ? 'done' : index === at ? 'now' : 'next',
    says: index < at ? (done[index] ?? '') : index === at ? says : (waiting[index] as string),
  })
  return { steps: [step(0), step(1), step(2), step(3)], endedAtMs }
}

/** A run that ended without a dead letter: the demo wants one that fails. */
function unforced(group: Group): Demo {
  return script(`This run ${group.status}. Start one that fails`, 0, [], group.endedAtMs)
}

function attemptSays(group: Group, nowMs: number): string {
  const attempt = group.attempts.at(-1)
  if (attempt === undefined) return 'Queued, a worker takes it next'
  if (group.status === 'retrying' && attempt.retry !== null) {
    return `Attempt ${attempt.retry.nextAttempt} in ${countdown(attempt.retry.atMs - nowMs)}`
  }
  if (attempt.state === 'running') return `Attempt ${attempt.number} is running`
  return `Attempt ${attempt.number} ${attempt.state}`
}

function failureSays(group: Group): string {
  const last = group.attempts.at(-1)
  const step = last?.rows.findLast((row): row is StepRow => row.kind === 'step' && row.state === 'failed')
  const tries = `${last?.number ?? group.attempts.length} of ${group.maxAttempts ?? group.attempts.length}`
  return `${step?.name ?? 'It'} failed ${tries} times`
}
