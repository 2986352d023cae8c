/**
 * What changes between two JSON values, line by line as they print, and as a merge patch (RFC 7396).
 */

/** Texts longer than this many lines are shown as removed and added, without a search for what is common. */
export const DIFF_LINES_MAX = 1_000

/** Unchanged lines kept around a change. */
const CONTEXT_LINES = 3

export interface DiffLine {
  readonly kind: 'same' | 'removed' | 'added'
  readonly text: string
}

/** Unchanged lines that are not shown. */
export interface DiffFold {
  readonly kind: 'fold'
  readonly lines: number
}

/** The lines of two values, changed ones marked; long unchanged stretches folded. */
export function diffJson(before: unknown, after: unknown): (DiffLine | DiffFold)[] {
  return folded(diffLines(print(before), print(after)))
}

/** How many lines differ, a line that was replaced counting once. */
export function countChanges(lines: readonly (DiffLine | DiffFold)[]): number {
  const removed = lines.filter((line) => line.kind === 'removed').length
  const added = lines.filter((line) => line.kind === 'added').length
  return Math.max(removed, added)
}

/**
 * The merge patch from one value to another; null when there is none (one is no object, or the new value has a
 * null, which a patch would take for "remove").
 */
export function mergePatch(before: unknown, after: unknown): Record<string, unknown> | null {
  if (!isObject(before) || !isObject(after)) return null
  const patch: Record<string, unknown> = {}
  for (const name of Object.keys(before)) if (!(name in after)) patch[name] = null
  for (const [name, value] of Object.entries(after)) {
    if (JSON.stringify(before[name]) === JSON.stringify(value)) continue
    if (hasNull(value)) return null
    const inner = isObject(before[name]) && isObject(value) ? mergePatch(before[name], value) : value
    if (inner === null) return null
    patch[name] = inner
  }
  return patch
}

function diffLines(before: readonly string[], after: readonly string[]): DiffLine[] {
  if (Math.max(before.length, after.length) > DIFF_LINES_MAX) {
    return [...before.map(line('removed')), ...after.map(line('added'))]
  }
  const common = commonLengths(before, after)
  const lines: DiffLine[] = []
  let i = 0
  let j = 0
  while (i < before.length || j < after.length) {
    const left = before[i]
    const right = after[j]
    if (left !== undefined && right !== undefined && isSame(left, right)) {
      lines.push({ kind: 'same', text: right })
      i++
      j++
    } else if (left !== undefined && (right === undefined || at(common, i + 1, j) >= at(common, i, j + 1))) {
      lines.push({ kind: 'removed', text: left })
      i++
    } else if (right !== undefined) {
      lines.push({ kind: 'added', text: right })
      j++
    }
  }
  return lines
}

/** A comma that came or went because of the next line is no change. */
function isSame(left: string, right: string): boolean {
  return left === right || left.replace(/,$/, '') === right.replace(/,$/, '')
}

/** The longest common subsequence's length from each pair of positions on. */
function commonLengths(before: readonly string[], after: readonly string[]): number[][] {
  const lengths = Array.from({ length: before.length + 1 }, () => new Array<number>(after.length + 1).fill(0))
  for (let i = before.length - 1; i >= 0; i--) {
    const row = lengths[i] as number[]
    for (let j = after.length - 1; j >= 0; j--) {
      row[j] = isSame(before[i] ?? '', after[j] ?? '')
        ? at(lengths, i + 1, j + 1) + 1
        : Math.max(at(lengths, i + 1, j), at(lengths, i, j + 1))
    }
  }
  return lengths
}

function folded(lines: readonly DiffLine[]): (DiffLine | DiffFold)[] {
  const near = lines.map((_, index) =>
    lines
      .slice(Math.max(0, index - CONTEXT_LINES), index + CONTEXT_LINES + 1)
      .some((neighbour) => neighbour.kind !== 'same'),
  )
  if (!near.includes(true)) return [...lines]
  const shown: (DiffLine | DiffFold)[] = []
  for (const [index, current] of lines.entries()) {
    const last = shown.at(-1)
    if (near[index] === true) shown.push(current)
    else if (last?.kind === 'fold') shown[shown.length - 1] = { kind: 'fold', lines: last.lines + 1 }
    else shown.push({ kind: 'fold', lines: 1 })
  }
  return shown
}

function print(value: unknown): string[] {
  return value === undefined ? [] : JSON.stringify(value, null, 2).split('\n')
}

function line(kind: DiffLine['kind']): (text: string) => DiffLine {
  return (text) => ({ kind, text })
}

function at(table: readonly (readonly number[])[], i: number, j: number): number {
  return table[i]?.[j] ?? 0
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function hasNull(value: unknown): boolean {
  if (value === null) return true
  return isObject(value) && Object.values(value).some(hasNull)
}
