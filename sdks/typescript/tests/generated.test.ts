/**
 * The committed types are those of the OpenAPI document.
 */

import { readFile } from 'node:fs/promises'
import openapiTS, { astToString } from 'openapi-typescript'
import { expect, test } from 'vitest'

test('the wire’s types are fresh; if not: npm run generate', async () => {
  const document = new URL('../../../spec/openapi.json', import.meta.url)
  const committed = await readFile(new URL('../src/openapi.gen.ts', import.meta.url), 'utf8')
  const fresh = astToString(await openapiTS(document))
  // The command line puts a banner on top.
  expect(committed.slice(committed.indexOf('*/') + 2).trim()).toBe(fresh.trim())
})
