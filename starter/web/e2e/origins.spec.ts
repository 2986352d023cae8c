/** The API's address: through Next, or directly; behind forwarded names; and by what the browser has built in. */

import { expect, startRun, test } from './stack'

test('without the proxy the browser talks to the API itself', async ({ page, stack }) => {
  const asked: string[] = []
  page.on('request', (request) => asked.push(request.url()))
  await page.goto(stack.directUrl)
  await page
    .getByRole('button', { name: /^Start run/ })
    .first()
    .click()
  await expect(page.getByText('Open dead letter')).toBeVisible()
  await page.getByRole('button', { name: /Replay \(fix applied\)/ }).click()
  await expect(page.getByText('Run succeeded in')).toBeVisible()
  expect(asked.some((url) => url.startsWith(`${stack.apiUrl}/runs`))).toBe(true)
  expect(asked.some((url) => url.startsWith(`${stack.directUrl}/api`))).toBe(false)
})

test('an origin that the API does not list is refused by the browser', async ({
  page,
  stack,
  expectedErrors,
}) => {
  expectedErrors.push(/CORS|ERR_FAILED/)
  // The proxied page's origin is not in CORS_ORIGINS.
  await page.goto(stack.url)
  const refused = await page.evaluate(
    (url) =>
      fetch(url, { method: 'POST', body: '{}', headers: { 'Content-Type': 'application/json' } }).then(
        () => false,
        () => true,
      ),
    `${stack.apiUrl}/runs`,
  )
  expect(refused).toBe(true)
})

test('behind a forwarded name the page and its API work on', async ({ request, stack }) => {
  const name = 'sturdy-lamp-4x7v-3000.app.github.dev'
  const headers = {
    Host: name,
    Origin: `https://${name}`,
    'X-Forwarded-Host': name,
    'X-Forwarded-Proto': 'https',
    'Sec-Fetch-Site': 'same-origin',
  }
  const page = await request.get(stack.url, { headers })
  expect(page.status()).toBe(200)
  const created = await request.post(`${stack.url}/api/runs`, { headers, data: { fail_at: 'none' } })
  expect(created.status()).toBe(201)
  const { run_id: runId } = (await created.json()) as { run_id: string }
  const events = await request.get(`${stack.url}/api/runs/${runId}/events?until=terminal`, {
    headers: { ...headers, Accept: 'text/event-stream' },
  })
  expect(events.headers()['cache-control']).toContain('no-transform')
  expect(await events.text()).toContain('"run.succeeded"')
})

test('a raw EventSource on a bare page gets every event as it happens', async ({ page, stack }) => {
  const runId = await startRun(stack, { fail_at: 'none' })
  await page.route('**/bare', (route) =>
    route.fulfill({
      contentType: 'text/html',
      body: '<!doctype html><link rel="icon" href="data:,"><title>bare</title><ol></ol>',
    }),
  )
  await page.goto(`${stack.url}/bare`)
  const types = await page.evaluate(
    (id) =>
      new Promise<string[]>((resolve) => {
        const seen: string[] = []
        const source = new EventSource(`/api/runs/${id}/events?client_id=tab-1`)
        source.onmessage = (message) => {
          const event = JSON.parse(message.data) as { type: string }
          seen.push(event.type)
          if (event.type !== 'run.succeeded') return
          source.close()
          resolve(seen)
        }
      }),
    runId,
  )
  expect(types.slice(0, 3)).toEqual(['sse.connected', 'run.created', 'worker.received'])
  expect(types.filter((type) => type === 'step.completed')).toHaveLength(4)
})
