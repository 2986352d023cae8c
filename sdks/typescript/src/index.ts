/**
 * The client of DriftQ: everything driftqd can do, a worker, and a run's timeline as an async iterator.
 */

export { DriftQError, type DriftQErrorCode, type DriftQErrorDetails } from './errors.js'
export { SILENCE_MS_MAX } from './run-stream.js'
export { type SubscribeOptions, type SubscribeRunOptions, subscribeRun } from './subscribe.js'
export * from './wire.js'
