/** Every run's address shows the same page, so going from run to run loads nothing and keeps what is open. */

import { connection } from 'next/server'
import type { ReactNode } from 'react'
import { Workbench } from '@/components/workbench'
import { browserApiAddress } from '@/lib/settings'

export default async function WorkbenchLayout({ children }: { readonly children: ReactNode }) {
  // The address is read when a page is asked for, so one build serves every environment.
  await connection()
  return (
    <>
      <Workbench baseUrl={browserApiAddress()} />
      {children}
    </>
  )
}
