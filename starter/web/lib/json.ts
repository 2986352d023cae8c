/**
 * JSON for reading: printed lines, coloured tokens, folded arrays, and the line of a fault in what somebody types.
 */

/** Arrays longer than this are folded until somebody opens them. */
export const ARRAY_ITEMS_SHOWN = 8

export type TokenKind = 'key' | 'string' | 'number' | 'word' | 'mark' | 'space'

export interface Token {
  readonly kind: TokenKind
  readonly text: string
}

export interface JsonLine {
  readonly text: string
  /** Set on the line of a folded array: the path that opens it. */
  readonly fold: string | null
}

/** A value, two spaces an indent; arrays that are long and not in `open` are one line. */
export function printJson(value: unknown, open: ReadonlySet<string>): JsonLine[] {
  const lines: JsonLine[] = []
  print(value, { indent: '', lead: '', tail: '', path: '$' }, open, lines)
  return lines
}

const TOKEN =
  /("(?:\\.|[^"\\])*")(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|\b(true|false|null)\b|(\s+)|([\s\S])/g

/** One line's tokens; together they are the line. */
export function tokens(line: string): Token[] {
  const found: Token[] = []
  for (const match of line.matchAll(TOKEN)) {
    const [whole, text, colon, number, word, space] = match
    if (text !== undefined && colon !== undefined) {
      found.push({ kind: 'key', text }, { kind: 'mark', text: colon })
    } else if (text !== undefined) found.push({ kind: 'string', text })
    else if (number !== undefined) found.push({ kind: 'number', text: number })
    else if (word !== undefined) found.push({ kind: 'word', text: word })
    else if (space !== undefined) found.push({ kind: 'space', text: space })
    else found.push({ kind: 'mark', text: whole })
  }
  return found
}

/** What is wrong in a JSON text, and in which line (from 1). */
export interface JsonFault {
  readonly line: number
  readonly message: string
}

export type Parsed =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly fault: JsonFault }

/** Parses what somebody typed. Browsers disagree on where a fault is, so it is looked up here. */
export function parseJson(text: string): Parsed {
  try {
    return { ok: true, value: JSON.parse(text) as unknown }
  } catch {
    return { ok: false, fault: new Reader(text).fault() }
  }
}

interface Place {
  readonly indent: string
  readonly lead: string
  readonly tail: string
  readonly path: string
}

function print(value: unknown, place: Place, open: ReadonlySet<string>, lines: JsonLine[]): void {
  const { indent, lead, tail, path } = place
  const push = (text: string, fold: string | null = null) => lines.push({ text: `${indent}${text}`, fold })
  if (typeof value !== 'object' || value === null) {
    push(`${lead}${JSON.stringify(value) ?? 'null'}${tail}`)
    return
  }
  const isList = Array.isArray(value)
  const entries = Object.entries(value)
  const [begin, end] = isList ? ['[', ']'] : ['{', '}']
  if (entries.length === 0) {
    push(`${lead}${begin}${end}${tail}`)
    return
  }
  if (isList && entries.length > ARRAY_ITEMS_SHOWN && !open.has(path)) {
    push(`${lead}[ ${entries.length} items ]${tail}`, path)
    return
  }
  push(`${lead}${begin}`)
  for (const [index, [name, inner]] of entries.entries()) {
    print(
      inner,
      {
        indent: `${indent}  `,
        lead: isList ? '' : `${JSON.stringify(name)}: `,
        tail: index === entries.length - 1 ? '' : ',',
        path: `${path}/${name}`,
      },
      open,
      lines,
    )
  }
  push(`${end}${tail}`)
}

class Fault extends Error {}

/** Reads JSON only to find its first fault. */
class Reader {
  private at = 0

  constructor(private readonly text: string) {}

  fault(): JsonFault {
    let message = 'this is not JSON'
    try {
      this.value()
      this.space()
      message = 'nothing may come after the end'
    } catch (error) {
      if (!(error instanceof Fault)) throw error
      message = error.message
    }
    const line = this.text.slice(0, this.at).split('\n').length
    return { line, message }
  }

  private value(): void {
    this.space()
    const next = this.text[this.at]
    if (next === '{') this.members()
    else if (next === '[') this.items()
    else if (next === '"') this.string()
    else this.literal()
  }

  private members(): void {
    this.at++
    this.space()
    if (this.take('}')) return
    while (true) {
      this.space()
      if (this.text[this.at] !== '"') this.fail('a name in double quotes')
      this.string()
      this.space()
      if (!this.take(':')) this.fail('":" after the name')
      this.value()
      this.space()
      if (this.take('}')) return
      if (!this.take(',')) this.fail('"," or "}"')
    }
  }

  private items(): void {
    this.at++
    this.space()
    if (this.take(']')) return
    while (true) {
      this.value()
      this.space()
      if (this.take(']')) return
      if (!this.take(',')) this.fail('"," or "]"')
    }
  }

  private string(): void {
    const start = this.at
    const match = /^"(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})|[^"\\\n\r\t])*/.exec(this.text.slice(start))
    this.at = start + (match?.[0].length ?? 0)
    if (!this.take('"')) this.fail('the closing double quote')
  }

  private literal(): void {
    const match = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.])/.exec(
      this.text.slice(this.at),
    )
    if (match === null) this.fail('a value')
    this.at += match[0].length
  }

  private take(mark: string): boolean {
    if (this.text[this.at] !== mark) return false
    this.at++
    return true
  }

  private space(): void {
    while (/\s/.test(this.text[this.at] ?? '')) this.at++
  }

  private fail(wanted: string): never {
    const found = this.at >= this.text.length ? 'the end' : `"${this.text[this.at]}"`
    throw new Fault(`expected ${wanted}, found ${found}`)
  }
}
