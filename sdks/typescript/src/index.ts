/**
 * The client of DriftQ: everything driftqd can do, a worker, and a run's timeline as an async iterator.
 */

export { Client } from './client/client.js'
export type { DeadLetterPlace } from './client/dead-letters.js'
export type { NackOptions, NewMessage, PollOptions, ProduceOptions } from './client/messages.js'
export type { CreateRunOptions } from './client/runs.js'
export { type ClientOptions, DEFAULT_URL } from './client/sender.js'
export type { ConsumeOptions } from './consume.js'
export { DriftQError, type DriftQErrorCode, type DriftQErrorDetails } from './errors.js'
export { SILENCE_MS_MAX } from './run-stream.js'
export { type SubscribeOptions, type SubscribeRunOptions, subscribeRun } from './subscribe.js'
export * from './wire.js'
export { WorkflowRun } from './worker/run.js'
export type { StandardSchema } from './worker/schema.js'
export { NonRetryable, RetryAfter } from './worker/signals.js'
export { type Handler, Worker, type WorkerOptions, type WorkerRunOptions, type Workflow } from './worker/worker.js'
