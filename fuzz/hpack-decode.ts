// Any octets to the HPACK decoder. The first octet of the input says how small the limits are and after which blocks the
// limit of the table changes; the rest is a row of blocks, each after an octet with its length.
import { HpackDecoder, HpackEncoder, HpackError } from '../src/h2/hpack/index.ts'
import type { HpackFault } from '../src/h2/hpack/index.ts'

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))

/** Blocks of RFC 7541 Appendix C, and what goes wrong most often. */
export const seeds: readonly Uint8Array[] = [
  hex('0011828684418cf1e3c2e5f23a6ba0ab90f4ff0c828684be5886a8eb10649cbf'),
  hex('03054001610162010101be'),
  hex('0505203fe11f8203400161'),
  hex('0006ff83ffffff0f'),
  hex('00091001610162000178830000'),
]

/** Throws where a law is broken. */
export function fuzz(input: Uint8Array): void {
  const mode = input[0] ?? 0
  const decoder = new HpackDecoder((mode & 1) === 1 ? { maxListBytes: 100, maxFields: 3 } : {})
  const encoder = new HpackEncoder()
  const mirror = new HpackDecoder({ maxListBytes: Infinity, maxFields: Infinity })
  let failed: HpackFault | undefined
  for (let at = 1; at < input.length; ) {
    const end = Math.min(input.length, at + 1 + (input[at] as number))
    const { flat, fault } = decoder.decodeBlock(input, at + 1, end)
    check(decoder.tableSize <= decoder.maxTableSize, 'the table is larger than its size')
    check(fault === undefined || flat.length === 0, 'fields beside a fault')
    check(failed === undefined || fault === failed, 'a decoder that had failed went on')
    if (fault?.scope === 'connection') failed = fault
    if (fault === undefined) {
      const pairs = flat.flatMap((name, i) =>
        i % 2 === 0 ? [[name.replaceAll(/[A-Z]/g, 'x'), flat[i + 1] as string] as const] : [],
      )
      const again = [...mirror.decode(encoder.encode(pairs))]
      check(JSON.stringify(again) === JSON.stringify(pairs), 'what was decoded does not come through our encoder')
    }
    if ((mode & 2) === 2) decoder.setMaxTableSize(((mode & 0xf0) * (at & 0xff)) % 4097)
    at = end
  }
  throwsOnlyItsOwn(input)
}

function throwsOnlyItsOwn(block: Uint8Array): void {
  try {
    new HpackDecoder().decode(block)
  } catch (error) {
    if (!(error instanceof HpackError)) throw error
    check(error.offset >= 0 && error.offset <= block.length, 'an offset outside the block')
  }
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(what)
}
