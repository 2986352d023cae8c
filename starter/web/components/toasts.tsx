'use client'

/** Short notices at the bottom right: six seconds, one action; an error stays until it is closed. */

import { useCallback, useEffect, useRef, useState } from 'react'
import { Button } from './button'
import { Icon } from './icon'
import styles from './toasts.module.css'

const SHOWN_MS = 6_000
const TOASTS_MAX = 3

export interface Toast {
  readonly kind: 'succeeded' | 'failed'
  readonly text: string
  readonly action?: { readonly name: string; readonly act: () => void }
}

interface Shown extends Toast {
  readonly id: number
}

/** The notices that are shown, how to show one, and how to close one. */
export function useToasts(): {
  readonly toasts: readonly Shown[]
  readonly show: (toast: Toast) => void
  readonly close: (id: number) => void
} {
  const [toasts, setToasts] = useState<readonly Shown[]>([])
  const next = useRef(1)
  const show = useCallback((toast: Toast) => {
    const shown = { ...toast, id: next.current++ }
    setToasts((now) => [...now, shown].slice(-TOASTS_MAX))
  }, [])
  const close = useCallback((id: number) => setToasts((now) => now.filter((toast) => toast.id !== id)), [])
  return { toasts, show, close }
}

export interface ToastsProps {
  readonly toasts: readonly Shown[]
  readonly onClose: (id: number) => void
}

/** The corner in which they stand. */
export function Toasts({ toasts, onClose }: ToastsProps) {
  return (
    <section className={styles.corner} aria-label="Notices" aria-live="polite">
      {toasts.map((toast) => (
        <ToastView key={toast.id} toast={toast} onClose={() => onClose(toast.id)} />
      ))}
    </section>
  )
}

function ToastView({ toast, onClose }: { readonly toast: Shown; readonly onClose: () => void }) {
  const close = useRef(onClose)
  close.current = onClose
  const { kind, text, action } = toast
  useEffect(() => {
    if (kind === 'failed') return
    const timer = setTimeout(() => close.current(), SHOWN_MS)
    return () => clearTimeout(timer)
  }, [kind])
  return (
    <div className={styles.toast}>
      <span data-status={kind}>
        <Icon name={kind} />
      </span>
      <p>{text}</p>
      {action !== undefined && (
        <Button
          look="quiet"
          small
          className={styles.action}
          onClick={() => {
            action.act()
            onClose()
          }}
        >
          {action.name}
        </Button>
      )}
      <Button look="quiet" small icon aria-label="Close the notice" onClick={onClose}>
        <Icon name="close" />
      </Button>
    </div>
  )
}
