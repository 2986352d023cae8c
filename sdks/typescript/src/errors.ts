/**
 * Every error of this package: one class, told apart by `code`.
 *
 * Whether a repeat can help is `retryable`, never the text of a message. `DriftQError.is` also knows an error
 * of another copy of this package.
 */

import type { ErrorCode } from './wire.js'

/**
 * What went wrong: a code of the broker, or one of ours.
 *
 * `UNREACHABLE`: nothing answers at the URL. `CONNECTION_LOST`: the request was sent, its outcome is unknown.
 * `TIMEOUT`: no answer in time. `UNEXPECTED_ANSWER`: something answered, but not as a broker does.
 * `LEASE_LOST`: the message belongs to another worker, or its run was cancelled. `RUN_FAILED`,
 * `RUN_CANCELLED`, `RUN_TIMEOUT`: `waitForResult` had none to give.
 */
export type DriftQErrorCode =
  | ErrorCode
  | 'UNREACHABLE'
  | 'CONNECTION_LOST'
  | 'TIMEOUT'
  | 'UNEXPECTED_ANSWER'
  | 'LEASE_LOST'
  | 'RUN_FAILED'
  | 'RUN_CANCELLED'
  | 'RUN_TIMEOUT'

/** What an error is made of, beside its code and message. */
export interface DriftQErrorDetails {
  /** The HTTP status, when there was an answer. */
  readonly status?: number
  readonly retryable?: boolean
  /** What the broker adds to its code, such as `cancelled` or `overloaded`. */
  readonly reason?: string
  /** How long to wait before a repeat, milliseconds. */
  readonly retryAfterMs?: number
  readonly requestId?: string
  /** The answer's JSON. */
  readonly body?: Readonly<Record<string, unknown>>
  readonly cause?: unknown
}

const MARK = Symbol.for('driftq.error')

/** The one error class of this package. */
export class DriftQError extends Error {
  override readonly name: string = 'DriftQError'
  readonly code: DriftQErrorCode
  /** The HTTP status; undefined when nothing answered. */
  readonly status: number | undefined
  /** Whether the same request may succeed later. */
  readonly retryable: boolean
  readonly reason: string | undefined
  /** How long to wait before a repeat, milliseconds, when the broker said so. */
  readonly retryAfterMs: number | undefined
  readonly requestId: string | undefined
  /** The answer's JSON; empty when there was none. */
  readonly body: Readonly<Record<string, unknown>>

  constructor(code: DriftQErrorCode, message: string, details: DriftQErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    Object.defineProperty(this, MARK, { value: true })
    this.code = code
    this.status = details.status
    this.retryable = details.retryable ?? false
    this.reason = details.reason
    this.retryAfterMs = details.retryAfterMs
    this.requestId = details.requestId
    this.body = details.body ?? {}
  }

  /** Whether a value is an error of this package, also of another copy of it; with a code: this one. */
  static is(error: unknown, code?: DriftQErrorCode): error is DriftQError {
    if (!(error instanceof Error) || !Reflect.has(error, MARK)) return false
    return code === undefined || Reflect.get(error, 'code') === code
  }
}
