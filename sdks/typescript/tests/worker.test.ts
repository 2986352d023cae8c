/**
 * The worker against a real driftqd: how attempts end, what a retry keeps, what an outage costs.
 */

import { afterAll, beforeAll, expect, test } from 'vitest'
import { Client, DriftQError, NonRetryable, RetryAfter, type StandardSchema, Worker } from '../src/index.js'
import type { RunningDriftqd } from '../src/testing/index.js'
import { durableBroker, freshName, lineTo, testBroker, until } from './support.js'

let broker: RunningDriftqd
let client: Client
beforeAll(async () => {
  broker = await testBroker()
  client = new Client({ url: broker.url })
})
afterAll(() => broker.stop())

/** Starts a worker and waits until it reads; the returned function stops it and waits for its end. */
async function working(worker: Worker): Promise<() => Promise<void>> {
  let ready: () => void = () => {}
  const isReady = new Promise<void>((resolve) => {
    ready = resolve
  })
  const over = worker.run({ onReady: ready, handleSignals: false })
  await Promise.race([isReady, over])
  return () => {
    worker.stop()
    return over
  }
}

/** A worker on a topic of its own, and how to start a run for it. */
function own(options: ConstructorParameters<typeof Worker>[0] = {}) {
  const topic = freshName('commands')
  const worker = new Worker({ client, topic, leaseMs: 2_000, ...options })
  const start = async (workflow: string, input: unknown = null, maxAttempts = 3): Promise<string> => {
    const retryPolicy = { maxAttempts, backoffMs: 20 }
    return (await (options.client ?? client).createRun(workflow, input, { topic, retryPolicy })).run_id
  }
  return { topic, worker, start }
}

test('a workflow returns the result of its run, and a retry does not repeat its finished steps', async () => {
  const { worker, start } = own()
  const calls: string[] = []
  worker.workflow<{ text: string }>('words', async (run) => {
    const words = await run.step('split', () => {
      calls.push('split')
      return run.input.text.split(' ')
    })
    return run.step('count', async () => {
      calls.push('count')
      if (run.attempt === 1) throw new TypeError('not yet')
      return { words: words.length, key: run.idempotencyKey }
    })
  })
  const stop = await working(worker)
  const runId = await start('words', { text: 'a b c' })
  expect(await client.runResult(runId)).toEqual({ words: 3, key: `${runId}:0` })
  expect(calls).toEqual(['split', 'count', 'count'])
  const { events } = await client.runEvents(runId)
  expect(events.map((event) => [event.type, event.step ?? event.attempt])).toEqual([
    ['run.created', 0],
    ['worker.received', 1],
    ['step.started', 'split'],
    ['step.completed', 'split'],
    ['step.started', 'count'],
    ['step.failed', 'count'],
    ['run.attempt_failed', 1],
    ['run.retry_scheduled', 1],
    ['worker.received', 2],
    ['step.started', 'count'],
    ['step.completed', 'count'],
    ['run.succeeded', 2],
  ])
  expect(events[6]).toMatchObject({ error: { message: 'not yet', type: 'TypeError' } })
  await stop()
})

test('a replay after the fix keeps what was finished', async () => {
  const { worker, start } = own()
  const calls: string[] = []
  worker.workflow<{ fail_at?: string }>('demo', async (run) => {
    await run.step('fetch', () => void calls.push('fetch'))
    return run.step('tool', () => {
      calls.push('tool')
      if (run.input.fail_at === 'tool') throw new Error('forced')
      return 'done'
    })
  })
  const stop = await working(worker)
  const runId = await start('demo', { fail_at: 'tool' }, 1)
  await expect(client.runResult(runId)).rejects.toMatchObject({ code: 'RUN_FAILED' })
  await client.replayRun(runId, { patch: { fail_at: null } })
  expect(await client.runResult(runId)).toBe('done')
  expect(calls).toEqual(['fetch', 'tool', 'tool'])
  await stop()
})

test('RetryAfter sets the pause, NonRetryable ends the attempts', async () => {
  const { worker, start } = own()
  worker.workflow('busy', (run) => {
    if (run.attempt === 1) throw new RetryAfter(1_234, 'rate limited')
    return run.attempt
  })
  worker.workflow('hopeless', () => {
    throw new NonRetryable('no such account')
  })
  const stop = await working(worker)
  const hopeless = await start('hopeless')
  await expect(client.runResult(hopeless)).rejects.toMatchObject({ body: { attempts: 1 } })
  expect(await client.runDlq(hopeless)).toMatchObject({ reason: 'non_retryable', error: { type: 'NonRetryable' } })
  const busy = await start('busy')
  expect(await client.runResult(busy)).toBe(2)
  const { events } = await client.runEvents(busy)
  const scheduled = events.find((event) => event.type === 'run.retry_scheduled')
  expect(scheduled).toMatchObject({ delay_ms: 1_234 })
  expect(() => new RetryAfter(-1)).toThrow(RangeError)
  await stop()
})

