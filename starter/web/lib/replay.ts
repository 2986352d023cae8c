/** What a replay sends for a wanted input, and what becomes of the finished steps. Pure. */

import { mergePatch } from '@/lib/diff'
import type { ReplayOptions, RunDeadLetter, UseRun } from '@/lib/driftq'
import { groupName, isTerminal } from '@/lib/timeline'

/** The member of the demo's input that makes a step fail. */
export const SWITCH = 'fail_at'

export interface PlannedReplay {
  readonly options: ReplayOptions
  /** Whether finished steps are taken over; otherwise every step runs again. */
  readonly keepsSteps: boolean
}

/** The input without the switch that makes it fail; null when there is no switch to take away. */
export function fixedInput(input: unknown): Record<string, unknown> | null {
  if (typeof input !== 'object' || input === null || !(SWITCH in input)) return null
  return Object.fromEntries(Object.entries(input).filter(([name]) => name !== SWITCH))
}

/**
 * How to get from the run's input to the wanted one. The switch alone is a patch, so finished steps are kept;
 * another input may mean another result for every step, so all of them run again.
 */
export function planReplay(current: unknown, wanted: unknown): PlannedReplay {
  const patch = mergePatch(current, wanted)
  if (patch === null) return { options: { input: wanted }, keepsSteps: false }
  const changed = Object.keys(patch)
  if (changed.length === 0) return { options: {}, keepsSteps: true }
  const switched = patch[SWITCH]
  if (changed.join() === SWITCH && (switched === null || typeof switched === 'string')) {
    return { options: { failAt: switched }, keepsSteps: true }
  }
  return { options: { input: wanted }, keepsSteps: false }
}

/** The input with which a dead letter's run failed. */
export function letterInput(letter: RunDeadLetter): unknown {
  const command = letter.command
  return typeof command === 'object' && command !== null && 'input' in command ? command.input : undefined
}

/** Why nothing can be replayed now; null when it can. */
export function replayBar(run: UseRun): string | null {
  if (run.pending === 'replay') return 'The replay is on its way.'
  if (run.status === null) return 'The run is being read.'
  if (isTerminal(run.status)) return null
  return `${groupName(run.replaySeq)} is ${run.status}. Wait for it to end.`
}
