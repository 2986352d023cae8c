/**
 * The worker: takes messages, runs their handlers, and settles each by how it ended.
 *
 * Promises: a lease is renewed for as long as its handler works; a handler whose lease is lost, or whose run was
 * cancelled, is told by its signal and settles nothing; the broker may restart at any time; stopping finishes
 * what runs and takes nothing new. A handler that blocks the event loop also blocks the renewals.
 */

import { Client } from '../client/client.js'
import { DriftQError } from '../errors.js'
import { backoffMs, freshKey, sleep } from '../retry.js'
import type { Failure, Message } from '../wire.js'
import { describe } from './describe.js'
import { AWAY, Hold } from './hold.js'
import { asJson, WorkflowRun } from './run.js'
import { type StandardSchema, validated } from './schema.js'
import { NonRetryable, RetryAfter } from './signals.js'

/** After the grace is over, how long handlers have to obey their signal, milliseconds. */
const FAREWELL_MS = 2_000

/** Who a worker is, and how it treats its messages. */
export interface WorkerOptions {
  /** One with `DRIFTQ_HTTP_URL` and `DRIFTQ_TOKEN` unless given. */
  readonly client?: Client | undefined
  /** How many handlers work at once for each topic; 10 unless given. */
  readonly concurrency?: number | undefined
  /** The topic of the commands; `runs.commands` unless given. */
  readonly topic?: string | undefined
  /** The group of the commands; `workers` unless given. */
  readonly group?: string | undefined
  /** How long a killed worker's messages rest, milliseconds; 30,000 unless given. It is renewed meanwhile. */
  readonly leaseMs?: number | undefined
  /** How long what runs has to end when the worker stops, milliseconds; 8,000 unless given. */
  readonly graceMs?: number | undefined
  /** The name under which messages are held; made up unless given. */
  readonly owner?: string | undefined
  /** The release of your code; `DRIFTQ_WORKER_VERSION` unless given. Attempts are compared by it. */
  readonly version?: string | undefined
  /** Hears what is worth a line: a failed attempt, a lost lease, a broker that is away. Silent unless given. */
  readonly onWarning?: ((message: string, error?: unknown) => void) | undefined
}

/** What runs a workflow. What it returns is the run's result; what it throws, a failed attempt. */
export type Workflow<Input, Result> = (run: WorkflowRun<Input>) => Result | Promise<Result>

/** What handles a raw message. */
export type Handler<Value> = (
  message: Message<Value>,
  context: { readonly signal: AbortSignal },
) => unknown | Promise<unknown>

/** How a worker runs. */
export interface WorkerRunOptions {
  /** Asks it to stop, as `stop()` does. */
  readonly signal?: AbortSignal | undefined
  /** Called once, when the broker has accepted a stream for every topic. */
  readonly onReady?: (() => void) | undefined
  /** False leaves SIGTERM and SIGINT to you. */
  readonly handleSignals?: boolean | undefined
}

/** What a message is worked on with; what it returns is the result of a run, or nothing for a raw message. */
type Work = (hold: Hold) => Promise<{ readonly result?: unknown }>

interface Subscription {
  readonly topic: string
  readonly group: string
  readonly concurrency: number
  readonly work: Work
  isOpen: boolean
  running: number
  readonly backlog: Hold[]
}

interface Registered {
  readonly run: Workflow<unknown, unknown>
  readonly input: StandardSchema | undefined
}

/** Runs workflows and message handlers. */
export class Worker {
  /** The name under which this worker holds messages. */
  readonly owner: string
  readonly #client: Client
  readonly #options: WorkerOptions
  readonly #concurrency: number
  readonly #leaseMs: number
  readonly #workflows = new Map<string, Registered>()
  readonly #subscriptions = new Map<string, Subscription>()
  readonly #jobs = new Set<Promise<void>>()
  readonly #held = new Set<Hold>()
  #stopping: AbortController | null = null
  #hurry: AbortController | null = null

