/**
 * What a workflow gets: its input, its steps, and a voice on the run's timeline.
 *
 * A step's output is stored by the broker before the workflow sees it. So a retry does not run a finished step
 * again, and the first attempt and a later one see the very same value.
 */

import type { Client } from '../client/client.js'
import type { NewEvent, RunContext } from '../wire.js'
import { describe } from './describe.js'
import type { Hold } from './hold.js'
import { NonRetryable } from './signals.js'

/** One attempt at a run, handed to the function that `worker.workflow` was given. */
export class WorkflowRun<Input = unknown> {
  readonly #finished: Map<string, unknown>
  readonly #named = new Set<string>()
  #hasMoreSteps: boolean

  constructor(
    /** The workflow's name. */
    readonly workflow: string,
    /** What the run was started (or replayed) with, validated. */
    readonly input: Input,
    private readonly context: RunContext,
    private readonly hold: Hold,
    private readonly client: Client,
  ) {
    this.#finished = new Map(Object.entries(context.steps ?? {}))
    this.#hasMoreSteps = context.steps_more ?? false
  }

  /** The run's id. */
  get runId(): string {
    return this.context.run_id
  }

  /** Which try this is, from 1; it starts again with each replay. */
  get attempt(): number {
    return this.context.attempt
  }

  /** 0 for the first start, then one more for each replay. */
  get replaySeq(): number {
    return this.context.replay_seq
  }

  /** The same in every attempt of this start: hand it to services that take such a key. */
  get idempotencyKey(): string {
    return `${this.runId}:${this.replaySeq}`
  }

  /** Aborted when the run was cancelled, the lease is lost, or the worker stops now: hand it to `fetch`. */
  get signal(): AbortSignal {
    return this.hold.signal
  }

  /**
   * Runs `work` once for this run, or returns what it returned in an earlier attempt.
   *
   * What it returns must be JSON; undefined is stored as null.
   *
   * @throws NonRetryable when the name was used in this attempt already, or the output is not JSON.
   */
  async step<Output>(name: string, work: (signal: AbortSignal) => Output | Promise<Output>): Promise<Output> {
    if (this.#named.has(name)) {
      throw new NonRetryable(`step ${name} was already used in this attempt; every step needs its own name`)
    }
    this.#named.add(name)
    try {
      if (await this.#isFinished(name)) return this.#finished.get(name) as Output
      return await this.#firstTime(name, work)
    } catch (error) {
      // A workflow may catch this and try the step again.
      this.#named.delete(name)
      throw error
    }
  }

  /** Writes an event to the timeline: `await run.emit('invoice.sent', { number: 7 })`. */
  emit(type: string, fields: Readonly<Record<string, unknown>> = {}): Promise<void> {
    return this.#append({ ...fields, type })
  }

  /** Writes a line that people read to the timeline, as `run.log`. */
  log(message: string, fields: Readonly<Record<string, unknown>> = {}): Promise<void> {
    return this.#append({ level: 'info', ...fields, type: 'run.log', message })
  }

  /** Says how far this attempt is, 0 to 100, as `run.progress`. */
  progress(percent: number, message?: string): Promise<void> {
    return this.#append({ type: 'run.progress', percent, ...(message === undefined ? {} : { message }) })
  }

  async #append(event: NewEvent & Readonly<Record<string, unknown>>): Promise<void> {
    const leaseId = this.hold.message.lease_id
    await this.hold.insist(() => this.client.appendEvents(this.runId, [event], { leaseId }))
  }

  async #isFinished(name: string): Promise<boolean> {
    if (!this.#finished.has(name) && this.#hasMoreSteps) {
      const stored = await this.hold.insist(() => this.client.runSteps(this.runId))
      for (const { step, output } of stored) this.#finished.set(step, output)
      this.#hasMoreSteps = false
    }
    return this.#finished.has(name)
  }

  async #firstTime<Output>(
    name: string,
    work: (signal: AbortSignal) => Output | Promise<Output>,
  ): Promise<Output> {
    await this.#append({ type: 'step.started', step: name })
    const startedMs = performance.now()
    const sinceMs = (): number => Math.round(performance.now() - startedMs)
    let output: unknown
    try {
      output = asJson(await work(this.signal), `step ${name}`)
    } catch (error) {
      const { message, type } = describe(error)
      if (this.hold.lost === null) {
        const fields = { step: name, error: { message, type }, duration_ms: sinceMs() }
        await this.#append({ type: 'step.failed', ...fields })
      }
      throw error
    }
    const options = { leaseId: this.hold.message.lease_id, durationMs: sinceMs() }
    const stored = await this.hold.insist(() => this.client.putStep(this.runId, name, output, options))
    this.#finished.set(name, stored.output)
    return stored.output as Output
  }
}

/** A value that was returned, as JSON has it. @throws NonRetryable when JSON cannot carry it. */
export function asJson(value: unknown, who: string): unknown {
  if (value === undefined) return null
  try {
    const text = JSON.stringify(value)
    if (text !== undefined) return value
  } catch (cause) {
    throw new NonRetryable(`${who} returned what cannot be written as JSON: ${String(cause)}`, { cause })
  }
  throw new NonRetryable(`${who} returned a ${typeof value}, which cannot be written as JSON`)
}
