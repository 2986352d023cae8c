'use client'

/** The start of a run: an input, which step shall fail, and how often it is tried. */

import { type FormEvent, type Ref, useState } from 'react'
import { Button, Kbd } from './button'
import { Icon } from './icon'
import styles from './start-form.module.css'

export type FailMode = 'none' | 'transform' | 'tool_call'

/** What the form asks for. */
export interface StartRequest {
  readonly text: string
  readonly failAt: FailMode
  readonly maxAttempts: number
}

const FAIL_MODES: readonly { mode: FailMode; says: string }[] = [
  { mode: 'none', says: 'Everything works.' },
  { mode: 'transform', says: 'The answer cannot be parsed.' },
  { mode: 'tool_call', says: 'The external call times out, like an API that is down.' },
]

const ATTEMPTS = [3, 5, 8] as const

/** Longer inputs are refused by the field, characters. */
const TEXT_LENGTH_MAX = 2_000

export interface StartFormProps {
  readonly isPending: boolean
  readonly error: string | null
  readonly onStart: (request: StartRequest) => void
  readonly inputRef: Ref<HTMLInputElement>
}

/** The form; `Ctrl Enter` anywhere on the page sends it. */
export function StartForm({ isPending, error, onStart, inputRef }: StartFormProps) {
  const [text, setText] = useState('Summarise ticket 4211')
  const [failAt, setFailAt] = useState<FailMode>('tool_call')
  const [maxAttempts, setMaxAttempts] = useState<number>(ATTEMPTS[0])
  const [isAdvanced, setAdvanced] = useState(false)

  function submit(event: FormEvent) {
    event.preventDefault()
    if (!isPending) onStart({ text, failAt, maxAttempts })
  }

  return (
    <form className={styles.form} id="start-form" onSubmit={submit} aria-label="Start a run">
      <div className={styles.field}>
        <label htmlFor="start-text">Input</label>
        <input
          id="start-text"
          ref={inputRef}
          value={text}
          maxLength={TEXT_LENGTH_MAX}
          autoComplete="off"
          onChange={(event) => setText(event.target.value)}
        />
      </div>
      <fieldset className={styles.field} aria-describedby="fail-says">
        <legend>Fail:</legend>
        <Segments
          name="fail"
          values={FAIL_MODES.map(({ mode }) => mode)}
          value={failAt}
          onChange={setFailAt}
        />
        <p className={styles.hint} id="fail-says">
          {FAIL_MODES.find(({ mode }) => mode === failAt)?.says}
        </p>
      </fieldset>
      <button
        type="button"
        className={styles.advanced}
        aria-expanded={isAdvanced}
        aria-controls="advanced"
        onClick={() => setAdvanced(!isAdvanced)}
      >
        <Icon name={isAdvanced ? 'down' : 'right'} />
        Advanced
        <span className="num">{maxAttempts} attempts</span>
      </button>
      <fieldset className={styles.field} id="advanced" hidden={!isAdvanced}>
        <legend>Attempts</legend>
        <Segments name="attempts" values={ATTEMPTS} value={maxAttempts} onChange={setMaxAttempts} />
        <p className={styles.hint}>More attempts hide a broken step longer.</p>
      </fieldset>
      <Button look="primary" type="submit" aria-disabled={isPending}>
        {isPending ? (
          <>
            <Icon name="running" className="spin" />
            Starting…
          </>
        ) : (
          <>
            Start run <Kbd>Ctrl ↵</Kbd>
          </>
        )}
      </Button>
      {error !== null && (
        <p className={styles.error} role="alert">
          {error}
        </p>
      )}
    </form>
  )
}

interface SegmentsProps<Value extends string | number> {
  readonly name: string
  readonly values: readonly Value[]
  readonly value: Value
  readonly onChange: (value: Value) => void
}

function Segments<Value extends string | number>({ name, values, value, onChange }: SegmentsProps<Value>) {
  return (
    <div className={styles.segments}>
      {values.map((each) => (
        <label key={each}>
          <input
            type="radio"
            name={name}
            value={each}
            checked={each === value}
            onChange={() => onChange(each)}
          />
          <span>{each}</span>
        </label>
      ))}
    </div>
  )
}
