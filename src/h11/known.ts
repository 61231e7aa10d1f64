// Heads that were read before. A peer repeats itself: for one resource, within one second, its heads are the same byte for
// byte. Such a head is compared instead of read, and its strings are made once.
//
// All connections of a thread share a few of them; which one a head may be, the number of bytes that came tells. What is
// never repeated (a request id in each head) is soon tried only now and then. A head is known only as a whole, and only by
// the rules that it was read by: what it says cannot depend on how it came.
import { Fields } from '../http/index.ts'
import type { Notes } from './framing.ts'
import type { FieldName, FieldRole } from './grammar.ts'
import type { SectionRules } from './section.ts'
import { Section } from './section.ts'

const SLOTS = 16
/** Of one head, so that all of them together hold little more than 16 KiB. */
const MAX_BYTES = 1024
/** Heads in a row that are not kept in place of one that was not met again, at most. */
const MAX_PATIENCE = 64

/** One head, and what it says. */
export class KnownHead {
  readonly section = new Section(MAX_BYTES, 32)
  text = ''
  reasonPhrase = ''
  #fields = Fields.empty
  /** The fields that matter to framing and persistence. */
  #noted: { readonly role: FieldRole; readonly value: string }[] = []
  /** Where another head last differed from it. */
  #differs = 0
  #misses = 0
  #patience = 1

  /** Whether all of it stands there, and may be read by these rules. */
  standsAt(data: Uint8Array, pos: number, end: number, rules: SectionRules, maxBytes: number): boolean {
    const { bytes, pos: length } = this.section
    if (this.section.rules !== rules || length > end - pos || length > maxBytes) return false
    // What differed last time, like the second of a date, is likely to differ again.
    if (data[pos + this.#differs] !== bytes[this.#differs]) return false
    for (let i = 0; i < length; i++) {
      if (data[pos + i] !== bytes[i]) {
        this.#differs = i
        return false
      }
    }
    this.#patience = 1
    return true
  }
  /** What a reader would have made of it. */
  fields(notes: Notes): Fields {
    for (const { role, value } of this.#noted) notes.add(role, value)
    return this.#fields
  }

  /** Another was read in its place, by the same rules or not. It is kept from now on, unless that was in vain of late. */
  keep(section: Section, text: string, fields: Fields, names: readonly FieldName[]): void {
    // What was changed on its way does not stand there as it reads.
    if (section.pos > MAX_BYTES || section.folded || section.skipped || ++this.#misses < this.#patience) return
    this.#misses = this.#differs = 0
    this.#patience = Math.min(2 * this.#patience, MAX_PATIENCE)
    this.section.copy(section)
    this.text = text
    this.reasonPhrase = text.slice(section.mark, section.targetEnd)
    this.#fields = fields
    this.#noted = []
    for (let i = 0; i < section.count; i++) {
      const { role } = names[i] as FieldName
      if (role !== 0) this.#noted.push({ role, value: fields.value(i) })
    }
  }
}

const slots: KnownHead[] = []

/** The one that a head may be, or take the place of, where it came with so many bytes. */
export function knownHead(bytes: number): KnownHead {
  return (slots[bytes % SLOTS] ??= new KnownHead())
}
