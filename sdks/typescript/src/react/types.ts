/**
 * What the hooks take and return.
 *
 * Wire objects (events, runs, dead letters) keep the wire's names; everything of our own is camel case.
 * All times are epoch milliseconds and end in `AtMs`.
 */

import type { DriftQError } from '../errors.js'
import type {
  Cancelled,
  DeadLetter,
  Failure,
  Replayed,
  RetryPolicy,
  Run,
  RunCreated,
  RunDeadLetter,
  RunEvent,
  RunStatus,
  RunSummary,
} from '../wire.js'

/**
 * The state of our stream, not of the run.
 *
 * `idle`: no run, or the page is hidden. `connecting`: the first connection. `live`: events arrive as they
 * happen. `reconnecting`: cut for more than a second, trying again. `lost`: given up, `problem` says why
 * (the run is gone, a token is missing); `reconnect()` tries once more.
 */
export type ConnectionState = 'idle' | 'connecting' | 'live' | 'reconnecting' | 'lost'

/** Where the hooks find the API, and how they ask it. */
export interface ApiOptions {
  /** driftqd's `/v1` (`http://127.0.0.1:8080/v1`) or an app's router (`/api`, the default). */
  readonly baseUrl?: string | undefined
  /** Sent with every request. A function is asked again for each one, so that a token may change. */
  readonly headers?: HeadersInit | (() => HeadersInit | Promise<HeadersInit>) | undefined
  /** As for `fetch`; say `include` for the cookies of another origin. */
  readonly credentials?: RequestCredentials | undefined
  /** Used instead of the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined
}

/** What a replay may change. Nothing: the same input, finished steps are kept. */
export interface ReplayOptions {
  /** Another input; no step is kept. */
  readonly input?: unknown
  /** A merge patch (RFC 7396) to the input; finished steps are kept. */
  readonly patch?: Readonly<Record<string, unknown>> | undefined
  /** This step, and all that finished after it, run again. */
  readonly fromStep?: string | undefined
  /** Every step runs again. */
  readonly fresh?: boolean | undefined
  /** Short for a patch of the input's `fail_at`, the switch of the starter's demo: null is "fixed". */
  readonly failAt?: string | null | undefined
}

/** A stream that came back: nothing was missed, as events are resumed by their number. */
export interface Resumed {
  /** When the stream was live again. */
  readonly atMs: number
  /** How long it was away, milliseconds. */
  readonly afterMs: number
  /** The last event before the cut: what is later came after it. */
  readonly lastSeq: number
}

/** What a run's timeline no longer holds. */
export interface TimelineGap {
  /** `trimmed`: retention removed older events. `ahead`: the broker lost its data. */
  readonly reason: 'trimmed' | 'ahead'
  /** The first event that is kept. */
  readonly firstSeq: number
}

/** What `useRun` returns. It is the same object until something changed. */
export interface UseRun<Result = unknown> {
  readonly runId: string | null
  /** The run's status; null until it is known. */
  readonly status: RunStatus | null
  readonly connection: ConnectionState
  /** The timeline, oldest first, without a gap or a double. The newest `EVENTS_MAX` (20,000) are kept. */
  readonly events: readonly RunEvent[]
  /** How many older events were dropped from `events` to stay within that bound. */
  readonly droppedEvents: number
  /** The number of the newest event; 0 before the first. */
  readonly lastSeq: number
  /** The attempt within the replay; 0 before the first delivery. */
  readonly attempt: number
  /** How many attempts the run has in all, when known. */
  readonly maxAttempts: number | null
  /** 0 for the first start, then one more for each replay. */
  readonly replaySeq: number
  /** When the next attempt begins, while `status` is `retrying`; otherwise null. */
  readonly nextRetryAtMs: number | null
  /** Why the newest attempt failed; null once the run succeeded or runs again after a replay. */
  readonly error: Failure | null
  /** What the workflow returned, once `status` is `succeeded`; otherwise null. */
  readonly result: Result | null
  /** The run's newest dead letter with its payload and attempts; fetched by itself when there is one. */
  readonly deadLetter: RunDeadLetter | null
  /** The run's record: workflow, input, steps, replays. Fetched at the start and at every turn of the run. */
  readonly info: Run | null

