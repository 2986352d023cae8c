/**
 * `subscribeRun` against a real driftqd: no gap, no double, whatever happens to the line.
 */

import { createServer } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Client, type DriftQError, isEvent, type RunEvent, subscribeRun } from '../src/index.js'
import type { RunningDriftqd } from '../src/testing/index.js'
import { durableBroker, freshName, lineTo, takeCommand, testBroker, until } from './support.js'

let broker: RunningDriftqd
let client: Client
beforeAll(async () => {
  broker = await testBroker()
  client = new Client({ url: broker.url })
})
afterAll(() => broker.stop())

async function runWith(events: number): Promise<string> {
  const runId = freshName('run')
  await client.createRun('w', null, { runId, topic: `${runId}.commands` })
  await write(runId, events)
  return runId
}

async function write(runId: string, events: number, by = client): Promise<void> {
  for (let at = 0; at < events; at += 500) {
    const some = Math.min(500, events - at)
    await by.appendEvents(
      runId,
      Array.from({ length: some }, (_, n) => ({ type: 'run.log', message: `line ${at + n} ${'~'.repeat(40)}` })),
    )
  }
}

async function take(events: AsyncIterable<RunEvent>, upTo: number): Promise<number[]> {
  const seen: number[] = []
  for await (const event of events) {
    seen.push(event.seq)
    if (event.seq >= upTo) break
  }
  return seen
}

const upTo = (last: number): number[] => Array.from({ length: last }, (_, at) => at + 1)

test('a timeline comes whole and in order, also what happens later', async () => {
  const runId = await runWith(700)
  const all = take(client.subscribeRun(runId), 702)
  await write(runId, 1)
  expect(await all).toEqual(upTo(702))
})

test('following goes on right after the event that was named', async () => {
  const runId = await runWith(9)
  expect(await take(client.subscribeRun(runId, { after: 7 }), 10)).toEqual([8, 9, 10])
})

test('a line that is cut again and again in the middle of events loses none and doubles none', async () => {
  const runId = await runWith(2_000)
  const line = await lineTo(broker.url)
  line.cutAfter(40_011)
  let cuts = 0
  const events = subscribeRun(runId, { baseUrl: `${line.url}/v1`, onCut: () => (cuts += 1) })
  expect(await take(events, 2_001)).toEqual(upTo(2_001))
  expect(cuts).toBeGreaterThan(5)
  await line.close()
})

test('a broker that is killed and started again is found again, without a gap or a double', async () => {
  const durable = await durableBroker()
  const runId = 'survivor'
  await durable.client.createRun('w', null, { runId })
  await write(runId, 20, durable.client)
  const seen: number[] = []
  const problems: DriftQError[] = []
  const stop = new AbortController()
  const following = (async () => {
    const options = { signal: stop.signal, onCut: (error: DriftQError) => problems.push(error) }
    for await (const event of durable.client.subscribeRun(runId, options)) seen.push(event.seq)
  })()
  await until(() => seen.length === 21)
  await durable.kill()
  await until(() => problems.length > 1)
  await durable.restart()
  await write(runId, 20, durable.client)
  await until(() => seen.at(-1) === 41)
  stop.abort()
  await following
  expect(seen).toEqual(upTo(41))
  expect(problems.every((problem) => problem.retryable)).toBe(true)
  await durable.close()
})

test('with until=terminal the iteration ends with the run, and only then', async () => {
  const runId = await runWith(0)
  const all = (async () => {
    const types: string[] = []
    for await (const event of client.subscribeRun(runId, { until: 'terminal' })) types.push(event.type)
    return types
  })()
  // Somebody who merely says so does not end it.
  await client.produce(`runs.events.${runId}`, { type: 'run.succeeded' })
  await client.ack(await takeCommand(client, `${runId}.commands`), { result: 7 })
  expect(await all).toEqual(['run.created', 'run.succeeded', 'worker.received', 'run.succeeded'])
})

test('without it a replay is followed too', async () => {
  const runId = await runWith(0)
  await client.ack(await takeCommand(client, `${runId}.commands`), { result: 7 })
  const replayed = (async () => {
    for await (const event of client.subscribeRun(runId)) {
      if (isEvent(event, 'run.succeeded') && event.replay_seq === 0) await client.replayRun(runId)
      if (isEvent(event, 'run.replay_requested')) return event.replay_seq
    }
    return null
  })()
  expect(await replayed).toBe(1)
})

test('an id that is ahead of the timeline is told, and the timeline comes from its start', async () => {
  const runId = await runWith(3)
  const resets: unknown[] = []
  const events = client.subscribeRun(runId, { after: 500, onReset: (reset) => resets.push(reset) })
  expect(await take(events, 4)).toEqual(upTo(4))
  expect(resets).toMatchObject([{ reason: 'ahead', first_seq: 1 }])
})

