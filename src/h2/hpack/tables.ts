// The index address space (RFC 7541 §2.3): the static table, and the dynamic table as each side needs it.
//
// The decoder asks "what stands at index i": a ring of strings. The encoder asks "at which index stands this field":
// a map of names, each with the chain of its entries. Both insert and evict in O(1). Strings, not octets: an entry that
// is referred to a thousand times is decoded once. Values are latin1, so the length of a string is its size in octets.

/** Name and value of static entry i at 2i and 2i + 1; index 0 is not used. RFC 7541 Appendix A. */
export const STATIC_TABLE: readonly string[] = `
:authority|:method GET|:method POST|:path /|:path /index.html|:scheme http|:scheme https|:status 200|:status 204
:status 206|:status 304|:status 400|:status 404|:status 500|accept-charset|accept-encoding gzip, deflate|accept-language
accept-ranges|accept|access-control-allow-origin|age|allow|authorization|cache-control|content-disposition
content-encoding|content-language|content-length|content-location|content-range|content-type|cookie|date|etag|expect
expires|from|host|if-match|if-modified-since|if-none-match|if-range|if-unmodified-since|last-modified|link|location
max-forwards|proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after|server|set-cookie
strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate`
  .split(/[|\n]/)
  .flatMap((entry) => {
    const [name = '', ...value] = entry.split(' ')
    return [name, value.join(' ')]
  })

/** The first index of the dynamic table. */
export const FIRST_DYNAMIC = STATIC_TABLE.length / 2

/** What an entry takes beyond its octets. RFC 7541 §4.1. */
export const ENTRY_OVERHEAD = 32

/** The size of a dynamic table until it is told otherwise: the initial SETTINGS_HEADER_TABLE_SIZE. RFC 9113 §6.5.2. */
export const INITIAL_TABLE_SIZE = 4096

/** Sizes of tables are values of that setting: RangeError for what it cannot hold. */
export function checkTableSize(name: string, size: number): number {
  if (Number.isInteger(size) && size >= 0 && size < 2 ** 32) return size
  throw new RangeError(`${name} must be an integer from 0 to 2^32 − 1, not ${size}`)
}

/** The decoder's dynamic table: a ring of names and values, the newest at index FIRST_DYNAMIC. */
export class DecoderTable {
  /** Name and value of slot s at 2s and 2s + 1; the number of slots is a power of two. */
  #slots: string[] = emptySlots(2 * 16)
  #mask = 15
  /** Where the next entry goes. */
  #head = 0
  #count = 0
  #size = 0
  #maxSize: number

  constructor(maxSize: number) {
    this.#maxSize = maxSize
  }

  get size(): number {
    return this.#size
  }
  get maxSize(): number {
    return this.#maxSize
  }
  get count(): number {
    return this.#count
  }

  /** Name of dynamic entry 0 … count − 1, the newest first. */
  name(i: number): string {
    return this.#slots[2 * ((this.#head - 1 - i) & this.#mask)] as string
  }
  value(i: number): string {
    return this.#slots[2 * ((this.#head - 1 - i) & this.#mask) + 1] as string
  }

