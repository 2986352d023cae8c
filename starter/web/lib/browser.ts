'use client'

/** What the page asks of the browser: its address, its width, a stored choice, the clipboard. */

import { usePathname } from 'next/navigation'
import { useSyncExternalStore } from 'react'

const RUN_PATH = /^\/runs\/([A-Za-z0-9._-]{1,128})\/?$/

/** The run that the address names; null on the start page. */
export function useRunId(): string | null {
  return RUN_PATH.exec(usePathname())?.[1] ?? null
}

/** Goes to a run's address, or to the start page, without loading anything: back and forward work. */
export function goToRun(runId: string | null): void {
  const path = runId === null ? '/' : `/runs/${encodeURIComponent(runId)}`
  if (path !== window.location.pathname) window.history.pushState(null, '', path)
}

/** Whether a media query holds; `false` on the server. */
export function useMedia(query: string): boolean {
  return useSyncExternalStore(
    (changed) => {
      const media = window.matchMedia(query)
      media.addEventListener('change', changed)
      return () => media.removeEventListener('change', changed)
    },
    () => window.matchMedia(query).matches,
    () => false,
  )
}

/** Frames in which something may still be loaded and drawn before it takes the focus: two seconds. */
const FRAMES_MAX = 120

/** Gives the focus to an element once it is drawn: what is hidden, or not there yet, takes none. */
export function focusWhenShown(find: () => HTMLElement | null): void {
  let frames = 0
  function look() {
    const element = find()
    if (element?.checkVisibility()) element.focus()
    else if (frames++ < FRAMES_MAX) requestAnimationFrame(look)
  }
  requestAnimationFrame(look)
}

/** Copies a text; false when the browser does not let us (a page on plain http, a refused permission). */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return copyBySelection(text)
  }
}

function copyBySelection(text: string): boolean {
  const area = document.createElement('textarea')
  area.value = text
  area.style.position = 'fixed'
  const focused = document.activeElement
  document.body.append(area)
  area.select()
  const isCopied = document.execCommand('copy')
  area.remove()
  if (focused instanceof HTMLElement) focused.focus()
  return isCopied
}

const choices = new Set<() => void>()

/** A choice that this browser remembers; `fallback` where nothing can be stored. */
export function useChoice(name: string, fallback: string): readonly [string, (value: string) => void] {
  const value = useSyncExternalStore(
    (changed) => {
      choices.add(changed)
      return () => choices.delete(changed)
    },
    () => stored(name) ?? fallback,
    () => fallback,
  )
  function choose(next: string) {
    try {
      window.localStorage.setItem(`driftq.${name}`, next)
    } catch {
      // Private mode without storage: the choice lasts as long as nothing is asked again.
    }
    for (const changed of choices) changed()
  }
  return [value, choose]
}

function stored(name: string): string | null {
  try {
    return window.localStorage.getItem(`driftq.${name}`)
  } catch {
    return null
  }
}
