/**
 * The shapes of the wire under their own names, taken from the OpenAPI document.
 *
 * Fields keep the names they have on the wire (`run_id`, `replay_seq`); only our own options are camel case.
 */

import type { components } from './openapi.gen.js'

type Schemas = components['schemas']

/** Any value that JSON can carry. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }

/** Where a run stands; the last three are its ends. */
export type RunStatus = Schemas['RunStatus']
/** An error as it is stored: `message`, perhaps `type` and `stack`. */
export type Failure = Schemas['Failure']
/** A run, with its input, steps and replays. */
export type Run = Schemas['Run']
/** A run in a list. */
export type RunSummary = Schemas['RunSummary']
/** A page of `GET /runs`. */
export type RunPage = Schemas['RunPage']
/** The answer to a run's creation. */
export type RunCreated = Schemas['StartRunResponse']
/** The answer to a replay. */
export type Replayed = Schemas['ReplayResponse']
/** The answer to a cancel. */
export type Cancelled = Schemas['CancelRunResponse']
/** A finished step. */
export type Step = Schemas['Step']
/** The dead letter of a run, with every attempt. */
export type RunDeadLetter = Schemas['RunDeadLetter']
/** One attempt as a dead letter remembers it. */
export type AttemptRecord = Schemas['AttemptRecord']
/** A dead letter in a list. */
export type DeadLetter = Schemas['DeadLetter']
/** Whether a dead letter is still open. */
export type DeadLetterState = Schemas['DeadLetterState']
/** Where a dead letter lies. */
export type DeadLetterAddress = Schemas['DeadLetterAddress']
/** The first item of a stream whose older events retention removed. */
export type TimelineReset = Schemas['TimelineReset']
/** A page of `GET /dlq`. */
export type DeadLetterPage = Schemas['DeadLetterPage']
/** How often and how fast something is tried again; what is left out is the topic's or the broker's default. */
export interface RetryPolicy {
  readonly maxAttempts?: number
  /** The wait after the first failure, milliseconds; it doubles. */
  readonly backoffMs?: number
  /** The longest wait, milliseconds. */
  readonly maxBackoffMs?: number
  /** Up to so much is added to each wait, milliseconds. */
  readonly jitterMs?: number
}
/** The codes of a refusal. */
export type ErrorCode = Schemas['ErrorCode']

/**
 * An event of a run's timeline: flat, numbered from 1 without a gap.
 *
 * What else an event carries depends on its `type`; `isEvent` narrows the types that the broker writes.
 */
export interface RunEvent {
  /** Its number in the timeline, from 1. */
  readonly seq: number
  /** When it happened, epoch milliseconds. */
  readonly ts: number
  readonly type: string
  readonly run_id: string
  /** 0 for the first start, then one more for each replay. */
  readonly replay_seq: number
  /** The attempt within the replay; 0 before the first delivery. */
  readonly attempt: number
  readonly [field: string]: unknown
}

/** What the broker's own events carry, by their type. */
export type BrokerEvent = Schemas['BrokerEvent']

/** The types of event that only the broker writes. */
export type BrokerEventType = BrokerEvent['type']

/** Whether an event is the broker's own of that type; it then has that type's fields. */
export function isEvent<T extends BrokerEventType>(
  event: RunEvent,
  type: T,
): event is RunEvent & Extract<BrokerEvent, { type: T }> {
  // An event that was produced to the timeline by somebody may call itself anything.
  return event.type === type && event.source !== 'produce'
}
