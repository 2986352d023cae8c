/** The tests stand on a real driftqd; a snippet of the README imports the package by its name. */

import { defineConfig } from 'vitest/config'

const entry = (name: string): string => new URL(`./dist/${name}.js`, import.meta.url).pathname

export default defineConfig({
  resolve: {
    alias: [
      { find: /^@driftq\/client$/, replacement: entry('index') },
      { find: /^@driftq\/client\/(\w+)$/, replacement: entry('$1') },
    ],
  },
  test: { testTimeout: 20_000, hookTimeout: 30_000 },
})
