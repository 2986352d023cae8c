/**
 * A route handler for Next.js: an app's own API in front of driftqd or of another API, with its own sign-in.
 *
 * ```ts
 * // app/api/[...path]/route.ts
 * export const { GET, POST } = driftqRoute({
 *   to: 'http://127.0.0.1:8080/v1',
 *   authorize: async (request) => ((await session(request)) ? undefined : new Response(null, { status: 401 })),
 * })
 * ```
 *
 * Promises: only listed paths pass; streams pass as they come, unbuffered and unread; statuses pass as they are;
 * whoever leaves is left at once. It uses web standards alone and runs in any server that does.
 */

/** The paths of runs, as the hooks use them. */
export const RUN_ROUTES: readonly string[] = [
  'GET /runs',
  'POST /runs',
  'GET /runs/:id',
  'GET /runs/:id/events',
  'GET /runs/:id/steps',
  'GET /runs/:id/dlq',
  'GET /runs/:id/attempts',
  'GET /runs/:id/diff',
  'POST /runs/:id/replay',
  'POST /runs/:id/cancel',
]

/** A request on its way. */
export interface Target {
  readonly method: string
  /** After the prefix: `/runs/run_1/events`. */
  readonly path: string
}

/** What `authorize` may add to a request on its way. */
export interface Passage {
  /** Sent to `to`, such as the token of this user's tenant. */
  readonly headers?: HeadersInit | undefined
}

/** How a route handler passes requests on. */
export interface DriftqRouteOptions {
  /** Where to: driftqd's `/v1` or another API's base. */
  readonly to: string
  /** The path of this route without its catch-all; `/api` unless given. */
  readonly prefix?: string | undefined
  /** Who may: a `Response` is the answer (401, 403), anything else lets the request pass. Required on purpose. */
  readonly authorize: (
    request: Request,
    target: Target,
  ) => Response | Passage | undefined | Promise<Response | Passage | undefined>
  /** Which paths pass: a method and a path, where `:name` stands for one part. `RUN_ROUTES` unless given. */
  readonly allow?: readonly string[] | undefined
  /** Request headers that pass beside those that the hooks need, such as `cookie`. */
  readonly forwardHeaders?: readonly string[] | undefined
  /** Hears why nothing answered; the browser is not told where the API is. */
  readonly onError?: ((error: unknown) => void) | undefined
  /** Used instead of the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined
}

/** A handler of one method. */
export type RouteHandler = (request: Request) => Promise<Response>

/** The handlers that a route module exports. */
export type RouteHandlers = Readonly<Record<'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', RouteHandler>>

const REQUEST_HEADERS = [
  'accept',
  'content-type',
  'idempotency-key',
  'last-event-id',
  'traceparent',
  'x-request-id',
]
const RESPONSE_HEADERS = [
  'allow',
  'cache-control',
  'content-type',
  'retry-after',
  'x-accel-buffering',
  'x-request-id',
]

/** Makes the handlers of a route. */
export function driftqRoute(options: DriftqRouteOptions): RouteHandlers {
  const routes = (options.allow ?? RUN_ROUTES).map(compiled)
  const prefix = (options.prefix ?? '/api').replace(/\/+$/, '')

  const handle: RouteHandler = async (request) => {
    const url = new URL(request.url)
    const path = url.pathname.startsWith(`${prefix}/`) ? url.pathname.slice(prefix.length) : url.pathname
    const here = routes.filter((route) => route.path.test(path))
    if (here.length === 0) return problem(404, 'NOT_FOUND', `there is no ${url.pathname} here`)
    if (!here.some((route) => route.method === request.method)) {
      const allow = here.map((route) => route.method).join(', ')
      return problem(405, 'METHOD_NOT_ALLOWED', `${url.pathname} takes ${allow}`, { allow })
    }
    if (isCrossSite(request)) return problem(403, 'PERMISSION_DENIED', 'requests of other sites are refused')
    const passage = await options.authorize(request, { method: request.method, path })
    if (passage instanceof Response) return passage
    return passOn(options, request, `${path}${url.search}`, passage)
  }
  return { GET: handle, POST: handle, PUT: handle, PATCH: handle, DELETE: handle }
}

async function passOn(
  options: DriftqRouteOptions,
  request: Request,
  path: string,
  passage: Passage | undefined,
): Promise<Response> {
  const headers = picked(request.headers, [...REQUEST_HEADERS, ...(options.forwardHeaders ?? [])])
  for (const [name, value] of new Headers(passage?.headers)) headers.set(name, value)
  const init: RequestInit & { readonly duplex: 'half' } = {
    method: request.method,
    headers,
    body: request.body,
    // What comes in goes out as it comes; without it a body that is a stream is refused.
    duplex: 'half',
    cache: 'no-store',
    redirect: 'manual',
    signal: request.signal,
  }
  let answer: Response
  try {
    answer = await (options.fetch ?? globalThis.fetch)(`${options.to.replace(/\/+$/, '')}${path}`, init)
  } catch (error) {
    // 499 is what proxies log for somebody who left; nobody reads it.
    if (request.signal.aborted) return new Response(null, { status: 499 })
    options.onError?.(error)
    const message = 'the API behind this app does not answer, try again'
    return problem(503, 'UNAVAILABLE', message, { 'retry-after': '1' })
  }
  const passed = picked(answer.headers, RESPONSE_HEADERS)
  if (passed.get('content-type')?.startsWith('text/event-stream')) {
    // Next would compress a stream, and a browser would see nothing of it until the end.
    passed.set('cache-control', 'no-cache, no-transform')
    passed.set('x-accel-buffering', 'no')
  }
  return new Response(answer.body, { status: answer.status, headers: passed })
}

/** A browser says where a request comes from; what changes something must come from this site. */
function isCrossSite(request: Request): boolean {
  return request.method !== 'GET' && request.headers.get('sec-fetch-site') === 'cross-site'
}

function picked(from: Headers, names: readonly string[]): Headers {
  const to = new Headers()
  for (const name of names) {
    const value = from.get(name)
    if (value !== null) to.set(name, value)
  }
  return to
}

function compiled(route: string): { readonly method: string; readonly path: RegExp } {
  const [method, path] = route.split(' ')
  if (method === undefined || path === undefined || !path.startsWith('/')) {
    throw new Error(`not a route: ${JSON.stringify(route)}; write it as "GET /runs/:id"`)
  }
  const parts = path.split('/').map((part) => (part.startsWith(':') ? '[^/]+' : escaped(part)))
  return { method, path: new RegExp(`^${parts.join('/')}$`) }
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
}

function problem(status: number, error: string, message: string, headers: Record<string, string> = {}): Response {
  return Response.json({ error, message, status, retryable: status === 503 }, { status, headers })
}
