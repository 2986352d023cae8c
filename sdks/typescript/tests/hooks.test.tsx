/**
 * The other hooks against a real driftqd: start a run once, lists that keep themselves fresh, a countdown.
 */

// @vitest-environment jsdom
import { act, cleanup, renderHook, waitFor } from '@testing-library/react'
import { StrictMode } from 'react'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { Client } from '../src/index.js'
import { useCountdown, useDeadLetters, useRun, useRuns, useStartRun } from '../src/react/index.js'
import type { RunningDriftqd } from '../src/testing/index.js'
import { freshName, type Line, lineTo, takeCommand, testBroker, until } from './support.js'

let broker: RunningDriftqd
let client: Client
let line: Line
let baseUrl: string
beforeAll(async () => {
  broker = await testBroker()
  client = new Client({ url: broker.url })
})
beforeEach(async () => {
  line = await lineTo(broker.url)
  baseUrl = `${line.url}/v1`
})
afterEach(async () => {
  cleanup()
  await line.close()
})
afterAll(() => broker.stop())

test('a start gives the id to follow, and what the app takes beside it', async () => {
  const topic = freshName('commands')
  const { result } = renderHook(() => useStartRun(`${baseUrl}/runs`), { wrapper: StrictMode })
  expect(result.current).toMatchObject({ runId: null, pending: false, error: null })
  const retryPolicy = { maxAttempts: 8, backoffMs: 10 }
  const options = { workflow: 'w', input: { a: 1 }, retryPolicy, tags: ['t'], extra: { topic } }
  const created = await act(() => result.current.start(options))
  expect(result.current).toMatchObject({ runId: created?.run_id, pending: false, error: null })
  expect(await client.getRun(created?.run_id ?? '')).toMatchObject({
    input: { a: 1 },
    tags: ['t'],
    topic,
    retry_policy: { max_attempts: 8, backoff_ms: 10 },
  })
  act(() => result.current.reset())
  expect(result.current).toMatchObject({ runId: null, run: null })
})

test('a start whose answer is lost starts one run', async () => {
  const tag = freshName('tag')
  let isLost = true
  const fetch: typeof globalThis.fetch = async (input, init) => {
    const answer = await globalThis.fetch(input, init)
    if (!isLost) return answer
    isLost = false
    throw new TypeError('Failed to fetch')
  }
  const { result } = renderHook(() => useStartRun(`${baseUrl}/runs`, { fetch }))
  await act(() => result.current.start({ workflow: 'w', tags: [tag], extra: { topic: tag } }))
  expect(result.current.error).toBeNull()
  expect((await client.listRuns({ tag })).runs.map((run) => run.run_id)).toEqual([result.current.runId])
})

test('a refused start is told and not thrown', async () => {
  const { result } = renderHook(() => useStartRun(`${baseUrl}/runs`))
  const answer = await act(() => result.current.start({ workflow: 'w', runId: 'no/slash' }))
  expect(answer).toBeUndefined()
  expect(result.current.error).toMatchObject({ code: 'INVALID_ARGUMENT', status: 400 })
  expect(result.current.runId).toBeNull()
})

test('the list of runs is newest first, by page, and follows a start and an end at once', async () => {
  const tag = freshName('tag')
  const start = (n: number) => client.createRun('w', n, { topic: tag, tags: [tag] })
  const ids: string[] = []
  for (let n = 0; n < 3; n += 1) ids.unshift((await start(n)).run_id)
  const options = { baseUrl, tag, limit: 2, refreshMs: 0 }
  const { result } = renderHook(
    () => ({
      list: useRuns(options),
      start: useStartRun(`${baseUrl}/runs`),
      run: useRun(ids[0] ?? null, { baseUrl }),
    }),
    { wrapper: StrictMode },
  )
  expect(result.current.list).toMatchObject({ loading: true, runs: [] })
  await waitFor(() => expect(result.current.list.runs.map((run) => run.run_id)).toEqual(ids.slice(0, 2)))
  expect(result.current.list).toMatchObject({ loading: false, hasMore: true, error: null })
  act(() => result.current.list.loadMore())
  await waitFor(() => expect(result.current.list.runs.map((run) => run.run_id)).toEqual(ids))
  expect(result.current.list.hasMore).toBe(false)

  await waitFor(() => expect(result.current.run.connection).toBe('live'))
  await client.cancelRun(ids[0] ?? '')
  await waitFor(() => expect(result.current.list.runs[0]).toMatchObject({ run_id: ids[0], status: 'cancelled' }))

  await act(() => result.current.start.start({ workflow: 'w', tags: [tag], extra: { topic: tag } }))
  await waitFor(() => expect(result.current.list.runs[0]?.run_id).toBe(result.current.start.runId))
})

