// The ABNF that every version shares (RFC 9110 §5.5, §5.6, §8.6), as exact checks on latin1 strings.
//
// A check answers; it does not repair. Wire data meets no trim, no parseInt, no Number and no Unicode case mapping: each
// of them has let a request smuggler through somewhere.

/** 1 for the bytes of RFC 9110 §5.6.2 `tchar`. */
export const TCHAR: Uint8Array = table("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")

function table(chars: string): Uint8Array {
  const bits = new Uint8Array(256)
  for (let i = 0; i < chars.length; i++) bits[chars.charCodeAt(i)] = 1
  return bits
}

/** `token`: at least one tchar. Field names and methods. RFC 9110 §5.6.2. */
export function isToken(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    if (TCHAR[text.charCodeAt(i)] !== 1) return false
  }
  return text.length > 0
}

/** `field-value`: HTAB, SP, VCHAR and obs-text, without whitespace at either end. RFC 9110 §5.5. */
export function isFieldValue(text: string): boolean {
  const last = text.length - 1
  if (last < 0) return true
  if (isSpace(text.charCodeAt(0)) || isSpace(text.charCodeAt(last))) return false
  for (let i = 0; i <= last; i++) {
    const c = text.charCodeAt(i)
    if ((c < 0x20 && c !== 0x09) || c === 0x7f || c > 0xff) return false
  }
  return true
}

/** Visible ASCII, at least one char: what a request-target may hold at most. RFC 9112 §3.2. */
export function isVisible(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c < 0x21 || c > 0x7e) return false
  }
  return text.length > 0
}

/** SP or HTAB: the whitespace of RFC 9110 §5.6.3, and no other. */
export function isSpace(c: number): boolean {
  return c === 0x20 || c === 0x09
}

/** `1*DIGIT` up to 2^53−1 as a number; −1 for anything else. RFC 9110 §8.6, RFC 9112 §6.3. */
export function parseDecimal(text: string): number {
  let value = text === '' ? -1 : 0
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30
    if (digit < 0 || digit > 9) return -1
    value = value * 10 + digit
    // One digit more than is exact is exact enough to be compared; zeros in front are none.
    if (value > Number.MAX_SAFE_INTEGER) return -1
  }
  return value
}

/** The members of a comma-separated list, whitespace around them removed, empty ones left out. RFC 9110 §5.6.1. */
export function listMembers(value: string): string[] {
  const members: string[] = []
  let start = 0
  while (start <= value.length) {
    let comma = value.indexOf(',', start)
    if (comma < 0) comma = value.length
    let from = start
    let to = comma
    while (from < to && isSpace(value.charCodeAt(from))) from++
    while (to > from && isSpace(value.charCodeAt(to - 1))) to--
    if (to > from) members.push(value.slice(from, to))
    start = comma + 1
  }
  return members
}

/** ASCII letters to lower case; every other char as it is (no Unicode: U+212A is not a k). */
export function asciiLower(text: string): string {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c >= 0x41 && c <= 0x5a) return lowered(text)
  }
  return text
}

/** A copy. Made of pieces, not char by char: a string that grows by chars holds 32 bytes for each. */
export function lowered(text: string): string {
  let lower = ''
  // The arguments of a call live on the stack.
  for (let i = 0; i < text.length; i += 4096) {
    const codes: number[] = []
    for (let j = i; j < text.length && j < i + 4096; j++) {
      const c = text.charCodeAt(j)
      codes.push(c >= 0x41 && c <= 0x5a ? c + 32 : c)
    }
    lower += String.fromCharCode(...codes)
  }
  return lower
}

/**
 * A piece of the peer's input that is safe to print: at most 48 chars, controls and obs-text escaped, without what may be
 * userinfo.
 */
export function excerpt(text: string): string {
  const at = text.lastIndexOf('@')
  if (at > 0) return '…' + excerpt(text.slice(at))
  let shown = ''
  for (let i = 0; i < text.length && i < 48; i++) {
    const c = text.charCodeAt(i)
    if (c >= 0x20 && c <= 0x7e && c !== 0x22 && c !== 0x5c) shown += text[i]
    else shown += c > 0xff ? '\\u' + c.toString(16).padStart(4, '0') : '\\x' + c.toString(16).padStart(2, '0')
  }
  return text.length > 48 ? `"${shown}"…` : `"${shown}"`
}
