/**
 * Carries the scenarios of `spec/scenarios` through this package's client: what holds on the wire holds here.
 *
 * One JSON object a line in, one out; `spec/scenarios/README.md` says what they hold. It runs the built package.
 */

import { createInterface } from 'node:readline'
import { Client, DriftQError } from '../dist/index.js'

const client = new Client({ url: process.argv.at(-1), retry: { maxTries: 1 } })

const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase())
const OURS = new Set(['retry_policy', 'retention', 'filter'])

/** Arguments of the wire as the client takes them. */
function options(args) {
  const entries = Object.entries(args).map(([name, value]) => {
    const isOurs = OURS.has(name) && typeof value === 'object' && value !== null
    return [camel(name), isOurs ? options(value) : value]
  })
  return Object.fromEntries(entries)
}

/** A message of the wire as the client takes it. */
function message({ envelope = {}, ...rest }) {
  return options({ ...envelope, ...rest })
}

/** One line an operation: the arguments by their names on the wire, to a method of the client. */
export const methods = {
  healthz: () => client.health(),
  livez: () => client.live(),
  readyz: () => client.ready(),
  version: () => client.version(),
  stats: () => client.stats(),
  metrics: () => client.metrics(),
  openapi: () => client.openapi(),
  show_clock: () => client.clock(),
  move_clock: ({ advance_ms }) => client.advanceClock(advance_ms),
  explain: (args) => client.explain(options(args)),
  list_topics: ({ detail, ...args }) => (detail ? client.listTopicSummaries(args) : client.listTopics(args)),
  create_topic: ({ name, ...args }) => client.createTopic(name, options(args)),
  show_topic: ({ topic }) => client.getTopic(topic),
  patch_topic: ({ topic, ...args }) => client.updateTopic(topic, options(args)),
  delete_topic: ({ topic, ...args }) => client.deleteTopic(topic, args),
  browse_topic: ({ topic, ...args }) => client.browseTopic(topic, args),
  list_groups: (args) => client.listGroups(args),
  seek_group: ({ topic, group, to, ...args }) => client.seekGroup(topic, group, to, args),
  delete_group: ({ topic, group, ...args }) => client.deleteGroup(topic, group, args),
  produce: (args) => {
    const { topic, value, ...rest } = message(args)
    return client.produce(topic, value, rest)
  },
  produce_batch: async ({ messages }) => ({ results: await client.produceBatch(messages.map(message)) }),
  consume: ({ topic, group, mode: _, max, ...args }) =>
    max === undefined
      ? client.poll(topic, group, options(args))
      : client.pollMany(topic, group, max, options(args)),
  ack: ({ msg, ...args }) => client.ack(msg ?? args, 'result' in args ? { result: args.result } : {}),
  nack: ({ msg, reason, error, retry_after_ms, retryable, ...args }) =>
    client.nack(msg ?? args, { reason, error, retryAfterMs: retry_after_ms, retryable }),
  extend: ({ msg, lease_ms, ...args }) => client.extend(msg ?? args, lease_ms),
  retry_now: (args) => client.retryNow(options(args)),
  start_run: ({ workflow, input, ...args }) => client.createRun(workflow, input, options(args)),
  list_runs: (args) => client.listRuns(options(args)),
  show_run: ({ run_id, wait_ms }) =>
    wait_ms === undefined ? client.getRun(run_id) : client.waitRun(run_id, { waitMs: wait_ms }),
  read_events: ({ run_id, ...args }) => client.runEvents(run_id, args),
  append_events: ({ run_id, events, ...args }) => client.appendEvents(run_id, events, options(args)),
  replay_run: ({ run_id, ...args }) => client.replayRun(run_id, options(args)),
  cancel_run: ({ run_id }) => client.cancelRun(run_id),
  store_step: ({ run_id, step, output, ...args }) => client.putStep(run_id, step, output, options(args)),
  list_steps: async ({ run_id }) => ({ steps: await client.runSteps(run_id) }),
  show_run_dead_letter: ({ run_id, ...args }) => client.runDlq(run_id, options(args)),
  list_attempts: ({ run_id, ...args }) => client.runAttempts(run_id, args),
  diff_attempts: ({ run_id, ...args }) => client.diffRun(run_id, args),
  make_run_token: ({ run_id, ...args }) => client.createRunToken(run_id, options(args)),
  list_dead_letters: (args) => client.listDeadLetters(options(args)),
  list_fingerprints: (args) => client.listFingerprints(options(args)),
  show_dead_letter: (place) => client.getDeadLetter(place),
  diff_dead_letter: ({ a, b, ...place }) => client.diffDeadLetter(place, { a, b }),
  redrive_dead_letter: ({ topic, partition, offset, ...args }) =>
    client.redriveDeadLetter({ topic, partition, offset }, options(args)),
  discard_dead_letter: ({ reason, ...place }) => client.discardDeadLetter(place, { reason }),
  start_redrive_job: ({ filter, dry_run, ...args }) => {
    const of = filter && options(filter)
    return dry_run ? client.previewRedrive(of) : client.startRedrive(of, options(args))
  },
  list_redrive_jobs: (args) => client.listRedriveJobs(args),
  show_redrive_job: ({ job_id, ...args }) => client.getRedriveJob(job_id, options(args)),
  pause_redrive_job: ({ job_id, ...args }) => client.pauseRedriveJob(job_id, args),
  resume_redrive_job: ({ job_id, ...args }) => client.resumeRedriveJob(job_id, args),
  stop_redrive_job: ({ job_id, ...args }) => client.stopRedriveJob(job_id, args),
}

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)

function refusal(error) {
  if (!DriftQError.is(error) || error.status === undefined) throw error
  return { status: error.status, error: error.body }
}

const leaving = new Map()

/** A stream: says `open` once the broker has accepted it, then every item. */
async function follow({ id, operation, with: args }) {
  const left = new AbortController()
  leaving.set(id, left)
  const more = { signal: left.signal, onOpen: () => say({ id, open: true }) }
  const { topic, group, mode: _, run_id, last_event_id, until, ...rest } = args
  const items =
    operation === 'consume'
      ? client.consume(topic, group, { ...options(rest), ...more, reconnect: false })
      : client.subscribeRun(run_id, {
          ...more,
          after: Number(last_event_id ?? 0),
          until,
          onReset: (item) => say({ id, item }),
        })
  try {
    for await (const item of items) say({ id, item })
    say({ id, end: true })
  } catch (error) {
    say({ id, ...refusal(error) })
  }
}

async function serve({ id, op, operation, with: args, stream }) {
  if (op === 'operations') return say({ id, operations: Object.keys(methods) })
  if (op === 'open') return follow({ id, operation, with: args })
  if (op === 'close') {
    leaving.get(stream)?.abort()
    return say({ id })
  }
  try {
    return say({ id, body: await methods[operation](args) })
  } catch (error) {
    return say({ id, ...refusal(error) })
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  serve(JSON.parse(line)).catch((error) => {
    process.stderr.write(`${error.stack}\n`)
    process.exit(1)
  })
}
process.exit(0)
