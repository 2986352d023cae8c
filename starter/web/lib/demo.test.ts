import { describe, expect, it } from 'vitest'
import { demoScript } from '@/lib/demo'
import { BEGAN_AT_MS, FAILED, REPLAYED, story } from '@/lib/events.fixture'
import { buildTimeline } from '@/lib/timeline'

function told(events: Parameters<typeof buildTimeline>[0], nowMs = BEGAN_AT_MS + 840): string[] {
  return demoScript(buildTimeline(events), true, nowMs).steps.map(({ state, says }) => `${state}: ${says}`)
}

describe('the demo', () => {
  it('begins with what to press', () => {
    const [first] = demoScript(buildTimeline([]), false, 0).steps
    expect(first).toEqual({ name: 'Forced failure', state: 'now', says: 'Press Start run' })
  })

  it('ticks with the attempts, and counts down to the next', () => {
    expect(told(FAILED.slice(0, 3))[0]).toBe('now: Attempt 1 is running')
    expect(told(FAILED.slice(0, 8))[0]).toBe('now: Attempt 2 in 0.5 s')
  })

  it('asks for the replay once the dead letter is stored', () => {
    expect(told(FAILED)).toEqual([
      'done: tool failed 2 of 2 times',
      'done: Payload and error are kept',
      'now: Press Replay (fix applied)',
      'next: Same run, same link',
    ])
  })

  it('ends with the success of the replay, and stops its watch', () => {
    const demo = demoScript(buildTimeline(REPLAYED), true, 0)
    expect(demo.steps.map((step) => step.state)).toEqual(['done', 'done', 'done', 'done'])
    expect(demo.endedAtMs).toBe(BEGAN_AT_MS + 9_230)
  })

  it('asks again when the replay failed too', () => {
    const again = story(
      [
        [9_000, 'run.replay_requested', { changed: [] }],
        [9_010, 'worker.received'],
        [9_100, 'run.dlq'],
        [9_100, 'run.failed'],
      ],
      { seq: 15, replay: 1 },
    )
    expect(told([...FAILED, ...again])[2]).toBe('now: Press Replay (fix applied)')
  })

  it('says so when a run did not fail', () => {
    const fine = story([
      [0, 'run.created'],
      [1, 'worker.received'],
      [2, 'run.succeeded'],
    ])
    expect(told(fine)[0]).toBe('now: This run succeeded. Start one that fails')
  })
})
