/** The document: fonts of the system, the stored theme before the first paint, nothing from outside. */

import type { Metadata, Viewport } from 'next'
import type { ReactNode } from 'react'
import './globals.css'

export const metadata: Metadata = {
  title: 'DriftQ starter',
  description: 'A run fails, becomes a dead letter, is replayed with the fix, and succeeds. Live.',
}

export const viewport: Viewport = {
  themeColor: [
    { media: '(prefers-color-scheme: light)', color: '#ffffff' },
    { media: '(prefers-color-scheme: dark)', color: '#14191c' },
  ],
}

const STORED_THEME =
  "try{var t=localStorage.getItem('driftq.theme');if(t==='light'||t==='dark')document.documentElement.dataset.theme=t}catch{}"

export default function RootLayout({ children }: { readonly children: ReactNode }) {
  return (
    <html lang="en" suppressHydrationWarning>
      <head>
        {/* biome-ignore lint/security/noDangerouslySetInnerHtml: a constant; it must run before the first paint */}
        <script dangerouslySetInnerHTML={{ __html: STORED_THEME }} />
      </head>
      <body>{children}</body>
    </html>
  )
}
