export interface Entry {
  readonly subpath: string | undefined
  readonly source: string
  readonly name: string
}
export const ENTRIES: readonly Entry[]
export const CANDIDATES: readonly string[]
export function exportOf(entry: Entry): Record<'module-sync' | 'import' | 'require', { types: string; default: string }>
