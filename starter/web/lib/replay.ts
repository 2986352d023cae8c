/** What a replay sends for a wanted input, and what becomes of the finished steps. Pure. */

import { mergePatch } from '@/lib/diff'
import type { ReplayOptions } from '@/lib/driftq'

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
