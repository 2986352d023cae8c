import type { NextConfig } from 'next'
import { PHASE_DEVELOPMENT_SERVER } from 'next/constants'

/**
 * The standalone build. Scripts go out as Brotli, an eighth less than the gzip that Next knows by itself:
 * `scripts/standalone.mjs` leaves them in `/brotli/`, and browsers that take it are sent there.
 */
export default function config(phase: string): NextConfig {
  return {
    output: 'standalone',
    // This folder is the whole app; nothing above it belongs to the build.
    outputFileTracingRoot: import.meta.dirname,
    turbopack: { root: import.meta.dirname },
    poweredByHeader: false,
    reactStrictMode: true,
    devIndicators: false,
    // The development server's other names: the loopback, and where an editor in the cloud forwards its port to.
    allowedDevOrigins: ['127.0.0.1', '*.app.github.dev', '*.gitpod.io'],
    ...(phase === PHASE_DEVELOPMENT_SERVER ? {} : { headers: brotliHeaders, rewrites: brotliRewrites }),
  }
}

const SCRIPTS = '/_next/static/chunks/:file*.js'
const TAKES_BROTLI = [{ type: 'header' as const, key: 'accept-encoding', value: '.*\\bbr\\b.*' }]

const brotliHeaders: NonNullable<NextConfig['headers']> = async () => [
  { source: SCRIPTS, headers: [{ key: 'Vary', value: 'Accept-Encoding' }] },
  {
    source: SCRIPTS,
    has: TAKES_BROTLI,
    headers: [
      { key: 'Content-Encoding', value: 'br' },
      { key: 'Cache-Control', value: 'public, max-age=31536000, immutable' },
    ],
  },
]

const brotliRewrites: NonNullable<NextConfig['rewrites']> = async () => ({
  beforeFiles: [{ source: SCRIPTS, has: TAKES_BROTLI, destination: '/brotli/:file*.js' }],
})
