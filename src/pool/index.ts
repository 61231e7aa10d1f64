// httpcore/pool: the machine that schedules connections, with both versions of HTTP at hand.
import { H2Connection } from '../h2/index.ts'
import type { Millis } from '../http/index.ts'
import { PoolMachine as Lean, type PoolSettings } from './lean.ts'

export * from './lean.ts'

export class PoolMachine extends Lean {
  /**
   * @param settings checked for what excludes each other; limits against their bounds
   * @param start the seed is for jitter
   */
  constructor(settings: PoolSettings, start: { readonly now: Millis; readonly seed: number }) {
    super(settings, { ...start, http2: () => H2Connection })
  }
}
