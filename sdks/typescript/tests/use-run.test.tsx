/**
 * `useRun` against a real driftqd: one stream, nothing lost, nothing doubled, whatever the page goes through.
 */

// @vitest-environment jsdom
import { act, cleanup, render, renderHook, screen, waitFor } from '@testing-library/react'
import { type ReactNode, StrictMode } from 'react'
import { hydrateRoot } from 'react-dom/client'
import { renderToString } from 'react-dom/server'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { Client } from '../src/index.js'
import { type ConnectionState, EVENTS_MAX, RunTimeline, type UseRun, useRun } from '../src/react/index.js'
import type { RunningDriftqd } from '../src/testing/index.js'
import { durableBroker, freshName, type Line, lineTo, takeCommand, testBroker, until } from './support.js'

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
  setVisibility('visible')
  await line.close()
})
afterAll(() => broker.stop())

function setVisibility(state: 'visible' | 'hidden'): void {
  Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => state })
  document.dispatchEvent(new Event('visibilitychange'))
}

/** A run whose commands nobody else takes. */
async function newRun(maxAttempts = 3, input: unknown = { text: 'a' }): Promise<{ runId: string; topic: string }> {
  const runId = freshName('run')
  const topic = `${runId}.commands`
  await client.createRun('w', input, { runId, topic, retryPolicy: { maxAttempts, backoffMs: 60_000 } })
  return { runId, topic }
}

const say = (runId: string, message: string) => client.appendEvents(runId, [{ type: 'run.log', message } as never])

/** The numbers of all events, which must be 1, 2, 3 … */
function expectWhole(run: UseRun): void {
  expect(run.events.map((event) => event.seq)).toEqual(run.events.map((_, at) => at + 1))
}

/** Counts the event streams that are open. */
function spyOnFetch() {
  const counts = { opened: 0, open: 0, open_max: 0 }
  const fetch: typeof globalThis.fetch = async (input, init) => {
    const response = await globalThis.fetch(input, init)
    if (!response.headers.get('content-type')?.startsWith('text/event-stream')) return response
    counts.opened += 1
    counts.open += 1
    counts.open_max = Math.max(counts.open_max, counts.open)
    init?.signal?.addEventListener('abort', () => {
      counts.open -= 1
    })
    return response
  }
  return Object.assign(counts, { fetch })
}

test('in StrictMode a run is followed from its start to its dead letter, over a replay to its success', async () => {
  const { runId, topic } = await newRun(1)
  const { result } = renderHook(() => useRun<{ words: number }>(runId, { baseUrl }), { wrapper: StrictMode })
  await waitFor(() => expect(result.current).toMatchObject({ status: 'queued', connection: 'live' }))
  expect(result.current.info).toMatchObject({ workflow: 'w', input: { text: 'a' } })

  await client.nack(await takeCommand(client, topic), { error: { message: 'no text', type: 'Bad' } })
  await waitFor(() => expect(result.current.deadLetter).not.toBeNull())
  expect(result.current).toMatchObject({
    status: 'failed',
    attempt: 1,
    error: { message: 'no text', type: 'Bad' },
  })
  expect(result.current.deadLetter).toMatchObject({ reason: 'max_attempts', command: { input: { text: 'a' } } })

  const replayed = await act(() => result.current.replay({ patch: { text: 'b' } }))
  expect(replayed).toMatchObject({ replay_seq: 1 })
  await waitFor(() => expect(result.current).toMatchObject({ status: 'queued', replaySeq: 1, error: null }))
  await waitFor(() => expect(result.current.deadLetter).toMatchObject({ state: 'replayed' }))

  await client.ack(await takeCommand(client, topic), { result: { words: 2 } })
  await waitFor(() => expect(result.current).toMatchObject({ status: 'succeeded', result: { words: 2 } }))
  expectWhole(result.current)
})

test('a retry tells when it begins, of how many attempts', async () => {
  const { runId, topic } = await newRun(3)
  const { result } = renderHook(() => useRun(runId, { baseUrl }))
  const before = Date.now()
  await client.nack(await takeCommand(client, topic), { error: { message: 'later' } })
  await waitFor(() => expect(result.current.status).toBe('retrying'))
  expect(result.current).toMatchObject({ attempt: 1, maxAttempts: 3 })
  expect(result.current.nextRetryAtMs).toBeGreaterThanOrEqual(before + 60_000)
})

test('StrictMode, and many readers of one run, share one stream', async () => {
  const { runId } = await newRun()
  const counts = spyOnFetch()
  const Reader = (): ReactNode => <p>{useRun(runId, { baseUrl, fetch: counts.fetch }).events.length}</p>
  const { unmount } = render(
    <StrictMode>
      <Reader />
      <Reader />
      <Reader />
    </StrictMode>,
  )
  await waitFor(() => expect(screen.getAllByText('1')).toHaveLength(3))
  expect(counts).toMatchObject({ opened: 1, open: 1 })
  unmount()
  await until(() => counts.open === 0)
})

