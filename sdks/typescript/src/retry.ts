/**
 * When and how soon a request is repeated: full jitter, and the broker's own word first.
 *
 * Pure arithmetic but for the random number; nothing here sleeps, only `sleep` does.
 */

import type { DriftQError } from './errors.js'

/** How often a request is sent, and how long it waits in between. All times in milliseconds. */
export interface RetryOptions {
  /** How often at most, the first try included; 1 turns repeats off. 4 unless given. */
  readonly maxTries?: number
  /** The longest first wait; it doubles with each failure. 100 unless given. */
  readonly baseMs?: number
  /** The longest wait. 5,000 unless given. */
  readonly capMs?: number
  /** A longer `Retry-After` than this is the caller's to obey. 30,000 unless given. */
  readonly retryAfterMsMax?: number
}

/** `RetryOptions` with nothing left out. */
export type RetryPlan = Required<RetryOptions>

/** What holds unless said otherwise. */
export const RETRY_DEFAULTS: RetryPlan = { maxTries: 4, baseMs: 100, capMs: 5_000, retryAfterMsMax: 30_000 }

/** A wait between 0 and `baseMs` doubled for each failure (from 1), at most `capMs`. */
export function backoffMs(failures: number, plan: Pick<RetryPlan, 'baseMs' | 'capMs'>): number {
  return Math.random() * Math.min(plan.capMs, plan.baseMs * 2 ** Math.min(failures - 1, 30))
}

/** Milliseconds until the next try after so many failures, or null: give up. */
export function nextTryMs(error: DriftQError, failures: number, plan: RetryPlan): number | null {
  if (!error.retryable || failures >= plan.maxTries) return null
  if (error.retryAfterMs === undefined) return backoffMs(failures, plan)
  if (error.retryAfterMs > plan.retryAfterMsMax) return null
  // Never earlier than asked; the jitter on top keeps a crowd from coming back as one.
  return error.retryAfterMs + backoffMs(1, plan)
}

/** Waits, or rejects with the signal's reason. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const end = (): void => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }
    const timer = setTimeout(end, ms)
    const stop = (): void => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    signal?.addEventListener('abort', stop, { once: true })
  })
}

/** A fresh idempotency key: 128 random bits. Also where `crypto.randomUUID` is missing (plain http on a LAN). */
export function freshKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
