/**
 * One store for each run and API: every `useRun` of that run reads it, and it holds the one stream.
 *
 * Promises: the snapshot is the same object until something changed, and changes at most once a frame while
 * events come; the stream is open only while somebody looks (a subscriber, a page that is seen) and goes on
 * after the last event that it brought.
 */

import { DriftQError } from '../errors.js'
import { followRun, type StreamNews } from '../run-stream.js'
import { path, Transport } from '../transport.js'
import type { Cancelled, Replayed, Run, RunDeadLetter, RunEvent, Step, TimelineReset } from '../wire.js'
import { runsChanged } from './lists-bus.js'
import { isPageSeen, onNextFrame, onOnline, onPageLife } from './page-life.js'
import { advance, isTurn, NOTHING_KNOWN, type RunState } from './run-state.js'
import type { ApiOptions, ReplayOptions, UseRun } from './types.js'

/** How many events a store keeps: the newest. */
export const EVENTS_MAX = 20_000

/** A cut shorter than this is not shown. */
export const SHOWN_AFTER_MS = 1_000

/** A store without readers closes its stream after so long: StrictMode and a change of page come back sooner. */
export const CLOSE_AFTER_MS = 1_000

/** How many stores without readers are remembered, so that a way back shows its timeline at once. */
export const IDLE_STORES_MAX = 8

/** Everything that `useRun` returns, but for what it can do. */
export type RunSnapshot = Omit<UseRun, 'runId' | 'replay' | 'cancel' | 'reconnect'>

/** Without a run, and on a server. */
export const IDLE: RunSnapshot = {
  status: null,
  connection: 'idle',
  events: [],
  droppedEvents: 0,
  lastSeq: 0,
  attempt: 0,
  maxAttempts: null,
  replaySeq: 0,
  nextRetryAtMs: null,
  error: null,
  result: null,
  deadLetter: null,
  info: null,
  problem: null,
  reconnectAtMs: null,
  resumed: null,
  gap: null,
  pending: null,
  actionError: null,
}

/** With a run, before anything is known: what a server draws, and the browser first. */
export const CONNECTING: RunSnapshot = { ...IDLE, connection: 'connecting' }

/** The store of one run. */
export class RunStore {
  #snapshot = CONNECTING
  #state: RunState = NOTHING_KNOWN
  #fresh: RunEvent[] = []
  #listeners = new Set<() => void>()
  readonly #transport: Transport
  #stream: AbortController | null = null
  #cancelFrame: (() => void) | null = null
  #closing: ReturnType<typeof setTimeout> | undefined
  #showing: ReturnType<typeof setTimeout> | undefined
  #cutAtMs: number | null = null
  #wake: () => void = () => {}
  #unwatch: () => void = () => {}
  #records = new Refresher(() => this.#readRecord())
  #lastSeq = 0

  constructor(
    readonly runId: string,
    api: ApiOptions & { readonly baseUrl: string },
    private readonly pauseWhenHidden: boolean,
    private readonly onRead: (store: RunStore) => void,
  ) {
    this.#transport = new Transport(api)
  }

  /** What is known now. The same object until it changed. */
  readonly snapshot = (): RunSnapshot => this.#snapshot

  /** Reads this store until the returned function is called. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    clearTimeout(this.#closing)
    if (this.#listeners.size === 1) {
      this.onRead(this)
      this.#watch()
    }
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size > 0) return
      this.#closing = setTimeout(() => this.close(), CLOSE_AFTER_MS)
    }
  }

  /** Whether nobody reads it. */
  get isIdle(): boolean {
    return this.#listeners.size === 0
  }

  /** Uses these headers and this `fetch` from the next request on. */
  adopt(api: Omit<ApiOptions, 'baseUrl'>): void {
    this.#transport.options = { ...this.#transport.options, ...api }
  }

  /** Tries to connect now. */
  readonly reconnect = (): void => {
    this.#wake()
    if (this.#stream === null && !this.isIdle) this.#open()
  }

  /** Closes the stream; what is known stays, and the next reader goes on from there. */
  close(): void {
    clearTimeout(this.#closing)
    this.#unwatch()
    this.#unwatch = () => {}
    this.#pause()
  }

  /** Runs the run again. */
  readonly replay = (options: ReplayOptions = {}): Promise<Replayed | undefined> =>
    this.#act('replay', async () => {
      const body = replayBody(options, this.#snapshot.info?.steps ?? [])
      return this.#transport.send<Replayed>({ method: 'POST', path: path`/runs/${this.runId}/replay`, body })
    })

  /** Ends the run. */
  readonly cancel = (): Promise<Cancelled | undefined> =>
    this.#act('cancel', () =>
      this.#transport.send<Cancelled>({ method: 'POST', path: path`/runs/${this.runId}/cancel`, body: {} }),
    )

