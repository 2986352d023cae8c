'use client'

/** The phone's tabs; hidden where everything fits. */

import { Icon, type IconName } from './icon'
import styles from './tab-bar.module.css'

export type Panel = 'start' | 'timeline' | 'dead-letter' | 'runs'

const TABS: readonly { panel: Panel; name: string; icon: IconName }[] = [
  { panel: 'start', name: 'Start', icon: 'play' },
  { panel: 'timeline', name: 'Timeline', icon: 'lanes' },
  { panel: 'dead-letter', name: 'Dead letter', icon: 'dead-letter' },
  { panel: 'runs', name: 'Runs', icon: 'runs' },
]

export interface TabBarProps {
  readonly selected: Panel
  readonly openLetters: number
  readonly onSelect: (panel: Panel) => void
}

/** Four tabs of 60 pixels at the bottom. */
export function TabBar({ selected, openLetters, onSelect }: TabBarProps) {
  return (
    <nav className={styles.bar} aria-label="Sections">
      {TABS.map(({ panel, name, icon }) => (
        <button
          key={panel}
          type="button"
          aria-current={panel === selected ? 'true' : undefined}
          onClick={() => onSelect(panel)}
        >
          <Icon name={icon} />
          {name}
          {panel === 'dead-letter' && openLetters > 0 && (
            <span className={`${styles.badge} num`}>
              {openLetters > 9 ? '9+' : openLetters}
              <span className="sr"> open</span>
            </span>
          )}
        </button>
      ))}
    </nav>
  )
}