test('while nothing answers the old list stays, with the error and the next try', async () => {
  const tag = freshName('tag')
  await client.createRun('w', 1, { topic: tag, tags: [tag] })
  const { result } = renderHook(() => useRuns({ baseUrl, tag, refreshMs: 30 }))
  await waitFor(() => expect(result.current.runs).toHaveLength(1))
  const updatedAtMs = result.current.updatedAtMs
  line.down()
  await waitFor(() => expect(result.current.error).toMatchObject({ retryable: true }))
  expect(result.current.runs).toHaveLength(1)
  expect(result.current.retryAtMs).toBeGreaterThan(Date.now() - 1_000)
  line.mend()
  act(() => result.current.refresh())
  await waitFor(() => expect(result.current.error).toBeNull())
  expect(result.current.updatedAtMs).toBeGreaterThan(updatedAtMs ?? 0)
})

test('another filter forgets the list of the one before', async () => {
  const tags = [freshName('tag'), freshName('tag')]
  for (const tag of tags) await client.createRun('w', tag, { topic: tag, tags: [tag] })
  const { result, rerender } = renderHook(({ tag }) => useRuns({ baseUrl, tag, refreshMs: 0 }), {
    initialProps: { tag: tags[0] ?? '' },
  })
  await waitFor(() => expect(result.current.runs[0]?.tags).toEqual([tags[0]]))
  rerender({ tag: tags[1] ?? '' })
  expect(result.current).toMatchObject({ loading: true, runs: [] })
  await waitFor(() => expect(result.current.runs[0]?.tags).toEqual([tags[1]]))
})

test('open dead letters are listed, of messages and of runs', async () => {
  const topic = freshName('commands')
  await client.createRun('w', { n: 1 }, { topic, retryPolicy: { maxAttempts: 1 } })
  await client.nack(await takeCommand(client, topic), { error: { message: 'boom' } })
  const { result } = renderHook(() => useDeadLetters({ baseUrl, topic }))
  await waitFor(() => expect(result.current.items).toHaveLength(1))
  expect(result.current.items[0]).toMatchObject({ original_topic: topic, group: 'workers', last_error: 'boom' })
})

test('where there is no list of dead letters, those of the failed runs are read', async () => {
  const topic = freshName('commands')
  const failed: string[] = []
  for (let n = 0; n < 2; n += 1) {
    const { run_id } = await client.createRun('w', { n }, { topic, retryPolicy: { maxAttempts: 1 } })
    await client.nack(await takeCommand(client, topic), { error: { message: `boom ${n}` } })
    failed.unshift(run_id)
  }
  // An app's router: runs only.
  const fetch: typeof globalThis.fetch = (input, init) =>
    String(input).includes('/v1/dlq')
      ? Promise.resolve(Response.json({ detail: 'Not Found' }, { status: 404 }))
      : globalThis.fetch(input, init)
  const { result } = renderHook(() => useDeadLetters({ baseUrl, topic, fetch, refreshMs: 20 }))
  await waitFor(() => expect(result.current.items.map((item) => item.run_id)).toEqual(failed))
  expect(result.current.items[0]).toMatchObject({
    original_topic: topic,
    reason: 'max_attempts',
    last_error: 'boom 1',
    value: { input: { n: 1 } },
    state: 'open',
  })
  await client.replayRun(failed[0] ?? '')
  await waitFor(() => expect(result.current.items.map((item) => item.run_id)).toEqual(failed.slice(1)))
})

test('lists rest in a hidden tab, and are asked for when it is seen', async () => {
  const tag = freshName('tag')
  let asked = 0
  const fetch: typeof globalThis.fetch = (input, init) => {
    asked += 1
    return globalThis.fetch(input, init)
  }
  const see = (state: string): void => {
    Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => state })
    document.dispatchEvent(new Event('visibilitychange'))
  }
  renderHook(() => useRuns({ baseUrl, tag, refreshMs: 10, fetch }))
  await until(() => asked > 2)
  vi.useFakeTimers({ toFake: ['setTimeout'] })
  act(() => see('hidden'))
  const before = asked
  await vi.advanceTimersByTimeAsync(60_000)
  expect(asked - before).toBeLessThanOrEqual(1)
  vi.useRealTimers()
  act(() => see('visible'))
  await until(() => asked > before + 1)
})

test('a countdown counts whole seconds and ends at 0', () => {
  vi.useFakeTimers()
  const atMs = Date.now() + 2_500
  const { result, rerender } = renderHook(({ at }) => useCountdown(at), {
    initialProps: { at: atMs as number | null },
  })
  const shown = [result.current]
  for (let step = 0; step < 4; step += 1) {
    act(() => void vi.advanceTimersByTime(1_000))
    shown.push(result.current)
  }
  expect(shown).toEqual([3, 2, 1, 0, 0])
  rerender({ at: null })
  expect(result.current).toBeNull()
  vi.useRealTimers()
})
