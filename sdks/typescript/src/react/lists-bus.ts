/**
 * Tells the lists of an API that a run there has changed, so that they need not wait for their next look.
 */

const listeners = new Map<string, Set<() => void>>()

/** A run of this API was started, ended or replayed. */
export function runsChanged(baseUrl: string): void {
  for (const listener of listeners.get(baseUrl) ?? []) listener()
}

/** Calls back when a run of this API changed. Returns how to stop. */
export function onRunsChanged(baseUrl: string, listener: () => void): () => void {
  const those = listeners.get(baseUrl) ?? new Set()
  listeners.set(baseUrl, those.add(listener))
  return () => {
    those.delete(listener)
    if (those.size === 0) listeners.delete(baseUrl)
  }
}
