/**
 * `useRun` against a real driftqd: one stream, nothing lost, nothing doubled.
 */

// @vitest-environment jsdom
import { act, cleanup, renderHook, waitFor } from '@testing-library/react'
import { StrictMode } from 'react'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { useRun } from '../src/react/index.js'
import { type RunningDriftqd, startDriftqd } from '../src/testing/index.js'

let broker: RunningDriftqd
beforeAll(async () => {
  broker = await startDriftqd({ bin: process.env.DRIFTQD_BIN })
})
afterAll(() => broker.stop())
afterEach(cleanup)

test('a run is followed to its dead letter, and replayed', async () => {
  const post = async (path: string, body: unknown) => {
    const r = await fetch(`${broker.url}/v1${path}`, { method: 'POST', body: JSON.stringify(body) })
    return r.status === 204 ? null : r.json()
  }
  await post('/runs', { workflow: 'w', run_id: 'r1', retry_policy: { max_attempts: 1 } })
  const { result } = renderHook(() => useRun('r1', { baseUrl: `${broker.url}/v1` }), { wrapper: StrictMode })
  await waitFor(() => expect(result.current.status).toBe('queued'))
  const msg = await (
    await fetch(`${broker.url}/v1/consume?topic=runs.commands&group=workers&owner=me&mode=poll&lease_ms=30000`)
  ).json()
  await post('/nack', { msg, error: { message: 'boom', type: 'E' } })
  await waitFor(() => expect(result.current.deadLetter).not.toBeNull())
  expect(result.current).toMatchObject({ status: 'failed', connection: 'live', error: { message: 'boom' }, attempt: 1 })
  await act(() => result.current.replay({ failAt: null }))
  await waitFor(() => expect(result.current).toMatchObject({ status: 'queued', replaySeq: 1, error: null }))
  expect(result.current.events.map((e) => e.seq)).toEqual(result.current.events.map((_, at) => at + 1))
})
