/**
 * The client against a real driftqd; what it does about refusals and outages.
 */

import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Client, DriftQError } from '../src/index.js'
import type { RunningDriftqd } from '../src/testing/index.js'
import { freshName, lineTo, takeCommand, testBroker, until } from './support.js'

let broker: RunningDriftqd
let client: Client
beforeAll(async () => {
  broker = await testBroker()
  client = new Client({ url: broker.url })
})
afterAll(() => broker.stop())

async function newTopic(): Promise<string> {
  const topic = freshName('topic')
  await client.createTopic(topic)
  return topic
}

test('the address may end in /v1 or not, and comes from the environment unless given', () => {
  expect(new Client({ url: 'http://b:1' }).url).toBe('http://b:1/v1')
  expect(new Client({ url: 'http://b:1/v1/' }).url).toBe('http://b:1/v1')
  process.env.DRIFTQ_HTTP_URL = 'http://env:2'
  expect(new Client().url).toBe('http://env:2/v1')
  delete process.env.DRIFTQ_HTTP_URL
  expect(new Client().url).toBe('http://localhost:8080/v1')
})

test('a value comes back as the JSON that it was, and is settled once', async () => {
  const topic = await newTopic()
  const value = { text: 'ä', list: [1, null, { a: false }], zero: 0 }
  const options = { key: 'k', headers: { traceparent: 't' }, retryPolicy: { maxAttempts: 2, backoffMs: 5 } }
  expect(await client.produce(topic, value, options)).toMatchObject({ offset: 0, duplicate: false })
  const message = await client.poll<typeof value>(topic, 'g')
  expect(message).toMatchObject({
    value,
    key: 'k',
    headers: { traceparent: 't' },
    envelope: { retry_policy: { max_attempts: 2, backoff_ms: 5 } },
  })
  if (message === null) throw new Error('no message')
  expect((await client.extend(message, 60_000)).lease_until_ms).toBeGreaterThan(message.lease_until_ms)
  await client.ack(message)
  await client.ack(message)
  expect(await client.poll(topic, 'g', { waitMs: 0 })).toBeNull()
})

test('every produce has an idempotency key of its own, and a repeat of one key stores nothing', async () => {
  const topic = await newTopic()
  await client.produce(topic, 1)
  await client.produce(topic, 1)
  const options = { idempotencyKey: 'once' }
  expect(await client.produce(topic, 2, options)).toMatchObject({ duplicate: false })
  expect(await client.produce(topic, 2, options)).toMatchObject({ duplicate: true })
  const { messages } = await client.browseTopic(topic)
  expect(messages.map((message) => message.value)).toEqual([1, 1, 2])
})

test('a produce whose answer is lost is sent again, and stored once', async () => {
  const topic = await newTopic()
  let isLost = true
  const fetch: typeof globalThis.fetch = async (input, init) => {
    const answer = await globalThis.fetch(input, init)
    if (!isLost) return answer
    isLost = false
    throw Object.assign(new TypeError('fetch failed'), {
      cause: Object.assign(new Error(), { code: 'ECONNRESET' }),
    })
  }
  const shaky = new Client({ url: broker.url, fetch })
  expect(await shaky.produce(topic, 1)).toMatchObject({ duplicate: true, offset: 0 })
  expect((await client.browseTopic(topic)).messages).toHaveLength(1)
})

test('what must not happen twice is not sent again after a lost answer', async () => {
  const runId = freshName('run')
  await client.createRun('w', null, { runId, topic: `${runId}.c` })
  await client.cancelRun(runId)
  let sent = 0
  const fetch: typeof globalThis.fetch = async (input, init) => {
    sent += 1
    await globalThis.fetch(input, init)
    throw Object.assign(new TypeError('fetch failed'), {
      cause: Object.assign(new Error(), { code: 'ECONNRESET' }),
    })
  }
  const shaky = new Client({ url: broker.url, fetch })
  await expect(shaky.replayRun(runId)).rejects.toMatchObject({ code: 'CONNECTION_LOST', retryable: true })
  expect(sent).toBe(1)
  expect((await client.getRun(runId)).replay_seq).toBe(1)
})

test('a run is started, waited for, and gives its result', async () => {
  const runId = freshName('run')
  const created = await client.createRun('sum', [1, 2], { runId, topic: `${runId}.c`, tags: ['t'] })
  expect(created).toMatchObject({ run_id: runId, status: 'queued' })
  const result = client.runResult<number>(runId)
  await client.ack(await takeCommand(client, `${runId}.c`), { result: 3 })
  expect(await result).toBe(3)
  expect(await client.waitRun(runId)).toMatchObject({ status: 'succeeded', input: [1, 2], tags: ['t'] })
})

