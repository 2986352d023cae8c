/** A difference, row by row: − and + stand beside the colours, unchanged stretches are folded. */

import type { DiffFold, DiffLine } from '@/lib/diff'
import styles from './diff-view.module.css'
import { JsonText } from './json-view'

const SIGNS = { same: ' ', removed: '−', added: '+' } as const
const WORDS = { same: '', removed: 'removed: ', added: 'added: ' } as const

/** The rows of `diffJson`. */
export function DiffView({
  lines,
  label,
}: {
  readonly lines: readonly (DiffLine | DiffFold)[]
  readonly label: string
}) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways, so the keyboard must reach it
    <pre className={styles.diff} tabIndex={0} role="group" aria-label={label}>
      {lines.map((line, index) => (
        <span
          key={index}
          className={styles[line.kind]}
          data-sign={line.kind === 'fold' ? '' : SIGNS[line.kind]}
        >
          {line.kind === 'fold' ? (
            `${line.lines} unchanged ${line.lines === 1 ? 'line' : 'lines'}`
          ) : (
            <>
              <span className="sr">{WORDS[line.kind]}</span>
              <JsonText text={line.text} />
            </>
          )}
        </span>
      ))}
    </pre>
  )
}
