import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    reporters: ['default', './scripts/closing-line.mjs'],
    coverage: {
      include: ['src/**'],
      reporter: ['text', 'html', 'json-summary'],
    },
  },
})
