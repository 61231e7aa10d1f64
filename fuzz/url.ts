// Any text as a URL: split or refused, never anything else, and never a secret in what it is refused with.
import { formatOrigin, HttpCoreError, splitUrl } from '../src/http/index.ts'

export const seeds: readonly Uint8Array[] = [
  'http://h/',
  'https://[::1]:8443/a?b#c',
  'wss://u:p@h:1/',
  'http://1.2.3.4',
].map((text) => new TextEncoder().encode(text))

export function fuzz(input: Uint8Array): void {
  const url = Buffer.from(input).toString('latin1')
  let split
  try {
    split = splitUrl(url)
  } catch (error) {
    if (error instanceof HttpCoreError) return
    throw error
  }
  const again = splitUrl(formatOrigin(split.origin) + split.target)
  // A zone is ours alone: it does not come back. RFC 6874 §4.
  const same = { ...split.origin, host: split.origin.host.replace(/%.*/, '') }
  if (!split.origin.host.includes(':')) same.host = split.origin.host
  if (JSON.stringify(again) !== JSON.stringify({ origin: same, target: split.target })) {
    throw new Error(`${url} does not come back: ${JSON.stringify([split, again])}`)
  }
}
