// Integers with a prefix of N bits (RFC 7541 §5.1). Callers keep the common case, a value below 2^N − 1, to themselves.
//
// Sums are made by multiplication: a shift works on 32 bits in JavaScript and would wrap a huge integer to a small one.

/** Five octets after the prefix hold 35 bits, more than any setting or length needs; longer is padding with zeros. */
const MAX_CONTINUATIONS = 5

/**
 * The octets after a full prefix, beginning at `at`: the value beyond 2^N − 1.
 * @returns value × 8 + octets read, so that no object is made for two numbers; −1: cut off or too long
 */
export function readContinuation(bytes: Uint8Array, at: number, end: number): number {
  let value = 0
  let weight = 1
  for (let read = 1; read <= MAX_CONTINUATIONS && at < end; read++) {
    const octet = bytes[at++] as number
    value += (octet & 0x7f) * weight
    if (octet < 0x80) return value * 8 + read
    weight *= 128
  }
  return -1
}

/**
 * Writes an integer below 2^32 in at most six octets, returns where it ends.
 * @param mask 2^N − 1
 * @param pattern the bits of the first octet above the prefix
 */
export function writeInteger(out: Uint8Array, at: number, value: number, mask: number, pattern: number): number {
  if (value < mask) {
    out[at] = pattern | value
    return at + 1
  }
  out[at++] = pattern | mask
  let rest = value - mask
  while (rest >= 0x80) {
    out[at++] = rest % 0x80 | 0x80
    rest = Math.floor(rest / 0x80)
  }
  out[at] = rest
  return at + 1
}
