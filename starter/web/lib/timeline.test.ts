import { describe, expect, it } from 'vitest'
import { BEGAN_AT_MS, FAILED, REPLAYED, story } from '@/lib/events.fixture'
import { buildTimeline, type Timeline } from '@/lib/timeline'

/** The picture of a timeline: what the stories are compared with. */
function picture(timeline: Timeline): string[] {
  return timeline.groups.flatMap((group) => [
    `replay ${group.replaySeq} ${group.status}${group.hasDeadLetter ? ', dead letter' : ''}`,
    ...group.before.map((row) => `  ${row.event.type}`),
    ...group.attempts.flatMap((attempt) => [
      `  attempt ${attempt.number} ${attempt.state}`,
      ...attempt.rows.map((row) =>
        row.kind === 'event'
          ? `    ${row.event.type}`
          : row.kind === 'kept'
            ? `    ${row.name} kept from ${row.from}`
            : `    ${row.name} ${row.state} ${row.durationMs ?? '?'} ms`,
      ),
    ]),
  ])
}

describe('a timeline', () => {
  it('groups by replay and attempt, with a step as one row and kept steps in their place', () => {
    expect(picture(buildTimeline(REPLAYED))).toEqual([
      'replay 0 failed, dead letter',
      '  run.created',
      '  attempt 1 failed',
      '    worker.received',
      '    fetch completed 100 ms',
      '    tool failed 200 ms',
      '  attempt 2 failed',
      '    worker.received',
      '    fetch kept from attempt 1',
      '    tool failed 200 ms',
      '    run.dlq',
      '    run.failed',
      'replay 1 succeeded',
      '  run.replay_requested',
      '  attempt 1 succeeded',
      '    worker.received',
      '    fetch kept from the first try',
      '    tool completed 200 ms',
      '    run.succeeded',
    ])
  })

  it('has every event exactly once', () => {
    const seqs = buildTimeline(REPLAYED).groups.flatMap((group) => [
      ...group.before.map((row) => row.seq),
      ...group.attempts.flatMap((attempt) => [
        ...attempt.told.map((event) => event.seq),
        ...attempt.rows.flatMap((row) =>
          row.kind === 'event' ? [row.seq] : row.kind === 'step' ? row.events.map((event) => event.seq) : [],
        ),
      ]),
    ])
    expect(seqs.sort((a, b) => a - b)).toEqual(REPLAYED.map((event) => event.seq))
  })

  it('tells the pause before the next attempt while the run is retrying', () => {
    const group = buildTimeline(FAILED.slice(0, 8)).groups[0]
    expect(group?.status).toBe('retrying')
    expect(group?.attempts[0]?.retry).toEqual({ atMs: BEGAN_AT_MS + 1_340, delayMs: 1_000, nextAttempt: 2 })
  })

  it('shows a step as running until its end is told, and as stopped when the attempt ended first', () => {
    const running = story([
      [0, 'run.created'],
      [1, 'worker.received'],
      [2, 'step.started', { step: 'tool' }],
    ])
    expect(picture(buildTimeline(running)).at(-1)).toBe('    tool running ? ms')
    const lost = [
      ...running,
      ...story([[3_000, 'run.attempt_failed', { reason: 'lease_expired' }]], { seq: 4 }),
    ]
    expect(picture(buildTimeline(lost)).at(-1)).toBe('    tool stopped ? ms')
  })

  it('forgets kept steps when a replay brings another input, or wants every step fresh', () => {
    for (const request of [{ changed: ['input'] }, { changed: [], fresh: true }]) {
      const events = [
        ...FAILED,
        ...story(
          [
            [9_000, 'run.replay_requested', request],
            [9_010, 'worker.received'],
          ],
          { seq: 15, replay: 1 },
        ),
      ]
      expect(
        picture(buildTimeline(events)).filter((line) => line.includes('kept from the first try')),
      ).toEqual([])
    }
  })

  it('is not turned by an event that somebody produced under the name of a turn', () => {
    const events = story([
      [0, 'run.created'],
      [1, 'worker.received'],
      [2, 'run.succeeded', { source: 'produce' }],
    ])
    expect(buildTimeline(events).groups[0]?.status).toBe('running')
  })

  it('begins wherever its first kept event is', () => {
    const timeline = buildTimeline(FAILED.slice(5))
    expect(timeline.groups[0]?.attempts.map((attempt) => attempt.number)).toEqual([1, 2])
    expect(picture(timeline)).toContain('    tool failed 200 ms')
  })
})
