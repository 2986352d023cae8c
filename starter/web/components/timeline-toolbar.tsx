'use client'

/** What can be done with the timeline: search its JSON, leave out types, pause it, copy it. */

import { type Ref, useId, useRef } from 'react'
import { Button, Kbd } from './button'
import { Icon } from './icon'
import styles from './timeline-toolbar.module.css'

export interface TimelineToolbarProps {
  readonly search: string
  readonly onSearch: (text: string) => void
  readonly searchRef: Ref<HTMLInputElement>
  readonly types: readonly string[]
  readonly hidden: ReadonlySet<string>
  readonly onHidden: (hidden: ReadonlySet<string>) => void
  readonly isPaused: boolean
  readonly waiting: number
  readonly onPause: () => void
  readonly onCopy: () => void
}

/** The line above the timeline. */
export function TimelineToolbar(props: TimelineToolbarProps) {
  const { search, onSearch, searchRef, isPaused, waiting, onPause, onCopy } = props
  return (
    <div className={styles.tools} role="toolbar" aria-label="Timeline">
      <label className={styles.search}>
        <Icon name="search" />
        <span className="sr">Search events</span>
        <input
          ref={searchRef}
          type="search"
          placeholder="Search events"
          value={search}
          onChange={(event) => onSearch(event.target.value)}
          onKeyDown={(event) => {
            if (event.key !== 'Escape') return
            onSearch('')
            event.currentTarget.blur()
          }}
        />
        <Kbd>/</Kbd>
      </label>
      <TypeFilter {...props} />
      <Button
        look="quiet"
        small
        aria-pressed={isPaused}
        aria-label={isPaused ? `Resume, ${waiting} waiting` : 'Pause'}
        onClick={onPause}
      >
        <Icon name={isPaused ? 'play' : 'pause'} />
        <span className={styles.word}>{isPaused ? 'Resume' : 'Pause'}</span>
      </Button>
      <Button look="quiet" small aria-label="Copy JSON" onClick={onCopy}>
        <Icon name="copy" />
        <span className={styles.word}>Copy JSON</span>
      </Button>
    </div>
  )
}

function TypeFilter({ types, hidden, onHidden }: TimelineToolbarProps) {
  const id = useId()
  const popover = useRef<HTMLDivElement>(null)
  const shown = types.filter((type) => !hidden.has(type)).length
  const isAll = shown === types.length

  function toggle(type: string) {
    const next = new Set(hidden)
    if (!next.delete(type)) next.add(type)
    onHidden(next)
  }

  return (
    <div className={styles.filter}>
      <Button
        look="quiet"
        small
        popoverTarget={id}
        aria-label={isAll ? 'Filter by type: all types' : `Filter by type: ${shown} of ${types.length}`}
      >
        <Icon name="filter" />
        <span className={`${styles.word} num`}>{isAll ? 'All types' : `${shown} of ${types.length}`}</span>
      </Button>
      <div ref={popover} id={id} popover="auto" className={styles.types}>
        <fieldset>
          <legend className="sr">Event types</legend>
          {types.length === 0 && <p className="t3">No events yet.</p>}
          {types.map((type) => (
            <label key={type}>
              <input type="checkbox" checked={!hidden.has(type)} onChange={() => toggle(type)} />
              <code>{type}</code>
            </label>
          ))}
        </fieldset>
        <footer>
          <Button small look="quiet" onClick={() => onHidden(new Set())}>
            All
          </Button>
          <Button small look="quiet" onClick={() => onHidden(new Set(types))}>
            None
          </Button>
        </footer>
      </div>
    </div>
  )
}
