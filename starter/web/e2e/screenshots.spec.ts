/** Pictures of the page in both themes at three widths, kept in `screenshots/` for people to look at. */

import { ended, expect, startRun, test } from './stack'

const SIZES = { desktop: [1280, 900], tablet: [820, 1100], phone: [390, 844] } as const

for (const theme of ['light', 'dark'] as const) {
  test(`pictures in the ${theme} theme`, async ({ page, stack }) => {
    test.setTimeout(90_000)
    await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' })
    const runId = await startRun(stack, { fail_at: 'tool_call', input: { text: 'Summarise ticket 4211' } })
    expect(await ended(stack, runId)).toBe('failed')
    await page.goto(`${stack.url}/runs/${runId}`)
    await expect(page.getByText('Open dead letter')).toBeVisible()
    for (const [name, [width, height]] of Object.entries(SIZES)) {
      await page.setViewportSize({ width, height })
      const isWide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth)
      expect(isWide, `${name} scrolls sideways`).toBe(false)
      await page.screenshot({ path: `screenshots/${name}-failed-${theme}.png` })
    }
    const tabs = page.getByRole('navigation', { name: 'Sections' })
    for (const tab of ['Start', 'Dead letter', 'Runs']) {
      await tabs.getByRole('button', { name: tab }).click()
      await page.screenshot({ path: `screenshots/phone-${tab.toLowerCase().replace(' ', '-')}-${theme}.png` })
    }
    await page.setViewportSize({ width: 1280, height: 900 })
    await page.getByRole('button', { name: 'Edit input…' }).click()
    await page
      .getByLabel('Input', { exact: true })
      .last()
      .fill('{\n  "text": "Summarise ticket 4211 in one line"\n}')
    await page.screenshot({ path: `screenshots/desktop-edit-${theme}.png` })
    await page.keyboard.press('Escape')
    await page.getByRole('button', { name: /Replay \(fix applied\)/ }).click()
    await expect(page.getByText('Run succeeded in')).toBeVisible()
    await page.screenshot({ path: `screenshots/desktop-succeeded-${theme}.png` })
  })
}

test('pictures of what is pending, and of what is down', async ({ page, stack, expectedErrors }) => {
  expectedErrors.push(/503|ERR_|502|500/)
  await page.emulateMedia({ reducedMotion: 'reduce' })
  const runId = await startRun(stack, { fail_at: 'transform', max_attempts: 8 })
  await page.goto(`${stack.url}/runs/${runId}`)
  const next = page.getByRole('list', { name: 'Timeline' }).getByText('Attempt 5', { exact: true })
  await expect(next).toBeVisible()
  await page.screenshot({ path: 'screenshots/desktop-retrying-light.png' })
  await stack.api.kill('SIGKILL')
  await expect(page.getByRole('alert').getByText(/The API does not answer/)).toBeVisible()
  await page.screenshot({ path: 'screenshots/desktop-api-down-light.png' })
  await stack.api.start()
  await expect(page.getByText(/^Back after .* s\.$/).first()).toBeVisible({ timeout: 20_000 })
  await page.screenshot({ path: 'screenshots/desktop-back-light.png' })
  await page.getByRole('button', { name: 'Cancel run' }).click()
  await expect(page.getByRole('main').getByText('cancelled', { exact: true }).first()).toBeVisible()
})