  /**
   * What is wrong with the stream; its message says what to do. Worth showing while `connection` is
   * `reconnecting` or `lost`: a cut that heals within a second sets it too.
   */
  readonly problem: DriftQError | null
  /** When the next try to connect begins, for a countdown; null while one is under way or none is needed. */
  readonly reconnectAtMs: number | null
  /** The newest return of the stream after a cut that was shown, for "Back after 3 s"; null before one. */
  readonly resumed: Resumed | null
  /** What retention removed before the first of `events`; null when nothing is missing. */
  readonly gap: TimelineGap | null
  /** Tries to connect now instead of at `reconnectAtMs`. */
  readonly reconnect: () => void

  /**
   * Runs an ended run again. Never throws, so it may stand in `onClick`: what went wrong is `actionError`,
   * and the answer is then undefined.
   */
  readonly replay: (options?: ReplayOptions) => Promise<Replayed | undefined>
  /** Ends the run. Never throws, as `replay`. */
  readonly cancel: () => Promise<Cancelled | undefined>
  /** Which action is under way. */
  readonly pending: 'replay' | 'cancel' | null
  /** Why the newest action was refused; null after the next one began. */
  readonly actionError: DriftQError | null
}

/** Options of `useRun`. */
export interface UseRunOptions extends ApiOptions {
  /** False keeps the stream open in a hidden tab. Otherwise it closes, and resumes when the tab is seen. */
  readonly pauseWhenHidden?: boolean | undefined
}

/** What `start` of `useStartRun` takes. */
export interface StartRunOptions {
  /** driftqd wants one; an app may have a default. */
  readonly workflow?: string | undefined
  readonly input?: unknown
  readonly runId?: string | undefined
  /** Made anew for each call of `start` unless given; a repeat of one key starts nothing twice. */
  readonly idempotencyKey?: string | undefined
  readonly retryPolicy?: RetryPolicy | undefined
  readonly deliverAtMs?: number | undefined
  readonly tags?: readonly string[] | undefined
  /** Members of your app's own beside these, sent as they are: `{ fail_at: 'tool_call' }`. */
  readonly extra?: Readonly<Record<string, unknown>> | undefined
}

/** What `useStartRun` returns. */
export interface UseStartRun {
  /** Starts a run. Never throws: what went wrong is `error`, and the answer is then undefined. */
  readonly start: (options?: StartRunOptions) => Promise<RunCreated | undefined>
  /** The id of the newest run that was started here; null before one. */
  readonly runId: string | null
  /** The answer to that start. */
  readonly run: RunCreated | null
  readonly pending: boolean
  readonly error: DriftQError | null
  /** Forgets the run and the error. */
  readonly reset: () => void
}

/** Options of `useRuns`. */
export interface UseRunsOptions extends ApiOptions {
  readonly status?: RunStatus | undefined
  readonly workflow?: string | undefined
  readonly tag?: string | undefined
  /** Runs a page, 1 to 1,000; 50 unless given. */
  readonly limit?: number | undefined
  /** How often the list is asked for while the page is seen, milliseconds; 5,000 unless given, 0: never. */
  readonly refreshMs?: number | undefined
}

/** What every list of ours has. Old data stays while `error` is set. */
export interface ListState {
  /** True until the first answer. */
  readonly loading: boolean
  /** Why the newest request failed; null once one succeeded. It goes on trying. */
  readonly error: DriftQError | null
  /** When the data was fetched; null before the first answer. */
  readonly updatedAtMs: number | null
  /** When it is asked for again while `error` is set; otherwise null. */
  readonly retryAtMs: number | null
  /** Asks now. */
  readonly refresh: () => void
}

/** What `useRuns` returns: newest first. */
export interface UseRuns extends ListState {
  readonly runs: readonly RunSummary[]
  readonly hasMore: boolean
  /** Fetches another page, at most `LIST_ITEMS_MAX` (1,000) runs in all. */
  readonly loadMore: () => void
}

/** Options of `useDeadLetters`. */
export interface UseDeadLettersOptions extends ApiOptions {
  /** The topic in which they failed. */
  readonly topic?: string | undefined
  readonly group?: string | undefined
  /** How many, 1 to 1,000; 20 unless given. */
  readonly limit?: number | undefined
  readonly refreshMs?: number | undefined
}

/** An open dead letter in a list: `DeadLetter` of the wire, whose `group` may be unknown to an app's router. */
export type DeadLetterItem = Omit<DeadLetter, 'group'> & { readonly group: string | null }

/** What `useDeadLetters` returns: those that are open, newest first. */
export interface UseDeadLetters extends ListState {
  readonly items: readonly DeadLetterItem[]
}
