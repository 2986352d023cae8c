import { describe, expect, it } from 'vitest'
import { parseJson, printJson, tokens } from '@/lib/json'

describe('printed JSON', () => {
  it('is what JSON.stringify prints, as long as nothing is folded', () => {
    const value = { a: [1, { b: null }], c: 'x "y"', d: {}, e: [], f: true }
    const text = printJson(value, new Set())
      .map((line) => line.text)
      .join('\n')
    expect(text).toBe(JSON.stringify(value, null, 2))
  })

  it('folds a long array to one line that can be opened', () => {
    const value = { pages: Array.from({ length: 12 }, (_, index) => index) }
    const [, folded] = printJson(value, new Set())
    expect(folded?.text).toBe('  "pages": [ 12 items ]')
    expect(printJson(value, new Set([folded?.fold ?? ''])).length).toBe(16)
  })

  it('loses no character to its colours', () => {
    for (const line of ['  "a\\"b": "c: d",', '-1.5e+3, true null]', 'broken "text', '{"a":"b"}']) {
      expect(
        tokens(line)
          .map((token) => token.text)
          .join(''),
      ).toBe(line)
    }
    expect(tokens('"a": "b"').map((token) => token.kind)).toEqual(['key', 'mark', 'space', 'string'])
  })
})

describe('a fault in JSON', () => {
  it.each([
    ['{\n  "a": 1\n  "b": 2\n}', 3, 'expected "," or "}", found """'],
    ['{\n  a: 1\n}', 2, 'expected a name in double quotes, found "a"'],
    ['{\n  "a": nope\n}', 2, 'expected a value, found "n"'],
    ['{\n  "a": 1,\n}', 3, 'expected a name in double quotes, found "}"'],
    ['[1, 2\n', 2, 'expected "," or "]", found the end'],
    ['{"a": "text\n"}', 1, 'expected the closing double quote, found "\n"'],
    ['{}\n{}', 2, 'nothing may come after the end'],
    ['', 1, 'expected a value, found the end'],
    ['[01]', 1, 'expected a value, found "0"'],
  ])('in %j is in line %i', (text, line, message) => {
    expect(parseJson(text)).toEqual({ ok: false, fault: { line, message } })
  })

  it('is not found in what is right', () => {
    expect(parseJson('{"a": [1, -2.5e3, "\\u00e4"]}')).toEqual({ ok: true, value: { a: [1, -2500, 'ä'] } })
  })
})
