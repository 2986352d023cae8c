'use client'

/** The top bar: whose page it is, whether it is live, and the doors to what a small screen hides. */

import { useChoice } from '@/lib/browser'
import { Button, Kbd } from './button'
import { Connection, type ConnectionProps } from './connection'
import { Icon, Mark } from './icon'
import styles from './top-bar.module.css'

export interface TopBarProps extends ConnectionProps {
  readonly baseUrl: string
  readonly openLetters: number
  readonly onHome: () => void
  readonly onPanel: (panel: 'start' | 'runs' | 'dead-letter') => void
  readonly onKeys: () => void
}

/** 48 pixels, always. */
export function TopBar(props: TopBarProps) {
  return (
    <header className={styles.top}>
      <a
        className={styles.brand}
        href="/"
        onClick={(event) => {
          if (event.metaKey || event.ctrlKey || event.shiftKey) return
          event.preventDefault()
          props.onHome()
        }}
      >
        <Mark />
        DriftQ
      </a>
      <span className={styles.line} />
      <span className={`${styles.what} t2`}>Next.js + FastAPI starter</span>
      <nav aria-label="Page">
        <Connection {...props} />
        <code className={styles.address} title="The API's address">
          {props.baseUrl}
        </code>
        <span className={styles.line} />
        <Button small className={styles.tablet} onClick={() => props.onPanel('runs')}>
          Runs
        </Button>
        <Button small className={styles.narrow} onClick={() => props.onPanel('dead-letter')}>
          Dead letter
        </Button>
        <Button small look="primary" className={styles.tablet} onClick={() => props.onPanel('start')}>
          Start run
        </Button>
        <Button look="quiet" small className={styles.wide} onClick={props.onKeys}>
          Keys <Kbd>?</Kbd>
        </Button>
        <ThemeButton />
      </nav>
    </header>
  )
}

function ThemeButton() {
  const [theme, choose] = useChoice('theme', 'system')

  function turn() {
    const isDark =
      theme === 'dark' || (theme === 'system' && window.matchMedia('(prefers-color-scheme: dark)').matches)
    const next = isDark ? 'light' : 'dark'
    document.documentElement.dataset.theme = next
    choose(next)
  }

  return (
    <Button look="quiet" icon aria-label="Switch theme" onClick={turn}>
      <Icon name="theme" className={styles.theme} />
    </Button>
  )
}
