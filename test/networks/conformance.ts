// The checks of `httpcore/conformance` as tests of this suite.
import { test } from 'vitest'
import { conformance, type Subject } from '../../src/conformance.ts'
import type { NetworkCapabilities } from '../../src/drivers/network.ts'

export function conforms(can: NetworkCapabilities, open: () => Subject | Promise<Subject>): void {
  for (const { name, run } of conformance(can)) test(name, async () => run(await open()))
}
