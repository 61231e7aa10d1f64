// Heads and trailer sections from bytes: each byte looked at once however the bytes were cut.
//
// The bytes are copied into a scratch buffer that all connections share, scanned there (section.ts), decoded to one
// latin1 string, and the values are slices of it. A section whose bytes run out goes on in a buffer of the connection's
// own; the buffer is handed on when the connection is done with it.
import { decodeLatin1, excerpt, Fields, TCHAR } from '../http/index.ts'
import type { FaultCode } from './faults.ts'
import { byteDetail } from './faults.ts'
import type { Notes } from './framing.ts'
import type { FieldName } from './grammar.ts'
import { CR, HTAB, LF, SP } from './grammar.ts'
import type { KnownHead } from './known.ts'
import { knownHead } from './known.ts'
import type { Outcome, SectionRules } from './section.ts'
import { COMPLETE, INCOMPLETE, scan, Section, VERSION } from './section.ts'

const SCRATCH = 16 * 1024
/** How much of a chunk is copied at first: most heads fit, and content behind them is not copied in vain. */
const FIRST_COPY = 2 * 1024
/** Names of heads up to here are remembered for the next: a connection that idles for long may hold so much. */
const REMEMBERED = 8 * 1024

let scratch: Section | undefined
/** One that a connection needs no more, for the next one that needs its own. */
let spare: Section | undefined

/** Reads one section after another from one connection. */
export class SectionReader {
  /** The names of the latest sections by position: the next one is likely to have the same. */
  readonly #names: FieldName[] = []
  #own: Section | undefined
  #section: Section | undefined
  /** What the latest head was compared with, where it came whole; nothing was read if it was the same. */
  #known: KnownHead | undefined
  /** After COMPLETE and FAULTY: where in the data the reading stopped. */
  next = 0
  #text = ''
  #raw: string[] = []

  /** Whether a part of a section is held. */
  get partial(): boolean {
    return this.#own !== undefined
  }
  /** Bytes held of it. */
  get held(): number {
    return this.#own?.length ?? 0
  }