test('an unknown run is an error at once, and not tried again', async () => {
  const events = client.subscribeRun('nobody')
  await expect(events.next()).rejects.toMatchObject({ code: 'NOT_FOUND', status: 404, retryable: false })
})

test('an abort ends the loop without an error and leaves no connection', async () => {
  const runId = await runWith(0)
  const line = await lineTo(broker.url)
  const stop = new AbortController()
  const seen: number[] = []
  for await (const event of subscribeRun(runId, { baseUrl: `${line.url}/v1`, signal: stop.signal })) {
    seen.push(event.seq)
    setTimeout(() => stop.abort())
  }
  expect(seen).toEqual([1])
  await until(() => line.open === 0)
  await line.close()
})

test('leaving the loop closes the stream', async () => {
  const runId = await runWith(0)
  const line = await lineTo(broker.url)
  expect(await take(subscribeRun(runId, { baseUrl: `${line.url}/v1` }), 1)).toEqual([1])
  await until(() => line.open === 0)
  await line.close()
})

describe('against a server that misbehaves', () => {
  /** Answers each connection with the next of these bodies; a body of null hangs. */
  async function served(bodies: readonly (string | null)[]) {
    const asked: (string | undefined)[] = []
    const server = createServer((request, response) => {
      const body = bodies[Math.min(asked.length, bodies.length - 1)]
      asked.push(request.headers['last-event-id'] as string | undefined)
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(': hello\n\n')
      if (body != null) response.end(body)
    })
    await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
    const { port } = server.address() as { port: number }
    const close = (): void => {
      server.closeAllConnections()
      server.close()
    }
    return { baseUrl: `http://127.0.0.1:${port}/api`, asked, close }
  }
  const event = (seq: number): string => `id: ${seq}\ndata: {"seq":${seq},"type":"t"}\n\n`

  test('events that come twice are handed out once, and a half event is asked for again', async () => {
    const server = await served([
      `${event(1)}${event(2)}id: 3\ndata: {"seq":3,"ty`,
      event(2) + event(3) + event(3) + event(4),
    ])
    expect(await take(subscribeRun('r', server), 4)).toEqual([1, 2, 3, 4])
    expect(server.asked).toEqual([undefined, '2'])
    server.close()
  })

  test('what retention removed is told with the first number that is kept', async () => {
    const reset = 'id: 411\ndata: {"type":"timeline.reset","reason":"trimmed","first_seq":412}\n\n'
    const server = await served([event(1), reset + event(412) + event(413)])
    const resets: unknown[] = []
    const events = subscribeRun('r', { ...server, onReset: (item) => resets.push(item) })
    expect(await take(events, 413)).toEqual([1, 412, 413])
    expect(resets).toMatchObject([{ reason: 'trimmed', first_seq: 412 }])
    server.close()
  })

  test('a connection that falls silent is left for a new one', async () => {
    const server = await served([null, event(1)])
    const cuts: string[] = []
    const events = subscribeRun('r', { ...server, silenceMs: 50, onCut: (error) => cuts.push(error.code) })
    expect(await take(events, 1)).toEqual([1])
    expect(cuts).toEqual(['TIMEOUT'])
    server.close()
  })

  test('a greeting of the app, and events without a number, are passed over', async () => {
    const server = await served([`data: {"type":"sse.connected"}\n\n${event(1)}`])
    expect(await take(subscribeRun('r', server), 1)).toEqual([1])
    server.close()
  })

  test('an app that is up while its broker is away says so, and says when it is back', async () => {
    const away = ': the broker is away, trying again\n\n'
    const server = await served([event(1) + away + away + event(2)])
    const heard: string[] = []
    const events = subscribeRun('r', {
      ...server,
      onOpen: () => heard.push('open'),
      onCut: (error) => heard.push(error.message),
    })
    for await (const { seq } of events) {
      heard.push(`event ${seq}`)
      if (seq === 2) break
    }
    expect(heard).toEqual(['open', 'event 1', 'the API is up, its broker is away', 'open', 'event 2'])
    server.close()
  })

  test('an answer that is no stream is an error that says so', async () => {
    const fetch = async (): Promise<Response> =>
      new Response('<html>', { headers: { 'content-type': 'text/html' } })
    const events = subscribeRun('r', { baseUrl: 'http://app.test/api', fetch })
    await expect(events.next()).rejects.toMatchObject({ code: 'UNEXPECTED_ANSWER' })
  })
})
