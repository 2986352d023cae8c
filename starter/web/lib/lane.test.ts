import { describe, expect, it } from 'vitest'
import { BEGAN_AT_MS, FAILED, REPLAYED } from '@/lib/events.fixture'
import { laneParts, laneSentence, SPAN_MS_MIN } from '@/lib/lane'
import { buildTimeline } from '@/lib/timeline'

const at = (ms: number) => BEGAN_AT_MS + ms

describe('the lane', () => {
  it('shows attempts, pauses, the dead letter, the folded idle time and the replay, in order', () => {
    const kinds = laneParts(buildTimeline(REPLAYED), at(9_300)).map((part) => part.kind)
    expect(kinds).toEqual([
      ...['queued', 'attempt', 'pause', 'attempt', 'dead-letter'],
      ...['idle', 'queued', 'attempt', 'rest'],
    ])
  })

  it('fills exactly the whole width, whatever happened', () => {
    for (let length = 1; length <= REPLAYED.length; length++) {
      const parts = laneParts(buildTimeline(REPLAYED.slice(0, length)), at(60_000))
      expect(parts.reduce((sum, part) => sum + part.weight, 0)).toBeCloseTo(1)
    }
  })

  it('does not stretch a short run', () => {
    const parts = laneParts(buildTimeline(FAILED), at(1_600))
    const [first] = parts.filter((part) => part.kind === 'attempt')
    expect(first?.weight).toBeCloseTo(330 / (SPAN_MS_MIN * 1.02), 3)
  })

  it('is soft where a failure was retried, solid where it was the last', () => {
    const attempts = laneParts(buildTimeline(FAILED), at(1_600)).filter((part) => part.kind === 'attempt')
    expect(attempts.map((part) => part.past)).toEqual([true, false])
  })

  it('grows while an attempt runs', () => {
    const running = buildTimeline(FAILED.slice(0, 3))
    const weight = (nowMs: number) =>
      laneParts(running, nowMs).find((part) => part.kind === 'attempt')?.weight ?? 0
    expect(weight(at(2_000))).toBeGreaterThan(weight(at(1_000)))
  })

  it('draws the pause to come as long as it will be', () => {
    const parts = laneParts(buildTimeline(FAILED.slice(0, 8)), at(400))
    const pause = parts.find((part) => part.kind === 'pause')
    expect(pause?.weight).toBeCloseTo(1_000 / (SPAN_MS_MIN * 1.02), 3)
  })

  it('says itself in a sentence', () => {
    expect(laneSentence(buildTimeline(REPLAYED))).toBe(
      'First try: failed, 2 failed attempts, a dead letter. Replay 1: succeeded.',
    )
    expect(laneSentence(buildTimeline([]))).toBe('Nothing happened yet.')
  })
})
