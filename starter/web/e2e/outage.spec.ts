/** What breaks, and how the page comes back: without a gap, without a double, and it says so. */

import type { Page } from '@playwright/test'
import { expect, type Stack, startRun, test } from './stack'

test('the API is killed and comes back while the page watches', async ({ page, stack, expectedErrors }) => {
  expectedErrors.push(/503|ERR_|502|500/)
  const runId = await startRun(stack, { fail_at: 'tool_call', max_attempts: 8 })
  await page.goto(`${stack.url}/runs/${runId}`)
  await expect(page.getByText('Live', { exact: true })).toBeVisible()

  await stack.api.kill('SIGKILL')
  await expect(page.getByRole('alert').getByText(/The API does not answer at/)).toBeVisible()
  await expect(page.getByText('python starter/api/scripts/dev_up.py')).toBeVisible()
  await expect(page.getByText('API is down')).toBeVisible()
  // What was read stays.
  await expect(
    page.getByRole('list', { name: 'Timeline' }).getByText('worker.received').first(),
  ).toBeVisible()
  await expect(page.getByText(/Retrying in|Trying…/)).toBeVisible()

  await stack.api.start()
  await expect(page.getByText(/^Back after .* s\.$/).first()).toBeVisible({ timeout: 20_000 })
  await expect(page.getByRole('alert').getByText(/The API does not answer/)).toBeHidden()
  await gapless(page, stack, runId)
})

test('the broker is killed -9 and comes back while the page watches', async ({
  page,
  stack,
  expectedErrors,
}) => {
  expectedErrors.push(/503|ERR_|502|500/)
  const runId = await startRun(stack, { fail_at: 'tool_call', max_attempts: 8 })
  await page.goto(`${stack.url}/runs/${runId}`)
  await expect(page.getByText('Live', { exact: true })).toBeVisible()
  await expect(page.getByText('Attempt 1', { exact: true })).toBeVisible()

  await stack.broker.kill('SIGKILL')
  await expect(page.getByRole('alert').getByText('The broker is away')).toBeVisible()
  await stack.broker.start()
  await expect(page.getByRole('alert').getByText('The broker is away')).toBeHidden({ timeout: 20_000 })
  await gapless(page, stack, runId)

  // The run goes on where it was, to its dead letter and beyond.
  await fetch(`${stack.apiUrl}/runs/${runId}/cancel`, { method: 'POST' })
  await expect(page.getByRole('main').getByText('cancelled', { exact: true }).first()).toBeVisible()
})

test('a page that is opened while the API is down shows the run once it is up', async ({
  page,
  stack,
  expectedErrors,
}) => {
  expectedErrors.push(/503|ERR_|502|500/)
  const runId = await startRun(stack, { fail_at: 'none' })
  await stack.api.kill('SIGKILL')
  await page.goto(`${stack.url}/runs/${runId}`)
  await expect(page.getByRole('alert').getByText(/The API does not answer at/)).toBeVisible()
  await stack.api.start()
  await page.getByRole('button', { name: 'Try now' }).first().click()
  await expect(page.getByRole('list', { name: 'Timeline' }).getByText('run.succeeded')).toBeVisible({
    timeout: 20_000,
  })
})

/** The page has each event of the run once, in order: it says so by its own copy of the timeline. */
async function gapless(page: Page, stack: Stack, runId: string): Promise<void> {
  await page.evaluate(() => {
    Object.assign(navigator.clipboard, {
      writeText: async (text: string) => Object.assign(window, { copied: text }),
    })
  })
  await expect
    .poll(async () => {
      await page.getByRole('button', { name: 'Copy JSON' }).click()
      const events = await page.evaluate(
        () => JSON.parse((window as unknown as { copied: string }).copied) as { seq: number }[],
      )
      const stored = await fetch(`${stack.apiUrl}/runs/${runId}/events?limit=1000`, {
        headers: { Accept: 'application/json' },
      })
      const { events: all } = (await stored.json()) as { events: { seq: number }[] }
      expect(events.map((event) => event.seq)).toEqual(events.map((_, index) => index + 1))
      return events.length >= all.length && all.length > 3
    })
    .toBe(true)
}
