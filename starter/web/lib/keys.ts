'use client'

/** The page's keys. Single keys rest while somebody types, in dialogs, and when they are turned off. */

import { useEffect, useRef } from 'react'

/** What a key does; `g r` is two keys within `SEQUENCE_MS`. */
export type Keys = Readonly<Record<string, () => void>>

const SEQUENCE_MS = 1_000

/** Names a combination as the tables do: `ctrl+enter`, `g r`, `/`. Ctrl and ⌘ are one. */
function nameOf(event: KeyboardEvent): string {
  const key = event.key === ' ' ? 'space' : event.key.toLowerCase()
  return event.ctrlKey || event.metaKey ? `ctrl+${key}` : key
}

/** Listens for the keys while the page is seen; `areSingle` turns the single ones on. */
export function useKeys(keys: Keys, areSingle: boolean): void {
  const latest = useRef(keys)
  latest.current = keys
  useEffect(() => {
    let prefix = ''
    let prefixAt = 0
    function keyDown(event: KeyboardEvent) {
      if (event.defaultPrevented || event.isComposing || event.altKey) return
      const name = nameOf(event)
      const isCombined = name.startsWith('ctrl+')
      // An open dialog or popover has the keys, above all `Esc`.
      if (document.querySelector('dialog[open], :popover-open') !== null) return
      const isSingle = !isCombined && name !== 'escape'
      if (isSingle && (!areSingle || isTyping(event.target))) return
      const sequence = Date.now() - prefixAt < SEQUENCE_MS ? `${prefix} ${name}` : ''
      const act = latest.current[sequence] ?? latest.current[name]
      prefix = name
      prefixAt = Date.now()
      if (act === undefined) return
      event.preventDefault()
      prefixAt = 0
      act()
    }
    document.addEventListener('keydown', keyDown)
    return () => document.removeEventListener('keydown', keyDown)
  }, [areSingle])
}

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false
  if (target instanceof HTMLInputElement) return !['radio', 'checkbox', 'button'].includes(target.type)
  return (
    target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement
  )
}
