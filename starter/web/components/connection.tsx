'use client'

/** The state of the stream, in one short line that always takes the same room. */

import type { ReactNode } from 'react'
import type { UseRun } from '@/lib/driftq'
import { useNow } from '@/lib/now'
import type { Outage } from '@/lib/outage'
import { duration } from '@/lib/time'
import styles from './connection.module.css'
import { Icon } from './icon'

/** How long "Back after 3 s" stays, milliseconds. */
const BACK_MS = 4_000

export interface ConnectionProps {
  readonly run: UseRun
  readonly outage: Outage | null
  readonly isPaused: boolean
  readonly waiting: number
  /** How old the newest event was when it was seen live, milliseconds; null before one. */
  readonly behindMs: number | null
  readonly onResume: () => void
  readonly onTryNow: () => void
}

/** The line in the top bar. */
export function Connection(props: ConnectionProps) {
  const { run, outage, isPaused, waiting, behindMs } = props
  const { connection, resumed, reconnectAtMs } = run
  const isCounting = connection === 'reconnecting' || resumed !== null
  const nowMs = useNow(100, isCounting)
  if (outage === 'api') {
    return (
      <Line status="failed" icon="failed" name="API is down">
        <button type="button" onClick={props.onTryNow}>
          Try now
        </button>
      </Line>
    )
  }
  if (isPaused) {
    return (
      <Line status={undefined} icon="pause" name="Paused" says={`${waiting} waiting`}>
        <button type="button" onClick={props.onResume}>
          Resume
        </button>
      </Line>
    )
  }
  if (connection === 'reconnecting') {
    const left = reconnectAtMs === null ? 0 : reconnectAtMs - Date.now()
    const says = left > 0 ? `in ${Math.ceil(left / 1_000)} s` : 'now'
    return <Line status="retrying" icon="retrying" isTurning name="Reconnecting" says={says} />
  }
  if (outage === 'broker')
    return <Line status="retrying" icon="retrying" name="Broker is away" says="events wait" />
  if (connection === 'lost') return <Line status="failed" icon="failed" name="Stopped" says="" />
  if (connection === 'connecting')
    return <Line status="running" icon="running" isTurning name="Connecting" says="" />
  if (connection === 'idle') return <Line status="succeeded" icon="dot" name="Ready" says="" />
  if (resumed !== null && nowMs - resumed.atMs < BACK_MS) {
    return (
      <Line
        status="succeeded"
        icon="succeeded"
        name={`Back after ${duration(resumed.afterMs)}.`}
        says="Nothing missed."
      />
    )
  }
  const behind = behindMs === null ? '' : ` · ${duration(behindMs)} behind`
  return (
    <Line
      status="succeeded"
      icon="dot"
      name="Live"
      says={run.lastSeq === 0 ? '' : `event ${run.lastSeq}${behind}`}
    />
  )
}

interface LineProps {
  readonly status: string | undefined
  readonly icon: 'failed' | 'pause' | 'retrying' | 'running' | 'dot' | 'succeeded'
  readonly isTurning?: boolean
  readonly name: string
  readonly says?: string
  readonly children?: ReactNode
}

function Line({ status, icon, isTurning, name, says, children }: LineProps) {
  return (
    <div className={styles.connection} data-connection={name}>
      <span data-status={status}>
        <Icon name={icon} className={isTurning === true ? 'spin' : ''} />
      </span>
      <b data-status={status === 'succeeded' ? status : undefined}>{name}</b>
      <span className={`${styles.says} num`}>{says}</span>
      {children}
    </div>
  )
}