test('a result that never came is an error with the run in it', async () => {
  const runId = freshName('run')
  await client.createRun('w', null, { runId, topic: `${runId}.c` })
  await expect(client.runResult(runId, { waitMs: 50 })).rejects.toMatchObject({ code: 'RUN_TIMEOUT' })
  await client.nack(await takeCommand(client, `${runId}.c`), { error: { message: 'boom' }, retryable: false })
  await expect(client.runResult(runId)).rejects.toMatchObject({
    code: 'RUN_FAILED',
    message: `run ${runId} failed after 1 attempts: boom`,
    body: { run_id: runId, error: { message: 'boom' } },
  })
})

test('a dead letter is found, looked at, and sent through again as edited', async () => {
  const topic = await newTopic()
  await client.produce(topic, { to: 'a' })
  const message = await client.poll(topic, 'g')
  await client.nack(message as NonNullable<typeof message>, { retryable: false, error: { message: 'full' } })
  const { items } = await client.listDeadLetters({ topic })
  const [letter] = items
  if (letter === undefined) throw new Error('no dead letter')
  expect(await client.getDeadLetter(letter)).toMatchObject({ history: [{ error: { message: 'full' } }] })
  const options = { value: { to: 'b' }, idempotencyKey: 'mend' }
  const redriven = await client.redriveDeadLetter(letter, options)
  expect(await client.redriveDeadLetter(letter, options)).toEqual(redriven)
  expect(await client.poll(topic, 'g')).toMatchObject({ value: { to: 'b' }, attempts: 1 })
  const all: unknown[] = []
  for await (const item of client.iterDeadLetters({ topic })) all.push(item)
  expect(all).toEqual([])
})

test('a list is read to its end over its pages', async () => {
  const tag = freshName('tag')
  for (let at = 0; at < 5; at += 1) await client.createRun('w', at, { topic: tag, tags: [tag] })
  const ids: string[] = []
  for await (const run of client.iterRuns({ tag, limit: 2 })) ids.push(run.run_id)
  expect(new Set(ids).size).toBe(5)
})

