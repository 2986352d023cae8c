/**
 * Calls about messages: produce, consume, settle.
 *
 * Every produce has an idempotency key, so that a repeat after a lost answer stores nothing twice.
 */

import { type ConsumeOptions, consumeOver } from '../consume.js'
import type { CallOptions, OptionsOf } from '../options.js'
import { freshKey } from '../retry.js'
import { snakeCase } from '../run-body.js'
import type {
  ExtendResponse,
  Failure,
  Message,
  MessageRef,
  Produced,
  RetriedNow,
  RetryNowRequest,
  RetryPolicy,
} from '../wire.js'
import { TopicCalls } from './topics.js'

/** What may be said beside a message's topic and value. */
export interface ProduceOptions extends CallOptions {
  /** Chooses the partition; never trimmed. */
  readonly key?: string | undefined
  /** Texts that reach the consumer. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Made anew for each call unless given; a repeat of one key stores nothing twice. */
  readonly idempotencyKey?: string | undefined
  /** With it the same key for another meaning is refused (`UNPROCESSABLE`). */
  readonly idempotencyFingerprint?: string | undefined
  /** Hands it out so much later, milliseconds. */
  readonly delayMs?: number | undefined
  /** Hands it out then, epoch milliseconds. */
  readonly deliverAtMs?: number | undefined
  readonly retryPolicy?: RetryPolicy | undefined
  /** After it the message is a dead letter; RFC 3339. */
  readonly deadline?: string | Date | undefined
  readonly tenantId?: string | undefined
  readonly runId?: string | undefined
  readonly stepId?: string | undefined
  readonly parentStepId?: string | undefined
  /** The topic that stores it instead. */
  readonly targetTopic?: string | undefined
  /** The partition, whatever the key says. */
  readonly partitionOverride?: number | undefined
}

/** One message of a batch. */
export interface NewMessage extends Omit<ProduceOptions, 'signal'> {
  readonly topic: string
  readonly value: unknown
}

/** How messages are polled. */
export interface PollOptions extends CallOptions {
  /** Who consumes; the server makes one up unless given, and the message carries it. */
  readonly owner?: string | undefined
  /** How long a message is yours, milliseconds; 2,000 unless given. */
  readonly leaseMs?: number | undefined
  /** How long to wait for the first one, milliseconds, up to 50,000; 20,000 unless given. */
  readonly waitMs?: number | undefined
  /** Where a new group begins. */
  readonly start?: 'earliest' | 'latest' | undefined
  readonly valueFormat?: 'json' | 'string' | undefined
  readonly workerVersion?: string | undefined
}

/** How an attempt failed. */
export interface NackOptions extends CallOptions {
  readonly reason?: string | undefined
  readonly error?: Failure | undefined
  /** Replaces the backoff once, milliseconds. */
  readonly retryAfterMs?: number | undefined
  /** False makes it a dead letter now. */
  readonly retryable?: boolean | undefined
}

/** How long a poll waits on the server unless it is told. */
const WAIT_MS = 20_000

/** Messages. */
export class MessageCalls extends TopicCalls {
  /** Stores a message. `value` is any JSON but null and the empty text. */
  produce(topic: string, value: unknown, options: ProduceOptions = {}): Promise<Produced> {
    const { signal, ...rest } = options
    return this.transport.send({
      method: 'POST',
      path: '/produce',
      body: messageBody({ ...rest, topic, value }),
      repeatable: true,
      signal,
    })
  }

  /** Stores up to 1,000 messages (1 MiB), all or none. */
  async produceBatch(messages: readonly NewMessage[], options: CallOptions = {}): Promise<readonly Produced[]> {
    const { results } = await this.transport.send<{ readonly results: readonly Produced[] }>({
      method: 'POST',
      path: '/produce/batch',
      body: { messages: messages.map(messageBody) },
      repeatable: true,
      signal: options.signal,
    })
    return results
  }

  /** One message, or null when none came in time. */
  poll<Value = unknown>(topic: string, group: string, options: PollOptions = {}): Promise<Message<Value> | null> {
    return this.get(
      '/consume',
      { ...options, topic, group, mode: 'poll' },
      { patienceMs: options.waitMs ?? WAIT_MS },
    )
  }

  /** Up to `max` messages (1,000, 8 MiB); none when none came in time. */
  pollMany<Value = unknown>(
    topic: string,
    group: string,
    max: number,
    options: PollOptions = {},
  ): Promise<readonly Message<Value>[]> {
    const query = { ...options, topic, group, max, mode: 'poll' }
    return this.get('/consume', query, { patienceMs: options.waitMs ?? WAIT_MS })
  }

  /**
   * Messages as they come, over broken connections, until the loop is left or `signal` ends it.
   *
   * Leaving keeps the leases of what was handed out; what was not is given back.
   */
  consume<Value = unknown>(
    topic: string,
    group: string,
    options: ConsumeOptions = {},
  ): AsyncGenerator<Message<Value>, void, void> {
    return consumeOver<Value>(this.transport, topic, group, options)
  }

  /** Settles a message: done. With `result` a run's command is a success. Again: fine. */
  ack(message: MessageRef, options: { readonly result?: unknown } & CallOptions = {}): Promise<void> {
    return this.post('/ack', { ...options, ...placeOf(message) }, { repeatable: true })
  }

  /** Settles an attempt: failed. It comes again after its backoff, or is a dead letter. */
  nack(message: MessageRef, options: NackOptions = {}): Promise<void> {
    return this.post('/nack', { ...options, ...placeOf(message) }, { repeatable: true })
  }

  /** Renews a lease: it ends `leaseMs` milliseconds from now. */
  extend(message: MessageRef, leaseMs: number, options: CallOptions = {}): Promise<ExtendResponse> {
    return this.post('/extend', { ...options, ...placeOf(message), leaseMs }, { repeatable: true })
  }

  /** Ends a backoff or a delay now. */
  retryNow(of: OptionsOf<RetryNowRequest>): Promise<RetriedNow> {
    return this.post('/retry-now', of, { repeatable: true })
  }
}

const ENVELOPE = [
  'retryPolicy',
  'deadline',
  'tenantId',
  'runId',
  'stepId',
  'parentStepId',
  'targetTopic',
  'partitionOverride',
] as const satisfies readonly (keyof ProduceOptions)[]

function messageBody(message: NewMessage): Record<string, unknown> {
  const { idempotencyKey = freshKey(), value, ...rest } = message
  const envelope: Record<string, unknown> = {}
  const fields: Record<string, unknown> = { ...rest, idempotencyKey, value }
  for (const name of ENVELOPE) {
    envelope[name] = fields[name]
    delete fields[name]
  }
  if (envelope.deadline instanceof Date) envelope.deadline = envelope.deadline.toISOString()
  const wire = snakeCase(envelope)
  return { ...snakeCase(fields), ...(Object.keys(wire).length === 0 ? {} : { envelope: wire }) }
}

/** What names a message in our hands. */
function placeOf(message: MessageRef): MessageRef {
  const { topic, group, owner, partition, offset, lease_id } = message
  return { topic, group, owner, partition, offset, ...(lease_id == null ? {} : { lease_id }) }
}