  /** An entry larger than the table empties it, and is no error. RFC 7541 §4.4. */
  insert(name: string, value: string): void {
    const size = name.length + value.length + ENTRY_OVERHEAD
    this.#evictTo(this.#maxSize - size)
    if (size > this.#maxSize) return
    if (this.#count > this.#mask) this.#grow()
    this.#slots[2 * this.#head] = name
    this.#slots[2 * this.#head + 1] = value
    this.#head = (this.#head + 1) & this.#mask
    this.#count++
    this.#size += size
  }

  /** RFC 7541 §4.3. */
  resize(maxSize: number): void {
    this.#maxSize = maxSize
    this.#evictTo(maxSize)
  }

  #evictTo(size: number): void {
    while (this.#size > size && this.#count > 0) {
      const slot = 2 * ((this.#head - this.#count) & this.#mask)
      const slots = this.#slots
      this.#size -= (slots[slot] as string).length + (slots[slot + 1] as string).length + ENTRY_OVERHEAD
      // So that the ring does not hold on to strings that are gone.
      slots[slot] = slots[slot + 1] = ''
      this.#count--
    }
  }

  /** Only when full, so that the slots in order from head on are the entries, the oldest first. */
  #grow(): void {
    const old = this.#slots
    const from = 2 * this.#head
    this.#slots = [...old.slice(from), ...old.slice(0, from), ...emptySlots(old.length)]
    this.#head = old.length / 2
    this.#mask = 2 * this.#mask + 1
  }
}

function emptySlots(length: number): string[] {
  return Array.from({ length }, () => '')
}

/** How a name's fields are written. */
export type Indexing =
  /** Inserted where not yet in a table. */
  | 'index'
  /** Its values seldom come twice: looked up, never inserted. */
  | 'no-insert'
  /** A secret: RFC 7541 §7.1.3. */
  | 'never'
  /** A secret that can be guessed where it is short. */
  | 'never-if-short'

const INDEXING: ReadonlyMap<string, Indexing> = new Map([
  ['authorization', 'never'],
  ['proxy-authorization', 'never'],
  ['set-cookie', 'never'],
  ['cookie', 'never-if-short'],
  [':path', 'no-insert'],
  ['age', 'no-insert'],
  ['content-length', 'no-insert'],
  ['etag', 'no-insert'],
  ['if-modified-since', 'no-insert'],
  ['if-none-match', 'no-insert'],
  ['location', 'no-insert'],
])

/** An entry of the encoder's dynamic table, in two chains: of all entries by age, and of those with its name. */
interface Entry {
  readonly record: NameRecord
  readonly value: string
  /** How many were inserted before it: its index follows from it. */
  readonly serial: number
  /** The next younger of all. */
  next: Entry | undefined
  older: Entry | undefined
  younger: Entry | undefined
}

/** All that the encoder knows of one name. */
export interface NameRecord {
  readonly name: string
  readonly indexing: Indexing
  /** Static entries of the name: consecutive indexes from `staticIndex`; 0: it has none. */
  readonly staticIndex: number
  readonly staticValues: readonly string[]
  newest: Entry | undefined
}

/** Names of the static table, as records without entries. */
const STATIC_NAMES: readonly Omit<NameRecord, 'newest'>[] = staticNames()

function staticNames(): Omit<NameRecord, 'newest'>[] {
  const byName = new Map<string, Omit<NameRecord, 'newest'> & { staticValues: string[] }>()
  for (let index = 1; index < FIRST_DYNAMIC; index++) {
    const name = STATIC_TABLE[2 * index] as string
    const value = STATIC_TABLE[2 * index + 1] as string
    const known = byName.get(name)
    if (known !== undefined) known.staticValues.push(value)
    else byName.set(name, { name, indexing: INDEXING.get(name) ?? 'index', staticIndex: index, staticValues: [value] })
  }
  return [...byName.values()]
}

/** The encoder's dynamic table: a map of names, and a chain of all entries to evict from. */
export class EncoderTable {
  readonly #names = new Map<string, NameRecord>()
  #oldest: Entry | undefined
  #youngest: Entry | undefined
  #inserted = 0
  #size = 0
  #maxSize: number
  /** The oldest entry when the block was begun. From there the chain by age leads through all that were evicted since. */
  #oldestBefore: Entry | undefined
  #insertedBefore = 0

  constructor(maxSize: number) {
    this.#maxSize = maxSize
    for (const { name, indexing, staticIndex, staticValues } of STATIC_NAMES) {
      this.#names.set(name, { name, indexing, staticIndex, staticValues, newest: undefined })
    }
  }

  get size(): number {
    return this.#size
  }
  get maxSize(): number {
    return this.#maxSize
  }

  find(name: string): NameRecord | undefined {
    return this.#names.get(name)
  }

  /** The index of the field with that value; 0: it is in no table. */
  indexOf(record: NameRecord, value: string): number {
    const values = record.staticValues
    for (let i = 0; i < values.length; i++) {
      if (values[i] === value) return record.staticIndex + i
    }
    for (let entry = record.newest; entry !== undefined; entry = entry.older) {
      if (entry.value === value) return this.#index(entry)
    }
    return 0
  }

  /** The index of a field of that name. */
  nameIndexOf(record: NameRecord): number {
    // A name that is in neither table has no record.
    return record.staticIndex > 0 ? record.staticIndex : this.#index(record.newest as Entry)
  }

  #index(entry: Entry): number {
    return FIRST_DYNAMIC + this.#inserted - 1 - entry.serial
  }

  /** A field that fits the table. */
  insert(known: NameRecord | undefined, name: string, value: string): void {
    const size = name.length + value.length + ENTRY_OVERHEAD
    this.#evictTo(this.#maxSize - size)
    // Looked up again: the last entry of the name may just have been evicted, and its record with it.
    const record = known !== undefined && known.staticIndex > 0 ? known : this.#record(name)
    const older = record.newest
    const entry: Entry = { record, value, serial: this.#inserted++, next: undefined, older, younger: undefined }
    if (older !== undefined) older.younger = entry
    record.newest = entry
    if (this.#youngest === undefined) this.#oldest = entry
    else this.#youngest.next = entry
    this.#youngest = entry
    this.#size += size
  }

  #record(name: string): NameRecord {
    let record = this.#names.get(name)
    if (record === undefined) {
      record = { name, indexing: INDEXING.get(name) ?? 'index', staticIndex: 0, staticValues: [], newest: undefined }
      this.#names.set(name, record)
    }
    return record
  }

  /** A block is begun: what follows can be taken back until `commit`. */
  begin(): void {
    this.#oldestBefore = this.#oldest
    this.#insertedBefore = this.#inserted
  }
  commit(): void {
    this.#oldestBefore = undefined
  }
  /** The entries are those of `begin` again. It costs as much as the table is large, and only misuse gets here. */
  rollback(): void {
    const entries: Entry[] = []
    let entry = this.#oldestBefore
    for (; entry !== undefined && entry.serial < this.#insertedBefore; entry = entry.next) entries.push(entry)
    this.#evictTo(0)
    for (const { record, value } of entries) this.insert(undefined, record.name, value)
    this.commit()
  }

  resize(maxSize: number): void {
    this.#maxSize = maxSize
    this.#evictTo(maxSize)
  }

  #evictTo(size: number): void {
    while (this.#size > size && this.#oldest !== undefined) {
      const { record, value, next, younger } = this.#oldest
      this.#size -= record.name.length + value.length + ENTRY_OVERHEAD
      this.#oldest = next
      if (next === undefined) this.#youngest = undefined
      // The oldest of all is the oldest of its name.
      if (younger !== undefined) younger.older = undefined
      else this.#forget(record)
    }
  }

  /** Its last entry is gone. Only names of the static table are kept. */
  #forget(record: NameRecord): void {
    record.newest = undefined
    if (record.staticIndex === 0) this.#names.delete(record.name)
  }
}
