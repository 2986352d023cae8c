/**
 * Calls about dead letters: look, send through again, give up; one by one or as a job.
 */

import type { CallOptions, CamelOptions, OptionsOf, QueryOf } from '../options.js'
import { freshKey } from '../retry.js'
import { path } from '../transport.js'
import type {
  DeadLetter,
  DeadLetterDetail,
  DeadLetterDiff,
  DeadLetterPage,
  Discarded,
  FingerprintPage,
  RedriveDryRun,
  RedriveJob,
  RedriveJobFilter,
  RedriveJobPage,
  Redriven,
  RedriveRequest,
  StartRedriveJobRequest,
} from '../wire.js'
import { RunCalls } from './runs.js'

/** Where a dead letter lies; any object with these members will do, such as one of a list. */
export interface DeadLetterPlace {
  /** `dlq.…` */
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

/** A key of yours for what must happen once. */
interface Once {
  /** Made anew for each call unless given. */
  readonly idempotencyKey?: string | undefined
}

type Why = { readonly reason?: string | undefined } & CallOptions

/** Dead letters. */
export class DeadLetterCalls extends RunCalls {
  /** A page of open dead letters. With `q` a page may be empty and still have a `next_cursor`. */
  listDeadLetters(options: QueryOf<'list_dead_letters'> = {}): Promise<DeadLetterPage> {
    return this.get('/dlq', options)
  }

  /** All open dead letters, a page at a time. */
  async *iterDeadLetters(
    options: Omit<QueryOf<'list_dead_letters'>, 'cursor'> = {},
  ): AsyncGenerator<DeadLetter, void, void> {
    let cursor: string | undefined
    do {
      const page = await this.listDeadLetters({ ...options, cursor })
      yield* page.items
      cursor = page.next_cursor ?? undefined
    } while (cursor !== undefined)
  }

  /** Errors that differ only in numbers, ids and quoted parts: how often, since when. */
  listFingerprints(options: QueryOf<'list_fingerprints'> = {}): Promise<FingerprintPage> {
    return this.get('/dlq/fingerprints', options)
  }

  /** One dead letter with every attempt. */
  getDeadLetter(place: DeadLetterPlace, options: CallOptions = {}): Promise<DeadLetterDetail> {
    return this.get(at(place), options)
  }

  /** What changed between two of its attempts. */
  diffDeadLetter(place: DeadLetterPlace, options: QueryOf<'diff_dead_letter'> = {}): Promise<DeadLetterDiff> {
    return this.get(`${at(place)}/diff`, options)
  }

  /** Sends it through again, as it was or with another `value`. */
  redriveDeadLetter(place: DeadLetterPlace, options: OptionsOf<RedriveRequest> & Once = {}): Promise<Redriven> {
    const { idempotencyKey = freshKey(), ...rest } = options
    return this.post(`${at(place)}/redrive`, rest, keyed(idempotencyKey))
  }

  /** Gives it up. */
  discardDeadLetter(place: DeadLetterPlace, options: Why = {}): Promise<Discarded> {
    return this.post(`${at(place)}/discard`, options)
  }

  /** What a job with this filter would redrive. */
  previewRedrive(filter: CamelOptions<RedriveJobFilter>, options: CallOptions = {}): Promise<RedriveDryRun> {
    return this.post('/dlq/redrive', { ...options, filter, dryRun: true }, { repeatable: true })
  }

  /** Starts a job that the broker keeps: it survives a restart and moves nothing twice. */
  startRedrive(
    filter: CamelOptions<RedriveJobFilter>,
    options: OptionsOf<StartRedriveJobRequest, 'filter' | 'dry_run'> & Once = {},
  ): Promise<RedriveJob> {
    const { idempotencyKey = freshKey(), ...rest } = options
    return this.post('/dlq/redrive', { ...rest, filter }, keyed(idempotencyKey))
  }

  /** A page of jobs. */
  listRedriveJobs(options: QueryOf<'list_redrive_jobs'> = {}): Promise<RedriveJobPage> {
    return this.get('/dlq/jobs', options)
  }

  /** A job, after waiting up to `waitMs` milliseconds for its end. */
  getRedriveJob(jobId: string, options: QueryOf<'show_redrive_job'> = {}): Promise<RedriveJob> {
    return this.get(path`/dlq/jobs/${jobId}`, options, { patienceMs: options.waitMs ?? 0 })
  }

  /** Moves nothing until it is resumed. */
  pauseRedriveJob(jobId: string, options: Why = {}): Promise<RedriveJob> {
    return this.post(path`/dlq/jobs/${jobId}/pause`, options)
  }

  /** Goes on. */
  resumeRedriveJob(jobId: string, options: Why = {}): Promise<RedriveJob> {
    return this.post(path`/dlq/jobs/${jobId}/resume`, options)
  }

  /** Ends it; what is moved stays moved. */
  stopRedriveJob(jobId: string, options: Why = {}): Promise<RedriveJob> {
    return this.post(path`/dlq/jobs/${jobId}/stop`, options)
  }
}

function at({ topic, partition, offset }: DeadLetterPlace): string {
  return path`/dlq/${topic}/${partition}/${offset}`
}

function keyed(key: string): { readonly headers: Record<string, string>; readonly repeatable: true } {
  return { headers: { 'idempotency-key': key }, repeatable: true }
}
