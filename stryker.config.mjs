// What the tests of the machines would miss: `npm run mutation`, by file. Minutes to an hour; not part of the gate.
export default {
  testRunner: 'vitest',
  vitest: { configFile: 'vitest.mutation.config.ts' },
  mutate: ['src/h11/grammar.ts', 'src/h11/framing.ts', 'src/h11/state.ts'],
  coverageAnalysis: 'perTest',
  ignoreStatic: false,
  concurrency: 2,
  timeoutMS: 20_000,
  reporters: ['clear-text', 'json'],
  jsonReporter: { fileName: 'reports/mutation.json' },
  clearTextReporter: { allowColor: false, logTests: false, reportTests: false },
  thresholds: { high: 95, low: 85, break: 85 },
  tempDirName: '.stryker-tmp',
  ignorePatterns: ['dist', 'build', 'bench', 'fuzz', 'docs', 'examples', 'reports', 'coverage'],
}
