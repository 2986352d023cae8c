/**
 * A driftqd for tests: in memory, on a free port, gone at the end.
 *
 * ```ts
 * const broker = await startDriftqd()
 * const client = new Client({ url: broker.url })
 * ```
 *
 * It needs the binary: `DRIFTQD_BIN`, or `driftqd` on the PATH. With a folder for its data it can be killed and
 * started again on the same port, which is what an outage is.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/** How a driftqd is started. */
export interface StartDriftqdOptions {
  /** The binary; `DRIFTQD_BIN` or `driftqd` on the PATH unless given. */
  readonly bin?: string | undefined
  /** Keeps its data in this folder instead of in memory. */
  readonly dataDir?: string | undefined
  /** More flags of `driftqd --help`. */
  readonly flags?: readonly string[] | undefined
  /** How long it may take to listen, milliseconds; 10,000 unless given. */
  readonly timeoutMs?: number | undefined
}

/** A driftqd that runs. */
export interface RunningDriftqd {
  /** Its address: `http://127.0.0.1:PORT`. */
  readonly url: string
  /** Ends it in order; with `SIGKILL` at once. Twice is fine. */
  stop(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>
  /** Starts it again on the same port and folder. */
  restart(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** How much of what it said is kept for an error message, characters. */
const LOG_CHARS_MAX = 4_000

/**
 * Starts a driftqd and waits until it listens.
 *
 * @throws Error when there is no binary, or when it does not come up; with the last of what it said.
 */
export async function startDriftqd(options: StartDriftqdOptions = {}): Promise<RunningDriftqd> {
  let { child, url } = await launched(options, '127.0.0.1:0')
  const address = new URL(url).host
  const stop = (signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> => ended(child, signal)
  return {
    url,
    stop,
    restart: async () => {
      await stop()
      ;({ child, url } = await launched(options, address))
    },
    [Symbol.asyncDispose]: () => stop(),
  }
}

async function launched(
  options: StartDriftqdOptions,
  address: string,
): Promise<{ child: ChildProcess; url: string }> {
  const bin = options.bin ?? process.env.DRIFTQD_BIN ?? 'driftqd'
  const data = options.dataDir === undefined ? ['--memory'] : ['--wal', options.dataDir]
  const args = ['--addr', address, '--log-format', 'json', ...data, ...(options.flags ?? [])]
  const child = spawn(bin, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  const { promise, resolve, reject } = deferred<string>()
  const hear = (line: string): void => {
    said = `${said}${line}\n`.slice(-LOG_CHARS_MAX)
    const url = /listens on (http:\/\/[^\s,"]+)/.exec(line)?.[1]
    if (url !== undefined) resolve(url)
  }
  for (const output of [child.stdout, child.stderr]) createInterface({ input: output }).on('line', hear)
  child.on('error', (cause) => {
    reject(new Error(`cannot start ${bin}: set DRIFTQD_BIN, or put driftqd on the PATH`, { cause }))
  })
  // Not on `exit`: what it said last may not have been read by then.
  child.on('close', (code) => reject(new Error(`${bin} ended with ${code} before it listened:\n${said}`)))
  const timeoutMs = options.timeoutMs ?? 10_000
  const timer = setTimeout(
    () => reject(new Error(`${bin} does not listen after ${timeoutMs} ms:\n${said}`)),
    timeoutMs,
  )
  try {
    return { child, url: await promise }
  } catch (error) {
    await ended(child, 'SIGKILL')
    throw error
  } finally {
    clearTimeout(timer)
  }
}

function ended(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  return new Promise((resolve) => {
    const isGone = child.pid === undefined || child.exitCode !== null || child.signalCode !== null
    if (isGone) return resolve()
    child.once('exit', () => resolve())
    child.kill(signal)
  })
}

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void; reject: (error: Error) => void } {
  let resolve!: (value: T) => void
  let reject!: (error: Error) => void
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}
