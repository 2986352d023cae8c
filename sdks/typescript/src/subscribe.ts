/**
 * `for await (const event of subscribeRun(runId, { baseUrl }))`: a run's timeline without a gap or a double.
 */

import type { DriftQError } from './errors.js'
import { followRun } from './run-stream.js'
import { type HeadersSource, Transport } from './transport.js'
import type { RunEvent, TimelineReset } from './wire.js'

/** How a timeline is followed. */
export interface SubscribeOptions {
  /** What comes after this event; 0, the whole timeline, unless given. */
  readonly after?: number | undefined
  /** Ends the iteration with the run. Without it, it goes on: a replay may follow. */
  readonly until?: 'terminal' | undefined
  /** Ends the iteration; the loop is left as by `break`. */
  readonly signal?: AbortSignal | undefined
  /** Called when retention removed what came before `first_seq`; the iteration goes on there. */
  readonly onReset?: ((reset: TimelineReset) => void) | undefined
  /** Called when the stream is connected, and again after each cut. */
  readonly onOpen?: (() => void) | undefined
  /** Called when the stream was cut; it is found again by itself at `retryAtMs` (epoch milliseconds). */
  readonly onCut?: ((error: DriftQError, retryAtMs: number) => void) | undefined
  /** After so much silence the connection counts as dead, milliseconds; 45,000 unless given. */
  readonly silenceMs?: number | undefined
}

/** Where `subscribeRun` finds the API, and how it asks. */
export interface SubscribeRunOptions extends SubscribeOptions {
  /** driftqd's `/v1` (`http://127.0.0.1:8080/v1`) or an app's router (`/api`). */
  readonly baseUrl: string
  readonly headers?: HeadersSource | undefined
  readonly credentials?: RequestCredentials | undefined
  readonly fetch?: typeof globalThis.fetch | undefined
}

/**
 * Follows a run's timeline, over broken connections and restarts of the broker.
 *
 * @throws DriftQError when a repeat cannot help: `NOT_FOUND`, `EXPIRED`, `UNAUTHENTICATED` …
 */
export function subscribeRun(runId: string, options: SubscribeRunOptions): AsyncGenerator<RunEvent, void, void> {
  return subscribeOver(new Transport(options), runId, options)
}

/** As `subscribeRun`, over a transport that is there already. */
export async function* subscribeOver(
  transport: Transport,
  runId: string,
  options: SubscribeOptions,
): AsyncGenerator<RunEvent, void, void> {
  const left = new AbortController()
  const signal = options.signal === undefined ? left.signal : AbortSignal.any([options.signal, left.signal])
  const { after = 0, until, silenceMs } = options
  try {
    for await (const news of followRun({ transport, runId, after, until, silenceMs, signal })) {
      switch (news.kind) {
        case 'events':
          yield* news.events
          break
        case 'reset':
          options.onReset?.(news.reset)
          break
        case 'open':
          options.onOpen?.()
          break
        case 'cut':
          options.onCut?.(news.error, news.retryAtMs)
          break
        case 'away':
          options.onCut?.(news.error, Date.now())
          break
      }
    }
  } finally {
    left.abort()
  }
}