test('an input that the schema refuses is not tried again, and the error names the place', async () => {
  const { worker, start } = own()
  const schema: StandardSchema<{ url: string }> = {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: (value) => {
        const { url } = (value ?? {}) as { url?: unknown }
        return typeof url === 'string'
          ? { value: { url } }
          : { issues: [{ message: 'is missing', path: ['url'] }] }
      },
    },
  }
  worker.workflow('fetch', (run) => run.input.url.length, { input: schema })
  const stop = await working(worker)
  expect(await client.runResult(await start('fetch', { url: 'abc' }))).toBe(3)
  const wrong = await start('fetch', {})
  await expect(client.runResult(wrong)).rejects.toMatchObject({ body: { attempts: 1 } })
  expect(await client.runDlq(wrong)).toMatchObject({ error: { message: 'input.url: is missing' } })
  await stop()
})

test('an unknown workflow, a name used twice and a result that is no JSON are said clearly', async () => {
  const { worker, start } = own()
  worker.workflow('twice', async (run) => {
    await run.step('same', () => 1)
    await run.step('same', () => 2)
  })
  worker.workflow('big', () => 1n)
  const stop = await working(worker)
  const messages: string[] = []
  for (const name of ['nobody', 'twice', 'big']) {
    const runId = await start(name)
    await client.waitRun(runId)
    messages.push((await client.runDlq(runId)).error.message)
  }
  expect(messages[0]).toMatch(/no workflow "nobody"; it has: big, twice/)
  expect(messages[1]).toMatch(/step same was already used/)
  expect(messages[2]).toMatch(/the workflow returned what cannot be written as JSON/)
  await stop()
})

test('no more handlers work at once than allowed, and all of them when there is room', async () => {
  const { worker, start } = own({ concurrency: 3 })
  let now = 0
  let most = 0
  let open: () => void = () => {}
  const gate = new Promise<void>((opened) => (open = opened))
  worker.workflow('wait', async () => {
    now += 1
    most = Math.max(most, now)
    await gate
    now -= 1
  })
  const stop = await working(worker)
  const runs = await Promise.all(Array.from({ length: 7 }, () => start('wait')))
  await until(() => now === 3)
  open()
  await Promise.all(runs.map((runId) => client.runResult(runId)))
  expect(most).toBe(3)
  await stop()
})

test('a handler that works longer than its lease keeps it', async () => {
  const { worker, start } = own({ leaseMs: 300 })
  worker.workflow('slow', async (run) => {
    await new Promise((done) => setTimeout(done, 1_000))
    return run.attempt
  })
  const stop = await working(worker)
  const runId = await start('slow')
  expect(await client.runResult(runId)).toBe(1)
  await stop()
})

test('a cancelled run tells its handler by the signal, and nothing is settled', async () => {
  const warnings: string[] = []
  const { worker, start } = own({ leaseMs: 300, onWarning: (message) => warnings.push(message) })
  worker.workflow('long', async (run) => {
    await new Promise((_, reject) => run.signal.addEventListener('abort', () => reject(run.signal.reason)))
  })
  const stop = await working(worker)
  const runId = await start('long')
  await until(async () => (await client.getRun(runId)).status === 'running')
  await client.cancelRun(runId)
  await until(() => warnings.length > 0)
  expect(warnings).toEqual([`run ${runId} is not ours any more: cancelled`])
  expect(await client.getRun(runId)).toMatchObject({ status: 'cancelled', attempts: 1 })
  await stop()
})

test('a step after the lease was lost is refused, so that no work is done twice', async () => {
  const { worker, start } = own()
  let caught: unknown
  worker.workflow('late', async (run) => {
    await client.cancelRun(run.runId)
    await run.emit('too.late').catch((error: unknown) => (caught = error))
    throw caught
  })
  const stop = await working(worker)
  await start('late')
  await until(() => caught)
  expect(DriftQError.is(caught, 'LEASE_LOST')).toBe(true)
  await stop()
})

test('raw messages are handled, retried by their policy, and dead-lettered', async () => {
  const { worker, topic } = own()
  const seen: [unknown, number][] = []
  worker.handler<string>(topic, (message) => {
    seen.push([message.value, message.attempts])
    if (message.value === 'bad') throw new Error('bad')
  })
  const stop = await working(worker)
  await client.produce(topic, 'good')
  await client.produce(topic, 'bad', { retryPolicy: { maxAttempts: 2, backoffMs: 10 } })
  await until(async () => (await client.listDeadLetters({ topic })).items.length === 1)
  expect(seen).toEqual([
    ['good', 1],
    ['bad', 1],
    ['bad', 2],
  ])
  await stop()
})

