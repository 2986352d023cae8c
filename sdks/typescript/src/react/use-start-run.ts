/**
 * `useStartRun()`: starts a run once, however shaky the line.
 */

import { useCallback, useRef, useState } from 'react'
import { DriftQError } from '../errors.js'
import { freshKey } from '../retry.js'
import { startBody } from '../run-body.js'
import { Transport } from '../transport.js'
import type { RunCreated } from '../wire.js'
import { runsChanged } from './lists-bus.js'
import type { ApiOptions, StartRunOptions, UseStartRun } from './types.js'

interface StartState {
  readonly run: RunCreated | null
  readonly pending: boolean
  readonly error: DriftQError | null
}

const NOTHING_STARTED: StartState = { run: null, pending: false, error: null }

/**
 * Starts runs.
 *
 * @param url where runs are created: `/api/runs` unless given.
 */
export function useStartRun(url = '/api/runs', options: Omit<ApiOptions, 'baseUrl'> = {}): UseStartRun {
  const [state, setState] = useState(NOTHING_STARTED)
  const latest = useRef(options)
  latest.current = options
  const starts = useRef(0)

  const start = useCallback(
    async (wanted: StartRunOptions = {}): Promise<RunCreated | undefined> => {
      starts.current += 1
      const mine = starts.current
      // A later start has the word: what an earlier one answers is told to its caller alone.
      const tell = (next: StartState): void => {
        if (mine === starts.current) setState(next)
      }
      setState((before) => ({ ...before, pending: true, error: null }))
      const baseUrl = url.replace(/\/runs\/?$/, '')
      const transport = new Transport({ ...latest.current, baseUrl })
      try {
        const run = await transport.send<RunCreated>({
          method: 'POST',
          path: url.slice(baseUrl.length),
          body: startBody({ idempotencyKey: freshKey(), ...wanted }),
          repeatable: true,
        })
        tell({ run, pending: false, error: null })
        runsChanged(baseUrl)
        return run
      } catch (cause) {
        const error = DriftQError.is(cause)
          ? cause
          : new DriftQError('UNEXPECTED_ANSWER', String(cause), { cause })
        setState((before) => (mine === starts.current ? { ...before, pending: false, error } : before))
        return undefined
      }
    },
    [url],
  )
  const reset = useCallback(() => {
    starts.current += 1
    setState(NOTHING_STARTED)
  }, [])
  return { ...state, start, reset, runId: state.run?.run_id ?? null }
}
