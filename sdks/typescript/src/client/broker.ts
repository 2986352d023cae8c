/**
 * Calls about the broker itself: is it well, what is it, what has it done.
 */

import type { CallOptions, QueryOf } from '../options.js'
import type { Clock, Explanation, Health, Readiness, Stats, Version } from '../wire.js'
import { Sender } from './sender.js'

/** The broker itself. */
export class BrokerCalls extends Sender {
  /** Whether it answers at all. */
  health(options: CallOptions = {}): Promise<Health> {
    return this.get('/healthz', options)
  }

  /** Whether its process lives. */
  live(options: CallOptions = {}): Promise<Health> {
    return this.get('/livez', options)
  }

  /**
   * Whether it takes work.
   *
   * @throws DriftQError `UNAVAILABLE` while it recovers, drains, or its disk is full.
   */
  ready(options: CallOptions = {}): Promise<Readiness> {
    return this.get('/readyz', options)
  }

  /** Its version, and whether it keeps what it is told. */
  version(options: CallOptions = {}): Promise<Version> {
    return this.get('/version', options)
  }

  /** Counters for people and consoles. */
  stats(options: CallOptions = {}): Promise<Stats> {
    return this.get('/stats', options)
  }

  /** The text for Prometheus. */
  async metrics(options: CallOptions = {}): Promise<string> {
    // The one path that is not under `/v1`.
    const response = await this.transport.answer({ method: 'GET', path: '/../metrics', signal: options.signal })
    return response.text()
  }

  /** The OpenAPI document of this very server. */
  openapi(options: CallOptions = {}): Promise<Record<string, unknown>> {
    return this.get('/openapi.json', options)
  }

  /** The clock of a server that was started with `--dev-clock`. */
  clock(options: CallOptions = {}): Promise<Clock> {
    return this.get('/dev/clock', options)
  }

  /** Moves the clock of a server that was started with `--dev-clock`. */
  advanceClock(advanceMs: number, options: CallOptions = {}): Promise<Clock> {
    return this.post('/dev/clock', { ...options, advanceMs })
  }

  /** Why a message or a run is not running, in one sentence and as a code. */
  explain(of: QueryOf<'explain'>): Promise<Explanation> {
    return this.get('/explain', of)
  }
}