  constructor(options: WorkerOptions = {}) {
    this.#options = options
    this.#client = options.client ?? new Client()
    this.#concurrency = atLeastOne(options.concurrency ?? 10)
    this.#leaseMs = options.leaseMs ?? 30_000
    this.owner = options.owner ?? `js-${globalThis.process?.pid ?? 0}-${freshKey().slice(0, 8)}`
  }

  /** Whether the broker has accepted a stream for every topic. */
  get isReady(): boolean {
    const all = [...this.#subscriptions.values()]
    return this.#stopping !== null && all.every((there) => there.isOpen)
  }

  /**
   * Registers a workflow: `worker.workflow('summarize', async (run) => …)`.
   *
   * `RetryAfter` sets the pause before the next attempt; after `NonRetryable`, or an input that `input` (any
   * Standard Schema) refuses, there is none. A workflow that must never hold up the others gets a `topic` of
   * its own, and its runs are created for that topic.
   */
  workflow<Input = unknown, Result = unknown>(
    name: string,
    run: Workflow<Input, Result>,
    options: { readonly input?: StandardSchema<Input> | undefined; readonly topic?: string | undefined } = {},
  ): this {
    if (this.#workflows.has(name)) throw new Error(`workflow ${name} is registered twice`)
    this.#workflows.set(name, { run: run as Workflow<unknown, unknown>, input: options.input })
    const topic = options.topic ?? this.#options.topic ?? 'runs.commands'
    const group = this.#options.group ?? 'workers'
    const known = this.#subscriptions.get(placeKey(topic, group))
    if (known === undefined) this.#subscribe(topic, group, this.#concurrency, this.#runWorkflow)
    else if (known.work !== this.#runWorkflow) throw new Error(`topic ${topic} has a handler for ${group} already`)
    return this
  }

  /** Registers a handler for the raw messages of a topic. */
  handler<Value = unknown>(
    topic: string,
    handle: Handler<Value>,
    options: { readonly group?: string | undefined; readonly concurrency?: number | undefined } = {},
  ): this {
    const { group = 'workers', concurrency = this.#concurrency } = options
    this.#subscribe(topic, group, concurrency, async (hold) => {
      await handle(hold.message as Message<Value>, { signal: hold.signal })
      return {}
    })
    return this
  }

  /** Ends `run` gracefully; a second call ends it now. */
  stop(): void {
    if (this.#stopping?.signal.aborted) this.#hurry?.abort()
    this.#stopping?.abort()
  }

  /**
   * Works until it is told to stop, by `stop()`, its signal, SIGTERM or SIGINT.
   *
   * @throws DriftQError when the broker refuses it from the start: a wrong token, a topic it may not read.
   */
  async run(options: WorkerRunOptions = {}): Promise<void> {
    const { signal, onReady, handleSignals = true } = options
    if (this.#subscriptions.size === 0) throw new Error('this worker has no workflow and no handler')
    if (this.#stopping !== null) throw new Error('this worker runs already')
    const stopping = new AbortController()
    this.#stopping = stopping
    this.#hurry = new AbortController()
    const stop = (): void => this.stop()
    signal?.addEventListener('abort', stop, { once: true })
    if (signal?.aborted) stop()
    const unhandle = handleSignals ? onSignals(stop) : () => {}
    let tellReady = onReady
    const opened = (): void => {
      if (!this.isReady) return
      tellReady?.()
      tellReady = undefined
    }
    try {
      const readers = [...this.#subscriptions.values()].map((there) => this.#read(there, stopping.signal, opened))
      try {
        await Promise.all(readers)
      } finally {
        stopping.abort()
        await Promise.allSettled(readers)
        await this.#drain(this.#hurry.signal)
      }
    } finally {
      unhandle()
      signal?.removeEventListener('abort', stop)
      this.#stopping = null
      this.#hurry = null
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.stop()
    return Promise.allSettled([...this.#jobs]).then(() => {})
  }

  #subscribe(topic: string, group: string, concurrency: number, work: Work): void {
    const key = placeKey(topic, group)
    if (this.#subscriptions.has(key)) throw new Error(`topic ${topic} has a handler for group ${group} already`)
    const fresh = {
      topic,
      group,
      work,
      concurrency: atLeastOne(concurrency),
      isOpen: false,
      running: 0,
      backlog: [],
    }
    this.#subscriptions.set(key, fresh)
  }

  // -- taking ------------------------------------------------------------------------------------------

  /** Keeps a stream open, over the broker's restarts, until told to stop. */
  async #read(there: Subscription, signal: AbortSignal, opened: () => void): Promise<void> {
    let failures = 0
    let wasOpen = false
    while (!signal.aborted) {
      try {
        await this.#ensureTopic(there.topic, signal)
        const stream = this.#client.consume(there.topic, there.group, {
          owner: this.owner,
          leaseMs: this.#leaseMs,
          maxInFlight: there.concurrency,
          workerVersion: this.#options.version ?? globalThis.process?.env.DRIFTQ_WORKER_VERSION,
          reconnect: false,
          signal,
          onOpen: () => {
            failures = 0
            wasOpen = true
            there.isOpen = true
            opened()
          },
        })
        for await (const message of stream) this.#take(there, new Hold(message, this.#client, this.#leaseMs))
      } catch (error) {
        if (signal.aborted) return
        // A wrong URL or token is said at once; later the same answer comes from some proxy.
        if (!wasOpen && DriftQError.is(error) && !error.retryable) throw error
        if (failures === 0) this.#warn(`${String(error)}; trying again until it answers`, error)
      } finally {
        there.isOpen = false
      }
      failures += 1
      await sleep(backoffMs(failures, AWAY), signal).catch(() => {})
    }
  }

  /** A broker that lost its data folder must not stop the worker for good. */
  async #ensureTopic(topic: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#client.createTopic(topic, { signal })
    } catch (error) {
      // A token that may only consume may not make topics; then the stream says whether there is one.
      if (!DriftQError.is(error, 'PERMISSION_DENIED')) throw error
    }
  }

  /** A message has come. Its lease is kept from here on, also while it waits for its turn. */
  #take(there: Subscription, hold: Hold): void {
    this.#held.add(hold)
    void hold.keep()
    // After a reconnect, an earlier stream's messages may still work.
    if (there.running < there.concurrency) this.#start(there, hold)
    else there.backlog.push(hold)
  }

  #start(there: Subscription, hold: Hold): void {
    there.running += 1
    const job = this.#do(there, hold).finally(() => this.#jobs.delete(job))
    this.#jobs.add(job)
  }

  // -- working -----------------------------------------------------------------------------------------

  /** One message from its handler to its settlement. */
  async #do(there: Subscription, hold: Hold): Promise<void> {
    try {
      const outcome = await there.work(hold).then(
        (done) => ({ done }),
        (error: unknown) => ({ error }),
      )
      if (hold.lost !== null) this.#warn(`${nameOf(hold.message)} is not ours any more: ${hold.lost}`)
      else if ('done' in outcome) await this.#ack(hold, outcome.done)
      else await this.#fail(hold, outcome.error)
    } catch (error) {
      this.#warn(`${nameOf(hold.message)} could not be settled`, error)
    } finally {
      hold.release()
      this.#held.delete(hold)
      there.running -= 1
      const next = this.#stopping?.signal.aborted ? undefined : there.backlog.shift()
      if (next !== undefined) this.#start(there, next)
    }
  }

  async #ack(hold: Hold, done: { readonly result?: unknown }): Promise<void> {
    try {
      await hold.insist(() => this.#client.ack(hold.message, done))
    } catch (error) {
      if (!DriftQError.is(error) || error.code === 'LEASE_LOST') throw error
      // The work was done, yet its result cannot be stored: the same again would end the same.
      await this.#fail(hold, new NonRetryable(`the broker refused the result: ${error.message}`, { cause: error }))
    }
  }

  async #fail(hold: Hold, error: unknown): Promise<void> {
    if (hold.signal.aborted) return this.#giveBack(hold, 'the worker stopped before the handler ended')
    this.#warn(`${nameOf(hold.message)} failed in attempt ${hold.message.attempts}`, error)
    const failure = describe(error)
    await this.#nack(hold, failure, {
      ...(error instanceof RetryAfter ? { retryAfterMs: Math.round(error.afterMs) } : {}),
      ...(error instanceof NonRetryable ? { retryable: false } : {}),
    })
  }

  #giveBack(hold: Hold, why: string): Promise<void> {
    return this.#nack(hold, { message: why, type: 'WorkerStopped' }, { retryAfterMs: 0 })
  }

  async #nack(hold: Hold, error: Failure, more: { retryAfterMs?: number; retryable?: boolean }): Promise<void> {
    await hold.insist(() => this.#client.nack(hold.message, { reason: error.message, error, ...more }))
  }

  readonly #runWorkflow: Work = async (hold) => {
    const command = hold.message.value as { readonly workflow?: unknown; readonly input?: unknown } | null
    const name = String(command?.workflow ?? '')
    const workflow = this.#workflows.get(name)
    const context = hold.message.run
    if (workflow === undefined || context == null) {
      const known = [...this.#workflows.keys()].sort().join(', ')
      throw new NonRetryable(`this worker has no workflow ${JSON.stringify(name)}; it has: ${known}`)
    }
    const input = workflow.input === undefined ? command?.input : await validated(workflow.input, command?.input)
    const run = new WorkflowRun(name, input, context, hold, this.#client)
    return { result: asJson(await workflow.run(run), 'the workflow') }
  }

  // -- stopping ----------------------------------------------------------------------------------------

  /** Gives back what waits, lets what runs end for `graceMs`, then interrupts it and gives it back. */
  async #drain(hurry: AbortSignal): Promise<void> {
    const waiting = [...this.#subscriptions.values()].flatMap((there) => there.backlog.splice(0))
    const returns = waiting.map(async (hold) => {
      await this.#giveBack(hold, 'the worker stopped before it began').catch(() => {})
      hold.release()
      this.#held.delete(hold)
    })
    await within(this.#options.graceMs ?? 8_000, this.#jobs, hurry)
    for (const hold of this.#held) hold.interrupt()
    await within(FAREWELL_MS, [...this.#jobs, ...returns])
    // A handler that does not listen is left behind: its lease ends, and somebody else gets the message.
    for (const hold of this.#held) hold.release()
  }

  #warn(message: string, error?: unknown): void {
    this.#options.onWarning?.(message, error)
  }
}

function placeKey(topic: string, group: string): string {
  return JSON.stringify([topic, group])
}

function nameOf({ run, topic, partition, offset }: Message): string {
  return run == null ? `${topic}/${partition}/${offset}` : `run ${run.run_id}`
}

function atLeastOne(concurrency: number): number {
  if (Number.isInteger(concurrency) && concurrency >= 1) return concurrency
  throw new RangeError(`concurrency must be a whole number of at least 1: ${concurrency}`)
}

/** Waits for all of them, but no longer than `ms`, and not once `hurry` is aborted. */
async function within(ms: number, jobs: Iterable<Promise<void>>, hurry?: AbortSignal): Promise<void> {
  const over = new AbortController()
  const signal = hurry === undefined ? over.signal : AbortSignal.any([over.signal, hurry])
  const limit = sleep(ms, signal).catch(() => {})
  await Promise.race([Promise.allSettled([...jobs]), limit])
  over.abort()
}

/** SIGTERM and SIGINT ask to stop, where there are signals. Returns how to leave them alone. */
function onSignals(stop: () => void): () => void {
  const { process } = globalThis
  if (typeof process?.on !== 'function') return () => {}
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  return () => {
    process.off('SIGTERM', stop)
    process.off('SIGINT', stop)
  }
}
