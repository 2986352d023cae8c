/**
 * Events to the story that the page shows: groups (the first try, each replay), their attempts, their rows.
 *
 * Pure: the same events give the same timeline, in any number of tabs. Every event is in it exactly once; a step
 * is one row from its start on. Steps that an attempt did not run again are told as kept.
 */

import type { Failure, RunEvent, RunStatus } from '@/lib/driftq'

/** Where an attempt stands. */
export type AttemptState = 'running' | 'failed' | 'succeeded' | 'cancelled'

/** A step of an attempt: its start, and its end when there is one. */
export interface StepRow {
  readonly kind: 'step'
  readonly name: string
  readonly state: 'running' | 'completed' | 'failed' | 'stopped'
  readonly startedAtMs: number
  /** Milliseconds; null while it runs, or when its end was never told. */
  readonly durationMs: number | null
  readonly error: Failure | null
  readonly seq: number
  readonly events: readonly RunEvent[]
}

/** An event that stands for itself. */
export interface EventRow {
  readonly kind: 'event'
  readonly seq: number
  readonly event: RunEvent
}

/** A step whose result an attempt took over from an earlier one: no event tells of it. */
export interface KeptRow {
  readonly kind: 'kept'
  readonly name: string
  readonly from: string
  readonly durationMs: number | null
}

export type TimelineRow = StepRow | EventRow | KeptRow

/** The pause before another attempt. */
export interface Retry {
  readonly atMs: number
  readonly delayMs: number
  readonly nextAttempt: number
}

export interface Attempt {
  readonly replaySeq: number
  readonly number: number
  readonly state: AttemptState
  readonly owner: string
  readonly startedAtMs: number
  readonly endedAtMs: number | null
  readonly error: Failure | null
  readonly retry: Retry | null
  readonly rows: readonly TimelineRow[]
  /** What the attempt's header and the pause after it tell already; shown as rows when somebody searches. */
  readonly told: readonly RunEvent[]
  readonly lastSeq: number
}

export interface Group {
  readonly replaySeq: number
  readonly status: RunStatus
  readonly startedAtMs: number
  readonly endedAtMs: number | null
  /** Top-level members of the input that the replay changed. */
  readonly changed: readonly string[]
  readonly maxAttempts: number | null
  /** What happened before the first attempt. */
  readonly before: readonly EventRow[]
  readonly attempts: readonly Attempt[]
  readonly hasDeadLetter: boolean
}

export interface Timeline {
  /** The zero of relative times, epoch milliseconds; null while there is no event. */
  readonly beganAtMs: number | null
  readonly groups: readonly Group[]
  readonly lastSeq: number
}

const TERMINAL = new Set<RunStatus>(['succeeded', 'failed', 'cancelled'])

/** Whether a run has ended; only a replay moves it again. */
export function isTerminal(status: RunStatus | null): boolean {
  return status !== null && TERMINAL.has(status)
}

/** Groups a run's events; `events` are in order. `maxAttempts`: how many tries the run has, where no event says so. */
export function buildTimeline(events: readonly RunEvent[], maxAttempts: number | null = null): Timeline {
  const groups: GroupDraft[] = []
  const finished = new Map<string, Finished>()
  for (const event of events) {
    let group = groups.at(-1)
    if (group === undefined || group.replaySeq !== event.replay_seq) {
      group = new GroupDraft(event, group, finished, maxAttempts)
      groups.push(group)
    }
    group.take(event, finished)
  }
  return {
    beganAtMs: events[0]?.ts ?? null,
    groups: groups.map((group) => group.done()),
    lastSeq: events.at(-1)?.seq ?? 0,
  }
}

/** "First try", "Replay 1". */
export function groupName(replaySeq: number): string {
  return replaySeq === 0 ? 'First try' : `Replay ${replaySeq}`
}

/** A failure's short name: its type, otherwise its message. */
export function failureName(error: Failure | null): string {
  return error?.type ?? error?.message ?? 'failed'
}

/** The error of an event, when it has one. */
export function failureOf(event: RunEvent): Failure | null {
  const error = event.error
  if (typeof error !== 'object' || error === null || !('message' in error)) return null
  const { message, type, stack } = error as { message: unknown; type?: unknown; stack?: unknown }
  return {
    message: String(message),
    ...(typeof type === 'string' ? { type } : {}),
    ...(typeof stack === 'string' ? { stack } : {}),
  }
}

interface Finished {
  readonly replaySeq: number
  readonly attempt: number
  readonly durationMs: number | null
}

