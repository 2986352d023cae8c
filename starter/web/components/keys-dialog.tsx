'use client'

/** The table of keys, and the switch that turns the single ones off. */

import { Dialog } from './dialog'
import styles from './keys-dialog.module.css'

const KEYS: readonly (readonly [string, string])[] = [
  ['Ctrl/⌘ Enter', 'Start a run, send a replay'],
  ['r', 'Replay with the fix'],
  ['e', 'Edit the input and replay'],
  ['j k', 'Next and previous row'],
  ['Enter', 'Open a row'],
  ['[ ]', 'Previous and next attempt'],
  ['/', 'Search events'],
  ['f', 'Follow new events'],
  ['p', 'Pause'],
  ['c', 'Copy the timeline as JSON'],
  ['g r', 'Go to the runs'],
  ['g d', 'Go to the dead letter'],
  ['Ctrl/⌘ K', 'Find a run'],
  ['Esc', 'Back'],
  ['?', 'This table'],
]

export interface KeysDialogProps {
  readonly areSingle: boolean
  readonly onSingle: (areSingle: boolean) => void
  readonly onClose: () => void
}

/** What `?` opens. */
export function KeysDialog({ areSingle, onSingle, onClose }: KeysDialogProps) {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl className={styles.keys}>
        {KEYS.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <label className={styles.switch}>
        <input type="checkbox" checked={areSingle} onChange={(event) => onSingle(event.target.checked)} />
        Single keys work
      </label>
    </Dialog>
  )
}