test('a way back within the late close uses the same stream; after it nothing is asked for twice', async () => {
  const { runId } = await newRun()
  const counts = spyOnFetch()
  const first = renderHook(() => useRun(runId, { baseUrl, fetch: counts.fetch }))
  await waitFor(() => expect(first.result.current.events).toHaveLength(1))
  first.unmount()
  const second = renderHook(() => useRun(runId, { baseUrl, fetch: counts.fetch }))
  expect(second.result.current.events).toHaveLength(1)
  await say(runId, 'one')
  await waitFor(() => expect(second.result.current.events).toHaveLength(2))
  expect(counts.opened).toBe(1)
  second.unmount()
  await until(() => counts.open === 0)
  await say(runId, 'two')
  const third = renderHook(() => useRun(runId, { baseUrl, fetch: counts.fetch }))
  await waitFor(() => expect(third.result.current.events).toHaveLength(3))
  expectWhole(third.result.current)
  expect(counts.opened).toBe(2)
})

test('another run takes the place of the one before: there is never a second stream', async () => {
  const runs = [await newRun(), await newRun()]
  const counts = spyOnFetch()
  const { result, rerender } = renderHook(({ runId }) => useRun(runId, { baseUrl, fetch: counts.fetch }), {
    initialProps: { runId: runs[0]?.runId ?? null },
    wrapper: StrictMode,
  })
  await waitFor(() => expect(result.current.events).toHaveLength(1))
  rerender({ runId: runs[1]?.runId ?? null })
  await waitFor(() => expect(result.current.events[0]?.run_id).toBe(runs[1]?.runId))
  expect(counts).toMatchObject({ open: 1, open_max: 1 })
  rerender({ runId: null as never })
  expect(result.current).toMatchObject({ runId: null, status: null, connection: 'idle', events: [] })
  await until(() => counts.open === 0)
})

test('a hidden tab holds no connection, and shows what it missed when it is seen again', async () => {
  const { runId } = await newRun()
  const counts = spyOnFetch()
  const { result } = renderHook(() => useRun(runId, { baseUrl, fetch: counts.fetch }), { wrapper: StrictMode })
  await waitFor(() => expect(result.current.events).toHaveLength(1))
  act(() => setVisibility('hidden'))
  expect(result.current.connection).toBe('idle')
  expect(counts.open).toBe(0)
  for (const word of ['one', 'two', 'three']) await say(runId, word)
  act(() => setVisibility('visible'))
  await waitFor(() => expect(result.current.events).toHaveLength(4))
  expectWhole(result.current)
  // It left by itself: that is no outage to speak of.
  expect(result.current).toMatchObject({ connection: 'live', resumed: null, problem: null })
})

test('a page that goes into the back-forward cache lets go of its stream and takes it up again', async () => {
  const { runId } = await newRun()
  const counts = spyOnFetch()
  const { result } = renderHook(() => useRun(runId, { baseUrl, fetch: counts.fetch }))
  await waitFor(() => expect(result.current.connection).toBe('live'))
  act(() => void window.dispatchEvent(new Event('pagehide')))
  expect(counts.open).toBe(0)
  await say(runId, 'meanwhile')
  act(() => void window.dispatchEvent(new Event('pageshow')))
  await waitFor(() => expect(result.current.events).toHaveLength(2))
  expectWhole(result.current)
})

test('a cut that heals within a second is not shown', async () => {
  const { runId } = await newRun()
  const shown: ConnectionState[] = []
  const { result } = renderHook(() => {
    const run = useRun(runId, { baseUrl })
    if (shown.at(-1) !== run.connection) shown.push(run.connection)
    return run
  })
  await waitFor(() => expect(result.current.connection).toBe('live'))
  const before = line.connections
  line.cut()
  await until(() => line.connections > before)
  await say(runId, 'after the cut')
  await waitFor(() => expect(result.current.events).toHaveLength(2))
  expect(shown).toEqual(['connecting', 'live'])
  expect(result.current.resumed).toBeNull()
})

test('a longer outage is shown with its cause and the next try, and its end with what it took', async () => {
  const { runId } = await newRun()
  const { result } = renderHook(() => useRun(runId, { baseUrl }))
  await waitFor(() => expect(result.current.connection).toBe('live'))
  const cutAtMs = Date.now()
  line.down()
  await waitFor(() => expect(result.current.connection).toBe('reconnecting'), { timeout: 3_000 })
  expect(Date.now() - cutAtMs).toBeGreaterThanOrEqual(990)
  await waitFor(() => expect(result.current.reconnectAtMs).not.toBeNull())
  expect(result.current.problem).toMatchObject({ retryable: true })
  expect(result.current.events).toHaveLength(1)
  await say(runId, 'meanwhile')
  line.mend()
  act(() => result.current.reconnect())
  await waitFor(() => expect(result.current.events).toHaveLength(2))
  expect(result.current).toMatchObject({ connection: 'live', problem: null, reconnectAtMs: null })
  expect(result.current.resumed).toMatchObject({ lastSeq: 1 })
  expect(result.current.resumed?.afterMs).toBeGreaterThanOrEqual(990)
  expectWhole(result.current)
})