class GroupDraft {
  readonly replaySeq: number
  private status: RunStatus = 'queued'
  private readonly startedAtMs: number
  private endedAtMs: number | null = null
  private changed: readonly string[] = []
  private maxAttempts: number | null
  private readonly before: EventRow[] = []
  private readonly attempts: AttemptDraft[] = []
  private hasDeadLetter = false

  constructor(
    first: RunEvent,
    previous: GroupDraft | undefined,
    finished: Map<string, Finished>,
    maxAttempts: number | null,
  ) {
    this.replaySeq = first.replay_seq
    this.maxAttempts = maxAttempts ?? previous?.maxAttempts ?? null
    this.startedAtMs = first.ts
    if (first.type !== 'run.replay_requested') return
    this.changed = Array.isArray(first.changed) ? first.changed.map(String) : []
    forget(first, previous, finished)
  }

  /** The status of the group so far, for the group that follows. */
  get succeeded(): boolean {
    return this.status === 'succeeded'
  }

  take(event: RunEvent, finished: Map<string, Finished>): void {
    if (typeof event.max_attempts === 'number') this.maxAttempts = event.max_attempts
    if (event.source !== 'produce') this.turn(event)
    if (event.attempt === 0) {
      this.before.push({ kind: 'event', seq: event.seq, event })
      return
    }
    let attempt = this.attempts.findLast((known) => known.number === event.attempt)
    if (attempt === undefined) {
      attempt = new AttemptDraft(event, finished)
      this.attempts.push(attempt)
    }
    attempt.take(event, finished)
  }

  done(): Group {
    const newest = this.attempts.length - 1
    return {
      replaySeq: this.replaySeq,
      status: this.status,
      startedAtMs: this.startedAtMs,
      endedAtMs: this.endedAtMs,
      changed: this.changed,
      maxAttempts: this.maxAttempts,
      before: this.before,
      // An attempt that another one followed has ended, even if its end was trimmed from the timeline.
      attempts: this.attempts.map((attempt, index) =>
        attempt.done(index < newest || this.endedAtMs !== null),
      ),
      hasDeadLetter: this.hasDeadLetter,
    }
  }

  private turn(event: RunEvent): void {
    switch (event.type) {
      case 'worker.received':
        this.status = 'running'
        break
      case 'run.retry_scheduled':
        this.status = 'retrying'
        break
      case 'run.dlq':
        this.hasDeadLetter = true
        break
      case 'run.succeeded':
        this.end('succeeded', event)
        break
      case 'run.failed':
        this.end('failed', event)
        break
      case 'run.cancelled':
        this.end('cancelled', event)
        break
    }
  }

  private end(status: RunStatus, event: RunEvent): void {
    this.status = status
    this.endedAtMs = event.ts
  }
}

class AttemptDraft {
  readonly number: number
  private readonly replaySeq: number
  private state: AttemptState = 'running'
  private owner = ''
  private readonly startedAtMs: number
  private endedAtMs: number | null = null
  private error: Failure | null = null
  private retry: Retry | null = null
  private readonly rows: (StepDraft | EventRow)[] = []
  private readonly told: RunEvent[] = []
  private readonly running = new Map<string, StepDraft>()
  private readonly kept: Map<string, Finished>
  private lastSeq = 0
  private lastAtMs: number

  constructor(first: RunEvent, finished: ReadonlyMap<string, Finished>) {
    this.number = first.attempt
    this.replaySeq = first.replay_seq
    this.startedAtMs = first.ts
    this.lastAtMs = first.ts
    this.kept = new Map(finished)
  }

  take(event: RunEvent, finished: Map<string, Finished>): void {
    this.lastSeq = event.seq
    this.lastAtMs = event.ts
    if (event.type.startsWith('step.') && typeof event.step === 'string') {
      this.takeStep(event, event.step, finished)
      return
    }
    switch (event.source === 'produce' ? '' : event.type) {
      case 'run.attempt_failed':
        this.end('failed', event.ts)
        this.error = failureOf(event)
        this.told.push(event)
        return
      case 'run.retry_scheduled':
        this.retry = {
          atMs: Number(event.at_ms),
          delayMs: Number(event.delay_ms),
          nextAttempt: Number(event.next_attempt),
        }
        this.told.push(event)
        return
      case 'worker.received':
        this.owner = String(event.owner ?? '')
        break
      case 'run.succeeded':
        this.end('succeeded', event.ts)
        break
      case 'run.cancelled':
        this.end('cancelled', event.ts)
        break
    }
    this.rows.push({ kind: 'event', seq: event.seq, event })
  }

