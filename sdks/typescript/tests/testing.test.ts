/**
 * The helper that starts a driftqd for a test.
 */

import { expect, test } from 'vitest'
import { Client } from '../src/index.js'
import { startDriftqd } from '../src/testing/index.js'
import { driftqdBin } from './support.js'

test('each one is alone on a port of its own, and gone at the end', async () => {
  const [one, two] = await Promise.all([startDriftqd({ bin: driftqdBin() }), startDriftqd({ bin: driftqdBin() })])
  expect(one.url).not.toBe(two.url)
  await new Client({ url: one.url }).createTopic('only-here')
  expect((await new Client({ url: two.url }).listTopics()).topics).toEqual([])
  await Promise.all([one.stop(), two.stop()])
  await one.stop()
  await expect(fetch(one.url)).rejects.toThrow()
})

test('a binary that is not there is said at once', async () => {
  await expect(startDriftqd({ bin: '/nowhere/driftqd' })).rejects.toThrow('set DRIFTQD_BIN')
})

test('one that does not come up says the last of what it said', async () => {
  await expect(startDriftqd({ bin: driftqdBin(), flags: ['--no-such-flag'] })).rejects.toThrow('--no-such-flag')
})
