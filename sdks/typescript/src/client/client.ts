/**
 * `new Client()`: everything driftqd can do, a method for each of its operations.
 *
 * A client holds no connection of its own and needs no closing. Only what is retryable is repeated, and what
 * might have had an effect only if a second time does no harm.
 */

import { DeadLetterCalls } from './dead-letters.js'
import type { ClientOptions } from './sender.js'

/** The client of a driftqd. */
export class Client extends DeadLetterCalls {
  /** The same client with other manners: `client.with({ retry: { maxTries: 1 } })`. */
  with(options: Omit<ClientOptions, 'url'>): Client {
    return new Client({ ...this.options, ...options, url: this.url })
  }
}
