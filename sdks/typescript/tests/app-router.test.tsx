/**
 * The same hooks on an app's router: the starter's FastAPI app and its worker, in front of a real driftqd.
 *
 * It needs a Python with both installed: `DRIFTQ_PYTHON`, or the one that `scripts/check_python.sh` makes.
 */

// @vitest-environment jsdom
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { resolve } from 'node:path'
import { act, cleanup, renderHook, waitFor } from '@testing-library/react'
import { StrictMode } from 'react'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { useDeadLetters, useRun, useRuns, useStartRun } from '../src/react/index.js'
import { type DurableBroker, durableBroker, until } from './support.js'

const REPOSITORY = resolve(import.meta.dirname, '../../..')
const python = process.env.DRIFTQ_PYTHON ?? resolve(REPOSITORY, 'target/python-venv/bin/python')

let broker: DurableBroker
let baseUrl: string
const children: ChildProcess[] = []

function start(args: readonly string[]): void {
  const env = { ...process.env, DRIFTQ_HTTP_URL: broker.url, DEMO_STEP_MS: '20', DEMO_BACKOFF_MS: '50' }
  children.push(spawn(python, args, { env, cwd: resolve(REPOSITORY, 'starter/api'), stdio: 'ignore' }))
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
  const { port } = server.address() as { port: number }
  await new Promise((closed) => server.close(closed))
  return port
}

describe.skipIf(!existsSync(python))('on the starter’s API', () => {
  beforeAll(async () => {
    broker = await durableBroker()
    const port = await freePort()
    baseUrl = `http://127.0.0.1:${port}`
    start(['-m', 'uvicorn', 'app.main:app', '--port', String(port), '--timeout-graceful-shutdown', '1'])
    start(['-m', 'driftq', 'worker', 'app.worker:worker'])
    await until(async () => (await fetch(`${baseUrl}/healthz`).catch(() => null))?.ok, 30_000)
  }, 40_000)
  afterEach(cleanup)
  afterAll(async () => {
    for (const child of children) child.kill()
    await Promise.all(children.map((child) => child.exitCode ?? new Promise((gone) => child.once('exit', gone))))
    await broker.close()
  })

  function renderDemo() {
    return renderHook(
      () => {
        const start = useStartRun(`${baseUrl}/runs`)
        const options = { baseUrl, refreshMs: 100 }
        return {
          start,
          run: useRun(start.runId, { baseUrl }),
          runs: useRuns(options),
          dead: useDeadLetters(options),
        }
      },
      { wrapper: StrictMode },
    )
  }

  test('a forced failure ends as a dead letter, and its replay with the fix succeeds', async () => {
    const { result } = renderDemo()
    const options = { input: { text: 'a b' }, extra: { fail_at: 'tool_call', max_attempts: 3 } }
    await act(() => result.current.start.start(options))
    await waitFor(() => expect(result.current.run.deadLetter).not.toBeNull(), { timeout: 10_000 })
    const { runId } = result.current.start
    expect(result.current.run).toMatchObject({ status: 'failed', attempt: 3, maxAttempts: 3, connection: 'live' })
    expect(result.current.run.deadLetter?.attempts).toHaveLength(3)
    await waitFor(() => expect(result.current.dead.items).toMatchObject([{ run_id: runId, state: 'open' }]))

    const replayed = await act(() => result.current.run.replay({ failAt: null }))
    expect(replayed).toMatchObject({ run_id: runId, replay_seq: 1, ok: true })
    await waitFor(() => expect(result.current.run.status).toBe('succeeded'), { timeout: 10_000 })
    expect(result.current.run.result).toMatchObject({ words: 2 })
    const seqs = result.current.run.events.map((event) => event.seq)
    expect(seqs).toEqual(seqs.map((_, at) => at + 1))
    await waitFor(() => expect(result.current.dead.items).toEqual([]))
    await waitFor(() => expect(result.current.runs.runs[0]).toMatchObject({ run_id: runId, status: 'succeeded' }))
  })

  test('a broker that is killed behind the app is told, and the timeline goes on without a gap', async () => {
    const { result } = renderDemo()
    await act(() => result.current.start.start({ input: {} }))
    await waitFor(() => expect(result.current.run.status).toBe('succeeded'), { timeout: 10_000 })
    await broker.kill()
    await waitFor(() => expect(result.current.run.connection).toBe('reconnecting'), { timeout: 10_000 })
    expect(result.current.run.problem?.message).toBe('the API is up, its broker is away')
    await broker.restart()
    await waitFor(() => expect(result.current.run.connection).toBe('live'), { timeout: 15_000 })
    expect(result.current.run.resumed?.afterMs).toBeGreaterThan(900)
    await act(() => result.current.run.replay())
    await waitFor(() => expect(result.current.run).toMatchObject({ replaySeq: 1, status: 'succeeded' }), {
      timeout: 15_000,
    })
    const seqs = result.current.run.events.map((event) => event.seq)
    expect(seqs).toEqual(seqs.map((_, at) => at + 1))
  })

  test('what the app refuses is told in its own words', async () => {
    const { result } = renderDemo()
    await act(() => result.current.start.start({ workflow: 'rm -rf' }))
    expect(result.current.start.error).toMatchObject({ code: 'PERMISSION_DENIED', status: 403 })
    await act(() => result.current.start.start({ extra: { max_attempts: 999 } }))
    expect(result.current.start.error).toMatchObject({ code: 'INVALID_ARGUMENT', status: 422 })
  })
})
