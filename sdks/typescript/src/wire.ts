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
/** Who cancels a run, and why. */
export type CancelRunRequest = Schemas['CancelRunRequest']
/** What a replay may change. */
export type ReplayRequest = Schemas['ReplayRequest']
/** The answer to a replay. */
export type Replayed = Schemas['ReplayResponse']
/** The answer to a cancel. */
export type Cancelled = Schemas['CancelRunResponse']
/** A finished step. */
export type Step = Schemas['Step']
/** A step as it is stored now. */
export type StoredStep = Schemas['StepResponse']
/** A page of a timeline. */
export type EventPage = Schemas['EventPage']
/** An event that a worker or an app writes. */
export type NewEvent = Schemas['NewEvent']
/** The numbers of the events that were written. */
export type Appended = Schemas['PostEventsResponse']
/** The first item of a stream whose older events retention removed. */
export type TimelineReset = Schemas['TimelineReset']
/** One attempt at a run. */
export type RunAttempt = Schemas['RunAttempt']
/** A page of attempts. */
export type RunAttemptPage = Schemas['RunAttemptPage']
/** What changed between two attempts at a run. */
export type RunDiff = Schemas['RunDiff']
/** A token that reads one run. */
export type RunToken = Schemas['RunTokenResponse']
/** What a run's command carries for its worker. */
export type RunContext = Schemas['RunContext']
/** The dead letter of a run, with every attempt. */
export type RunDeadLetter = Schemas['RunDeadLetter']
/** One attempt as a dead letter remembers it. */
export type AttemptRecord = Schemas['AttemptRecord']
/** A dead letter in a list. */
export type DeadLetter = Schemas['DeadLetter']
/** A page of `GET /dlq`. */
export type DeadLetterPage = Schemas['DeadLetterPage']
/** A dead letter with every attempt. */
export type DeadLetterDetail = Schemas['DeadLetterDetail']
/** What changed between two attempts at a message. */
export type DeadLetterDiff = Schemas['DeadLetterDiff']
/** Whether a dead letter is still open. */
export type DeadLetterState = Schemas['DeadLetterState']
/** Where a dead letter lies. */
export type DeadLetterAddress = Schemas['DeadLetterAddress']
/** Errors that are the same but for numbers and ids. */
export type FingerprintPage = Schemas['FingerprintPage']
/** How a dead letter is sent through again. */
export type RedriveRequest = Schemas['RedriveRequest']
/** Where it went. */
export type Redriven = Schemas['RedriveResponse']
/** The answer to a discard. */
export type Discarded = Schemas['DiscardResponse']
/** How many dead letters are redriven. */
export type StartRedriveJobRequest = Schemas['StartRedriveJobRequest']
/** Which dead letters a job takes. */
export type RedriveJobFilter = Schemas['RedriveJobFilter']
/** What a job would do. */
export type RedriveDryRun = Schemas['RedriveDryRun']
/** A job and how far it is. */
export type RedriveJob = Schemas['RedriveJob']
/** A page of jobs. */
export type RedriveJobPage = Schemas['RedriveJobPage']
/** Where a message was stored. */
export type Produced = Schemas['ProduceResponse']
/** Until when a lease holds now. */
export type ExtendResponse = Schemas['ExtendResponse']
/** Which wait is ended. */
export type RetryNowRequest = Schemas['RetryNowRequest']
/** Which wait was ended. */
export type RetriedNow = Schemas['RetryNowResponse']
/** Why something is not running. */
export type Explanation = Schemas['Explanation']
/** A topic and its settings. */
export type CreateTopicRequest = Schemas['CreateTopicRequest']
/** Settings of a topic that change. */
export type PatchTopicRequest = Schemas['PatchTopicRequest']
/** The answer to a topic's creation. */
export type TopicCreated = Schemas['CreateTopicResponse']
/** A topic: partitions, groups, settings. */
export type Topic = Schemas['Topic']
/** Names of topics. */
export type TopicList = Schemas['TopicList']
/** Topics with their counts. */
export type TopicSummaryPage = Schemas['TopicDetailPage']
/** Messages that were looked at. */
export type BrowsePage = Schemas['BrowsePage']
/** Groups and what they hold. */
export type GroupPage = Schemas['GroupPage']
/** Where a group reads from. */
export type SeekTo = Schemas['SeekTo']
/** Where a group reads from now. */
export type Sought = Schemas['SeekResponse']
/** Whether it answers. */
export type Health = Schemas['Health']
/** Whether it takes work. */
export type Readiness = Schemas['Readiness']
/** Which broker it is. */
export type Version = Schemas['Version']
/** What the broker has done. */
export type Stats = Schemas['Stats']
/** The clock of a broker for tests. */
export type Clock = Schemas['Clock']
/** A refusal as it comes over the wire. */
export type ErrorBody = Schemas['ErrorBody']
/** The codes of a refusal. */
export type ErrorCode = Schemas['ErrorCode']

/** A message in a consumer's hands. */
export type Message<Value = unknown> = Omit<Schemas['ConsumeItem'], 'value'> & { readonly value: Value }

/** What names a message to settle it; a whole message will do. */
export type MessageRef = Pick<Schemas['ConsumeItem'], 'topic' | 'group' | 'owner' | 'partition' | 'offset'> & {
  readonly lease_id?: string | null | undefined
}

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
