/**
 * Where the broker is and how it is asked: what every part of the client stands on.
 */

import type { RetryOptions } from '../retry.js'
import { snakeCase } from '../run-body.js'
import { type Call, type HeadersSource, Transport } from '../transport.js'

/** Where driftqd is unless said otherwise. */
export const DEFAULT_URL = 'http://localhost:8080'

/** A client's address, token and manners. */
export interface ClientOptions {
  /** driftqd's address, with or without `/v1`; `DRIFTQ_HTTP_URL`, then `http://localhost:8080`. */
  readonly url?: string | undefined
  /** Sent as `Authorization: Bearer …`; `DRIFTQ_TOKEN` unless given. A function is asked before each request. */
  readonly token?: string | (() => string | Promise<string>) | undefined
  /** Who acts, for the audit of a broker without tokens. */
  readonly actor?: string | undefined
  /** Used instead of the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined
  /** How long an answer may take, milliseconds; 10,000 unless given. What waits by itself has longer. */
  readonly timeoutMs?: number | undefined
  /** How often a request is repeated; `{ maxTries: 1 }` turns repeats off. */
  readonly retry?: RetryOptions | undefined
}

/** Sends the calls of a client. */
export class Sender {
  /** driftqd's address, with `/v1`. */
  readonly url: string
  /** What carries the requests; `subscribeRun` and the worker use it too. */
  protected readonly transport: Transport

  constructor(protected readonly options: ClientOptions = {}) {
    const environment = globalThis.process?.env ?? {}
    const given = (options.url ?? environment.DRIFTQ_HTTP_URL ?? DEFAULT_URL).replace(/\/+$/, '')
    this.url = given.endsWith('/v1') ? given : `${given}/v1`
    const { fetch, timeoutMs, retry } = options
    const headers = headersOf(options.token ?? environment.DRIFTQ_TOKEN, options.actor)
    this.transport = new Transport({ baseUrl: this.url, headers, fetch, timeoutMs, retry })
  }

  protected get<T>(path: string, options: object = {}, more: Partial<Call> = {}): Promise<T> {
    return this.#send('GET', path, options, more, 'query')
  }

  protected delete<T>(path: string, options: object = {}, more: Partial<Call> = {}): Promise<T> {
    return this.#send('DELETE', path, options, more, 'query')
  }

  /** A body whose members are named as ours; `repeatable` only where a second one does no harm. */
  protected post<T>(path: string, options: object = {}, more: Partial<Call> = {}): Promise<T> {
    return this.#send('POST', path, options, more, 'body')
  }

  protected put<T>(path: string, options: object = {}, more: Partial<Call> = {}): Promise<T> {
    return this.#send('PUT', path, options, more, 'body')
  }

  protected patch<T>(path: string, options: object = {}, more: Partial<Call> = {}): Promise<T> {
    return this.#send('PATCH', path, options, more, 'body')
  }

  #send<T>(
    method: Call['method'],
    path: string,
    options: object,
    more: Partial<Call>,
    place: 'query' | 'body',
  ): Promise<T> {
    const { signal, ...rest } = options as { readonly signal?: AbortSignal }
    return this.transport.send<T>({ method, path, [place]: snakeCase(rest), signal, ...more })
  }
}

function headersOf(token: ClientOptions['token'], actor: string | undefined): HeadersSource {
  return async () => {
    const now = typeof token === 'function' ? await token() : token
    return {
      ...(now === undefined ? {} : { authorization: `Bearer ${now}` }),
      ...(actor === undefined ? {} : { 'x-driftq-actor': actor }),
    }
  }
}
