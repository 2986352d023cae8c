/**
 * The built package: what it weighs in a browser, what it says about itself, what it must not carry.
 */

import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { gzipSync } from 'node:zlib'
import { rolldown } from 'rolldown'
import { expect, test } from 'vitest'

/** What an entry may weigh with all it needs but React, minified, gzip, bytes. */
const BUDGETS = { react: 10_500, index: 13_500, next: 2_000 } as const

async function weighed(source: string): Promise<number> {
  const bundle = await rolldown({
    input: 'entry.js',
    external: [/^react/],
    logLevel: 'silent',
    plugins: [
      {
        name: 'entry',
        resolveId: (id) => (id === 'entry.js' ? id : null),
        load: (id) => (id === 'entry.js' ? source : null),
      },
    ],
  })
  const { output } = await bundle.generate({ minify: true })
  return gzipSync(output[0].code, { level: 9 }).length
}

const built = (name: string): string => new URL(`../dist/${name}`, import.meta.url).pathname

test.each(Object.entries(BUDGETS))('the entry %s stays within its budget of %i bytes', async (name, budget) => {
  const bytes = await weighed(`export * from ${JSON.stringify(built(`${name}.js`))}`)
  process.stdout.write(`${name}: ${bytes} bytes of gzip, budget ${budget}\n`)
  expect(bytes).toBeLessThanOrEqual(budget)
})

test('who takes only one hook does not pay for the others', async () => {
  const all = await weighed(`export * from ${JSON.stringify(built('react.js'))}`)
  const one = await weighed(`export { useStartRun } from ${JSON.stringify(built('react.js'))}`)
  process.stdout.write(`useStartRun alone: ${one} bytes of gzip\n`)
  expect(one).toBeLessThan(all / 2)
})

test.each(['react.js', 'react.cjs'])('%s says that it runs in the browser', async (name) => {
  expect(await readFile(built(name), 'utf8')).toMatch(/^['"]use client['"];?\n/)
})

test('CommonJS gets the same names as ESM', async () => {
  const require = createRequire(import.meta.url)
  for (const name of ['index', 'react', 'next', 'testing']) {
    const esm = Object.keys((await import(built(`${name}.js`))) as object)
    const cjs = Object.keys(require(built(`${name}.cjs`)) as object)
    expect(cjs.sort()).toEqual(esm.sort())
  }
})

test('what an app is promised is exported, and nothing that is ours alone', async () => {
  const names = async (name: string) => Object.keys((await import(built(name))) as object).sort()
  expect(await names('index.js')).toEqual([
    'Client',
    'DEFAULT_URL',
    'DriftQError',
    'NonRetryable',
    'RetryAfter',
    'SILENCE_MS_MAX',
    'Worker',
    'WorkflowRun',
    'isEvent',
    'subscribeRun',
  ])
  expect(await names('react.js')).toEqual([
    'CLOSE_AFTER_MS',
    'DEFAULT_BASE_URL',
    'DriftQError',
    'EVENTS_MAX',
    'LIST_ITEMS_MAX',
    'RunTimeline',
    'SHOWN_AFTER_MS',
    'describeEvent',
    'isEvent',
    'useCountdown',
    'useDeadLetters',
    'useRun',
    'useRuns',
    'useStartRun',
  ])
})
