/**
 * Calls about runs: start, look, follow, replay, cancel; and what a worker writes.
 */

import { DriftQError } from '../errors.js'
import type { CallOptions, OptionsOf, QueryOf } from '../options.js'
import { freshKey } from '../retry.js'
import { type StartFields, startBody } from '../run-body.js'
import { type SubscribeOptions, subscribeOver } from '../subscribe.js'
import { path } from '../transport.js'
import type {
  Appended,
  Cancelled,
  CancelRunRequest,
  EventPage,
  NewEvent,
  Replayed,
  ReplayRequest,
  Run,
  RunAttemptPage,
  RunCreated,
  RunDeadLetter,
  RunDiff,
  RunEvent,
  RunPage,
  RunStatus,
  RunSummary,
  RunToken,
  Step,
  StoredStep,
} from '../wire.js'
import { MessageCalls } from './messages.js'

/** What may be said beside a run's workflow and input. */
export type CreateRunOptions = Omit<StartFields, 'workflow' | 'input' | 'extra'> & CallOptions

/** How long one question may wait at the server; a longer wait asks again. */
const WAIT_MS_MAX = 30_000

const ENDS: ReadonlySet<RunStatus> = new Set<RunStatus>(['succeeded', 'failed', 'cancelled'])

/** Runs. */
export class RunCalls extends MessageCalls {
  /** Starts a run, once: without a key of yours it gets one, so a repeat starts nothing twice. */
  createRun(workflow: string, input?: unknown, options: CreateRunOptions = {}): Promise<RunCreated> {
    const { signal, ...rest } = options
    const body = startBody({ idempotencyKey: freshKey(), ...rest, workflow, input })
    return this.transport.send({ method: 'POST', path: '/runs', body, repeatable: true, signal })
  }

  /** A page of runs, newest first. */
  listRuns(options: QueryOf<'list_runs'> = {}): Promise<RunPage> {
    return this.get('/runs', options)
  }

  /** All runs, newest first, a page at a time. */
  async *iterRuns(options: Omit<QueryOf<'list_runs'>, 'cursor'> = {}): AsyncGenerator<RunSummary, void, void> {
    let cursor: string | undefined
    do {
      const page = await this.listRuns({ ...options, cursor })
      yield* page.runs
      cursor = page.next_cursor ?? undefined
    } while (cursor !== undefined)
  }

  /** A run with its input, steps and replays. */
  getRun(runId: string, options: CallOptions = {}): Promise<Run> {
    return this.get(path`/runs/${runId}`, options)
  }

  /** A run once it has ended, or as it is after `waitMs` milliseconds (for ever unless given). */
  async waitRun(
    runId: string,
    options: { readonly waitMs?: number | undefined } & CallOptions = {},
  ): Promise<Run> {
    const { waitMs = Number.POSITIVE_INFINITY, signal } = options
    const until = Date.now() + waitMs
    for (;;) {
      const left = Math.min(Math.max(0, until - Date.now()), WAIT_MS_MAX)
      const more = { patienceMs: left }
      const run = await this.get<Run>(path`/runs/${runId}`, { waitMs: Math.ceil(left), signal }, more)
      if (ENDS.has(run.status) || Date.now() >= until) return run
    }
  }

  /**
   * What a run's workflow returned, once it has.
   *
   * @throws DriftQError `RUN_FAILED` or `RUN_CANCELLED`, `RUN_TIMEOUT` after `waitMs` milliseconds.
   */
  async runResult<Result = unknown>(
    runId: string,
    options: { readonly waitMs?: number | undefined } & CallOptions = {},
  ): Promise<Result> {
    const run = await this.waitRun(runId, options)
    if (run.status === 'succeeded') return (run.result ?? null) as Result
    const body = { ...run }
    if (run.status === 'failed') {
      const why = run.error == null ? '' : `: ${run.error.message}`
      throw new DriftQError('RUN_FAILED', `run ${runId} failed after ${run.attempts} attempts${why}`, { body })
    }
    if (run.status === 'cancelled') throw new DriftQError('RUN_CANCELLED', `run ${runId} was cancelled`, { body })
    throw new DriftQError('RUN_TIMEOUT', `run ${runId} is ${run.status} after ${options.waitMs} ms`, { body })
  }

  /** Runs an ended run again; finished steps are kept unless said otherwise. */
  replayRun(runId: string, options: OptionsOf<ReplayRequest> = {}): Promise<Replayed> {
    return this.post(path`/runs/${runId}/replay`, options)
  }

  /** Ends a run. */
  cancelRun(runId: string, options: OptionsOf<CancelRunRequest> = {}): Promise<Cancelled> {
    return this.post(path`/runs/${runId}/cancel`, options)
  }

  /** A page of a run's timeline: what comes after an event's number. */
  runEvents(
    runId: string,
    options: Pick<QueryOf<'read_events'>, 'after' | 'limit' | 'cursor' | 'signal'> = {},
  ): Promise<EventPage> {
    return this.get(path`/runs/${runId}/events`, options, { headers: { accept: 'application/json' } })
  }

  /** A run's timeline as it grows, over broken connections, without a gap or a double. */
  subscribeRun(runId: string, options: SubscribeOptions = {}): AsyncGenerator<RunEvent, void, void> {
    return subscribeOver(this.transport, runId, options)
  }

  /** Writes events to a timeline. After a lost answer it is not repeated: they might come twice. */
  appendEvents(
    runId: string,
    events: readonly NewEvent[],
    options: { readonly leaseId?: string | undefined } & CallOptions = {},
  ): Promise<Appended> {
    return this.post(path`/runs/${runId}/events`, { ...options, events })
  }

  /** Stores a step's output, once: a second one answers what is stored. */
  putStep(
    runId: string,
    step: string,
    output: unknown,
    options: {
      readonly leaseId?: string | undefined
      readonly durationMs?: number | undefined
    } & CallOptions = {},
  ): Promise<StoredStep> {
    return this.put(path`/runs/${runId}/steps/${step}`, { ...options, output })
  }

  /** The finished steps. */
  async runSteps(runId: string, options: CallOptions = {}): Promise<readonly Step[]> {
    const { steps } = await this.get<{ readonly steps: readonly Step[] }>(path`/runs/${runId}/steps`, options)
    return steps
  }

  /** The dead letter of a run, its newest unless a replay is named. */
  runDlq(runId: string, options: QueryOf<'show_run_dead_letter'> = {}): Promise<RunDeadLetter> {
    return this.get(path`/runs/${runId}/dlq`, options)
  }

  /** The attempts over all replays. */
  runAttempts(runId: string, options: QueryOf<'list_attempts'> = {}): Promise<RunAttemptPage> {
    return this.get(path`/runs/${runId}/attempts`, options)
  }

  /** What changed between two attempts; `0.2` is attempt 2 of replay 0. */
  diffRun(runId: string, options: QueryOf<'diff_attempts'> = {}): Promise<RunDiff> {
    return this.get(path`/runs/${runId}/diff`, options)
  }

  /** A token for a browser that reads this run and nothing else. */
  createRunToken(
    runId: string,
    options: { readonly ttlMs?: number | undefined } & CallOptions = {},
  ): Promise<RunToken> {
    return this.post(path`/runs/${runId}/token`, options, { repeatable: true })
  }
}
