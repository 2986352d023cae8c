/**
 * Turns what went wrong with a request into the one `DriftQError` that stands for it.
 *
 * The codes are the broker's own. An app in between (FastAPI, a proxy) answers in its own shape: its status
 * then says which code it is.
 */

import { DriftQError, type DriftQErrorCode } from './errors.js'
import type { ErrorCode } from './wire.js'

/** Which statuses stand for which code when the answer is not in the broker's shape. */
const CODE_OF_STATUS: Readonly<Record<number, ErrorCode>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  405: 'METHOD_NOT_ALLOWED',
  409: 'FAILED_PRECONDITION',
  413: 'PAYLOAD_TOO_LARGE',
  422: 'INVALID_ARGUMENT',
  429: 'RESOURCE_EXHAUSTED',
}

/** Codes that a repeat may cure, when the answer does not say. */
const RETRYABLE: ReadonlySet<string> = new Set(['RESOURCE_EXHAUSTED', 'UNAVAILABLE'])

/** Errors of a connection that was never made: nothing was sent. */
const UNSENT: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
])

/** The error of an answer outside 2xx. */
export function errorOfAnswer(response: Response, text: string, url: string): DriftQError {
  const { status } = response
  const body = jsonObject(text)
  const requestId = response.headers.get('x-request-id') ?? undefined
  const retryAfter = retryAfterMs(response.headers, body)
  const details = {
    status,
    body,
    ...(requestId === undefined ? {} : { requestId }),
    ...(retryAfter === undefined ? {} : { retryAfterMs: retryAfter }),
    ...(typeof body.reason === 'string' ? { reason: body.reason } : {}),
  }
  if (typeof body.error === 'string') {
    const code = body.error as ErrorCode
    const retryable = typeof body.retryable === 'boolean' ? body.retryable : RETRYABLE.has(code)
    const message = typeof body.message === 'string' ? body.message : code
    return new DriftQError(code, message, { ...details, retryable })
  }
  if (status >= 500) {
    const message = `got status ${status} from ${url} without the broker's error body: is what stands behind it up?`
    return new DriftQError('UNAVAILABLE', message, { ...details, retryable: true })
  }
  const code: DriftQErrorCode = CODE_OF_STATUS[status] ?? 'UNEXPECTED_ANSWER'
  const said = typeof body.detail === 'string' ? body.detail : `status ${status}`
  return new DriftQError(code, `${said} (from ${url}, without the broker's error body: is the URL right?)`, {
    ...details,
    retryable: RETRYABLE.has(code),
  })
}

/** The error of a `fetch` that had no answer. */
export function errorOfFetch(cause: unknown, url: string, startHint: string): DriftQError {
  const node = codeOf(cause)
  // A browser does not tell a refused connection from one that broke.
  if (node === undefined || UNSENT.has(node)) {
    const message = `nothing answers at ${url}: ${startHint}`
    return new DriftQError('UNREACHABLE', message, { retryable: true, cause })
  }
  const message = `lost the connection to ${url} before its answer (${node})`
  return new DriftQError('CONNECTION_LOST', message, { retryable: true, cause })
}

/** Whether the request surely had no effect, so that even one that is not repeatable may be sent again. */
export function hadNoEffect(error: DriftQError): boolean {
  if (error.status !== undefined) return error.status === 429 || error.status === 503
  return error.code === 'UNREACHABLE' && UNSENT.has(codeOf(error.cause) ?? '')
}

/** The error of something that answered, but not as a broker does. */
export function unexpected(url: string, what: string, cause?: unknown): DriftQError {
  return new DriftQError('UNEXPECTED_ANSWER', `${url} answered ${what}: is the URL right?`, { cause })
}

function codeOf(error: unknown): string | undefined {
  // Node wraps the system's error, and for a name with several addresses an aggregate of them.
  let at: unknown = error
  for (let depth = 0; depth < 4 && at instanceof Error; depth += 1) {
    if ('code' in at && typeof at.code === 'string') return at.code
    at = at instanceof AggregateError ? at.errors[0] : at.cause
  }
  return undefined
}

function jsonObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

function retryAfterMs(headers: Headers, body: Readonly<Record<string, unknown>>): number | undefined {
  // The body knows milliseconds, the header whole seconds (rounded up).
  if (typeof body.retry_after_ms === 'number' && body.retry_after_ms >= 0) return body.retry_after_ms
  const header = headers.get('retry-after')
  return header !== null && /^\d+$/.test(header) ? Number(header) * 1000 : undefined
}
