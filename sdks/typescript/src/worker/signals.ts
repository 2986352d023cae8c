/**
 * What a handler throws to say more than "this attempt failed".
 */

/** This attempt failed; the next one begins after `afterMs` milliseconds, whatever the policy says. */
export class RetryAfter extends Error {
  override readonly name: string = 'RetryAfter'
  readonly afterMs: number

  /** @throws RangeError for a time below 0. */
  constructor(afterMs: number, message = `try again after ${afterMs} ms`, options?: ErrorOptions) {
    super(message, options)
    if (!(afterMs >= 0)) throw new RangeError(`afterMs must be 0 or more: ${afterMs}`)
    this.afterMs = afterMs
  }
}

/** No further attempt can help: the message is dead-lettered now. */
export class NonRetryable extends Error {
  override readonly name: string = 'NonRetryable'
}
