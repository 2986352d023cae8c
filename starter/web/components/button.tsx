/** Buttons, and the keys that stand in them. A disabled button says beside it why. */

import type { ButtonHTMLAttributes, ReactNode, Ref } from 'react'
import styles from './button.module.css'

export interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  /** `primary`: one a panel. `danger`: only inside a dialog that asks. */
  readonly look?: 'default' | 'primary' | 'quiet' | 'danger'
  readonly small?: boolean
  /** An icon alone; it then needs an `aria-label`. */
  readonly icon?: boolean
  readonly ref?: Ref<HTMLButtonElement>
}

/** A button; `type="button"` unless said otherwise. */
export function Button({ look = 'default', small, icon, className, ...rest }: ButtonProps) {
  return <button type="button" {...rest} className={buttonClass({ look, small, icon, className })} />
}

/** The class of a button, for links that look like one. */
export function buttonClass(props: {
  look?: ButtonProps['look']
  small?: boolean | undefined
  icon?: boolean | undefined
  className?: string | undefined
}): string {
  const look = props.look ?? 'default'
  return [
    styles.button,
    look === 'default' ? '' : styles[look],
    props.small === true ? styles.small : '',
    props.icon === true ? styles.icon : '',
    props.className ?? '',
  ].join(' ')
}

/** A key, as it stands on the keyboard. */
export function Kbd({ children }: { readonly children: ReactNode }) {
  return (
    <span className={styles.kbd} aria-hidden="true">
      {children}
    </span>
  )
}
