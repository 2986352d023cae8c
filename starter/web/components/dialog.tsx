'use client'

/** A small native dialog with a heading: the focus stays inside, `Esc` closes it, and the focus goes back. */

import { type ReactNode, useEffect, useRef } from 'react'
import { Button } from './button'
import styles from './dialog.module.css'
import { Icon } from './icon'

export interface DialogProps {
  readonly title: string
  readonly children: ReactNode
  readonly onClose: () => void
}

/** Open as long as it is there. */
export function Dialog({ title, children, onClose }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    dialog.current?.showModal()
  }, [])
  return (
    <dialog ref={dialog} className={styles.dialog} aria-labelledby="dialog-title" onClose={onClose}>
      <header>
        <h2 id="dialog-title">{title}</h2>
        <Button look="quiet" small icon aria-label="Close" onClick={() => dialog.current?.close()}>
          <Icon name="close" />
        </Button>
      </header>
      {children}
    </dialog>
  )
}
