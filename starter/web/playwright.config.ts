/** The browser tests: one browser, one stack, one test at a time. Screenshots are kept as build output. */

import { defineConfig } from '@playwright/test'

const executablePath = process.env.CHROMIUM_PATH

export default defineConfig({
  testDir: 'e2e',
  outputDir: 'test-results',
  workers: 1,
  timeout: 45_000,
  expect: { timeout: 10_000 },
  forbidOnly: process.env.CI !== undefined,
  reporter: [['list']],
  use: {
    ...(executablePath === undefined ? {} : { launchOptions: { executablePath, args: ['--no-sandbox'] } }),
    viewport: { width: 1280, height: 900 },
    colorScheme: 'light',
    locale: 'en',
    // A trace slows the page down, and its figures are measured.
    screenshot: 'only-on-failure',
  },
})
