/** Which part of the stack is silent, told from an error. Pure. */

import type { DriftQError } from '@/lib/driftq'

/** Which part does not answer. */
export type Outage = 'api' | 'broker'

/** What our proxy says in `reason` when it cannot reach the API. */
export const API_UNREACHABLE = 'api_unreachable'

const NOBODY = new Set<string>(['UNREACHABLE', 'CONNECTION_LOST', 'TIMEOUT', 'UNEXPECTED_ANSWER'])

/** The outage behind an error; null when something answered and said no. */
export function outageOf(error: DriftQError | null): Outage | null {
  if (error === null) return null
  if (NOBODY.has(error.code) || error.reason === API_UNREACHABLE) return 'api'
  return error.code === 'UNAVAILABLE' ? 'broker' : null
}
