/**
 * One way to send a request: URL, headers, time limit, repeats, errors.
 *
 * Only what is retryable is repeated, and a request that may have had an effect only if repeating it is
 * harmless. Every failure is a `DriftQError`, except an abort by the caller, which rejects with its reason.
 */

import { errorOfAnswer, errorOfFetch, hadNoEffect, unexpected } from './answer-error.js'
import { DriftQError } from './errors.js'
import { nextTryMs, RETRY_DEFAULTS, type RetryOptions, sleep } from './retry.js'

/** Headers, or a function that is asked for them before each request. */
export type HeadersSource = HeadersInit | (() => HeadersInit | Promise<HeadersInit>)

/** What every way of asking takes. */
export interface TransportOptions {
  /** What stands before `/runs` and the other paths, used as it is. */
  readonly baseUrl: string
  readonly headers?: HeadersSource | undefined
  readonly credentials?: RequestCredentials | undefined
  readonly fetch?: typeof globalThis.fetch | undefined
  /** How long an answer may take, milliseconds; 10,000 unless given. Streams: until the first byte. */
  readonly timeoutMs?: number | undefined
  readonly retry?: RetryOptions | undefined
}

/** One request. */
export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** After the base URL, its parts already encoded. */
  readonly path: string
  readonly query?: Readonly<Record<string, unknown>>
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** Whether sending it twice does no harm; GET, PUT, PATCH and DELETE do none. */
  readonly repeatable?: boolean
  readonly signal?: AbortSignal | undefined
  /** How much longer than usual the answer may take, milliseconds (a long poll). */
  readonly patienceMs?: number
}

/** How long an answer may take unless said otherwise. */
export const TIMEOUT_MS = 10_000

/** Sends requests to one base URL. */
export class Transport {
  readonly baseUrl: string

  /** May be replaced, but for the base URL: the next request uses it. */
  options: TransportOptions

  constructor(options: TransportOptions) {
    this.options = options
    this.baseUrl = options.baseUrl.replace(/\/+$/, '')
  }

  /** Sends a request until it is answered or not worth repeating; the JSON of the answer. */
  async send<T>(call: Call): Promise<T> {
    const response = await this.answer(call)
    const text = await this.guarded(call, () => response.text())
    if (text === '') return undefined as T
    try {
      return JSON.parse(text) as T
    } catch (cause) {
      throw unexpected(this.url(call), 'something else than JSON', cause)
    }
  }

  /** As `send`, but the answer itself, once its headers are there. */
  async answer(call: Call): Promise<Response> {
    const plan = { ...RETRY_DEFAULTS, ...this.options.retry }
    const repeatable = call.repeatable ?? call.method !== 'POST'
    for (let failures = 1; ; failures += 1) {
      try {
        return await this.answerOnce(call)
      } catch (error) {
        if (!DriftQError.is(error) || !(repeatable || hadNoEffect(error))) throw error
        const waitMs = nextTryMs(error, failures, plan)
        if (waitMs === null) throw error
        await sleep(waitMs, call.signal)
      }
    }
  }

  /** One try. The time limit ends with the headers. */
  async answerOnce(call: Call): Promise<Response> {
    const limit = new AbortController()
    const timeoutMs = (this.options.timeoutMs ?? TIMEOUT_MS) + (call.patienceMs ?? 0)
    const timer = setTimeout(() => limit.abort(), timeoutMs)
    const headers = await this.headers(call)
    try {
      const send = (): Promise<Response> =>
        (this.options.fetch ?? globalThis.fetch)(this.url(call), {
          method: call.method,
          headers,
          cache: 'no-store',
          signal: call.signal === undefined ? limit.signal : AbortSignal.any([call.signal, limit.signal]),
          ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
          ...(this.options.credentials === undefined ? {} : { credentials: this.options.credentials }),
        })
      const response = await this.guarded(call, send, limit.signal)
      if (!response.ok) {
        const text = await this.guarded(call, () => response.text(), limit.signal)
        throw errorOfAnswer(response, text, this.url(call))
      }
      return response
    } finally {
      clearTimeout(timer)
    }
  }

  /** The whole URL of a request. */
  url(call: Pick<Call, 'path' | 'query'>): string {
    const query = new URLSearchParams()
    for (const [name, value] of Object.entries(call.query ?? {})) {
      if (value === undefined || value === null) continue
      query.set(name, typeof value === 'object' ? JSON.stringify(value) : String(value))
    }
    const text = query.toString()
    return `${this.baseUrl}${call.path}${text === '' ? '' : `?${text}`}`
  }

  /** Passes an abort of the caller on as it is; all else that `fetch` throws becomes a `DriftQError`. */
  async guarded<T>(call: Pick<Call, 'signal'>, work: () => Promise<T>, limit?: AbortSignal): Promise<T> {
    try {
      return await work()
    } catch (error) {
      call.signal?.throwIfAborted()
      if (limit?.aborted) {
        const message = `${this.baseUrl} did not answer in time: ${this.startHint()}`
        throw new DriftQError('TIMEOUT', message, { retryable: true })
      }
      throw DriftQError.is(error) ? error : errorOfFetch(error, this.baseUrl, this.startHint())
    }
  }

  private async headers(call: Call): Promise<Headers> {
    const { headers: source } = this.options
    const headers = new Headers(typeof source === 'function' ? await source() : source)
    if (call.body !== undefined) headers.set('content-type', 'application/json')
    for (const [name, value] of Object.entries(call.headers ?? {})) headers.set(name, value)
    return headers
  }

  private startHint(): string {
    if (!this.baseUrl.endsWith('/v1')) return "start the app's API, or check the address"
    const host = /^https?:\/\/([^/]+)/.exec(this.baseUrl)?.[1] ?? '127.0.0.1:8080'
    return `start it with \`driftqd -addr ${host}\`, or check the address`
  }
}

/** A path whose parts are encoded: path`/runs/${runId}/events`. */
export function path(texts: TemplateStringsArray, ...parts: (string | number)[]): string {
  return texts.reduce((whole, text, at) => whole + encodeURIComponent(String(parts[at - 1])) + text)
}
