// Field blocks to fields (RFC 7541 §3, §6).
//
// One pass over the octets. A block that cannot be decoded leaves the two ends with different tables, so the decoder has
// failed for good: the first error sticks. A block that is merely too large does not: from the limit on its fields are
// dropped and only the table is kept in step, until it passes four times the limit; then it is not worth the work.
//
// It does not know what a frame, a stream or a field's meaning is: names are any octets, RFC 9113 §8.2.1 is for others.
import { asciiLower, decodeLatin1, Fields, isBytes, LIMITS, RemoteProtocolError } from '../../http/index.ts'
import type { Bytes, PeerFault } from '../../http/index.ts'
import { huffmanDecode } from './huffman.ts'
import { readContinuation } from './integer.ts'
import {
  checkTableSize,
  DecoderTable,
  ENTRY_OVERHEAD,
  FIRST_DYNAMIC,
  INITIAL_TABLE_SIZE,
  STATIC_TABLE,
} from './tables.ts'

export type HpackFaultCode =
  /** An index that is 0 or beyond both tables. RFC 7541 §2.3.3, §6.1. */
  | 'hpack-index'
  /** An integer that is cut off, or longer than five octets after its prefix. RFC 7541 §5.1. */
  | 'hpack-integer'
  /** A string literal that goes beyond the block. RFC 7541 §5.2. */
  | 'hpack-string'
  /** The EOS symbol, or padding that is too long or not all ones. RFC 7541 §5.2. */
  | 'hpack-huffman'
  /** Not at the head of a block, a third one, above the limit, or missing after a reduction. RFC 7541 §4.2, §6.3. */
  | 'hpack-size-update'
  /** Scope 'exchange': the limit was passed and the decoder goes on; 'connection': four times the limit. */
  | 'limit-header-list'
  | 'limit-header-count'

/** What is wrong with a block; `offset` counts from the block's first octet. */
export interface HpackFault extends PeerFault {
  readonly code: HpackFaultCode
}

/** A block that was not decoded. The decoder may be used further only where `fault.scope` is 'exchange'. */
export class HpackError extends RemoteProtocolError {
  declare readonly code: HpackFaultCode
  declare readonly rule: string
  /** In the block. */
  readonly offset: number

  constructor(fault: HpackFault) {
    super(fault.message, { code: fault.code, fault, phase: 'receive' })
    this.offset = fault.offset
  }
  override get name(): string {
    return 'HpackError'
  }
}

export interface HpackDecoderOptions {
  /** Octets of the dynamic table at the start, and the limit until `setMaxTableSize`. Default 4,096. */
  readonly maxTableSize?: number | undefined
  /** Of one block: name + value + 32 of each field. Default 131,072; Infinity: off. */
  readonly maxListBytes?: number | undefined
  /** Of one block. Default 256; Infinity: off. */
  readonly maxFields?: number | undefined
}

/** A decoded block: names and values in turn, names as they were on the wire. */
export interface DecodedBlock {
  readonly flat: readonly string[]
  /** Indexes of the fields that came as never-indexed literals. */
  readonly sensitive: ReadonlySet<number> | undefined
  /** Name + value + 32 of each field. RFC 9113 §6.5.2. */
  readonly listBytes: number
  /** Then there are no fields. Scope 'exchange': the decoder goes on; 'connection': it is done for. */
  readonly fault: HpackFault | undefined
}

/** Above this multiple of the list limit a block is no longer decoded. */
const GIVE_UP_FACTOR = 4
const MAX_SIZE_UPDATES = 2
const EMPTY = new Uint8Array(0)

export class HpackDecoder {
  /** As in the options; another holds from the next block on. @internal */
  maxListBytes: number
  readonly #table: DecoderTable
  readonly #maxFields: number
  /** What the peer's encoder may set at most: the last acknowledged SETTINGS_HEADER_TABLE_SIZE. */
  #limit: number
  /** The smallest limit since the last block: the peer must have come down to it. */
  #smallestLimit: number
  #failure: HpackFault | undefined
  /** A name with upper-case letters has come: from then on `decode` looks for them. */
  #upperCase = false

  // The block being decoded.
  #bytes: Uint8Array = EMPTY
  #start = 0
  #end = 0
  #at = 0

  /** RangeError: not an integer from 0 to 2^32 − 1 (or Infinity, where that turns a limit off). */
  constructor(options: HpackDecoderOptions = {}) {
    const { maxTableSize, maxListBytes, maxFields } = options
    this.#limit = checkTableSize('maxTableSize', maxTableSize ?? INITIAL_TABLE_SIZE)
    this.#smallestLimit = this.#limit
    this.#table = new DecoderTable(this.#limit)
    this.maxListBytes = checkedLimit('maxListBytes', maxListBytes ?? LIMITS.maxHeaderListBytes.client)
    this.#maxFields = checkedLimit('maxFields', maxFields ?? LIMITS.maxHeaderCount.client)
  }

