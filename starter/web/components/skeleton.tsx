/** Grey rows of the final height, shown only when loading takes longer than 200 ms (by CSS, so nothing jumps). */

import type { CSSProperties } from 'react'
import styles from './skeleton.module.css'

/** Rows that hold the place of what is loading; `height` in pixels. */
export function Skeleton({ rows, height }: { readonly rows: number; readonly height: number }) {
  return (
    <div className={styles.skeleton} aria-hidden="true">
      {Array.from({ length: rows }, (_, index) => (
        <div key={index} style={{ height, '--wide': `${85 - ((index * 23) % 50)}%` } as CSSProperties}>
          <i />
          <i />
          <i />
        </div>
      ))}
    </div>
  )
}
