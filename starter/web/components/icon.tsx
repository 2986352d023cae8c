/** The icons: each status has an outline of its own, so that colour is never the only sign. */

import type { JSX } from 'react'

const SHAPES = {
  queued: (
    <circle
      cx="7"
      cy="7"
      r="5"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.6"
      strokeDasharray="2 1.93"
    />
  ),
  running: (
    <>
      <circle cx="7" cy="7" r="5.2" fill="none" stroke="currentColor" strokeOpacity=".28" strokeWidth="1.8" />
      <path
        d="M7 1.8a5.2 5.2 0 0 1 5.2 5.2"
        fill="none"
        stroke="currentColor"
        strokeWidth="1.8"
        strokeLinecap="round"
      />
      <circle cx="7" cy="7" r="2" fill="currentColor" />
    </>
  ),
  retrying: (
    <>
      <path
        d="M12 7a5 5 0 1 1-1.6-3.7"
        fill="none"
        stroke="currentColor"
        strokeWidth="1.7"
        strokeLinecap="round"
      />
      <path d="M12.4.9v3.4H9z" fill="currentColor" />
    </>
  ),
  waiting: (
    <path
      d="M4 2.2h.8a1 1 0 0 1 1 1v7.6a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V3.2a1 1 0 0 1 1-1Zm5.2 0h.8a1 1 0 0 1 1 1v7.6a1 1 0 0 1-1 1h-.8a1 1 0 0 1-1-1V3.2a1 1 0 0 1 1-1Z"
      fill="currentColor"
    />
  ),
  succeeded: (
    <>
      <circle cx="7" cy="7" r="6.2" fill="currentColor" />
      <path
        d="m4.2 7.2 2 2 3.7-4.1"
        fill="none"
        stroke="var(--surface)"
        strokeWidth="1.7"
        strokeLinecap="round"
        strokeLinejoin="round"
      />
    </>
  ),
  failed: (
    <>
      <path d="M4.4.8h5.2l3.6 3.6v5.2l-3.6 3.6H4.4L.8 9.6V4.4z" fill="currentColor" />
      <path
        d="m4.8 4.8 4.4 4.4m0-4.4L4.8 9.2"
        stroke="var(--surface)"
        strokeWidth="1.7"
        strokeLinecap="round"
      />
    </>
  ),
  cancelled: (
    <>
      <circle cx="7" cy="7" r="5.4" fill="none" stroke="currentColor" strokeWidth="1.6" />
      <path d="m3.4 10.6 7.2-7.2" stroke="currentColor" strokeWidth="1.6" />
    </>
  ),
  'dead-letter': (
    <>
      <path d="M1.8 8.2v3a1 1 0 0 0 1 1h8.4a1 1 0 0 0 1-1v-3H9.4L8.6 9.6H5.4l-.8-1.4z" fill="currentColor" />
      <path
        d="M7 1.2v5M4.8 4.2 7 6.4l2.2-2.2"
        fill="none"
        stroke="currentColor"
        strokeWidth="1.6"
        strokeLinecap="round"
        strokeLinejoin="round"
      />
    </>
  ),
  replay: (
    <>
      <path
        d="M2 7a5 5 0 1 0 1.6-3.7"
        fill="none"
        stroke="currentColor"
        strokeWidth="1.6"
        strokeLinecap="round"
      />
      <path d="M1.6.9v3.4H5z" fill="currentColor" />
      <path d="M5.8 4.9v4.2L9.3 7z" fill="currentColor" />
    </>
  ),
  dot: <circle cx="7" cy="7" r="3.3" fill="currentColor" />,
  ring: <circle cx="7" cy="7" r="2.7" fill="none" stroke="currentColor" strokeWidth="1.5" />,
  right: (
    <path
      d="m5 3 4 4-4 4"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.6"
      strokeLinecap="round"
      strokeLinejoin="round"
    />
  ),
  down: (
    <path
      d="m3 5 4 4 4-4"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.6"
      strokeLinecap="round"
      strokeLinejoin="round"
    />
  ),
  search: (
    <>
      <circle cx="6" cy="6" r="4" fill="none" stroke="currentColor" strokeWidth="1.5" />
      <path d="m9.2 9.2 3 3" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" />
    </>
  ),
  pause: <path d="M4.5 3v8M9.5 3v8" stroke="currentColor" strokeWidth="1.8" strokeLinecap="round" />,
  play: <path d="M4 2.6v8.8L11 7z" fill="currentColor" />,
  copy: (
    <>
      <rect
        x="4.7"
        y="4.7"
        width="7"
        height="7"
        rx="1.5"
        fill="none"
        stroke="currentColor"
        strokeWidth="1.3"
      />
      <path
        d="M9.3 2.3H3.8a1.5 1.5 0 0 0-1.5 1.5v5.5"
        fill="none"
        stroke="currentColor"
        strokeWidth="1.3"
        strokeLinecap="round"
      />
    </>
  ),
  link: (
    <path
      d="M6 8a2.4 2.4 0 0 0 3.4 0l2-2A2.4 2.4 0 0 0 8 2.6l-.8.8M8 6a2.4 2.4 0 0 0-3.4 0l-2 2A2.4 2.4 0 0 0 6 11.4l.8-.8"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.4"
      strokeLinecap="round"
    />
  ),
  theme: (
    <>
      <circle cx="7" cy="7" r="5" fill="none" stroke="currentColor" strokeWidth="1.4" />
      <path d="M7 2a5 5 0 0 1 0 10z" fill="currentColor" />
    </>
  ),
  filter: <path d="M2 4h10M4 7h6M6 10h2" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" />,
  lanes: (
    <path
      d="M1.5 3.5h6M10 3.5h2.5M1.5 7h3M7 7h5.5M1.5 10.5h8"
      stroke="currentColor"
      strokeWidth="1.7"
      strokeLinecap="round"
    />
  ),
  runs: (
    <path
      d="M2 4.5 7 2l5 2.5L7 7zM2 7l5 2.5L12 7M2 9.5 7 12l5-2.5"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.3"
      strokeLinejoin="round"
    />
  ),
  close: <path d="m3.5 3.5 7 7m0-7-7 7" stroke="currentColor" strokeWidth="1.6" strokeLinecap="round" />,
} as const satisfies Record<string, JSX.Element>

export type IconName = keyof typeof SHAPES

export interface IconProps {
  readonly name: IconName
  readonly className?: string | undefined
}

/** An icon of 14 px that says nothing to screen readers: a word stands beside it, or its button is named. */
export function Icon({ name, className }: IconProps) {
  return (
    <svg className={`icon ${className ?? ''}`} viewBox="0 0 14 14" aria-hidden="true">
      {SHAPES[name]}
    </svg>
  )
}

/** The mark: a Q whose tail leaves along the lane, a message ahead. */
export function Mark() {
  return (
    <svg viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
      <circle cx="12.5" cy="14.5" r="9" fill="none" stroke="currentColor" strokeWidth="4" />
      <path d="M12.5 23.5H21" stroke="currentColor" strokeWidth="4" strokeLinecap="round" />
      <circle cx="27.5" cy="23.5" r="2.4" fill="currentColor" />
    </svg>
  )
}
