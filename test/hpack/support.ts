// What the tests of this folder share: octets from text, lists of fields as pairs.

/** A plain Uint8Array of hex (blanks ignored) or base64. */
export function bytesOf(text: string, encoding: 'hex' | 'base64' = 'hex'): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(encoding === 'hex' ? text.replaceAll(/\s/g, '') : text, encoding))
}

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

/** n0, v0, n1, v1 … as pairs. */
export function pairsOf(flat: readonly string[]): [string, string][] {
  const pairs: [string, string][] = []
  for (let i = 0; i < flat.length; i += 2) pairs.push([flat[i] as string, flat[i + 1] as string])
  return pairs
}
