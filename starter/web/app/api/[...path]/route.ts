/**
 * `/api/…`: the browser's way to the API, so that page and API are one origin. Streams pass as they come.
 *
 * An app with users decides in `authorize` who may pass.
 */

import { driftqRoute } from '@driftq/client/next'
import { API_UNREACHABLE } from '@/lib/outage'
import { apiUrl } from '@/lib/settings'

export const dynamic = 'force-dynamic'

export const { GET, POST } = driftqRoute({ to: apiUrl(), authorize: () => undefined, fetch: ask })

/** Asks the API; its silence becomes an answer that says whose silence it is. */
async function ask(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  try {
    return await fetch(input, init)
  } catch (error) {
    if (init?.signal?.aborted) throw error
    console.warn(`the API does not answer at ${apiUrl()}: start it, or set API_URL`)
    const message = 'the API does not answer: start it with `python starter/api/scripts/dev_up.py`'
    return Response.json(
      { error: 'UNAVAILABLE', message, reason: API_UNREACHABLE, retryable: true },
      { status: 503, headers: { 'Retry-After': '1' } },
    )
  }
}
