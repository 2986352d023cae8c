/** A process of the tests' stack: started, waited for by its health, killed and started again at the same port. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'

const START_MS_MAX = 30_000
const LOG_LENGTH_MAX = 20_000
const STOP_MS_MAX = 5_000

export interface ServiceOptions {
  readonly name: string
  readonly command: readonly [string, ...string[]]
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** Answers once it may be used. */
  readonly isReady: () => Promise<boolean>
}

/** One process at a time. */
export class Service {
  private process: ChildProcess | null = null
  private log = ''

  constructor(private readonly options: ServiceOptions) {}

  /** Starts it, and returns when it is ready. */
  async start(): Promise<void> {
    const { name, command, cwd, env, isReady } = this.options
    const [program, ...args] = command
    const child = spawn(program, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.process = child
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (text) => {
        this.log = `${this.log}${text}`.slice(-LOG_LENGTH_MAX)
      })
    }
    await until(async () => {
      if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}:\n${this.log}`)
      return isReady()
    }, `${name} is ready`)
  }

  /** Ends it, and returns when it has ended. */
  async kill(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.process
    this.process = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX)
    await ended
    clearTimeout(late)
  }
}

/** Returns once the condition holds. */
export async function until(condition: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + START_MS_MAX
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited ${START_MS_MAX} ms for: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Whether a URL answers 200. */
export async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).ok
  } catch {
    return false
  }
}

/** A port that nobody listens on. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const address = probe.address()
      if (typeof address !== 'object' || address === null) return reject(new Error('no port'))
      probe.close(() => resolve(address.port))
    })
  })
}