describe('consuming as a stream', () => {
  test('messages come one by one, and leaving gives back what was not handed out', async () => {
    const topic = await newTopic()
    await client.produceBatch([1, 2, 3, 4].map((value) => ({ topic, value })))
    const seen: unknown[] = []
    for await (const message of client.consume(topic, 'g', { maxInFlight: 4, leaseMs: 60_000 })) {
      seen.push(message.value)
      await client.ack(message)
      if (seen.length === 2) break
    }
    expect(seen).toEqual([1, 2])
    const rest: unknown[] = []
    await until(async () => {
      for (const message of await client.pollMany(topic, 'g', 4, { waitMs: 100 })) rest.push(message.value)
      return rest.length === 2
    })
    expect(rest.sort()).toEqual([3, 4])
  })

  test('a line that is cut is found again, and a message in hand can still be settled', async () => {
    const topic = await newTopic()
    const line = await lineTo(broker.url)
    const shaky = new Client({ url: line.url })
    await client.produce(topic, 1)
    let opened = 0
    const stop = new AbortController()
    const seen: unknown[] = []
    const options = { signal: stop.signal, leaseMs: 60_000, onOpen: () => (opened += 1) }
    for await (const message of shaky.consume(topic, 'g', options)) {
      seen.push(message.value)
      if (message.value === 2) stop.abort()
      line.cut()
      await shaky.ack(message)
      await client.produce(topic, 2)
    }
    expect(seen).toEqual([1, 2])
    expect(opened).toBe(2)
    await line.close()
  })

  test('an unknown topic is an error that says how to make it', async () => {
    await expect(client.consume('nowhere', 'g').next()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })
})

describe('refusals and outages', () => {
  /** Answers each request with the next of these, and the last for ever. */
  async function answering(...answers: { status: number; body?: unknown; headers?: Record<string, string> }[]) {
    const asked: IncomingMessage[] = []
    const server = createServer((request, response) => {
      const answer = answers[Math.min(asked.length, answers.length - 1)]
      asked.push(request)
      const text = typeof answer?.body === 'string' ? answer.body : JSON.stringify(answer?.body ?? {})
      response.writeHead(answer?.status ?? 500, { 'content-type': 'application/json', ...answer?.headers })
      response.end(text)
    })
    await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
    const { port } = server.address() as { port: number }
    const close = (): void => {
      server.closeAllConnections()
      server.close()
    }
    return { url: `http://127.0.0.1:${port}`, asked, close }
  }

  test('a refusal has its code, its status, and what to do', async () => {
    const error = await client.getRun('nobody').catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(DriftQError)
    expect(error).toMatchObject({
      code: 'NOT_FOUND',
      status: 404,
      retryable: false,
      message: 'unknown run "nobody"',
      requestId: expect.any(String),
      body: { title: 'Not found' },
    })
    expect(DriftQError.is(error, 'NOT_FOUND')).toBe(true)
    expect(DriftQError.is(error, 'EXPIRED')).toBe(false)
  })

  test('an error of another copy of this package is known too', () => {
    const foreign = Object.assign(new Error('x'), { [Symbol.for('driftq.error')]: true, code: 'NOT_FOUND' })
    expect(DriftQError.is(foreign, 'NOT_FOUND')).toBe(true)
    expect(DriftQError.is(new Error('x'))).toBe(false)
    expect(DriftQError.is({ code: 'NOT_FOUND' })).toBe(false)
  })

  test('when nothing answers it says where, and how to start it', async () => {
    const line = await lineTo(broker.url)
    await line.close()
    const alone = new Client({ url: line.url, retry: { maxTries: 2, baseMs: 1 } })
    const host = new URL(line.url).host
    await expect(alone.health()).rejects.toMatchObject({
      code: 'UNREACHABLE',
      retryable: true,
      message: `nothing answers at ${line.url}/v1: start it with \`driftqd -addr ${host}\`, or check the address`,
    })
  })

  test('an overload is waited out for as long as the broker says', async () => {
    const full = { error: 'RESOURCE_EXHAUSTED', message: 'full', reason: 'overloaded', retry_after_ms: 120 }
    const server = await answering({ status: 429, body: full }, { status: 200, body: { topic: 't' } })
    const startedMs = Date.now()
    await new Client({ url: server.url }).produce('t', 1)
    expect(Date.now() - startedMs).toBeGreaterThanOrEqual(119)
    expect(server.asked).toHaveLength(2)
    server.close()
  })

  test('a wait that is too long is left to the caller, with its length', async () => {
    const server = await answering({
      status: 503,
      body: { error: 'UNAVAILABLE' },
      headers: { 'retry-after': '90' },
    })
    const refused = new Client({ url: server.url }).health()
    await expect(refused).rejects.toMatchObject({ code: 'UNAVAILABLE', retryAfterMs: 90_000 })
    expect(server.asked).toHaveLength(1)
    server.close()
  })

  test('what is not retryable is asked once', async () => {
    const server = await answering({ status: 500, body: { error: 'INTERNAL', message: 'x', retryable: false } })
    await expect(new Client({ url: server.url }).health()).rejects.toMatchObject({ code: 'INTERNAL' })
    expect(server.asked).toHaveLength(1)
    server.close()
  })

  test.each([
    [404, { detail: 'Not Found' }, 'NOT_FOUND', false],
    [401, { detail: 'Not authenticated' }, 'UNAUTHENTICATED', false],
    [422, { detail: [{ msg: 'x' }] }, 'INVALID_ARGUMENT', false],
    [302, {}, 'UNEXPECTED_ANSWER', false],
    [502, 'Bad Gateway', 'UNAVAILABLE', true],
    [500, 'Internal Server Error', 'UNAVAILABLE', true],
  ])('status %i of something that is no broker has a code as well', async (status, body, code, retryable) => {
    const server = await answering({ status, body })
    const asked = new Client({ url: server.url, retry: { maxTries: 1 } }).getRun('r')
    await expect(asked).rejects.toMatchObject({ code, status, retryable })
    server.close()
  })

  test('an answer that is no JSON says so', async () => {
    const server = await answering({ status: 200, body: '<html>' })
    await expect(new Client({ url: server.url }).health()).rejects.toMatchObject({ code: 'UNEXPECTED_ANSWER' })
    server.close()
  })

  test('an answer that does not come is a timeout, and an abort is the caller’s own reason', async () => {
    const server = createServer(() => {})
    await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
    const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`
    const hasty = new Client({ url, timeoutMs: 30, retry: { maxTries: 1 } })
    await expect(hasty.health()).rejects.toMatchObject({ code: 'TIMEOUT', retryable: true })
    const reason = new Error('enough')
    const stop = new AbortController()
    const asked = new Client({ url }).health({ signal: stop.signal })
    stop.abort(reason)
    await expect(asked).rejects.toBe(reason)
    server.closeAllConnections()
    server.close()
  })

  test('token and actor are sent, and a token may change', async () => {
    const server = await answering({ status: 200 })
    let token = 'one'
    const known = new Client({ url: server.url, token: () => token, actor: 'ann' })
    await known.health()
    token = 'two'
    await known.health()
    expect(server.asked.map((request) => request.headers.authorization)).toEqual(['Bearer one', 'Bearer two'])
    expect(server.asked[0]?.headers['x-driftq-actor']).toBe('ann')
    server.close()
  })
})

test('every operation of the OpenAPI document has its method', () => {
  const document = JSON.parse(readFileSync(new URL('../../../spec/openapi.json', import.meta.url), 'utf8')) as {
    readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly operationId: string }>>>>
  }
  const operations = Object.values(document.paths).flatMap((path) =>
    Object.values(path).map((at) => at.operationId),
  )
  const adapter = readFileSync(new URL('./scenario-adapter.mjs', import.meta.url), 'utf8')
  const missing = operations.filter((operation) => !adapter.includes(`  ${operation}:`))
  expect(missing).toEqual([])
})
