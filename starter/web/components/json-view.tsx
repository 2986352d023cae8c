'use client'

/** JSON for reading: coloured, long arrays folded, with a button that copies it. */

import { useState } from 'react'
import { printJson, tokens } from '@/lib/json'
import { Button } from './button'
import { Icon } from './icon'
import styles from './json-view.module.css'

/** A printed JSON text with its colours; matches of the search are marked. */
export function JsonText({ text, search = '' }: { readonly text: string; readonly search?: string }) {
  const wanted = search.trim().toLowerCase()
  return tokens(text).map((token, index) => {
    const isFound = wanted !== '' && token.kind !== 'space' && token.text.toLowerCase().includes(wanted)
    return (
      <span key={index} className={`${styles[token.kind] ?? ''} ${isFound ? styles.found : ''}`}>
        {token.text}
      </span>
    )
  })
}

export interface JsonViewProps {
  readonly value: unknown
  /** What it is, for the button: "Copy payload". */
  readonly name: string
  readonly onCopy: (text: string) => void
}

/** A value as JSON. */
export function JsonView({ value, name, onCopy }: JsonViewProps) {
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set())
  return (
    <div className={styles.view}>
      <Button
        look="quiet"
        small
        icon
        className={styles.copy}
        aria-label={`Copy ${name}`}
        onClick={() => onCopy(JSON.stringify(value, null, 2))}
      >
        <Icon name="copy" />
      </Button>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways, so the keyboard must reach it */}
      <pre tabIndex={0} role="group" aria-label={name}>
        {printJson(value, open).map((line, index) => {
          const { fold } = line
          return (
            <span key={index} className={styles.line}>
              {fold === null ? (
                <JsonText text={line.text} />
              ) : (
                <button type="button" onClick={() => setOpen(new Set([...open, fold]))}>
                  {line.text}
                </button>
              )}
            </span>
          )
        })}
      </pre>
    </div>
  )
}
