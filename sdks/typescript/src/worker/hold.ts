/**
 * A message in our hands, until it is settled or lost.
 *
 * Promises: its lease is renewed for as long as it is held; when the broker says that it is not ours any more,
 * `signal` is aborted and nothing is sent about it again; the broker may restart at any time.
 */

import type { Client } from '../client/client.js'
import { DriftQError } from '../errors.js'
import { backoffMs, sleep } from '../retry.js'
import type { Message } from '../wire.js'

/** A lease is renewed when a third of it is gone: two renewals may fail before it is over. */
const RENEWALS_PER_LEASE = 3

/** While the broker is away, how often it is asked. */
export const AWAY = { baseMs: 100, capMs: 2_000 }

/** What the broker answers about a lease that is not ours, or about a message that is gone. */
const LOST: ReadonlySet<string> = new Set(['FAILED_PRECONDITION', 'INVALID_ARGUMENT', 'NOT_FOUND', 'EXPIRED'])

/** One message in our hands. */
export class Hold {
  readonly #ended = new AbortController()
  readonly #released = new AbortController()
  #lost: string | null = null

  constructor(
    readonly message: Message,
    private readonly client: Client,
    private readonly leaseMs: number,
  ) {}

  /** Aborted when the work on the message is worth nothing any more: it is lost, or the worker stops now. */
  get signal(): AbortSignal {
    return this.#ended.signal
  }

  /** Why it is not ours any more; null while it is. */
  get lost(): string | null {
    return this.#lost
  }

  /** Renews the lease until `release`. */
  async keep(): Promise<void> {
    const { signal } = this.#released
    const everyMs = this.leaseMs / RENEWALS_PER_LEASE
    const quick = this.client.with({ timeoutMs: Math.min(Math.max(200, everyMs), 10_000), retry: { maxTries: 1 } })
    let failures = 0
    let waitMs = everyMs
    while (!signal.aborted && this.#lost === null) {
      try {
        await sleep(waitMs, signal)
        await quick.extend(this.message, this.leaseMs, { signal })
        failures = 0
        waitMs = everyMs
      } catch (error) {
        if (signal.aborted) return
        if (DriftQError.is(error) && LOST.has(error.code)) return this.lose(error.reason ?? error.message)
        // Nobody told us that it is lost, and the broker keeps leases over its restart.
        failures += 1
        waitMs = Math.min(everyMs, backoffMs(failures, AWAY))
      }
    }
  }

  /** Stops renewing: it is settled, or left to its end. */
  release(): void {
    this.#released.abort()
  }

  /** It is not ours any more. */
  lose(reason: string): void {
    if (this.#lost !== null) return
    this.#lost = reason
    this.#ended.abort(leaseLost(reason))
  }

  /** It is ours, but the worker stops now. */
  interrupt(): void {
    this.#ended.abort(new DriftQError('LEASE_LOST', 'the worker stops before the handler has ended'))
  }

  /**
   * Sends until the broker has answered, over its restarts, or the message is left to its lease's end.
   *
   * @throws DriftQError `LEASE_LOST` when the broker says that the message is not ours.
   */
  async insist<T>(send: () => Promise<T>): Promise<T> {
    for (let failures = 1; ; failures += 1) {
      if (this.#lost !== null) throw leaseLost(this.#lost)
      try {
        return await send()
      } catch (error) {
        if (DriftQError.is(error, 'FAILED_PRECONDITION')) {
          const reason = error.reason ?? error.message
          this.lose(reason)
          throw leaseLost(reason)
        }
        if (!DriftQError.is(error) || !error.retryable) throw error
      }
      // An interrupt does not end this: what an attempt came to must be heard. The heartbeat keeps the lease.
      await sleep(backoffMs(failures, AWAY), this.#released.signal)
    }
  }
}

function leaseLost(reason: string): DriftQError {
  return new DriftQError('LEASE_LOST', `the lease is lost: ${reason}`, { reason })
}