test('a broker that is killed while the page watches is found again, with every event once', async () => {
  const durable = await durableBroker()
  const runId = 'watched'
  await durable.client.createRun('w', null, { runId })
  const { result } = renderHook(() => useRun(runId, { baseUrl: `${durable.url}/v1` }), { wrapper: StrictMode })
  await waitFor(() => expect(result.current.events).toHaveLength(1))
  await durable.kill()
  await waitFor(() => expect(result.current.problem?.message).toContain('start it with `driftqd'), {
    timeout: 5_000,
  })
  await durable.restart()
  await durable.client.appendEvents(runId, [{ type: 'run.log' }, { type: 'run.log' }])
  await waitFor(() => expect(result.current.events).toHaveLength(3), { timeout: 10_000 })
  expectWhole(result.current)
  await durable.close()
})

test('a run that is not known is lost at once, and says so', async () => {
  const { result } = renderHook(() => useRun('nobody', { baseUrl }))
  await waitFor(() => expect(result.current.connection).toBe('lost'))
  expect(result.current.problem).toMatchObject({ code: 'NOT_FOUND', status: 404 })
  const before = line.connections
  await client.createRun('w', null, { runId: 'nobody' })
  expect(line.connections).toBe(before)
  act(() => result.current.reconnect())
  await waitFor(() => expect(result.current).toMatchObject({ connection: 'live', status: 'queued' }))
})

test('five thousand events come in few updates, and in order', async () => {
  const { runId } = await newRun()
  for (let at = 0; at < 10; at += 1) {
    await client.appendEvents(
      runId,
      Array.from({ length: 500 }, (_, n) => ({ type: 'run.log', message: `${at} ${n}` })),
    )
  }
  let renders = 0
  const { result } = renderHook(() => {
    renders += 1
    return useRun(runId, { baseUrl })
  })
  await waitFor(() => expect(result.current.events).toHaveLength(5_001), { timeout: 10_000 })
  expectWhole(result.current)
  expect(renders).toBeLessThan(100)
})

/** An API whose timeline comes in these chunks, and then stays open. */
function streaming(chunks: readonly string[]): typeof globalThis.fetch {
  return async (input) => {
    if (!String(input).endsWith('/events')) return Response.json({ error: 'NOT_FOUND' }, { status: 404 })
    const body = new ReadableStream<Uint8Array>({
      start: (stream) => {
        for (const chunk of chunks) stream.enqueue(new TextEncoder().encode(chunk))
      },
    })
    return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
  }
}

const lines = (count: number): string[] =>
  Array.from({ length: count }, (_, at) => `id: ${at + 1}\ndata: {"seq":${at + 1},"type":"t"}\n\n`)

test('events that come one by one are drawn a frame at a time', async () => {
  let renders = 0
  const fetch = streaming(lines(300))
  const { result } = renderHook(() => {
    renders += 1
    return useRun('chatty', { baseUrl: 'http://chatty.test', fetch })
  })
  await waitFor(() => expect(result.current.events).toHaveLength(300))
  expect(renders).toBeLessThan(30)
})

test('of an endless timeline the newest events are kept, and what was dropped is counted', async () => {
  const fetch = streaming([lines(EVENTS_MAX + 50).join('')])
  const { result } = renderHook(() => useRun('endless', { baseUrl: 'http://chatty.test', fetch }))
  await waitFor(() => expect(result.current.lastSeq).toBe(EVENTS_MAX + 50))
  expect(result.current.events).toHaveLength(EVENTS_MAX)
  expect(result.current.events[0]?.seq).toBe(51)
  expect(result.current.droppedEvents).toBe(50)
})

test('a run that retention removed is lost, and told apart from one that never was', async () => {
  const refusal = { error: 'EXPIRED', message: 'run "old" is no longer kept', retryable: false }
  const fetch = async (): Promise<Response> => Response.json(refusal, { status: 404 })
  const { result } = renderHook(() => useRun('old', { baseUrl: 'http://expired.test', fetch }))
  await waitFor(() => expect(result.current.connection).toBe('lost'))
  expect(result.current.problem).toMatchObject({ code: 'EXPIRED', message: refusal.message })
})

