/** Puts the static files beside the standalone server, which Next leaves to whoever ships it; scripts as Brotli too. */

import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { brotliCompressSync } from 'node:zlib'

const CHUNKS = '.next/static/chunks'
const BROTLI = '.next/standalone/public/brotli'

cpSync('.next/static', '.next/standalone/.next/static', { recursive: true })
for (const name of readdirSync(CHUNKS, { recursive: true })) {
  if (!name.endsWith('.js')) continue
  const path = join(BROTLI, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, brotliCompressSync(readFileSync(join(CHUNKS, name))))
}
