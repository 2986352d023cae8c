/**
 * Weighs the first load: the scripts that a page names, as they come over the wire. Fails above `KILOBYTES_MAX`.
 *
 * It asks the standalone server of the last build as browsers do (Brotli), and as those that take gzip only.
 * `noModule` scripts are for browsers that the page does not support.
 */

import { spawn } from 'node:child_process'
import { get } from 'node:http'
import { createServer } from 'node:net'

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
  console.log(`at most ${KILOBYTES_MAX} kB as browsers ask for it`)
  if (start.scripts === 0) throw new Error('the page names no script: is it built?')
  if (Math.max(start.brotli, run.brotli) > KILOBYTES_MAX * 1000) process.exitCode = 1
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
    weights.brotli += await bytesOf(origin + name, 'gzip, deflate, br, zstd', 'br')
    weights.gzip += await bytesOf(origin + name, 'gzip', 'gzip')
  }
  return weights
}

/** The bytes of an answer's body as they were sent. */
function bytesOf(url, accepted, encoding) {
  return new Promise((resolve, reject) => {
    get(url, { headers: { 'Accept-Encoding': accepted } }, (answer) => {
      if (answer.statusCode !== 200 || answer.headers['content-encoding'] !== encoding) {
        reject(
          new Error(`${url}: ${answer.statusCode}, ${answer.headers['content-encoding']} for ${accepted}`),
        )
      }
      let bytes = 0
      answer.on('data', (chunk) => {
        bytes += chunk.length
      })
      answer.on('end', () => resolve(bytes))
    }).on('error', reject)
  })
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
