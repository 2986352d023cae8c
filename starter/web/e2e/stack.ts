/**
 * The real stack of the browser tests: driftqd with its log on disk, the API, a worker, and the page's standalone
 * server twice: through its proxy, and with the browser talking to the API itself.
 *
 * `DRIFTQD_BIN` names the broker, `API_PYTHON` a Python that has the API's packages.
 */

import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test as base, expect, type Page } from '@playwright/test'
import { answers, freePort, Service } from './service'

const API = resolve(import.meta.dirname, '../../api')
const WEB = resolve(import.meta.dirname, '..')

/** The demo, quicker than for people. */
const STEP_MS = 120
const BACKOFF_MS = 400

export interface Stack {
  readonly broker: Service
  readonly api: Service
  readonly worker: Service
  readonly brokerUrl: string
  readonly apiUrl: string
  /** The page, through its proxy. */
  readonly url: string
  /** The page whose browser talks to the API itself. */
  readonly directUrl: string
}

interface WorkerFixtures {
  readonly stack: Stack
}

interface TestFixtures {
  /** Messages of the browser's console that a test expects, such as a refused connection. */
  readonly expectedErrors: RegExp[]
}

/** A test of the page: any error in the console that it does not expect fails it. */
export const test = base.extend<TestFixtures, WorkerFixtures>({
  stack: [
    // biome-ignore lint/correctness/noEmptyPattern: a fixture without others is written so
    async ({}, use) => {
      const folder = await mkdtemp(join(tmpdir(), 'driftq-web-'))
      const services: Service[] = []
      try {
        await use(await startStack(folder, services))
      } finally {
        for (const service of services.reverse()) await service.kill('SIGTERM')
        await rm(folder, { recursive: true, force: true })
      }
    },
    { scope: 'worker', timeout: 90_000 },
  ],
  // biome-ignore lint/correctness/noEmptyPattern: a fixture without others is written so
  expectedErrors: async ({}, use) => use([]),
  page: async ({ page, expectedErrors }, use) => {
    const errors = consoleErrors(page)
    await use(page)
    expect(errors.filter((text) => !expectedErrors.some((expected) => expected.test(text)))).toEqual([])
  },
})

export { expect }

/** The errors that a page writes to its console, as they come. */
export function consoleErrors(page: Page): string[] {
  const errors: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(`${message.text()} ${message.location().url}`)
  })
  page.on('pageerror', (error) => errors.push(String(error.stack)))
  return errors
}

/** Starts a run by the API, as another client would. */
export async function startRun(stack: Stack, body: Record<string, unknown>): Promise<string> {
  const answer = await fetch(`${stack.apiUrl}/runs`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  })
  expect(answer.status).toBe(201)
  return ((await answer.json()) as { run_id: string }).run_id
}

/** Waits until a run has ended, and answers its status. */
export async function ended(stack: Stack, runId: string): Promise<string> {
  const answer = await fetch(`${stack.apiUrl}/runs/${runId}?wait_ms=20000`)
  return ((await answer.json()) as { status: string }).status
}

async function startStack(folder: string, services: Service[]): Promise<Stack> {
  const [brokerPort, apiPort, webPort, directPort] = await Promise.all([
    freePort(),
    freePort(),
    freePort(),
    freePort(),
  ])
  const [brokerUrl, apiUrl, url, directUrl] = [brokerPort, apiPort, webPort, directPort].map(
    (port) => `http://127.0.0.1:${port}`,
  ) as [string, string, string, string]
  const python = process.env.API_PYTHON ?? 'python3'
  const readyFile = join(folder, 'worker.ready')
  const env = {
    DRIFTQ_HTTP_URL: brokerUrl,
    CORS_ORIGINS: directUrl,
    DEMO_STEP_MS: String(STEP_MS),
    DEMO_BACKOFF_MS: String(BACKOFF_MS),
    WORKER_LEASE_MS: '3000',
  }
  const begin = async (service: Service) => {
    services.push(service)
    await service.start()
    return service
  }
  const broker = await begin(
    new Service({
      name: 'driftqd',
      command: [
        process.env.DRIFTQD_BIN ?? 'driftqd',
        '-addr',
        `127.0.0.1:${brokerPort}`,
        '-wal',
        join(folder, 'data'),
      ],
      isReady: () => answers(`${brokerUrl}/v1/readyz`),
    }),
  )
  const api = await begin(
    new Service({
      name: 'the API',
      command: [
        python,
        '-m',
        'uvicorn',
        'app.main:app',
        '--port',
        String(apiPort),
        '--timeout-graceful-shutdown',
        '1',
      ],
      cwd: API,
      env,
      isReady: () => answers(`${apiUrl}/healthz`),
    }),
  )
  const worker = await begin(
    new Service({
      name: 'the worker',
      command: [python, '-m', 'driftq', 'worker', 'app.worker:worker', '--ready-file', readyFile],
      cwd: API,
      env,
      isReady: async () => existsSync(readyFile),
    }),
  )
  await begin(page(webPort, url, { API_URL: apiUrl }))
  await begin(page(directPort, directUrl, { NEXT_PUBLIC_API_URL: apiUrl }))
  return { broker, api, worker, brokerUrl, apiUrl, url, directUrl }
}

function page(port: number, url: string, env: Record<string, string>): Service {
  return new Service({
    name: 'the page',
    command: [process.execPath, join(WEB, '.next/standalone/server.js')],
    env: { ...env, HOSTNAME: '127.0.0.1', PORT: String(port) },
    isReady: () => answers(url),
  })
}
