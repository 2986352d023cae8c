// Carries scenarios over plain `fetch`, as an adapter of a JavaScript SDK would over its methods.
//
// One JSON object a line in, one out; README.md beside this folder says what they hold. No dependency.

import { createInterface } from 'node:readline'

const base = process.argv.at(-1)
const document = await (await fetch(`${base}/v1/openapi.json`)).json()
const operations = new Map()
for (const [path, methods] of Object.entries(document.paths)) {
  for (const [method, operation] of Object.entries(methods)) {
    operations.set(operation.operationId, { method: method.toUpperCase(), path })
  }
}
const leaving = new Map() // the number of an open stream → how to leave it

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)

/** One request; arguments go into the path, then the query or the body. */
function send(name, args, options = {}) {
  const { method, path } = operations.get(name)
  const rest = { ...args }
  const filled = path.replace(/\{(\w+)\}/g, (_, key) => {
    const value = rest[key]
    delete rest[key]
    return encodeURIComponent(value)
  })
  if (method !== 'GET' && method !== 'DELETE') {
    return fetch(base + filled, { method, body: JSON.stringify(rest), ...options })
  }
  const plain = (value) => (typeof value === 'string' ? value : JSON.stringify(value))
  const query = new URLSearchParams(Object.entries(rest).map(([key, value]) => [key, plain(value)]))
  return fetch(`${base}${filled}?${query}`, { method, ...options })
}

async function answered(response) {
  const text = await response.text()
  const body = text === '' ? undefined : JSON.parse(text)
  return response.ok ? { status: response.status, body } : { status: response.status, error: body }
}

/** The items of an answer that goes on: a JSON object a line, or the data of an event. */
async function* items(response) {
  let rest = ''
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop()
    for (const line of lines) {
      const text = line.startsWith('data:') ? line.slice(5) : line
      if (text.trimStart().startsWith('{')) yield JSON.parse(text)
    }
  }
}

async function follow({ id, operation, with: args }) {
  const left = new AbortController()
  const headers = operation === 'read_events' ? { accept: 'text/event-stream' } : {}
  const response = await send(operation, args, { headers, signal: left.signal })
  if (response.status !== 200) return say({ id, ...(await answered(response)) })
  leaving.set(id, () => left.abort())
  say({ id, open: true })
  try {
    for await (const item of items(response)) say({ id, item })
  } catch (error) {
    if (error.name !== 'AbortError') throw error
  }
  say({ id, end: true })
}

async function serve(request) {
  const { id, op } = request
  if (op === 'operations') return say({ id, operations: [...operations.keys()] })
  if (op === 'call') return say({ id, ...(await answered(await send(request.operation, request.with))) })
  if (op === 'open') return follow(request)
  leaving.get(request.stream)?.()
  return say({ id })
}

for await (const line of createInterface({ input: process.stdin })) {
  serve(JSON.parse(line)).catch((error) => {
    process.stderr.write(`${error.stack}\n`)
    process.exit(1)
  })
}
process.exit(0)
