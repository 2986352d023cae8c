/**
 * The bodies of calls that both the client and the hooks make, from our names to the wire's.
 */

import type { RetryPolicy } from './wire.js'

/** What a run is started with; a field that is left out is left to the broker or the app. */
export interface StartFields {
  readonly workflow?: string | undefined
  readonly input?: unknown
  readonly runId?: string | undefined
  readonly idempotencyKey?: string | undefined
  readonly idempotencyFingerprint?: string | undefined
  readonly tenantId?: string | undefined
  readonly topic?: string | undefined
  readonly group?: string | undefined
  readonly retryPolicy?: RetryPolicy | undefined
  readonly deliverAtMs?: number | undefined
  readonly tags?: readonly string[] | undefined
  readonly extra?: Readonly<Record<string, unknown>> | undefined
}

/** The body of `POST /runs`. */
export function startBody(fields: StartFields): Record<string, unknown> {
  const { extra, ...known } = fields
  return { ...snakeCase(known), ...extra }
}

/** Nested objects that are ours, so their members are renamed as well. All others are the user's. */
const OURS: ReadonlySet<string> = new Set(['retryPolicy', 'retention', 'filter'])

/** Names as the wire has them, without what is undefined: `{ waitMs: 5 }` → `{ wait_ms: 5 }`. */
export function snakeCase(options: object): Record<string, unknown> {
  const fields: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue
    const isOurs = OURS.has(name) && typeof value === 'object' && value !== null
    fields[name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)] = isOurs ? snakeCase(value) : value
  }
  return fields
}