  // -- the stream --------------------------------------------------------------------------------------

  #watch(): void {
    this.#unwatch()
    const stopOnline = onOnline(this.reconnect)
    const stopLife = this.pauseWhenHidden
      ? onPageLife((isSeen) => (isSeen ? this.#open() : this.#pause()))
      : () => {}
    this.#unwatch = () => {
      stopOnline()
      stopLife()
    }
    if (!this.pauseWhenHidden || isPageSeen()) this.#open()
  }

  #open(): void {
    if (this.#stream !== null) return
    const stream = new AbortController()
    this.#stream = stream
    this.#publish({ connection: 'connecting', problem: null })
    this.#records.ask()
    void this.#follow(stream)
  }

  #pause(): void {
    const stream = this.#stream
    this.#stream = null
    stream?.abort()
    this.#cutAtMs = null
    clearTimeout(this.#showing)
    this.#flush()
    this.#publish({ connection: 'idle', reconnectAtMs: null, problem: null })
  }

  async #follow(stream: AbortController): Promise<void> {
    const { signal } = stream
    const pause = async (ms: number): Promise<void> => {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
        signal.addEventListener('abort', this.#wake, { once: true })
      })
      if (!signal.aborted) this.#publish({ reconnectAtMs: null })
    }
    try {
      const options = { transport: this.#transport, runId: this.runId, after: this.#lastSeq, signal, pause }
      for await (const news of followRun(options)) {
        if (signal.aborted) return
        this.#hear(news)
      }
    } catch (error) {
      if (signal.aborted) return
      this.#lose(error)
    }
  }

  #hear(news: StreamNews): void {
    switch (news.kind) {
      case 'open':
        this.#isLive()
        break
      case 'events':
        for (const event of news.events) this.#fresh.push(event)
        this.#lastSeq = news.events.at(-1)?.seq ?? this.#lastSeq
        this.#cancelFrame ??= onNextFrame(() => this.#flush())
        break
      case 'reset':
        this.#reset(news.reset)
        break
      case 'away':
        this.#isCut(news.error, null)
        break
      case 'cut':
        this.#isCut(news.error, news.retryAtMs)
        break
    }
  }

  #isLive(): void {
    clearTimeout(this.#showing)
    const wasShown = this.#snapshot.connection === 'reconnecting'
    const atMs = Date.now()
    const afterMs = atMs - (this.#cutAtMs ?? atMs)
    this.#cutAtMs = null
    this.#publish({
      connection: 'live',
      problem: null,
      reconnectAtMs: null,
      ...(wasShown ? { resumed: { atMs, afterMs, lastSeq: this.#lastSeq } } : {}),
    })
    this.#records.askAgainIfFailed()
  }

  #isCut(problem: DriftQError, retryAtMs: number | null): void {
    if (this.#cutAtMs === null) {
      this.#cutAtMs = Date.now()
      this.#showing = setTimeout(() => this.#publish({ connection: 'reconnecting' }), SHOWN_AFTER_MS)
    }
    this.#publish({ problem, reconnectAtMs: retryAtMs })
  }

  #lose(error: unknown): void {
    clearTimeout(this.#showing)
    this.#stream = null
    this.#flush()
    const problem = DriftQError.is(error)
      ? error
      : new DriftQError('UNEXPECTED_ANSWER', `the stream failed: ${String(error)}`, { cause: error })
    this.#publish({ connection: 'lost', problem, reconnectAtMs: null })
  }

  #reset({ reason, first_seq: firstSeq }: TimelineReset): void {
    this.#fresh = []
    this.#lastSeq = firstSeq - 1
    this.#state = NOTHING_KNOWN
    this.#publish({
      events: [],
      droppedEvents: 0,
      gap: { reason, firstSeq },
      lastSeq: this.#lastSeq,
      ...NOTHING_KNOWN,
    })
    this.#records.ask()
  }

  // -- the snapshot ------------------------------------------------------------------------------------

  /** Takes what came since the last frame into the snapshot. */
  #flush(): void {
    this.#cancelFrame?.()
    this.#cancelFrame = null
    const fresh = this.#fresh
    if (fresh.length === 0) return
    this.#fresh = []
    this.#state = fresh.reduce(advance, this.#state)
    const all = [...this.#snapshot.events, ...fresh]
    const dropped = Math.max(0, all.length - EVENTS_MAX)
    this.#publish({
      ...this.#state,
      events: dropped === 0 ? all : all.slice(dropped),
      droppedEvents: this.#snapshot.droppedEvents + dropped,
      lastSeq: this.#lastSeq,
    })
    if (fresh.some(isTurn)) {
      this.#records.ask()
      runsChanged(this.#transport.baseUrl)
    }
  }

  #publish(changes: Partial<RunSnapshot>): void {
    const before = this.#snapshot
    const names = Object.keys(changes) as (keyof RunSnapshot)[]
    if (names.every((name) => Object.is(before[name], changes[name]))) return
    this.#snapshot = { ...before, ...changes }
    for (const listener of [...this.#listeners]) listener()
  }

  // -- the record and the dead letter ------------------------------------------------------------------

  /** Reads the run's record, and its dead letter if it has one. */
  async #readRecord(): Promise<void> {
    const info = await this.#transport.send<Run>({ method: 'GET', path: path`/runs/${this.runId}` })
    const isCurrent = info.replay_seq >= this.#state.replaySeq
    if (!isCurrent) return
    // Events are the newer word; the record fills in what retention removed from the timeline.
    const filled =
      this.#state.status === null && this.#snapshot.gap !== null
        ? { status: info.status, attempt: info.attempts, error: info.error ?? null, result: info.result ?? null }
        : {}
    this.#publish({
      info,
      ...filled,
      maxAttempts: this.#state.maxAttempts ?? info.retry_policy.max_attempts ?? null,
    })
    const mayHaveOne =
      info.status === 'failed' || (info.replays ?? []).some((replay) => replay.status === 'failed')
    if (!mayHaveOne) return
    try {
      const deadLetter = await this.#transport.send<RunDeadLetter>({
        method: 'GET',
        path: path`/runs/${this.runId}/dlq`,
      })
      this.#publish({ deadLetter })
    } catch (error) {
      // A run may fail without one: its letter was discarded and removed since.
      if (!DriftQError.is(error) || error.status !== 404) throw error
    }
  }

  async #act<T>(pending: 'replay' | 'cancel', work: () => Promise<T>): Promise<T | undefined> {
    this.#publish({ pending, actionError: null })
    try {
      const answer = await work()
      this.#publish({ pending: null })
      runsChanged(this.#transport.baseUrl)
      return answer
    } catch (error) {
      const actionError = DriftQError.is(error)
        ? error
        : new DriftQError('UNEXPECTED_ANSWER', String(error), { cause: error })
      this.#publish({ pending: null, actionError })
      return undefined
    }
  }
}

