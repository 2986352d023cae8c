/**
 * A run's timeline as it grows, over any number of broken connections.
 *
 * Promises: no event is skipped and none comes twice; what retention removed is said, never passed over in
 * silence. It is a cursor: it remembers the last number it handed out and asks for what comes after it. It
 * knows nothing of React and shows nothing; both `subscribeRun` and the hooks stand on it.
 */

import { createParser, type EventSourceParser } from 'eventsource-parser'
import { unexpected } from './answer-error.js'
import { DriftQError } from './errors.js'
import { backoffMs, sleep } from './retry.js'
import { path, type Transport } from './transport.js'
import type { RunEvent, TimelineReset } from './wire.js'

/** The broker says something every 15 s; after three times that the connection is dead. */
export const SILENCE_MS_MAX = 45_000

/** An event larger than this is not the broker's (its limit for a message is 1 MiB unless raised). */
export const EVENT_CHARS_MAX = 64 * 1024 * 1024

/** How the stream is found again: quickly at first, then every few seconds at most. */
export const RECONNECT: { readonly baseMs: number; readonly capMs: number } = { baseMs: 250, capMs: 5_000 }

/** What a stream has to say. */
export type StreamNews =
  /** Connected; events follow. */
  | { readonly kind: 'open' }
  /** Events, in order, each exactly once. */
  | { readonly kind: 'events'; readonly events: readonly RunEvent[] }
  /** What came before `first_seq` is no longer kept; the next event has that number. */
  | { readonly kind: 'reset'; readonly reset: TimelineReset }
  /** The connection is good, but the broker behind the app is away. Ends with the next `open`. */
  | { readonly kind: 'away'; readonly error: DriftQError }
  /** The connection broke, or could not be made; the next try begins at `retryAtMs`. */
  | { readonly kind: 'cut'; readonly error: DriftQError; readonly retryAtMs: number }

/** How a stream is followed. */
export interface StreamOptions {
  readonly transport: Transport
  readonly runId: string
  /** The number of the last event that is known; 0 for all. */
  readonly after: number
  /** Ends with the run; without it the stream stays for a replay. */
  readonly until?: 'terminal' | undefined
  readonly signal: AbortSignal
  /** After so much silence the connection counts as dead, milliseconds. */
  readonly silenceMs?: number | undefined
  /** Waits before the next try; for callers who want to cut a wait short. */
  readonly pause?: ((ms: number, signal: AbortSignal) => Promise<void>) | undefined
}

/**
 * Follows a timeline until it is aborted (then it returns) or, with `until`, until the run has ended.
 *
 * @throws DriftQError when a repeat cannot help: the run is unknown or expired, a token is missing.
 */
export async function* followRun(options: StreamOptions): AsyncGenerator<StreamNews, void, void> {
  const { signal } = options
  const pause = options.pause ?? sleep
  const cursor = new Cursor(options.after)
  let failures = 0
  while (!signal.aborted) {
    let cut: DriftQError
    try {
      const response = await connect(options, cursor.lastSeq)
      if (response === null) return
      yield { kind: 'open' }
      for await (const news of readNews(response, options, cursor)) {
        // A stream that opens and breaks before its first event is no better than none.
        if (news.kind !== 'away') failures = 0
        yield news
      }
      cut = new DriftQError('CONNECTION_LOST', 'the stream ended', { retryable: true })
    } catch (error) {
      if (signal.aborted) return
      if (!DriftQError.is(error) || !error.retryable) throw error
      cut = error
    }
    failures += 1
    const waitMs = Math.max(cut.retryAfterMs ?? 0, backoffMs(failures, RECONNECT))
    yield { kind: 'cut', error: cut, retryAtMs: Date.now() + waitMs }
    await pause(waitMs, signal).catch(() => {})
  }
}

