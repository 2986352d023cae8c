/**
 * Weighs the first load: the scripts that the start page names. Fails above `KILOBYTES_MAX`.
 *
 * It asks the standalone server of the last build, so it weighs what a browser gets: Brotli as a CDN or a proxy in
 * front sends it (that is the limit), gzip as Next sends it by itself. What a run's page adds is printed too.
 * `noModule` scripts are for browsers that the page does not support.
 */

import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { brotliCompressSync, gzipSync } from 'node:zlib'

const KILOBYTES_MAX = 150

const port = await freePort()
const server = spawn(process.execPath, ['.next/standalone/server.js'], {
  env: { ...process.env, HOSTNAME: '127.0.0.1', PORT: String(port) },
  stdio: 'ignore',
})
try {
  const origin = `http://127.0.0.1:${port}`
  const start = await weigh(origin, '/')
  const run = await weigh(origin, '/runs/run_0')
  print('start page, first load', start)
  print("a run's page, first load", run)
  console.log(`at most ${KILOBYTES_MAX} kB of Brotli for the start page`)
  if (start.scripts === 0) throw new Error('the page names no script: is it built?')
  if (start.brotli > KILOBYTES_MAX * 1000) process.exitCode = 1
} finally {
  server.kill()
}

async function weigh(origin, path) {
  const page = await (await answering(origin + path)).text()
  const names = new Set(
    [...page.matchAll(/<(?:script|link)[^>]*\s(?:src|href)="([^"]+\.js)"[^>]*>/g)]
      .filter(([tag]) => !/nomodule/i.test(tag))
      .map(([, name]) => name),
  )
  const weights = { scripts: names.size, brotli: 0, gzip: 0 }
  for (const name of names) {
    const text = Buffer.from(await (await fetch(origin + name)).arrayBuffer())
    weights.brotli += brotliCompressSync(text).length
    weights.gzip += gzipSync(text).length
  }
  return weights
}

function print(what, { scripts, brotli, gzip }) {
  const kB = (bytes) => `${(bytes / 1000).toFixed(1)} kB`
  console.log(`${what}: ${scripts} scripts, ${kB(brotli)} Brotli, ${kB(gzip)} gzip`)
}

async function answering(url) {
  for (let tries = 0; tries < 200; tries++) {
    try {
      return await fetch(url)
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  throw new Error(`nothing answers at ${url}: run \`npm run build\` first`)
}

function freePort() {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address()
      probe.close(() => resolve(port))
    })
  })
}
