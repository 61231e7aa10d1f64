// The Huffman code of RFC 7541 Appendix B, both ways.
//
// The code is canonical: codes of one length are consecutive, in the order of their symbols. So the lengths say it all.
// Decoding takes a whole octet per step through a finite-state table: 256 states (the inner nodes of the code's tree)
// by 256 octets. No code is shorter than five bits, so a step completes at most two symbols. The table is 256 KiB and
// is built by the first string that needs it.

const EOS = 256

/** Bits of each symbol's code, 32 symbols a row; the last one is EOS. */
// prettier-ignore
const LENGTHS = new Uint8Array([
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
])
const CODES = assignCodes()

/** The first code of a length follows the last one of the length before, with a bit more. */
function assignCodes(): Uint32Array {
  // First how many codes are a bit shorter, then the next code of the length.
  const next = new Uint32Array(32)
  for (const length of LENGTHS) (next[length + 1] as number)++
  for (let length = 1; length <= 30; length++)
    next[length] = 2 * ((next[length - 1] as number) + (next[length] as number))
  return Uint32Array.from(LENGTHS, (length) => (next[length] as number)++)
}

/** The longest code, EOS aside, is 30 bits: what an encoded string takes at most, for each octet of it. */
export const MAX_EXPANSION = 4

/**
 * Writes the code of a latin1 string, padded with the first bits of EOS. RFC 7541 §5.2.
 * @returns where it ends; −1: a char above 0xFF, and what was written is void
 */
export function huffmanEncode(text: string, out: Uint8Array, at: number): number {
  // The low `used` bits of `bits` wait to be written. Below 16 before each symbol, so that one of 16 bits fits in.
  let bits = 0
  let used = 0
  let seen = 0
  for (let i = 0; i < text.length; i++) {
    const symbol = text.charCodeAt(i)
    const code = CODES[symbol] as number
    let length = LENGTHS[symbol] as number
    seen |= symbol
    if (length > 16) {
      bits = (bits << (length - 16)) | (code >>> 16)
      for (used += length - 16; used >= 8; ) out[at++] = bits >>> (used -= 8)
      length = 16
    }
    bits = (bits << length) | (code & 0xffff)
    used += length
    if (used >= 16) {
      used -= 16
      out[at] = bits >>> (used + 8)
      out[at + 1] = bits >>> used
      at += 2
    }
  }
  if (used >= 8) out[at++] = bits >>> (used -= 8)
  if (used > 0) out[at++] = (bits << (8 - used)) | (0xff >>> used)
  return seen > 0xff ? -1 : at
}

// A step of the decoder is one word: bits 0–7 and 8–15 the symbols completed, 16–17 how many, 18–25 the next state,
// the sign EOS. State d on the path of all ones is d ones deep: the states in which padding may end are 0 to 7.
const COUNT_ONE = 1 << 16
const FAILED = 1 << 31
const LAST_PADDING_STATE = 7

let steps: Int32Array | undefined

/**
 * Decodes the code in bytes `start` to `end` into `out`, which has room for 8/5 as many octets and one more.
 * @returns the number of octets; −1: EOS, or padding that is too long or not all ones. RFC 7541 §5.2.
 */
export function huffmanDecode(bytes: Uint8Array, start: number, end: number, out: Uint8Array): number {
  const table = (steps ??= buildSteps())
  let word = 0
  let seen = 0
  let length = 0
  for (let i = start; i < end; i++) {
    word = table[((word >>> 10) & 0xff00) | (bytes[i] as number)] as number
    seen |= word
    // Two octets are always stored: what was not completed is overwritten by the next step.
    out[length] = word
    out[length + 1] = word >>> 8
    length += (word >>> 16) & 3
  }
  return seen < 0 || ((word >>> 18) & 0xff) > LAST_PADDING_STATE ? -1 : length
}

function buildSteps(): Int32Array {
  const tree = buildTree()
  const table = new Int32Array(256 * 256)
  const walk = (row: number, node: number, depth: number, octet: number, word: number): void => {
    if (depth === 8) {
      table[row * 256 + octet] = word | (node << 18)
      return
    }
    for (let bit = 0; bit < 2; bit++) {
      const child = tree[2 * node + bit] as number
      if (child >= 0) walk(row, child, depth + 1, octet * 2 + bit, word)
      else walk(row, 0, depth + 1, octet * 2 + bit, complete(word, -1 - child))
    }
  }
  for (let state = 0; state < 256; state++) walk(state, state, 0, 0, 0)
  return table
}

function complete(word: number, symbol: number): number {
  if (symbol === EOS) return word | FAILED
  return (word & COUNT_ONE ? word | (symbol << 8) : word | symbol) + COUNT_ONE
}

/** Children of node n at 2n and 2n + 1: an inner node, or −1 − symbol. EOS goes in first: its path is nodes 0, 1, 2 … */
function buildTree(): Int16Array {
  const tree = new Int16Array(2 * 256)
  let nodes = 1
  for (let symbol = EOS; symbol >= 0; symbol--) {
    const code = CODES[symbol] as number
    let node = 0
    for (let bit = (LENGTHS[symbol] as number) - 1; bit > 0; bit--) {
      const child = 2 * node + ((code >>> bit) & 1)
      if (tree[child] === 0) tree[child] = nodes++
      node = tree[child] as number
    }
    tree[2 * node + (code & 1)] = -1 - symbol
  }
  return tree
}
