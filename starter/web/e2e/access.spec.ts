/** By keyboard alone, and for those who hear the page. */

import AxeBuilder from '@axe-core/playwright'
import type { Page } from '@playwright/test'
import { ended, expect, startRun, test } from './stack'

test('the whole demo by keyboard alone', async ({ page, stack }) => {
  await page.goto(stack.url)
  await page.keyboard.press('Tab')
  await expect(page.getByRole('link', { name: 'Skip to the timeline' })).toBeFocused()
  await page.keyboard.press('ControlOrMeta+Enter')
  const heading = page.getByRole('heading', { level: 1 })
  await expect(heading).toBeFocused()
  await expect(page.getByText('Open dead letter')).toBeVisible()

  // The timeline is one stop; rows rove.
  await page.keyboard.press('j')
  const focused = page.locator('[data-rove]:focus')
  await expect(focused).toHaveCount(1)
  const first = await focused.textContent()
  await page.keyboard.press('j')
  await expect(focused).not.toHaveText(first ?? '')
  await page.keyboard.press('k')
  await expect(focused).toHaveText(first ?? '')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('group', { name: 'Raw JSON' })).toBeVisible()
  await page.keyboard.press('Enter')
  await expect(page.getByRole('group', { name: 'Raw JSON' })).toBeHidden()
  await page.keyboard.press(']')
  await expect(focused).toContainText('Attempt 1')
  await page.keyboard.press(']')
  await expect(focused).toContainText('Attempt 2')
  await page.keyboard.press('[')
  await expect(focused).toContainText('Attempt 1')

  await page.keyboard.press('/')
  await expect(page.getByLabel('Search events')).toBeFocused()
  await page.keyboard.type('rpe')
  await expect(page.getByLabel('Search events')).toHaveValue('rpe')
  await expect(page.getByRole('dialog')).toHaveCount(0)
  await page.keyboard.press('Escape')
  await expect(page.getByLabel('Search events')).toHaveValue('')

  await page.keyboard.press('g')
  await page.keyboard.press('d')
  await expect(page.getByRole('heading', { name: 'Dead letter', exact: true })).toBeFocused()
  await page.keyboard.press('g')
  await page.keyboard.press('r')
  await expect(page.getByRole('heading', { name: 'Runs', exact: true })).toBeFocused()

  await page.keyboard.press('e')
  await expect(page.getByRole('dialog')).toBeVisible()
  await page.keyboard.press('Escape')
  await expect(page.getByRole('dialog')).toHaveCount(0)
  await expect(page.getByRole('heading', { name: 'Runs', exact: true })).toBeFocused()

  await page.keyboard.press('r')
  await expect(page.getByText('Run succeeded in')).toBeVisible()

  await page.keyboard.press('?')
  await expect(page.getByRole('dialog', { name: 'Keys' })).toBeVisible()
  await page.getByRole('checkbox', { name: 'Single keys work' }).press('Space')
  await page.keyboard.press('Escape')
  await page.keyboard.press('/')
  await expect(page.getByLabel('Search events')).not.toBeFocused()

  await page.keyboard.press('ControlOrMeta+k')
  await page.getByRole('dialog', { name: 'Find a run' }).getByRole('textbox').fill('succeeded')
  await page.keyboard.press('Enter')
  await expect(page).toHaveURL(/\/runs\/run_/)
})

test('the turns of a run are said, one sentence at a time', async ({ page, stack }) => {
  const runId = await startRun(stack, { fail_at: 'tool_call' })
  await page.goto(`${stack.url}/runs/${runId}`)
  const status = page.getByRole('status').filter({ hasText: /run|attempt/i })
  await expect(status.first()).toContainText('The run failed: TimeoutError. A dead letter is stored.')
})

for (const theme of ['light', 'dark'] as const) {
  test(`axe finds nothing serious in the ${theme} theme`, async ({ page, stack }) => {
    test.setTimeout(90_000)
    await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' })
    await page.goto(stack.url)
    await expect(page.getByText('Ready')).toBeVisible()
    await checked(page, 'the start page')

    const runId = await startRun(stack, { fail_at: 'tool_call' })
    expect(await ended(stack, runId)).toBe('failed')
    await page.goto(`${stack.url}/runs/${runId}`)
    await expect(page.getByText('Open dead letter')).toBeVisible()
    await checked(page, 'a failed run')
    await page.getByText('Open dead letter').click()
    await page.getByRole('tab', { name: 'Payload' }).click()
    await page.getByRole('list', { name: 'Timeline' }).getByText('run.dlq').click()
    await checked(page, 'a dead letter and an open row')
    await page.getByRole('button', { name: 'Edit input…' }).click()
    await checked(page, 'the replay dialog')
    await page.keyboard.press('Escape')
    await page.getByRole('button', { name: /Replay \(fix applied\)/ }).click()
    await expect(page.getByText('Run succeeded in')).toBeVisible()
    await checked(page, 'a replay that succeeded')
    await page.setViewportSize({ width: 390, height: 844 })
    for (const tab of ['Start', 'Timeline', 'Dead letter', 'Runs']) {
      await page.getByRole('navigation', { name: 'Sections' }).getByRole('button', { name: tab }).click()
      await checked(page, `the phone's ${tab}`)
    }
  })
}

test('reduced motion: nothing turns', async ({ page, stack }) => {
  await page.emulateMedia({ reducedMotion: 'reduce' })
  const runId = await startRun(stack, { fail_at: 'tool_call', max_attempts: 8 })
  await page.goto(`${stack.url}/runs/${runId}`)
  await expect(page.getByText('Live', { exact: true })).toBeVisible()
  const turning = await page.evaluate(
    () => document.getAnimations().filter((each) => each.playState === 'running').length,
  )
  expect(turning).toBe(0)
})

async function checked(page: Page, what: string): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze()
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
  const found = serious.map(
    ({ id, nodes }) => `${what}: ${id}: ${nodes.map((node) => node.target.join(' ')).join('; ')}`,
  )
  expect(found).toEqual([])
}
