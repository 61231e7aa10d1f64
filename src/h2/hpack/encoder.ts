// Fields to field blocks (RFC 7541 §6).
//
// What is in a table is sent as its index; what is not is sent as a literal, with Huffman code where that is shorter.
// Which literals enter the table is said per name (tables.ts) and by size; secrets are never-indexed literals, so that
// no hop compresses them (RFC 7541 §7.1.3). A peer that offers a huge table gets no more memory than our own limit.
//
// It validates nothing but that each char is an octet: what may stand in a field is checked by who sends it.
import { Fields, LIMITS, misuse } from '../../http/index.ts'
import type { FieldsInit, OwnedBytes } from '../../http/index.ts'
import { huffmanEncode, MAX_EXPANSION } from './huffman.ts'
import { writeInteger } from './integer.ts'
import { checkTableSize, EncoderTable, ENTRY_OVERHEAD, INITIAL_TABLE_SIZE } from './tables.ts'
import type { Indexing } from './tables.ts'

/** A guess at a cookie below this length could be confirmed, RFC 7541 §7.1.3; nghttp2 draws the same line. */
const SHORT_SECRET = 20

/** An entry above this part of the table would evict nearly all others for one use. */
const LARGEST_ENTRY = 3 / 4

// First octets: the pattern of the representation, and the mask of its prefix. RFC 7541 §6.
const INDEXED = 0x80
const INDEXED_MASK = 0x7f
const LITERAL_INDEXING = 0x40
const LITERAL_INDEXING_MASK = 0x3f
const LITERAL_PLAIN = 0x00
const LITERAL_NEVER = 0x10
const LITERAL_MASK = 0x0f
const SIZE_UPDATE = 0x20
const SIZE_UPDATE_MASK = 0x1f
const HUFFMAN = 0x80
const STRING_MASK = 0x7f

/** What integers and patterns of one field take at most, and two size updates before the first. */
const ROOM = 32

export interface HpackEncoderOptions {
  /** Octets of the dynamic table at most, whatever the peer offers. Default 4,096. */
  readonly maxTableSize?: number | undefined
}

export class HpackEncoder {
  readonly #cap: number
  readonly #table: EncoderTable
  /** The table's size as the peer's decoder knows it. */
  #announced = INITIAL_TABLE_SIZE
  /** The smallest size since then: it must be announced too. RFC 7541 §4.2. */
  #smallest: number
  #out = 0

  /** RangeError: not an integer from 0 to 2^32 − 1. */
  constructor(options: HpackEncoderOptions = {}) {
    this.#cap = checkTableSize('maxTableSize', options.maxTableSize ?? LIMITS.maxEncoderTableBytes.client)
    this.#smallest = Math.min(this.#cap, INITIAL_TABLE_SIZE)
    this.#table = new EncoderTable(this.#smallest)
  }

