/**
 * The settings of the server, read when they are needed and not when the page is built.
 *
 * `API_URL`: where this server finds the API, for its `/api` proxy. `NEXT_PUBLIC_API_URL`: set it to let the
 * browser talk to the API itself (the API then lists this page's origin in `CORS_ORIGINS`).
 */

const LOCAL_API = 'http://127.0.0.1:8000'

/** Where the proxy sends `/api/…`, without a slash at the end. */
export function apiUrl(): string {
  return withoutSlash(setting('API_URL') ?? LOCAL_API)
}

/** What the browser uses: our own `/api`, or the API's address. */
export function browserApiAddress(): string {
  return withoutSlash(setting('NEXT_PUBLIC_API_URL') ?? '/api')
}

function setting(name: string): string | undefined {
  // Read by a computed name: the build would write a `NEXT_PUBLIC_` one into the bundle.
  const value = process.env[name]?.trim()
  return value === undefined || value === '' ? undefined : value
}

function withoutSlash(url: string): string {
  return url.replace(/\/+$/, '')
}