  /**
   * Decodes one whole field block. `isSensitive` of the result tells which fields were never-indexed literals.
   * @throws {HpackError} with `code`, `rule`, `offset` and `fault.scope`
   */
  decode(block: Bytes): Fields {
    if (!isBytes(block)) throw new TypeError('a block must be a Uint8Array')
    const { flat, sensitive, fault } = this.decodeBlock(block, 0, block.length)
    if (fault !== undefined) throw new HpackError(fault)
    if (!this.#upperCase) return new Fields(flat, undefined, sensitive)
    const names = flat.filter((_, i) => i % 2 === 0)
    return new Fields(
      flat.map((text, i) => (i % 2 === 0 ? asciiLower(text) : text)),
      names,
      sensitive,
    )
  }

  /** The peer has acknowledged SETTINGS_HEADER_TABLE_SIZE: from the next block on it is the limit. RFC 9113 §4.3.1. */
  setMaxTableSize(acknowledged: number): void {
    this.#limit = checkTableSize('acknowledged', acknowledged)
    if (acknowledged < this.#smallestLimit) this.#smallestLimit = acknowledged
  }

  /** Octets of the dynamic table in use, and the size that the peer has set for it. */
  get tableSize(): number {
    return this.#table.size
  }
  get maxTableSize(): number {
    return this.#table.maxSize
  }

  /**
   * As `decode`, of the octets from `start` to `end`, with the fault as a value and names in the case they came in.
   * @internal
   */
  decodeBlock(bytes: Bytes, start: number, end: number): DecodedBlock {
    if (this.#failure !== undefined) return withoutFields(this.#failure)
    this.#bytes = bytes
    this.#start = this.#at = start
    this.#end = end
    try {
      this.#readSizeUpdates()
      return this.#readFields()
    } catch (error) {
      if (!(error instanceof Stop)) throw error
      this.#failure = error.fault
      return withoutFields(error.fault)
    } finally {
      this.#bytes = EMPTY
    }
  }

  #readSizeUpdates(): void {
    // After a reduction below the present size the first update must come down to the smallest limit there was.
    const owed = this.#smallestLimit < this.#table.maxSize
    let limit = owed ? this.#smallestLimit : this.#limit
    let updates = 0
    while (this.#at < this.#end && ((this.#bytes[this.#at] as number) & 0xe0) === 0x20) {
      const at = this.#at++
      const size = this.#integer(this.#bytes[at] as number, 0x1f)
      if (++updates > MAX_SIZE_UPDATES) this.#stop('hpack-size-update', 'RFC 7541 §4.2', 'a third size update', at)
      if (size > limit) this.#stop('hpack-size-update', 'RFC 7541 §6.3', `a size update to ${size}, above ${limit}`, at)
      this.#table.resize(size)
      limit = this.#limit
    }
    if (owed && updates === 0) {
      this.#stop('hpack-size-update', 'RFC 9113 §4.3.1', 'no size update after the limit was reduced', this.#start)
    }
    this.#smallestLimit = this.#limit
  }

  #readFields(): DecodedBlock {
    const table = this.#table
    const flat: string[] = []
    let sensitive: Set<number> | undefined
    let fault: HpackFault | undefined
    let listBytes = 0
    let fields = 0
    while (this.#at < this.#end) {
      const at = this.#at++
      const first = this.#bytes[at] as number
      let name: string
      let value: string
      if (first >= 0x80) {
        const index = this.#index(first, 0x7f, at)
        name = this.#nameAt(index)
        value = index < FIRST_DYNAMIC ? (STATIC_TABLE[2 * index + 1] as string) : table.value(index - FIRST_DYNAMIC)
      } else if (first >= 0x40) {
        name = this.#name(first, 0x3f, at)
        value = this.#string()
        table.insert(name, value)
      } else if (first >= 0x20) {
        this.#stop('hpack-size-update', 'RFC 7541 §4.2', 'a size update after the first field', at)
      } else {
        name = this.#name(first, 0x0f, at)
        value = this.#string()
        if (first >= 0x10) (sensitive ??= new Set()).add(fields)
      }
      fields++
      listBytes += name.length + value.length + ENTRY_OVERHEAD
      if (fault !== undefined || listBytes > this.maxListBytes || fields > this.#maxFields) {
        fault = this.#tooLarge(fault, listBytes, at)
        flat.length = 0
      } else flat.push(name, value)
    }
    return fault === undefined ? { flat, sensitive, listBytes, fault } : withoutFields(fault)
  }

  #tooLarge(earlier: HpackFault | undefined, listBytes: number, at: number): HpackFault {
    const limit = this.maxListBytes
    if (listBytes > GIVE_UP_FACTOR * limit) {
      this.#stop(
        'limit-header-list',
        'RFC 9113 §10.5.1',
        `a field section above ${GIVE_UP_FACTOR} × ${limit} octets`,
        at,
      )
    }
    if (earlier !== undefined) return earlier
    const offset = at - this.#start
    return listBytes > limit
      ? fault('limit-header-list', 'RFC 9113 §10.5.1', `a field section above ${limit} octets`, 'exchange', offset)
      : fault('limit-header-count', 'RFC 9113 §10.5.1', `more than ${this.#maxFields} fields`, 'exchange', offset)
  }

  #index(first: number, mask: number, at: number): number {
    const index = this.#integer(first, mask)
    if (index === 0 || index >= FIRST_DYNAMIC + this.#table.count) {
      const rule = index === 0 ? 'RFC 7541 §6.1' : 'RFC 7541 §2.3.3'
      this.#stop('hpack-index', rule, `no entry at index ${index}`, at)
    }
    return index
  }

  #nameAt(index: number): string {
    return index < FIRST_DYNAMIC ? (STATIC_TABLE[2 * index] as string) : this.#table.name(index - FIRST_DYNAMIC)
  }

  #name(first: number, mask: number, at: number): string {
    if ((first & mask) !== 0) return this.#nameAt(this.#index(first, mask, at))
    const name = this.#string()
    if (!this.#upperCase && asciiLower(name) !== name) this.#upperCase = true
    return name
  }

  #string(): string {
    const at = this.#at++
    if (at >= this.#end) this.#stop('hpack-string', 'RFC 7541 §5.2', 'the block ends before a string', at)
    const first = this.#bytes[at] as number
    const length = this.#integer(first, 0x7f)
    const start = this.#at
    if (length > this.#end - start) {
      this.#stop('hpack-string', 'RFC 7541 §5.2', `a string of ${length} octets goes beyond the block`, at)
    }
    this.#at = start + length
    if (first < 0x80) return decodeLatin1(this.#bytes, start, this.#at)
    const out = scratchFor(length)
    const decoded = huffmanDecode(this.#bytes, start, this.#at, out)
    if (decoded < 0) this.#stop('hpack-huffman', 'RFC 7541 §5.2', 'no Huffman code, or wrong padding', at)
    return decodeLatin1(out, 0, decoded)
  }

  /** The integer whose first octet has been read. */
  #integer(first: number, mask: number): number {
    const value = first & mask
    if (value < mask) return value
    const rest = readContinuation(this.#bytes, this.#at, this.#end)
    if (rest < 0) {
      this.#stop('hpack-integer', 'RFC 7541 §5.1', 'an integer is cut off or longer than five octets', this.#at)
    }
    this.#at += rest % 8
    return mask + Math.floor(rest / 8)
  }

  #stop(code: HpackFaultCode, rule: string, message: string, at: number): never {
    throw new Stop(fault(code, rule, message, 'connection', at - this.#start))
  }
}

/** How the reading of a block is left from its depths; never seen outside this file. */
class Stop {
  readonly fault: HpackFault
  constructor(fault: HpackFault) {
    this.fault = fault
  }
}

function withoutFields(fault: HpackFault): DecodedBlock {
  return { flat: [], sensitive: undefined, listBytes: 0, fault }
}

function fault(
  code: HpackFaultCode,
  rule: string,
  message: string,
  scope: 'exchange' | 'connection',
  offset: number,
): HpackFault {
  return { code, rule, message, scope, offset }
}

/** Decoded strings go through it; only a string that is longer gets a buffer of its own. */
const SCRATCH = new Uint8Array(8 * 1024)

function scratchFor(encodedLength: number): Uint8Array {
  // The shortest codes have five bits; one octet more since the decoder stores two at a time.
  const size = Math.floor((encodedLength * 8) / 5) + 2
  return size <= SCRATCH.length ? SCRATCH : new Uint8Array(size)
}

function checkedLimit(name: string, value: number): number {
  if (value === Infinity || (Number.isSafeInteger(value) && value >= 0)) return value
  throw new RangeError(`${name} must be an integer from 0, or Infinity, not ${value}`)
}
