// Heads, chunk framing and trailer sections to bytes, and the queue of what waits to be taken.
//
// One loop per piece of text validates and writes: what is on the wire is what was validated, and a refused head leaves
// nothing behind, since bytes count only once they are committed. Small pieces are copied one behind the other into a
// slab that is never written twice; content above about a kilobyte goes by reference.
import type { Bytes } from '../http/index.ts'
import { checkField, isSpace, misuse, TCHAR, wholeBytes } from '../http/index.ts'
import { COLON, CR, DEL, HTAB, LF, SP } from './grammar.ts'

const SLAB = 64 * 1024
/** Content up to here is copied behind what precedes it: a write of its own costs more than the copy. */
const COPIED = 1024

// The slab of all connections, and how much of it is committed. `at` is the cursor of the head being written.
let slab = new Uint8Array(0)
let committed = 0
let at = 0

/** Room for so many bytes; what was not committed is forgotten. */
export function begin(room: number): void {
  if (slab.length - committed < room) {
    slab = new Uint8Array(Math.max(SLAB, room))
    committed = 0
  }
  at = committed
}

const NOTHING = new Uint8Array(0)

/** Of a list whose first so many are gone; what is left is not moved for each of them, but when it is no more than they. */
export function forgetGone(list: unknown[], gone: number): number {
  if (2 * gone < list.length) return gone
  list.splice(0, gone)
  return 0
}

/** Chunks in order. */
export class Output {
  /** How many bytes wait. */
  bytes = 0
  #chunks: Bytes[] = []
  /** How many of them were taken. */
  #gone = 0
  // What was written last, still open for what follows it in the same slab.
  #slab = slab
  #from = 0
  #to = 0

  /** Appends what was written since `begin`. */
  commit(): void {
    if (this.#slab !== slab || this.#to !== committed) {
      this.seal()
      this.#slab = slab
      this.#from = committed
    }
    this.bytes += at - committed
    this.#to = committed = at
  }
  /** Nothing that follows joins what is there. */
  seal(): void {
    if (this.#to > this.#from) this.#chunks.push(this.#slab.subarray(this.#from, this.#to))
    this.#from = this.#to
  }
  /** Content: large by reference, small copied. */
  append(data: Bytes): void {
    const length = data.length
    if (length > COPIED) {
      this.seal()
      this.#chunks.push(data)
      this.bytes += length
    } else {
      begin(length)
      slab.set(data, at)
      at += length
      this.commit()
    }
  }
  /** Everything, or the first chunks up to about max bytes (at least one, cut where it must be). */
  take(max: number | undefined): Bytes[] {
    this.seal()
    const chunks = this.#chunks
    if (max === undefined || max >= this.bytes) {
      const gone = this.#gone
      this.#chunks = []
      this.#gone = this.bytes = 0
      return gone === 0 ? chunks : chunks.slice(gone)
    }
    const taken: Bytes[] = []
    const most = wholeBytes(max)
    let room = most
    while (room > 0) {
      const chunk = chunks[this.#gone] as Bytes
      if (chunk.length > room) {
        taken.push(chunk.subarray(0, room))
        chunks[this.#gone] = chunk.subarray(room)
        room = 0
      } else {
        taken.push(chunk)
        chunks[this.#gone++] = NOTHING
        room -= chunk.length
      }
    }
    this.#gone = forgetGone(chunks, this.#gone)
    this.bytes -= most
    return taken
  }
  /** Drops the last so many bytes; they were sealed off from what precedes them. */
  drop(bytes: number): void {
    if (bytes === 0) return
    this.bytes -= bytes
    // What is still open is of the last.
    let left = bytes - (this.#to - this.#from)
    this.#from = this.#to
    while (left > 0) left -= (this.#chunks.pop() as Bytes).length
  }
  clear(): void {
    this.drop(this.bytes)
  }
}

/**
 * The field lines of the latest head, however the next one comes by its own: its first lines that are the same again
 * are copied together, not checked and written once more.
 */
export class Repeated {
  readonly #names: string[] = []
  readonly #values: string[] = []
  /** Where each line ends, from the start of the first. */
  readonly #ends: number[] = []
  /** How many of them stand in #slab from #from on. */
  #count = 0
  #slab = slab
  #from = 0
  // Of the head that is written now.
  #start = 0
  #lines = 0
  #same = true

  begin(): void {
    this.#start = at
    this.#lines = 0
    this.#same = true
  }
  writeField(name: string, value: string): void {
    const i = this.#lines++
    if (this.#same) {
      if (i < this.#count && this.#names[i] === name && this.#values[i] === value) return
      this.#copy(i)
      this.#same = false
      this.#count = i
    }
    writeField(name, value)
    this.#names[i] = name
    this.#values[i] = value
    this.#ends[i] = at - this.#start
  }
  end(): void {
    if (this.#same) this.#copy(this.#lines)
  }
  #copy(lines: number): void {
    const from = this.#from
    const to = lines === 0 ? from : from + (this.#ends[lines - 1] as number)
    if (this.#slab === slab) slab.copyWithin(at, from, to)
    else slab.set(this.#slab.subarray(from, to), at)
    at += to - from
  }
  /** The head is committed: its lines last. */
  keep(): void {
    if (this.#same) return
    this.#slab = slab
    this.#from = this.#start
    this.#count = this.#lines
  }
}

/** ASCII that needs no check: our own. */
export function writeOwn(text: string): void {
  const bytes = slab
  let p = at
  for (let i = 0; i < text.length; i++) bytes[p++] = text.charCodeAt(i)
  at = p
}

/** Visible ASCII; false: it holds something else, or nothing. */
export function writeVisible(text: string): boolean {
  const bytes = slab
  let p = at
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c <= SP || c >= DEL) return false
    bytes[p++] = c
  }
  at = p
  return text.length > 0
}

/** latin1 unchecked but for what cannot be a byte: for harnesses. */
export function writeUnchecked(text: string): void {
  const bytes = slab
  let p = at
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c > 0xff) throw misuse('field-value', 'RFC 9110 §5.5', 'a char above U+00FF cannot be written as one byte')
    bytes[p++] = c
  }
  at = p
}

/** `field-name ":" SP field-value CRLF`, checked as it is written. RFC 9112 §5. */
export function writeField(name: string, value: string): void {
  const bytes = slab
  let p = at
  const named = name.length
  for (let i = 0; i < named; i++) {
    const c = name.charCodeAt(i)
    if (TCHAR[c] !== 1) checkField(name, value)
    bytes[p++] = c
  }
  bytes[p++] = COLON
  bytes[p++] = SP
  const length = value.length
  for (let i = 0; i < length; i++) {
    const c = value.charCodeAt(i)
    if (c < SP ? c !== HTAB : c === DEL || c > 0xff) checkField(name, value)
    bytes[p++] = c
  }
  // An empty name, or whitespace at an end of the value: checkField says what is wrong.
  if (named === 0 || (length > 0 && (isSpace(value.charCodeAt(0)) || isSpace(value.charCodeAt(length - 1))))) {
    checkField(name, value)
  }
  bytes[p++] = CR
  bytes[p++] = LF
  at = p
}

/** `chunk-size CRLF chunk-data CRLF`. RFC 9112 §7.1. */
export function writeChunk(output: Output, data: Bytes): void {
  begin(data.length > COPIED ? 32 : data.length + 32)
  writeOwn(data.length.toString(16))
  writeOwn('\r\n')
  if (data.length > COPIED) {
    output.commit()
    output.append(data)
    begin(2)
  } else {
    slab.set(data, at)
    at += data.length
  }
  writeOwn('\r\n')
  output.commit()
}
