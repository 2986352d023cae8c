/**
 * When a page is worth a stream: while it is seen.
 *
 * Hidden tabs and pages kept for back and forward hold no connection; six of them would use up all that a
 * browser has for an origin.
 */

/** Calls back whenever the page comes to be seen, or stops to be. Returns how to stop. */
export function onPageLife(change: (isSeen: boolean) => void): () => void {
  if (typeof document === 'undefined') return () => {}
  let wasSeen = isPageSeen()
  const tell = (isSeen: boolean): void => {
    if (isSeen !== wasSeen) change(isSeen)
    wasSeen = isSeen
  }
  const look = (): void => tell(isPageSeen())
  const leave = (): void => tell(false)
  document.addEventListener('visibilitychange', look)
  window.addEventListener('pagehide', leave)
  window.addEventListener('pageshow', look)
  return () => {
    document.removeEventListener('visibilitychange', look)
    window.removeEventListener('pagehide', leave)
    window.removeEventListener('pageshow', look)
  }
}

/** Whether the page can be seen now. */
export function isPageSeen(): boolean {
  return typeof document === 'undefined' || document.visibilityState !== 'hidden'
}

/** Calls back when the browser has a network again. Returns how to stop. */
export function onOnline(back: () => void): () => void {
  if (typeof window === 'undefined') return () => {}
  window.addEventListener('online', back)
  return () => window.removeEventListener('online', back)
}

/** Calls back once, before the next frame; in a page that draws none, after 100 ms. Returns how to stop. */
export function onNextFrame(draw: () => void): () => void {
  const stop = (): void => {
    cancelAnimationFrame(frame)
    clearTimeout(timer)
  }
  const once = (): void => {
    stop()
    draw()
  }
  const frame = requestAnimationFrame(once)
  const timer = setTimeout(once, 100)
  return stop
}
