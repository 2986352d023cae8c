/**
 * The route handler in front of a real driftqd: what passes, what does not, and how a stream passes.
 */

import { createServer, type ServerResponse } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Client, subscribeRun } from '../src/index.js'
import { driftqRoute } from '../src/next/index.js'
import type { RunningDriftqd } from '../src/testing/index.js'
import { freshName, testBroker, until } from './support.js'

let broker: RunningDriftqd
let client: Client
beforeAll(async () => {
  broker = await testBroker()
  client = new Client({ url: broker.url })
})
afterAll(() => broker.stop())

const anybody = (): undefined => undefined
const ask = (path: string, init?: RequestInit): Request => new Request(`http://app.test/api${path}`, init)
const post = (body: unknown): RequestInit => ({ method: 'POST', body: JSON.stringify(body) })

async function newRun(): Promise<string> {
  const runId = freshName('run')
  await client.createRun('w', null, { runId, topic: `${runId}.c` })
  return runId
}

test('the routes of runs pass, with status and body as they are', async () => {
  const { GET, POST } = driftqRoute({ to: `${broker.url}/v1`, authorize: anybody })
  const topic = freshName('topic')
  const created = await POST(ask('/runs', post({ workflow: 'w', topic })))
  expect(created.status).toBe(201)
  const { run_id } = (await created.json()) as { run_id: string }
  const shown = await GET(ask(`/runs/${run_id}?wait_ms=0`))
  expect(await shown.json()).toMatchObject({ run_id, workflow: 'w' })
  expect(shown.headers.get('x-request-id')).toBeTruthy()
  const absent = await GET(ask('/runs/nobody'))
  expect(absent.status).toBe(404)
  expect(await absent.json()).toMatchObject({ error: 'NOT_FOUND', message: 'unknown run "nobody"' })
})

test('what is not listed does not pass, and neither does a path that tries to climb', async () => {
  let passed = 0
  const fetch: typeof globalThis.fetch = async () => {
    passed += 1
    return new Response()
  }
  const { GET, POST, DELETE } = driftqRoute({ to: `${broker.url}/v1`, authorize: anybody, fetch })
  const refused = [
    await GET(ask('/topics')),
    await POST(ask('/produce', post({}))),
    await GET(ask('/runs/../topics')),
    await GET(ask('/runs/%2e%2e/topics')),
    await GET(ask('/runs/a/events/b')),
    await GET(ask('/runs/')),
  ]
  expect(refused.map((answer) => answer.status)).toEqual([404, 404, 404, 404, 404, 404])
  const wrong = await DELETE(ask('/runs/a', { method: 'DELETE' }))
  expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'GET'])
  expect(passed).toBe(0)
})

test('who is not let in gets the app’s own answer, and the API is not asked', async () => {
  const targets: unknown[] = []
  const { GET } = driftqRoute({
    to: 'http://127.0.0.1:9/v1',
    authorize: (request, target) => {
      targets.push(target)
      return request.headers.get('cookie') === 'session=ann' ? undefined : new Response('sign in', { status: 401 })
    },
  })
  const answer = await GET(ask('/runs?limit=1'))
  expect([answer.status, await answer.text()]).toEqual([401, 'sign in'])
  expect(targets).toEqual([{ method: 'GET', path: '/runs' }])
})

test('what authorize adds is sent, what the browser sent in its place is not', async () => {
  const sent: Headers[] = []
  const fetch: typeof globalThis.fetch = async (_, init) => {
    sent.push(new Headers(init?.headers))
    return Response.json({})
  }
  const authorize = () => ({ headers: { authorization: 'Bearer ours' } })
  const headers = { authorization: 'Bearer theirs', cookie: 'a=b', 'x-odd': '1', 'idempotency-key': 'k' }
  const { GET } = driftqRoute({ to: 'http://b/v1', authorize, fetch, forwardHeaders: ['cookie'] })
  await GET(ask('/runs', { headers }))
  expect(Object.fromEntries(sent[0] ?? [])).toEqual({
    authorization: 'Bearer ours',
    cookie: 'a=b',
    'idempotency-key': 'k',
  })
})

test('another site cannot start a run with a visitor’s cookies', async () => {
  const { GET, POST } = driftqRoute({ to: `${broker.url}/v1`, authorize: anybody })
  const headers = { 'sec-fetch-site': 'cross-site' }
  const refused = await POST(ask('/runs', { ...post({ workflow: 'w' }), headers }))
  expect(refused.status).toBe(403)
  expect((await GET(ask('/runs', { headers }))).status).toBe(200)
})

test('events pass one by one as they happen, marked so that nobody holds them back', async () => {
  const runId = await newRun()
  const { GET } = driftqRoute({ to: `${broker.url}/v1`, authorize: anybody })
  const answer = await GET(ask(`/runs/${runId}/events`, { headers: { accept: 'text/event-stream' } }))
  expect(answer.headers.get('cache-control')).toBe('no-cache, no-transform')
  expect(answer.headers.get('x-accel-buffering')).toBe('no')
  await answer.body?.cancel()

  const fetch: typeof globalThis.fetch = (input, init) => GET(new Request(input as string, init))
  const seen: number[] = []
  const options = { baseUrl: 'http://app.test/api', fetch, after: 1 }
  for await (const event of subscribeRun(runId, { ...options, onOpen: () => void say(1) })) {
    seen.push(event.seq)
    if (event.seq === 4) break
    await say(event.seq)
  }
  expect(seen).toEqual([2, 3, 4])

  function say(at: number): Promise<unknown> {
    return client.appendEvents(runId, [{ type: 'run.log', message: `after ${at}` } as never])
  }
})

test('a browser that leaves is left at once', async () => {
  const streams: ServerResponse[] = []
  let closed = 0
  const upstream = createServer((_, response) => {
    streams.push(response)
    response.on('close', () => {
      closed += 1
    })
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(': hello\n\n')
  })
  await new Promise<void>((ready) => upstream.listen(0, '127.0.0.1', ready))
  const to = `http://127.0.0.1:${(upstream.address() as { port: number }).port}`
  const { GET } = driftqRoute({ to, authorize: anybody })
  const gone = new AbortController()
  const answer = await GET(ask('/runs/r/events', { signal: gone.signal }))
  const reader = answer.body?.getReader()
  await reader?.read()
  expect(closed).toBe(0)
  gone.abort()
  await until(() => closed === 1)
  upstream.closeAllConnections()
  upstream.close()
})

test('while nothing answers it is a 503 that may be tried again, and does not tell where the API is', async () => {
  const errors: unknown[] = []
  const { GET } = driftqRoute({ to: 'http://127.0.0.1:9/v1', authorize: anybody, onError: (e) => errors.push(e) })
  const answer = await GET(ask('/runs'))
  expect(answer.status).toBe(503)
  expect(answer.headers.get('retry-after')).toBe('1')
  const text = await answer.text()
  expect(JSON.parse(text)).toMatchObject({ error: 'UNAVAILABLE', retryable: true })
  expect(text).not.toContain('127.0.0.1')
  expect(errors).toHaveLength(1)
})

test('a route that is written wrong is refused when the app starts', () => {
  expect(() => driftqRoute({ to: 'http://b', authorize: anybody, allow: ['/runs'] })).toThrow('GET /runs/:id')
})