/** The body of a replay. `failAt` becomes a part of the input, which every router knows. */
export function replayBody(
  options: ReplayOptions,
  finished: readonly Pick<Step, 'step'>[],
): Record<string, unknown> {
  const { input, patch, fromStep, fresh, failAt } = options
  const body: Record<string, unknown> = {}
  if (input !== undefined) body.input = input
  if (patch !== undefined) body.patch = patch
  if (failAt !== undefined) {
    if (typeof input === 'object' && input !== null) body.input = { ...input, fail_at: failAt }
    else body.patch = { ...patch, fail_at: failAt }
  }
  // What is to fail must run again: a result that is kept would hide the switch.
  const isKept = finished.some(({ step }) => step === failAt)
  if (fromStep !== undefined) body.from_step = fromStep
  else if (failAt != null && isKept && input === undefined) body.from_step = failAt
  if (fresh === true) body.fresh = true
  return body
}

/** Does one thing at a time: asked again meanwhile, it does it once more. A failure is tried again when told. */
class Refresher {
  #isBusy = false
  #isAsked = false
  #hasFailed = false

  constructor(private readonly work: () => Promise<void>) {}

  ask(): void {
    this.#isAsked = true
    if (!this.#isBusy) void this.#run()
  }

  askAgainIfFailed(): void {
    if (this.#hasFailed) this.ask()
  }

  async #run(): Promise<void> {
    this.#isBusy = true
    while (this.#isAsked) {
      this.#isAsked = false
      try {
        await this.work()
        this.#hasFailed = false
      } catch {
        // The stream says what is wrong; there is nobody here to tell it to a second time.
        this.#hasFailed = true
      }
    }
    this.#isBusy = false
  }
}