  done(isOver: boolean): Attempt {
    const over = isOver || this.endedAtMs !== null
    const rows: TimelineRow[] = []
    const kept = this.keptRows()
    for (const row of this.rows) {
      // Kept steps come where they would have run: before the first step that did.
      if (row instanceof StepDraft) {
        rows.push(...kept.splice(0), row.done(over))
      } else {
        rows.push(row)
      }
    }
    if (this.running.size === 0 && kept.length > 0) insertAfterStart(rows, kept)
    return {
      replaySeq: this.replaySeq,
      number: this.number,
      state: over && this.state === 'running' ? 'failed' : this.state,
      owner: this.owner,
      startedAtMs: this.startedAtMs,
      endedAtMs: this.endedAtMs ?? (over ? this.lastAtMs : null),
      error: this.error,
      retry: this.retry,
      rows,
      told: this.told,
      lastSeq: this.lastSeq,
    }
  }

  private takeStep(event: RunEvent, name: string, finished: Map<string, Finished>): void {
    this.kept.delete(name)
    if (event.type === 'step.started') {
      const step = new StepDraft(name, event)
      this.running.set(name, step)
      this.rows.push(step)
      return
    }
    let step = this.running.get(name)
    if (step === undefined) {
      // Its start was trimmed, or never told.
      step = new StepDraft(name, event)
      this.rows.push(step)
      if (event.type === 'step.output') this.running.set(name, step)
    } else {
      step.add(event)
    }
    if (event.type === 'step.output') return
    this.running.delete(name)
    if (event.type === 'step.completed') {
      finished.set(name, {
        replaySeq: event.replay_seq,
        attempt: event.attempt,
        durationMs: step.durationMs,
      })
    }
  }

  private keptRows(): KeptRow[] {
    return [...this.kept].map(([name, origin]) => ({
      kind: 'kept',
      name,
      from:
        origin.replaySeq === this.replaySeq
          ? `attempt ${origin.attempt}`
          : groupName(origin.replaySeq)
              .replace(/^First/, 'the first')
              .replace(/^Replay/, 'replay'),
      durationMs: origin.durationMs,
    }))
  }

  private end(state: AttemptState, atMs: number): void {
    this.state = state
    this.endedAtMs = atMs
  }
}

class StepDraft {
  readonly seq: number
  private readonly name: string
  private readonly events: RunEvent[]

  constructor(name: string, first: RunEvent) {
    this.name = name
    this.seq = first.seq
    this.events = [first]
  }

  add(event: RunEvent): void {
    this.events.push(event)
  }

  get durationMs(): number | null {
    const last = this.events.at(-1)
    const first = this.events[0]
    if (last === undefined || first === undefined) return null
    if (last.type !== 'step.completed' && last.type !== 'step.failed') return null
    return typeof last.duration_ms === 'number' ? last.duration_ms : last.ts - first.ts
  }

  done(isOver: boolean): StepRow {
    const last = this.events.at(-1) as RunEvent
    const first = this.events[0] as RunEvent
    const state =
      last.type === 'step.completed'
        ? 'completed'
        : last.type === 'step.failed'
          ? 'failed'
          : isOver
            ? 'stopped'
            : 'running'
    const durationMs = this.durationMs
    return {
      kind: 'step',
      name: this.name,
      state,
      startedAtMs: first === last && durationMs !== null ? first.ts - durationMs : first.ts,
      durationMs,
      error: failureOf(last),
      seq: this.seq,
      events: this.events,
    }
  }
}

/** What a replay does to the finished steps, before it runs. */
function forget(request: RunEvent, previous: GroupDraft | undefined, finished: Map<string, Finished>): void {
  const changed = Array.isArray(request.changed) ? request.changed : []
  const whole = changed.length === 1 && changed[0] === 'input'
  if (request.fresh === true || whole || (previous?.succeeded === true && changed.length === 0)) {
    finished.clear()
    return
  }
  if (typeof request.from_step !== 'string') return
  let reached = false
  for (const name of [...finished.keys()]) {
    reached ||= name === request.from_step
    if (reached) finished.delete(name)
  }
}

function insertAfterStart(rows: TimelineRow[], kept: readonly KeptRow[]): void {
  const start = rows.findLastIndex(
    (row) => row.kind === 'event' && /^(worker\.received|run\.started)$/.test(row.event.type),
  )
  rows.splice(start + 1, 0, ...kept)
}
