// The chunk-size lines of chunked content (RFC 9112 §7.1), byte by byte through one small automaton, so that it does not
// matter how they were cut. The grammar is exact and no leniency touches it: two readings of one chunk-size are what
// smuggling is made of.
//
// It knows lines; the data between them and the trailer section are the connection's.
import type { ResolvedLimits } from '../http/index.ts'
import { decodeLatin1, TCHAR } from '../http/index.ts'
import type { FaultCode } from './faults.ts'
import { CR, DEL, LF, SP } from './grammar.ts'
import type { Outcome } from './section.ts'
import { COMPLETE, FAULTY, INCOMPLETE } from './section.ts'

type State =
  | 'size'
  | 'size-space'
  | 'extension'
  | 'name'
  | 'name-space'
  | 'value'
  | 'token'
  | 'quoted'
  | 'escape'
  | 'value-end'
  | 'value-space'
  | 'lf'
  | 'end'

type Kind = 'space' | 'semicolon' | 'equals' | 'quote' | 'backslash' | 'cr' | 'tchar' | 'text' | 'other'

/** What a quoted-string may hold besides its quotes and escapes. RFC 9110 §5.6.4. */
const QUOTED = { tchar: 'quoted', text: 'quoted', space: 'quoted', semicolon: 'quoted', equals: 'quoted' } as const

/** `chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS ( token / quoted-string ) ] )`, up to CR. RFC 9112 §7.1.1. */
const EXTENSION = {
  size: { space: 'size-space', semicolon: 'extension', cr: 'lf' },
  'size-space': { space: 'size-space', semicolon: 'extension' },
  extension: { space: 'extension', tchar: 'name' },
  name: { tchar: 'name', space: 'name-space', equals: 'value', semicolon: 'extension', cr: 'lf' },
  'name-space': { space: 'name-space', equals: 'value', semicolon: 'extension' },
  value: { space: 'value', tchar: 'token', quote: 'quoted' },
  token: { tchar: 'token', space: 'value-space', semicolon: 'extension', cr: 'lf' },
  quoted: { ...QUOTED, quote: 'value-end', backslash: 'escape' },
  escape: { ...QUOTED, quote: 'quoted', backslash: 'quoted' },
  'value-end': { space: 'value-space', semicolon: 'extension', cr: 'lf' },
  'value-space': { space: 'value-space', semicolon: 'extension' },
  lf: {},
  end: {},
} as const satisfies Record<State, Partial<Record<Kind, State>>>

const KINDS: Readonly<Record<string, Kind | undefined>> = {
  ' ': 'space',
  '\t': 'space',
  ';': 'semicolon',
  '=': 'equals',
  '"': 'quote',
  '\\': 'backslash',
  '\r': 'cr',
}
function kindOf(c: number): Kind {
  if (TCHAR[c] === 1) return 'tchar'
  return KINDS[String.fromCharCode(c)] ?? (c > SP && c !== DEL ? 'text' : 'other')
}

/** The value of a hexadecimal digit by its byte, −1 for any other. */
const DIGITS = new Int8Array(256).fill(-1)
for (let i = 0; i < 16; i++) {
  const digit = '0123456789abcdef'.charCodeAt(i)
  DIGITS[digit] = i
  if (i > 9) DIGITS[digit - 0x20] = i
}

export class ChunkReader {
  #state: State = 'end'
  #digits = 0
  /** Bytes of the current line. */
  #line = 0
  // Of the message: bytes of all extensions, and of the content as far as it has been told.
  #extensionBytes = 0
  #content = 0
  /** After COMPLETE: of the chunk. */
  size = 0
  /** After COMPLETE, where they were kept: from the byte after the size. */
  extensions = ''
  /** After COMPLETE and FAULTY: where in the data the reading stopped. */
  next = 0
  fault: FaultCode = 'chunk-size'

  /** Before the first line of a message. */
  begin(): void {
    this.#state = 'end'
    this.#extensionBytes = this.#content = 0
  }

  /** Reads data from pos to end, of which nothing beyond the line is taken. */
  readLine(data: Uint8Array, pos: number, end: number, limits: ResolvedLimits, keep: boolean): Outcome {
    if (this.#state === 'end') {
      this.#state = 'size'
      this.#digits = this.#line = this.size = 0
      this.extensions = ''
    }
    let p = pos
    if (this.#state === 'size') {
      let { size } = this
      let digits = this.#digits
      // No limit of a line is below what the digits and CRLF take.
      for (let digit; p < end && (digit = DIGITS[data[p] as number] as number) >= 0; p++) {
        size = size * 16 + digit
        if (++digits > 16 || size > Number.MAX_SAFE_INTEGER) return this.#fail('chunk-size', p)
      }
      this.size = size
      this.#digits = this.#line = digits
      // Nearly every line ends here.
      if (digits > 0 && p + 1 < end && data[p] === CR && data[p + 1] === LF) return this.#complete(p + 2, limits)
    }
    for (; p < end; p++) {
      const c = data[p] as number
      if (++this.#line > limits.maxChunkLineBytes) return this.#fail('limit-chunk-line', p)
      if (this.#state === 'lf') {
        if (c !== LF) return this.#fail('bare-cr', p - 1)
        return this.#complete(p + 1, limits)
      }
      const next: State | undefined = (EXTENSION[this.#state] as Partial<Record<Kind, State>>)[kindOf(c)]
      if (next === undefined || this.#digits === 0) {
        return this.#fail(this.#state === 'size' || this.#state === 'size-space' ? 'chunk-size' : 'chunk-extension', p)
      }
      this.#state = next
      if (next === 'lf') continue
      if (++this.#extensionBytes > limits.maxChunkExtensionBytes) return this.#fail('limit-chunk-extension', p)
      if (keep) this.extensions += decodeLatin1(data, p, p + 1)
    }
    this.next = end
    return INCOMPLETE
  }

  #complete(at: number, limits: ResolvedLimits): Outcome {
    this.#content += this.size
    if (this.#content > limits.maxContentLength) return this.#fail('limit-content', at)
    this.#state = 'end'
    this.next = at
    return COMPLETE
  }
  #fail(fault: FaultCode, at: number): Outcome {
    this.fault = fault
    this.next = at
    return FAULTY
  }
}
