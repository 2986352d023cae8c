import type { NextConfig } from 'next'

const config: NextConfig = {
  output: 'standalone',
  // This folder is the whole app; nothing above it belongs to the build.
  outputFileTracingRoot: import.meta.dirname,
  turbopack: { root: import.meta.dirname },
  poweredByHeader: false,
  reactStrictMode: true,
  devIndicators: false,
}

export default config