test('what a hook returns is the same object until something changed', async () => {
  const { runId } = await newRun()
  const { result, rerender } = renderHook(() => useRun(runId, { baseUrl }))
  await waitFor(() => expect(result.current).toMatchObject({ connection: 'live', status: 'queued' }))
  await waitFor(() => expect(result.current.info).not.toBeNull())
  const before = result.current
  rerender()
  expect(result.current).toBe(before)
  await say(runId, 'one')
  await waitFor(() => expect(result.current.events).toHaveLength(2))
  expect(result.current).not.toBe(before)
  expect(result.current.replay).toBe(before.replay)
})

test('a refused action is told beside the run, and never thrown', async () => {
  const { runId } = await newRun()
  const { result } = renderHook(() => useRun(runId, { baseUrl }))
  await waitFor(() => expect(result.current.status).toBe('queued'))
  const answer = await act(() => result.current.replay())
  expect(answer).toBeUndefined()
  expect(result.current.actionError).toMatchObject({ code: 'FAILED_PRECONDITION', status: 409 })
  expect(result.current.pending).toBeNull()
  await act(() => result.current.cancel())
  expect(result.current.actionError).toBeNull()
  await waitFor(() => expect(result.current.status).toBe('cancelled'))
})

test('failAt turns the switch of the input, and runs what is to fail again', async () => {
  const { runId, topic } = await newRun(1, { text: 'a', fail_at: 'tool_call' })
  const { result } = renderHook(() => useRun(runId, { baseUrl }))
  const command = await takeCommand(client, topic)
  await client.putStep(runId, 'transform', ['a'], { leaseId: command.lease_id })
  await client.nack(command, { error: { message: 'tool' } })
  await waitFor(() => expect(result.current.info?.status).toBe('failed'))
  await act(() => result.current.replay({ failAt: null }))
  const fixed = await takeCommand(client, topic)
  expect(fixed).toMatchObject({ value: { input: { text: 'a' } }, run: { steps: { transform: ['a'] } } })
  await client.nack(fixed, { error: { message: 'again' } })
  await waitFor(() => expect(result.current.info).toMatchObject({ status: 'failed', replay_seq: 1 }))
  await act(() => result.current.replay({ failAt: 'transform' }))
  const broken = await takeCommand(client, topic)
  expect(broken).toMatchObject({ value: { input: { fail_at: 'transform' } }, run: { steps: {} } })
})

test('a timeline that was trimmed says from where it is kept, and takes the rest from the record', async () => {
  const { runId } = await newRun()
  const fetch: typeof globalThis.fetch = async (input, init) => {
    const headers = new Headers(init?.headers)
    // What a broker does when retention removed what the reader asks for.
    if (headers.get('accept') === 'text/event-stream') headers.set('last-event-id', '77')
    return globalThis.fetch(input, { ...init, headers })
  }
  const { result } = renderHook(() => useRun(runId, { baseUrl, fetch }))
  await waitFor(() => expect(result.current.gap).toEqual({ reason: 'ahead', firstSeq: 1 }))
  await waitFor(() => expect(result.current.events).toHaveLength(1))
  expectWhole(result.current)
})

test('a server draws it without a word to the API, and the browser takes over without a mismatch', async () => {
  const { runId } = await newRun()
  const View = (): ReactNode => {
    const run = useRun(runId, { baseUrl })
    return (
      <main>
        <b>{run.connection}</b>
        <RunTimeline run={run} />
      </main>
    )
  }
  const markup = renderToString(<View />)
  expect(markup).toContain('connecting')
  expect(line.connections).toBe(0)
  const container = document.createElement('div')
  container.innerHTML = markup
  document.body.append(container)
  const complain = vi.fn()
  const complaints = vi.spyOn(console, 'error').mockImplementation(complain)
  const root = await act(async () => hydrateRoot(container, <View />, { onRecoverableError: complain }))
  await waitFor(() => expect(container.textContent).toContain('live'))
  await waitFor(() => expect(container.querySelectorAll('li')).toHaveLength(1))
  expect(complain).not.toHaveBeenCalled()
  complaints.mockRestore()
  act(() => root.unmount())
  container.remove()
})

test('the timeline is a list with a name, and its newest event is said politely', async () => {
  const { runId } = await newRun()
  const View = (): ReactNode => <RunTimeline run={useRun(runId, { baseUrl })} label="What happened" />
  render(<View />)
  expect(screen.getByRole('status').textContent).toBe('No events yet.')
  await waitFor(() => expect(screen.getAllByRole('listitem')).toHaveLength(1))
  expect(screen.getByRole('region', { name: 'What happened' })).toBeTruthy()
  expect(screen.getByRole('status').textContent).toBe('The run of w was created.')
  await say(runId, 'hello')
  await waitFor(() => expect(screen.getByRole('status').textContent).toBe('hello'))
})
