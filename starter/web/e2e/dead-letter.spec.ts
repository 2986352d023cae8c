/** The dead letter: nothing is sent before its difference was shown. */

import { ended, expect, startRun, test } from './stack'

test('a replay with an edited input shows what changes, and names the line of a fault', async ({
  page,
  stack,
}) => {
  const runId = await startRun(stack, { fail_at: 'transform', input: { text: 'three small words' } })
  expect(await ended(stack, runId)).toBe('failed')
  await page.goto(`${stack.url}/runs/${runId}`)
  await page.getByRole('button', { name: 'Edit input…' }).click()

  const dialog = page.getByRole('dialog', { name: `Replay ${runId}` })
  const editor = dialog.getByLabel('Input')
  await expect(dialog.getByText('Nothing yet: it would be replayed as it was.')).toBeVisible()

  await editor.fill('{\n  "text": "three small words"\n  "fail_at": "transform"\n}')
  await expect(dialog.getByText(/^Line 3: expected "," or "}"/)).toBeVisible()
  await expect(dialog.getByRole('button', { name: /Replay/ })).toHaveAttribute('aria-disabled', 'true')

  await editor.fill('{\n  "text": "three small words"\n}')
  await expect(dialog.getByRole('group', { name: 'What changes' })).toContainText(
    'removed:   "fail_at": "transform"',
  )
  await expect(dialog.getByText('fetch_input is kept, what failed runs again.')).toBeVisible()

  await editor.fill('{\n  "text": "now it has four words"\n}')
  await expect(dialog.getByText('New input: every step runs again.')).toBeVisible()
  await editor.press('ControlOrMeta+Enter')

  await expect(dialog).toBeHidden()
  await expect(page.getByText('Run succeeded in')).toBeVisible()
  const run = (await (await fetch(`${stack.apiUrl}/runs/${runId}`)).json()) as {
    input: unknown
    result: unknown
  }
  expect(run.input).toEqual({ text: 'now it has four words' })
  expect(run.result).toMatchObject({ words: 5 })
})

test('a replay as it was fails again, and leaves a new dead letter', async ({ page, stack }) => {
  const runId = await startRun(stack, { fail_at: 'tool_call' })
  expect(await ended(stack, runId)).toBe('failed')
  await page.goto(`${stack.url}/runs/${runId}`)
  await page.getByRole('button', { name: 'Replay as it was' }).click()
  await expect(page.getByText('Replay 1 is', { exact: false })).toBeVisible()
  await expect(page.getByRole('button', { name: 'Replay as it was' })).toHaveAttribute(
    'aria-disabled',
    'true',
  )
  await expect(page.getByText('Attempts of replay 1')).toBeVisible()
  await expect(page.getByRole('button', { name: 'Replay as it was' })).toHaveAttribute(
    'aria-disabled',
    'false',
  )
})