/** Opens the stream; null when there is nothing more to come. */
async function connect(options: StreamOptions, lastSeq: number): Promise<Response | null> {
  const { transport, runId, until, signal } = options
  const call = {
    method: 'GET',
    path: path`/runs/${runId}/events`,
    query: { until },
    headers: {
      accept: 'text/event-stream',
      ...(lastSeq === 0 ? {} : { 'last-event-id': String(lastSeq) }),
    },
    signal,
  } as const
  const response = await transport.answerOnce(call)
  if (response.status === 204) return null
  const kind = response.headers.get('content-type') ?? ''
  if (response.body === null || !kind.startsWith('text/event-stream')) {
    await response.body?.cancel()
    throw unexpected(transport.url(call), `with ${kind || 'no content type'} instead of an event stream`)
  }
  return response
}

/** What one connection brings, a chunk at a time. Throws when it breaks or falls silent. */
async function* readNews(
  response: Response,
  options: StreamOptions,
  cursor: Cursor,
): AsyncGenerator<StreamNews, void, void> {
  const { transport, signal, silenceMs = SILENCE_MS_MAX } = options
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  const text = new TextDecoder()
  const parser = cursor.parser()
  let silent = false
  let timer: ReturnType<typeof setTimeout> | undefined
  const watch = (): void => {
    clearTimeout(timer)
    timer = setTimeout(() => {
      silent = true
      void reader.cancel().catch(() => {})
    }, silenceMs)
  }
  try {
    for (;;) {
      watch()
      const { done, value } = await transport.guarded({ signal }, () => reader.read())
      if (silent)
        throw new DriftQError('TIMEOUT', `the stream was silent for ${silenceMs} ms`, { retryable: true })
      if (done) return
      parser.feed(text.decode(value, { stream: true }))
      yield* cursor.take()
    }
  } finally {
    clearTimeout(timer)
    void reader.cancel().catch(() => {})
  }
}

/** The relay of `driftq.fastapi` says so in a comment while its broker does not answer. */
const AWAY = /^\s*the broker is away/

/** Where a follower stands: turns what the stream says into news, each event exactly once. */
class Cursor {
  #ready: StreamNews[] = []
  #events: RunEvent[] = []
  #away = false

  constructor(public lastSeq: number) {}

  /** A parser for one connection: what it had half read is not worth anything to the next. */
  parser(): EventSourceParser {
    this.#away = false
    return createParser({
      maxBufferSize: EVENT_CHARS_MAX,
      onEvent: ({ data }) => {
        this.#back()
        this.#data(data)
      },
      onRetry: () => this.#back(),
      onComment: (comment) => (AWAY.test(comment) ? this.#gone() : this.#back()),
    })
  }

  /** What has come since the last call. */
  take(): readonly StreamNews[] {
    this.#flush()
    const ready = this.#ready
    this.#ready = []
    return ready
  }

  #data(data: string): void {
    const event = parsed(data)
    if (isReset(event)) {
      this.#flush()
      this.lastSeq = event.first_seq - 1
      this.#ready.push({ kind: 'reset', reset: event })
    } else if (isRunEvent(event) && event.seq > this.lastSeq) {
      // An app's own greeting has no number, and a repeat has an old one.
      this.lastSeq = event.seq
      this.#events.push(event)
    }
  }

  #gone(): void {
    if (this.#away) return
    this.#away = true
    this.#flush()
    const error = new DriftQError('UNAVAILABLE', 'the API is up, its broker is away', { retryable: true })
    this.#ready.push({ kind: 'away', error })
  }

  #back(): void {
    if (!this.#away) return
    this.#away = false
    this.#ready.push({ kind: 'open' })
  }

  #flush(): void {
    if (this.#events.length > 0) this.#ready.push({ kind: 'events', events: this.#events })
    this.#events = []
  }
}

function parsed(data: string): unknown {
  try {
    return JSON.parse(data)
  } catch (cause) {
    throw new DriftQError('UNEXPECTED_ANSWER', 'an event of the stream is not JSON', { cause })
  }
}

function isReset(value: unknown): value is TimelineReset {
  return isObject(value) && value.type === 'timeline.reset' && typeof value.first_seq === 'number'
}

function isRunEvent(value: unknown): value is RunEvent {
  return isObject(value) && typeof value.seq === 'number' && typeof value.type === 'string'
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