  /**
   * Encodes a whole field block, names in lower case. Never-indexed: what `Fields#isSensitive` says, the names in
   * `sensitive` (lower case), and the secrets that are known: authorization, proxy-authorization, set-cookie, and
   * cookie below 20 chars.
   * @throws {LocalProtocolError} a char above 0xFF; nothing is changed then
   */
  encode(fields: FieldsInit, sensitive?: ReadonlySet<string>): OwnedBytes {
    this.#encode([], Fields.from(fields), sensitive)
    return scratch.slice(0, this.#out)
  }

  /** SETTINGS_HEADER_TABLE_SIZE of the peer, to be announced by the next block. RFC 9113 §4.3.1. */
  setPeerMaxTableSize(size: number): void {
    const usable = Math.min(checkTableSize('size', size), this.#cap)
    this.#table.resize(usable)
    if (usable < this.#smallest) this.#smallest = usable
  }

  /** Octets of the dynamic table in use, and its size. */
  get tableSize(): number {
    return this.#table.size
  }
  get maxTableSize(): number {
    return this.#table.maxSize
  }

  /**
   * Encodes `control` (names and values in turn: the pseudo-header fields, which come first) and then `fields`.
   * @returns a view that is overwritten by the next block of any encoder
   * @throws as `encode`
   * @internal
   */
  encodeBlock(control: readonly string[], fields: Fields, sensitive?: ReadonlySet<string>): OwnedBytes {
    this.#encode(control, fields, sensitive)
    return scratch.subarray(0, this.#out)
  }

  #encode(control: readonly string[], fields: Fields, sensitive: ReadonlySet<string> | undefined): void {
    if (scratch.length !== SCRATCH_KEPT) scratch = new Uint8Array(SCRATCH_KEPT)
    this.#out = 0
    this.#table.begin()
    try {
      this.#writeSizeUpdates()
      for (let i = 0; i < control.length; i += 2) {
        this.#writeField(control[i] as string, control[i + 1] as string, false)
      }
      const flat = fields.flat
      for (let i = 0; i < flat.length; i += 2) {
        const name = flat[i] as string
        this.#writeField(name, flat[i + 1] as string, fields.isSensitive(i / 2) || sensitive?.has(name) === true)
      }
    } catch (error) {
      this.#table.rollback()
      throw error
    }
    this.#table.commit()
    this.#announced = this.#smallest = this.#table.maxSize
  }

  #writeSizeUpdates(): void {
    // Down to the smallest first: ours may have grown again since.
    if (this.#smallest < this.#announced) this.#writeSizeUpdate(this.#smallest)
    const size = this.#table.maxSize
    if (size !== this.#smallest) this.#writeSizeUpdate(size)
  }

  #writeSizeUpdate(size: number): void {
    this.#out = writeInteger(scratch, this.#out, size, SIZE_UPDATE_MASK, SIZE_UPDATE)
  }

  #writeField(name: string, value: string, sensitive: boolean): void {
    this.#reserve(name.length + value.length)
    const table = this.#table
    const record = table.find(name)
    const indexing = sensitive ? 'never' : record === undefined ? 'index' : indexingOf(record.indexing, value)
    if (indexing !== 'never' && record !== undefined) {
      const index = table.indexOf(record, value)
      if (index > 0) {
        this.#out = writeInteger(scratch, this.#out, index, INDEXED_MASK, INDEXED)
        return
      }
    }
    const nameIndex = record === undefined ? 0 : table.nameIndexOf(record)
    const size = name.length + value.length + ENTRY_OVERHEAD
    if (indexing === 'index' && size <= LARGEST_ENTRY * table.maxSize) {
      this.#out = writeInteger(scratch, this.#out, nameIndex, LITERAL_INDEXING_MASK, LITERAL_INDEXING)
      table.insert(record, name, value)
    } else {
      const pattern = indexing === 'never' ? LITERAL_NEVER : LITERAL_PLAIN
      this.#out = writeInteger(scratch, this.#out, nameIndex, LITERAL_MASK, pattern)
    }
    if (nameIndex === 0) this.#writeString(name)
    this.#writeString(value)
  }

  /** With Huffman code where that is shorter; found out by writing it, since nearly always it is. */
  #writeString(text: string): void {
    const out = scratch
    const length = text.length
    const start = writeInteger(out, this.#out, length, STRING_MASK, 0)
    const end = huffmanEncode(text, out, start)
    if (end < 0) throw misuse('field-value', 'RFC 9110 §5.5', 'a field has a char above 0xFF')
    const coded = end - start
    if (coded < length) {
      const from = writeInteger(out, this.#out, coded, STRING_MASK, HUFFMAN)
      // A shorter string may need fewer octets for its length.
      if (from < start) out.copyWithin(from, start, end)
      this.#out = from + coded
    } else {
      for (let i = 0; i < length; i++) out[start + i] = text.charCodeAt(i)
      this.#out = start + length
    }
  }

  #reserve(chars: number): void {
    const needed = this.#out + MAX_EXPANSION * chars + ROOM
    if (needed <= scratch.length) return
    const larger = new Uint8Array(2 * needed)
    larger.set(scratch.subarray(0, this.#out))
    scratch = larger
  }
}

/** Blocks are put together in it: one for all encoders, since no block is begun before another is taken. Made by the first. */
const SCRATCH_KEPT = 64 * 1024
let scratch = new Uint8Array(0)

/** What the name's own rule says of a value. */
function indexingOf(indexing: Indexing, value: string): Indexing {
  if (indexing !== 'never-if-short') return indexing
  return value.length < SHORT_SECRET ? 'never' : 'index'
}
