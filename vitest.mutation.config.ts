// The tests that hold the mutated files to account, without those that only take long.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: [
      'test/h11/cases.test.ts',
      'test/h11/grammar.test.ts',
      'test/h11/verbs.test.ts',
      'test/h11/vectors.test.ts',
    ],
  },
})
