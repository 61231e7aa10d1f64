// Bytes to latin1 strings: one char is one byte, without loss. RFC 9110 §5.5 leaves field values to bytes; here they are
// strings whose chars are those bytes.
//
// The only file of the core that looks at its runtime: Node, Bun and Deno have `latin1Slice` on their Buffer, it takes
// any Uint8Array and decodes 500 bytes in a quarter of the time of a char loop. Elsewhere the portable loop does the
// same. TextDecoder is no substitute: by the Encoding Standard its 'latin1' is windows-1252.

type Slice = (this: Uint8Array, start: number, end: number) => string
type Decode = (bytes: Uint8Array, start: number, end: number) => string

/** Bytes start to end as a latin1 string. */
export const decodeLatin1: Decode = detect()

function detect(): Decode {
  const runtime = globalThis as { Buffer?: { prototype?: { latin1Slice?: Slice } } }
  const slice = runtime.Buffer?.prototype?.latin1Slice
  return slice === undefined ? decodePortable : (bytes, start, end) => slice.call(bytes, start, end)
}

/** @internal Exported for its test: every runtime must agree with it. */
export function decodePortable(bytes: Uint8Array, start: number, end: number): string {
  let text = ''
  // The arguments of a call live on the stack: 4 KiB at a time stays below every engine's limit.
  for (let i = start; i < end; i += 4096) {
    text += String.fromCharCode(...bytes.subarray(i, Math.min(end, i + 4096)))
  }
  return text
}
