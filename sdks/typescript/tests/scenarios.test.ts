/**
 * The scenarios of `spec/scenarios`, played through the built client: what holds on the wire holds here.
 */

import { spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { driftqdBin } from './support.js'

const REPOSITORY = resolve(import.meta.dirname, '../../..')

/** Fewer than this, and the adapter has lost a method. */
const STORIES_MIN = 60

test('every story that is not about HTTP itself holds', { timeout: 180_000 }, async () => {
  const adapter = `${process.execPath} ${resolve(import.meta.dirname, 'scenario-adapter.mjs')}`
  const args = ['spec/scenarios/runner', '--driftqd', driftqdBin(), '--adapter', adapter]
  const runner = spawn('python3', args, { cwd: REPOSITORY, stdio: ['ignore', 'pipe', 'pipe'] })
  const [said, wrong, code] = await Promise.all([
    text(runner.stdout),
    text(runner.stderr),
    new Promise((ended) => runner.once('close', ended)),
  ])
  const passed = Number(/(\d+) passed/.exec(said)?.[1] ?? 0)
  process.stdout.write(`${said.trim().split('\n').at(-1)}\n`)
  expect(code, `${said}\n${wrong}`).toBe(0)
  expect(passed).toBeGreaterThanOrEqual(STORIES_MIN)
})