  /**
   * Reads data from pos to end, of which nothing beyond the section is taken. INCOMPLETE has taken all of it; a section
   * that is not over within maxBytes is FAULTY.
   */
  read(data: Uint8Array, pos: number, end: number, maxBytes: number, rules: SectionRules): Outcome {
    let section = this.#own
    this.#known = undefined
    if (section === undefined) {
      if (rules.startLine !== undefined && this.#isKnown(data, pos, end, maxBytes, rules)) return COMPLETE
      section = scratch ??= new Section(SCRATCH, 512)
      section.reset(rules)
    }
    let step = FIRST_COPY
    for (;;) {
      const to = Math.min(end, pos + step, pos + maxBytes - section.length)
      if (section !== this.#own && section.length + to - pos > SCRATCH) section = this.#keep(section)
      section.append(data, pos, to)
      pos = to
      let outcome = scan(section, this.#names, rules)
      if (outcome === INCOMPLETE && section.length >= maxBytes) outcome = section.fail(rules.tooLarge, maxBytes)
      if (outcome !== INCOMPLETE) {
        this.#section = section
        this.#own = undefined
        if (outcome === COMPLETE) {
          this.#text = decodeLatin1(section.bytes, 0, section.pos)
          if (this.#text.includes('\x7f')) outcome = this.#findDel(section, rules)
        }
        this.next = pos - (section.length - section.pos)
        return outcome
      }
      if (pos === end) break
      step *= 4
    }
    if (section !== this.#own) this.#keep(section)
    this.next = pos
    return INCOMPLETE
  }

  /** Whether the head before, or one of its like, stands there once more. */
  #isKnown(data: Uint8Array, pos: number, end: number, maxBytes: number, rules: SectionRules): boolean {
    const known = (this.#known = knownHead(end - pos))
    if (!known.standsAt(data, pos, end, rules, maxBytes)) return false
    this.#section = known.section
    this.#text = known.text
    this.next = pos + known.section.pos
    return true
  }

  /** DEL is the one control that scanning four bytes at a time does not see. */
  #findDel(section: Section, rules: SectionRules): Outcome {
    const at = this.#text.indexOf('\x7f')
    if (at < section.targetEnd) return section.fail('status-line', at)
    if (!rules.skipInvalid) return section.fail('field-value', at)
    section.skipped = true
    return COMPLETE
  }

  /** What stands in the scratch buffer, in a buffer that no other connection writes to. */
  #keep(section: Section): Section {
    const own = spare ?? new Section(1024, 32)
    spare = undefined
    own.copy(section)
    return (this.#own = own)
  }
  /**
   * Nobody will ask for the last section again: an idle connection does not hold it, nor the names of a large one. Of
   * one that will not be over the names are in part its own: they are not those of the section before, which may be a
   * known one's, and nobody's to hand on.
   */
  rest(): void {
    const section = this.#own ?? this.#section
    if (section === undefined) return
    if (section !== scratch && section !== this.#known?.section && section.bytes.length <= SCRATCH) spare = section
    if (section === this.#own || section.pos > REMEMBERED) {
      this.#names.length = 0
      this.#raw = []
    }
    this.#own = this.#section = this.#known = undefined
    this.#text = ''
  }

  /** After FAULTY. */
  get fault(): FaultCode {
    return this.#current.fault
  }
  /** After FAULTY: the line up to the fault, or its first word. Never more of a value than the byte that broke it. */
  get detail(): string {
    const { bytes, pos, fault, length } = this.#current
    if (fault.startsWith('limit-')) return ''
    if (fault === 'field-value') return byteDetail(bytes[pos] as number)
    let from = pos
    while (from > 0 && bytes[from - 1] !== LF) from--
    let to = Math.min(pos + (fault === 'version' ? VERSION.length : 1), length)
    // Most lines break in their value.
    if (fault.startsWith('bare-')) for (to = from; TCHAR[bytes[to] as number] === 1; ) to++
    return `: ${excerpt(decodeLatin1(bytes, Math.max(from, to - 49), to))}`
  }

  // ── after COMPLETE, until the next read ──
  get #current(): Section {
    return this.#section as Section
  }
  /** In bytes. */
  get size(): number {
    return this.#current.pos
  }
  get minor(): number {
    return this.#current.minor
  }
  get status(): number {
    return this.#current.status
  }
  get method(): string {
    return this.#text.slice(0, this.#current.methodEnd)
  }
  get target(): string {
    return this.#text.slice(this.#current.methodEnd + 1, this.#current.targetEnd)
  }
  get reasonPhrase(): string {
    const section = this.#current
    if (section === this.#known?.section) return this.#known.reasonPhrase
    return this.#text.slice(section.mark, section.targetEnd)
  }

  /** The fields; each one that matters to framing or persistence is noted too. */
  fields(notes: Notes): Fields {
    notes.reset()
    const known = this.#known
    const section = this.#current
    if (section === known?.section) return known.fields(notes)
    const { count, lines, folded } = section
    const text = this.#text
    const names = this.#names
    const flat = new Array<string>(2 * count)
    let length = 0
    // The same names as last time are the same array: nobody writes to it.
    const renamed = section.renamed || section.skipped || this.#raw.length !== count
    const raw: string[] = renamed ? [] : this.#raw
    for (let i = 0; i < count; i++) {
      const name = names[i] as FieldName
      let value = text.slice(lines[2 * i] as number, lines[2 * i + 1] as number)
      if (folded && value.includes('\n')) {
        notes.folded |= 1 << name.role
        value = unfold(value)
      }
      // Only a reader that skips what is invalid comes here with a DEL.
      if (section.skipped && value.includes('\x7f')) continue
      if (name.role !== 0) notes.add(name.role, value)
      flat[length++] = name.lower
      flat[length++] = value
      if (renamed) raw.push(name.raw)
    }
    if (section.skipped) flat.length = length
    this.#raw = section.skipped ? [] : raw
    const fields = new Fields(flat, raw)
    known?.keep(section, text, fields, names)
    return fields
  }
}

/** Each obs-fold as one SP, and none at the ends. RFC 9112 §5.2. */
function unfold(value: string): string {
  const parts: string[] = []
  for (const line of value.split('\n')) {
    let from = 0
    let to = line.length
    while (from < to && isBlank(line.charCodeAt(from))) from++
    while (to > from && isBlank(line.charCodeAt(to - 1))) to--
    if (to > from) parts.push(line.slice(from, to))
  }
  return parts.join(' ')
}
function isBlank(c: number): boolean {
  return c === SP || c === HTAB || c === CR
}
