/**
 * Messages of a topic as they come: a stream of lines, opened again whenever it breaks.
 *
 * Promises: every message that was read from the connection is either handed out or given back; leaving keeps
 * the leases of those handed out.
 */

import { DriftQError } from './errors.js'
import type { CallOptions } from './options.js'
import { backoffMs, freshKey, sleep } from './retry.js'
import { snakeCase } from './run-body.js'
import { RECONNECT, SILENCE_MS_MAX } from './run-stream.js'
import type { Transport } from './transport.js'
import type { Message } from './wire.js'

/** The largest message is 1 MiB by default, an option at the broker; a line this long is no message. */
export const LINE_CHARS_MAX = 64 * 1024 * 1024

/** How messages are consumed. */
export interface ConsumeOptions extends CallOptions {
  /** Who consumes; made up unless given. */
  readonly owner?: string | undefined
  /** How long a message is yours, milliseconds; 30,000 unless given. */
  readonly leaseMs?: number | undefined
  /** How many unsettled messages this stream holds at once; 1 unless given. */
  readonly maxInFlight?: number | undefined
  /** Where a new group begins. */
  readonly start?: 'earliest' | 'latest' | undefined
  readonly valueFormat?: 'json' | 'string' | undefined
  /** The release of your code; attempts are compared by it. */
  readonly workerVersion?: string | undefined
  /** Called each time the broker has accepted the stream. */
  readonly onOpen?: (() => void) | undefined
  /** False ends the iteration, or throws, when the connection breaks. */
  readonly reconnect?: boolean | undefined
  /** After so much silence the connection counts as dead, milliseconds; 45,000 unless given. */
  readonly silenceMs?: number | undefined
}

/** As `client.consume`, over a transport. */
export async function* consumeOver<Value>(
  transport: Transport,
  topic: string,
  group: string,
  options: ConsumeOptions,
): AsyncGenerator<Message<Value>, void, void> {
  const { signal, onOpen, reconnect = true, silenceMs = SILENCE_MS_MAX, ...query } = options
  const owner = options.owner ?? `js-${freshKey().slice(0, 12)}`
  const left = new AbortController()
  const whole = signal === undefined ? left.signal : AbortSignal.any([signal, left.signal])
  const call = {
    method: 'GET',
    path: '/consume',
    query: snakeCase({ leaseMs: 30_000, ...query, owner, topic, group, mode: 'stream' }),
    signal: whole,
  } as const
  let failures = 0
  try {
    while (!whole.aborted) {
      try {
        const response = await transport.answerOnce(call)
        failures = 0
        onOpen?.()
        yield* handOut<Value>(transport, response, silenceMs, whole)
      } catch (error) {
        if (signal?.aborted) return
        if (!reconnect || !DriftQError.is(error) || !error.retryable) throw error
      }
      if (!reconnect) return
      failures += 1
      await sleep(backoffMs(failures, RECONNECT), whole).catch(() => {})
    }
  } finally {
    left.abort()
  }
}

/**
 * Hands the messages of one connection out one by one; what is left when the loop is left goes back.
 *
 * They are read as they come, not as they are asked for: what lies unread in a socket can be neither worked on
 * nor given back. The broker sends no more than `maxInFlight` ahead.
 */
async function* handOut<Value>(
  transport: Transport,
  response: Response,
  silenceMs: number,
  signal: AbortSignal,
): AsyncGenerator<Message<Value>, void, void> {
  const arrived: Message<Value>[] = []
  let wake: () => void = () => {}
  let end: { readonly error?: unknown } | null = null
  const left = new AbortController()
  const hear = (message: Message<Value>): void => {
    arrived.push(message)
    wake()
  }
  const over = AbortSignal.any([signal, left.signal])
  over.addEventListener('abort', () => wake())
  const reading = readLines(transport, response, silenceMs, over, hear).then(
    () => {
      end = {}
      wake()
    },
    (error: unknown) => {
      end = { error }
      wake()
    },
  )
  try {
    while (!signal.aborted) {
      const next = arrived.shift()
      if (next !== undefined) yield next
      else if (end !== null) break
      else await new Promise<void>((woken) => (wake = woken))
    }
    const { error } = end ?? ({} as { readonly error?: unknown })
    if (error !== undefined) throw error
  } finally {
    left.abort()
    await reading
    // A lease that cannot be given back ends by itself.
    await Promise.allSettled(arrived.map((message) => giveBack(transport, message)))
  }
}

/** Gives a message back that nobody worked on. */
export async function giveBack(transport: Transport, message: Message): Promise<void> {
  const { topic, group, owner, partition, offset, lease_id } = message
  const place = { topic, group, owner, partition, offset, lease_id }
  const body = { ...place, reason: 'the consumer left before it began', retry_after_ms: 0 }
  await transport.answerOnce({ method: 'POST', path: '/nack', body })
}

/** Reads one connection to its end, a message a line. Throws when it breaks or falls silent. */
async function readLines<Value>(
  transport: Transport,
  response: Response,
  silenceMs: number,
  signal: AbortSignal,
  hear: (message: Message<Value>) => void,
): Promise<void> {
  if (response.body === null) return
  const reader = response.body.getReader()
  const leave = (): void => void reader.cancel().catch(() => {})
  signal.addEventListener('abort', leave, { once: true })
  const text = new TextDecoder()
  let rest = ''
  let isSilent = false
  let timer: ReturnType<typeof setTimeout> | undefined
  try {
    for (;;) {
      clearTimeout(timer)
      timer = setTimeout(() => {
        isSilent = true
        leave()
      }, silenceMs)
      const { done, value } = await transport.guarded({ signal }, () => reader.read())
      if (isSilent)
        throw new DriftQError('TIMEOUT', `the stream was silent for ${silenceMs} ms`, { retryable: true })
      if (done) return
      const lines = (rest + text.decode(value, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      if (rest.length > LINE_CHARS_MAX) {
        throw new DriftQError(
          'UNEXPECTED_ANSWER',
          `a line of the stream is longer than ${LINE_CHARS_MAX} characters`,
        )
      }
      for (const line of lines) if (line.trim() !== '') hear(JSON.parse(line) as Message<Value>)
    }
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', leave)
    leave()
  }
}
