/**
 * What the tests stand on: a real driftqd, a line to it that can be cut, and waits for a condition.
 */

import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Client } from '../src/index.js'
import { type RunningDriftqd, type StartDriftqdOptions, startDriftqd } from '../src/testing/index.js'

const BUILT = ['debug', 'release'].map((kind) => resolve(import.meta.dirname, `../../../target/${kind}/driftqd`))

/** The binary under test: `DRIFTQD_BIN`, or what `cargo build -p driftq-server` leaves behind. */
export function driftqdBin(): string {
  const found = process.env.DRIFTQD_BIN ?? BUILT.find(existsSync)
  if (found === undefined) throw new Error('run `cargo build -p driftq-server`, or set DRIFTQD_BIN')
  return found
}

/** A driftqd for a test file. */
export function testBroker(options: StartDriftqdOptions = {}): Promise<RunningDriftqd> {
  return startDriftqd({ bin: driftqdBin(), ...options })
}

/** A driftqd whose data outlives it. */
export interface DurableBroker {
  readonly url: string
  readonly client: Client
  /** As a power cut would. */
  kill(): Promise<void>
  restart(): Promise<void>
  /** Ends it and removes its data. */
  close(): Promise<void>
}

/** A driftqd that can be killed and started again on its data. */
export async function durableBroker(): Promise<DurableBroker> {
  const dataDir = await mkdtemp(join(tmpdir(), 'driftq-ts-'))
  const broker = await testBroker({ dataDir })
  return {
    url: broker.url,
    client: new Client({ url: broker.url }),
    restart: broker.restart,
    kill: () => broker.stop('SIGKILL'),
    close: async () => {
      await broker.stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

let names = 0

/** A name that no other test uses. */
export function freshName(what: string): string {
  names += 1
  return `${what}-${process.pid}-${names}`
}

/** Waits until a condition holds, and returns what it gave. */
export async function until<T>(condition: () => T | Promise<T>, withinMs = 10_000): Promise<NonNullable<T>> {
  const end = Date.now() + withinMs
  for (;;) {
    const found = await condition()
    if (found !== undefined && found !== null && found !== false) return found as NonNullable<T>
    if (Date.now() > end) throw new Error(`not within ${withinMs} ms: ${condition}`)
    await new Promise((wake) => setTimeout(wake, 10))
  }
}

/** Takes one command of a topic, as a worker would. */
export async function takeCommand(client: Client, topic = 'runs.commands') {
  const message = await client.poll(topic, 'workers', { owner: 'test', leaseMs: 30_000, waitMs: 10_000 })
  if (message === null) throw new Error(`no command came in ${topic}`)
  return message
}

/** A line to a server that can be cut, in the middle of a byte stream if need be. */
export interface Line {
  /** The address to use instead of the server's. */
  readonly url: string
  /** How many connections were made and asked something. */
  readonly connections: number
  /** How many of them are open now. */
  readonly open: number
  /** Cuts what is open now. */
  cut(): void
  /** Refuses new connections until `mend`, and cuts what is open. */
  down(): void
  mend(): void
  /** Cuts each connection after so many bytes of answers; null: never. */
  cutAfter(bytes: number | null): void
  close(): Promise<void>
}

/** Makes a line to a server. */
export async function lineTo(url: string): Promise<Line> {
  const target = new URL(url)
  const sockets = new Set<Socket>()
  const busy = new Set<Socket>()
  let isDown = false
  let limit: number | null = null
  let connections = 0
  const server: Server = createServer((near) => {
    if (isDown) return near.destroy()
    const far = connect(Number(target.port), target.hostname)
    let answered = 0
    const end = (): void => {
      near.destroy()
      far.destroy()
      sockets.delete(near)
      busy.delete(near)
    }
    sockets.add(near)
    // Node's fetch opens a spare connection after an abort: what asked nothing is not counted.
    near.once('data', () => {
      connections += 1
      busy.add(near)
    })
    near.on('data', (chunk) => far.write(chunk))
    far.on('data', (chunk) => {
      const left = limit === null ? chunk.length : Math.max(0, limit - answered)
      answered += chunk.length
      near.write(chunk.subarray(0, left))
      if (left < chunk.length) near.end(end)
    })
    for (const socket of [near, far]) socket.on('close', end).on('error', end)
  })
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const cut = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: `http://127.0.0.1:${address.port}`,
    get connections() {
      return connections
    },
    get open() {
      return busy.size
    },
    cut,
    down: () => {
      isDown = true
      cut()
    },
    mend: () => {
      isDown = false
    },
    cutAfter: (bytes) => {
      limit = bytes
    },
    close: () => {
      cut()
      return new Promise((closed) => server.close(() => closed()))
    },
  }
}
