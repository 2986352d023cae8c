/**
 * An error as the broker stores it: bounded, and readable for whoever opens the dead letter.
 */

import type { Failure } from '../wire.js'

const MESSAGE_CHARS_MAX = 4_000
const STACK_CHARS_MAX = 8_000

/** Anything that was thrown. */
export function describe(thrown: unknown): Failure {
  if (!(thrown instanceof Error)) return { message: String(thrown).slice(0, MESSAGE_CHARS_MAX) || 'no message' }
  const message = (thrown.message || thrown.name).slice(0, MESSAGE_CHARS_MAX)
  const type = thrown.name === 'Error' ? thrown.constructor.name : thrown.name
  if (thrown.stack === undefined) return { message, type }
  return { message, type, stack: thrown.stack.slice(0, STACK_CHARS_MAX) }
}
