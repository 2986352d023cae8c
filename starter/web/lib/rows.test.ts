import { describe, expect, it } from 'vitest'
import { REPLAYED } from '@/lib/events.fixture'
import { DESKTOP, type Row, timelineRows, type View } from '@/lib/rows'
import { buildTimeline } from '@/lib/timeline'

const VIEW: View = {
  heights: DESKTOP,
  folds: new Map(),
  opened: new Set(),
  search: '',
  hidden: new Set(),
  resumed: null,
}

function picture(rows: readonly Row[]): string[] {
  return rows.map((row) => {
    if (row.kind === 'group') return `replay ${row.group.replaySeq}`
    if (row.kind === 'attempt') return `  attempt ${row.attempt.number} ${row.isOpen ? 'open' : 'folded'}`
    if (row.kind === 'entry')
      return `    ${row.entry.kind === 'event' ? row.entry.event.type : row.entry.name}`
    return `  ${row.kind}`
  })
}

const rowsOf = (view: Partial<View>) => picture(timelineRows(buildTimeline(REPLAYED), { ...VIEW, ...view }))

describe('the rows', () => {
  it('fold all attempts but the newest, and the one that left a dead letter', () => {
    expect(rowsOf({}).filter((row) => row.includes('attempt'))).toEqual([
      '  attempt 1 folded',
      '  attempt 2 open',
      '  attempt 1 open',
    ])
    const folds = new Map([['a0.1', true]])
    expect(rowsOf({ folds })).toContain('  attempt 1 open')
  })

  it('of a search are those whose JSON has the text, with what headers tell otherwise', () => {
    expect(rowsOf({ search: 'worker-2' })).toEqual(['replay 0', '  attempt 2 open', '    worker.received'])
    expect(rowsOf({ search: 'RETRY_SCHEDULED' })).toEqual([
      'replay 0',
      '  attempt 1 open',
      '    run.retry_scheduled',
    ])
    expect(rowsOf({ search: 'nowhere' })).toEqual([])
  })

  it('leave out the types that were unchecked, and steps once all their events are', () => {
    const hidden = new Set(['step.started', 'step.completed', 'step.failed'])
    expect(rowsOf({ hidden }).filter((row) => /fetch|tool/.test(row))).toEqual([])
    expect(rowsOf({ hidden: new Set(['step.started']) })).toContain('    tool')
  })

  it('grow by the lines of an opened JSON', () => {
    const opened = new Set(['e1'])
    const [, created] = timelineRows(buildTimeline(REPLAYED), { ...VIEW, opened })
    const lines = JSON.stringify(REPLAYED[0], null, 2).split('\n').length
    expect(created?.height).toBe(DESKTOP.entry + lines * 19 + 16)
  })

  it('have a hairline where the connection came back', () => {
    const rows = rowsOf({ resumed: { lastSeq: 15, afterMs: 3_000 } })
    expect(rows[rows.indexOf('  resumed') + 1]).toBe('    worker.received')
    expect(rowsOf({ resumed: { lastSeq: 99, afterMs: 3_000 } })).not.toContain('  resumed')
  })

  it('have keys of their own each', () => {
    const keys = timelineRows(buildTimeline(REPLAYED), VIEW).map((row) => row.key)
    expect(new Set(keys).size).toBe(keys.length)
  })
})
