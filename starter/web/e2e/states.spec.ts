/** States that are rare: what retention took, the theme that is remembered, the drawers of a tablet. */

import { ended, expect, startRun, test } from './stack'

const event = (seq: number, type: string, fields = {}) =>
  `id: ${seq}\ndata: ${JSON.stringify({ seq, ts: Date.now(), type, run_id: 'run_old', replay_seq: 0, attempt: 1, ...fields })}\n\n`

test('a timeline whose beginning was trimmed says so, and shows what is kept', async ({
  page,
  stack,
  expectedErrors,
}) => {
  expectedErrors.push(/404/)
  await page.route('**/api/runs/run_old/events**', (route) =>
    route.fulfill({
      contentType: 'text/event-stream',
      body:
        `id: 411\ndata: ${JSON.stringify({ type: 'timeline.reset', reason: 'trimmed', first_seq: 412 })}\n\n` +
        event(412, 'run.log', { message: 'still here' }),
    }),
  )
  await page.goto(`${stack.url}/runs/run_old`)
  await expect(page.getByText('Events before 412 were trimmed.', { exact: false })).toBeVisible()
  await expect(page.getByRole('list', { name: 'Timeline' }).getByText('still here')).toBeVisible()
})

test('a run that retention removed says so, and offers another', async ({ page, stack, expectedErrors }) => {
  expectedErrors.push(/404/)
  await page.route('**/api/runs/run_old**', (route) =>
    route.fulfill({
      status: 404,
      json: { error: 'EXPIRED', message: 'the run is no longer kept', retryable: false },
    }),
  )
  await page.goto(`${stack.url}/runs/run_old`)
  await expect(page.getByRole('heading', { name: 'This run is no longer kept' })).toBeVisible()
  await expect(page.getByRole('button', { name: 'Start another' })).toBeVisible()
})

test('the theme is switched, and remembered before the first paint', async ({ page, stack }) => {
  await page.goto(stack.url)
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor)
  const light = await background()
  await page.getByRole('button', { name: 'Switch theme' }).click()
  const dark = await background()
  expect(dark).not.toBe(light)
  await page.reload({ waitUntil: 'domcontentloaded' })
  expect(await background()).toBe(dark)
})

test('on a tablet the start, the runs and the dead letter are drawers that Esc closes', async ({
  page,
  stack,
}) => {
  await page.setViewportSize({ width: 820, height: 1100 })
  const runId = await startRun(stack, { fail_at: 'tool_call' })
  expect(await ended(stack, runId)).toBe('failed')
  await page.goto(`${stack.url}/runs/${runId}`)
  const bar = page.getByRole('navigation', { name: 'Page' })
  await expect(page.getByLabel('Input')).toBeHidden()
  await bar.getByRole('button', { name: 'Start run' }).click()
  await expect(page.getByLabel('Input')).toBeFocused()
  await page.keyboard.press('Escape')
  await expect(page.getByLabel('Input')).toBeHidden()
  await expect(page.getByRole('heading', { level: 1 })).toBeFocused()
  await bar.getByRole('button', { name: 'Dead letter' }).click()
  await expect(page.getByRole('button', { name: /Replay \(fix applied\)/ })).toBeVisible()
  await page.keyboard.press('Escape')
  await expect(page.getByRole('button', { name: /Replay \(fix applied\)/ })).toBeHidden()
})