test('stopping waits for what runs and takes nothing new', async () => {
  const { worker, start } = own({ concurrency: 1 })
  let open: () => void = () => {}
  const gate = new Promise<void>((opened) => (open = opened))
  let begun = 0
  worker.workflow('one', async () => {
    begun += 1
    await gate
    return 'finished'
  })
  const stop = await working(worker)
  const first = await start('one')
  await until(() => begun === 1)
  const second = await start('one')
  const stopped = stop()
  open()
  await stopped
  expect(await client.getRun(first)).toMatchObject({ status: 'succeeded', result: 'finished' })
  expect(await client.getRun(second)).toMatchObject({ status: 'queued', attempts: 0 })
  expect(begun).toBe(1)
})

test('SIGTERM stops it as well, and a second one does not wait for the grace', async () => {
  const { worker, start } = own({ graceMs: 60_000 })
  worker.workflow('endless', async (run) => {
    await new Promise((_, reject) => run.signal.addEventListener('abort', () => reject(run.signal.reason)))
  })
  const over = worker.run()
  const runId = await start('endless')
  await until(async () => (await client.getRun(runId)).status === 'running')
  process.emit('SIGTERM')
  process.emit('SIGTERM')
  await over
  expect((await client.getRun(runId)).status).toBe('retrying')
  expect(process.listenerCount('SIGTERM')).toBe(0)
})

test('what does not end within the grace is interrupted and given back', async () => {
  const { worker, start } = own({ graceMs: 50 })
  worker.workflow('endless', async (run) => {
    await new Promise((_, reject) => run.signal.addEventListener('abort', () => reject(run.signal.reason)))
  })
  const stop = await working(worker)
  const runId = await start('endless')
  await until(async () => (await client.getRun(runId)).status === 'running')
  await stop()
  const { events } = await client.runEvents(runId)
  expect(events.find((event) => event.type === 'run.attempt_failed')).toMatchObject({
    error: { message: 'the worker stopped before the handler ended', type: 'WorkerStopped' },
  })
})

test('a broker that is killed in the middle of a step costs nothing: the same attempt ends well', async () => {
  const durable = await durableBroker()
  const { worker, start } = own({ client: durable.client, leaseMs: 60_000 })
  let open: () => void = () => {}
  const gate = new Promise<void>((opened) => (open = opened))
  const calls: string[] = []
  worker.workflow('sturdy', async (run) => {
    const first = await run.step('first', async () => {
      calls.push('first')
      await gate
      return 1
    })
    return run.step('second', () => {
      calls.push('second')
      return first + run.attempt
    })
  })
  const stop = await working(worker)
  const runId = await start('sturdy')
  await until(() => calls.length === 1)
  await durable.kill()
  open()
  await durable.restart()
  expect(await durable.client.runResult(runId)).toBe(2)
  expect(calls).toEqual(['first', 'second'])
  // And it reads again.
  expect(await durable.client.runResult(await start('sturdy'))).toBe(2)
  await stop()
  await durable.close()
})

test('a worker that is refused from the start says so; one that finds nobody waits', async () => {
  const refusing = async (): Promise<Response> =>
    Response.json({ error: 'UNAUTHENTICATED', message: 'a token is wanted' }, { status: 401 })
  const refused = new Worker({ client: new Client({ fetch: refusing }) }).workflow('w', () => 1)
  await expect(refused.run({ handleSignals: false })).rejects.toMatchObject({ code: 'UNAUTHENTICATED' })

  const line = await lineTo(broker.url)
  line.down()
  const warnings: string[] = []
  const { worker, start } = own({
    client: new Client({ url: line.url }),
    onWarning: (text) => warnings.push(text),
  })
  worker.workflow('w', () => 'here')
  const ready = working(worker)
  await until(() => warnings.length > 0)
  line.mend()
  const stop = await ready
  expect(await client.runResult(await start('w'))).toBe('here')
  await stop()
  await line.close()
})

test('a worker without work, a name twice and a concurrency of none are refused at once', async () => {
  await expect(new Worker({ client }).run()).rejects.toThrow('no workflow and no handler')
  const worker = new Worker({ client }).workflow('w', () => 1)
  expect(() => worker.workflow('w', () => 2)).toThrow('registered twice')
  expect(() => worker.handler('runs.commands', () => 2)).toThrow('has a handler')
  expect(() => new Worker({ client, concurrency: 0 })).toThrow(RangeError)
})
