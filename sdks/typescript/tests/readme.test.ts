/**
 * The snippets of the README and of docs/integrate.md: all are compiled as an app would, those marked `run` are run.
 */

import { spawn } from 'node:child_process'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { RunningDriftqd } from '../src/testing/index.js'
import { driftqdBin, testBroker } from './support.js'

const FOLDER = join(import.meta.dirname, '.snippets')

/** What an app has that this package has not. */
const NEXT_HEADERS = `declare module 'next/headers' {
  export function cookies(): Promise<{ get(name: string): { readonly value: string } | undefined }>
}`

interface Snippet {
  readonly file: string
  readonly isRun: boolean
}

const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
const playbook = await readFile(new URL('../../../docs/integrate.md', import.meta.url), 'utf8')
const blocks = [...`${readme}\n${playbook}`.matchAll(/```(tsx?)( run)?\n(.*?)```/gs)]
const snippets: Snippet[] = blocks.map(([, kind, run], at) => ({
  file: join(FOLDER, `${at + 1}.${kind}`),
  isRun: run !== undefined,
}))

let broker: RunningDriftqd
beforeAll(async () => {
  await mkdir(FOLDER, { recursive: true })
  await Promise.all(snippets.map(({ file }, at) => writeFile(file, blocks[at]?.[3] ?? '')))
  await writeFile(join(FOLDER, 'next.d.ts'), NEXT_HEADERS)
  broker = await testBroker()
  process.env.DRIFTQ_HTTP_URL = broker.url
  process.env.DRIFTQD_BIN = driftqdBin()
})
afterAll(async () => {
  await broker.stop()
  await rm(FOLDER, { recursive: true })
})

test('every snippet compiles against the built package, as in a strict app', { timeout: 120_000 }, async () => {
  const files = [...snippets.map((snippet) => snippet.file), join(FOLDER, 'next.d.ts')]
  const flags = '--ignoreConfig --noEmit --strict --target es2023 --module esnext --moduleResolution bundler'
  const more = '--jsx react-jsx --types node --pretty false'
  const tsc = join(import.meta.dirname, '../node_modules/typescript/bin/tsc')
  const compiler = spawn(process.execPath, [tsc, ...`${flags} ${more}`.split(' '), ...files])
  expect(await text(compiler.stdout)).toBe('')
  expect(snippets).toHaveLength(8)
})

test.each(snippets.filter((snippet) => snippet.isRun))('$file runs to its end', async ({ file }) => {
  const said: unknown[][] = []
  const log = vi.spyOn(console, 'log').mockImplementation((...words) => void said.push(words))
  await import(file)
  log.mockRestore()
  expect(said.length).toBeGreaterThan(0)
})
