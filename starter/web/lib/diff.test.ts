import { describe, expect, it } from 'vitest'
import { countChanges, diffJson, mergePatch } from '@/lib/diff'

const signs = { same: ' ', removed: '-', added: '+' } as const

function picture(before: unknown, after: unknown): string[] {
  return diffJson(before, after).map((line) =>
    line.kind === 'fold' ? `… ${line.lines}` : `${signs[line.kind]}${line.text}`,
  )
}

describe('a difference', () => {
  it('marks the line that went, and not the comma that went with it', () => {
    expect(picture({ text: 'a', fail_at: 'tool_call' }, { text: 'a' })).toEqual([
      ' {',
      '   "text": "a"',
      '-  "fail_at": "tool_call"',
      ' }',
    ])
  })

  it('shows a changed value as removed and added, and counts it once', () => {
    const lines = diffJson({ text: 'a' }, { text: 'b' })
    expect(picture({ text: 'a' }, { text: 'b' })).toEqual([' {', '-  "text": "a"', '+  "text": "b"', ' }'])
    expect(countChanges(lines)).toBe(1)
  })

  it('folds what did not change far from a change', () => {
    const long = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`k${index}`, index]))
    const shown = picture(long, { ...long, k19: 'new' })
    expect(shown[0]).toBe('… 17')
    expect(shown).toHaveLength(1 + 3 + 2 + 1)
  })

  it('is empty of changes between equal values', () => {
    expect(countChanges(diffJson({ a: [1, 2] }, { a: [1, 2] }))).toBe(0)
  })
})

describe('a merge patch', () => {
  it('names what changed, and null for what went', () => {
    expect(mergePatch({ a: 1, b: { c: 2, d: 3 }, e: 4 }, { a: 1, b: { c: 5, d: 3 } })).toEqual({
      b: { c: 5 },
      e: null,
    })
  })

  it('is not there when it could not say what is wanted', () => {
    expect(mergePatch({ a: 1 }, { a: null })).toBeNull()
    expect(mergePatch([1], [2])).toBeNull()
    expect(mergePatch({ a: 1 }, 'text')).toBeNull()
  })
})
