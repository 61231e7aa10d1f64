// Field lines (RFC 9110 §5): one class for headers and trailers, received or to be sent.
//
// Ordered, duplicates kept, never a plain object: names live in one flat array with their values (n0, v0, n1, v1 …),
// so that `__proto__` is a name like any other and one field costs two slots. Names read lower-case; the name as it
// stood on the wire, or as the caller wrote it, is kept beside. Values are latin1 strings: one char is one byte.
//
// It does not know which fields may be sent: whoever writes them validates them (`checkField`), once, as it writes.
import { asciiLower, excerpt, isFieldValue, isToken, lowered } from './grammar.ts'
import { misuse } from './misuse.ts'

export type FieldsInit =
  | Fields
  | Iterable<readonly [name: string, value: string]>
  | Readonly<Record<string, string | readonly string[]>>

export class Fields implements Iterable<readonly [name: string, value: string]> {
  static readonly empty: Fields = new Fields([])

  /** n0, v0, n1, v1 …; names lower-case. @internal Read it, never write it: machines loop over it directly. */
  readonly flat: readonly string[]
  /** The names as they were written; undefined: as in `flat`. @internal */
  readonly raw: readonly string[] | undefined
  readonly #sensitive: ReadonlySet<number> | undefined

  /**
   * For machines: takes the arrays over. Everybody else calls `Fields.from`.
   * @param raw the names as they were written, by index; left out: as in `flat`
   * @param sensitive the indexes of never-indexed literals, RFC 7541 §6.2.3
   * @internal
   */
  constructor(flat: readonly string[], raw?: readonly string[], sensitive?: ReadonlySet<number>) {
    this.flat = flat
    this.raw = raw
    this.#sensitive = sensitive
  }

  /**
   * Pairs, a record or Fields, in their order. Each value is read once; what is not a string is a TypeError. The
   * grammar is checked when the fields are sent, since only then is it known by which version.
   */
  static from(init: FieldsInit | undefined): Fields {
    if (init === undefined) return Fields.empty
    if (init instanceof Fields) return init
    if (typeof init !== 'object' || init === null) throw notFields(init === null ? 'null' : typeof init)
    const flat: string[] = []
    const raw: string[] = []
    if (Symbol.iterator in init) {
      for (const pair of init as Iterable<unknown>) {
        if (!Array.isArray(pair) || pair.length !== 2)
          throw new TypeError('headers or trailers must be pairs of name and value')
        add(flat, raw, pair[0], pair[1])
      }
    } else {
      const record = init as Readonly<Record<string, unknown>>
      // Pairs from Object.entries cost four times as much.
      for (const name of Object.keys(record)) {
        const value = record[name]
        if (Array.isArray(value)) for (const one of value as readonly unknown[]) add(flat, raw, name, one)
        else add(flat, raw, name, value)
      }
      // What is promised has no names of its own: it would pass for no fields at all.
      if (flat.length === 0 && typeof record['then'] === 'function') throw notFields('a promise')
    }
    return new Fields(flat, raw)
  }

  get length(): number {
    return this.flat.length / 2
  }
  /** The i-th name in lower case. RangeError outside 0 … length − 1, as of value and rawName. */
  name(i: number): string {
    return at(this.flat, 2 * i, i)
  }
  value(i: number): string {
    return at(this.flat, 2 * i + 1, i)
  }
  /** As it was on the wire, or as the caller gave it. */
  rawName(i: number): string {
    return this.raw === undefined ? at(this.flat, 2 * i, i) : at(this.raw, i, i)
  }
  /** Came as a never-indexed literal, RFC 7541 §6.2.3. */
  isSensitive(i: number): boolean {
    return this.#sensitive?.has(i) === true
  }

  /** The value of the first field line of that name, in any case. */
  get(name: string): string | undefined {
    const flat = this.flat
    const lower = asciiLower(name)
    for (let i = 0; i < flat.length; i += 2) {
      if (flat[i] === lower) return flat[i + 1]
    }
    return undefined
  }
  /** The values of all field lines of that name, in order. */
  getAll(name: string): string[] {
    const lower = asciiLower(name)
    return this.flat.filter((_, i) => i % 2 === 1 && this.flat[i - 1] === lower)
  }
  has(name: string): boolean {
    return this.get(name) !== undefined
  }

  *[Symbol.iterator](): Generator<readonly [name: string, value: string], void, undefined> {
    for (let i = 0; i < this.flat.length; i += 2) yield [this.flat[i] as string, this.flat[i + 1] as string]
  }
  /** With one more behind them; what is never to be indexed stays so. @internal */
  with(name: string, value: string): Fields {
    const flat = [...this.flat, asciiLower(name), value]
    return new Fields(flat, this.raw && [...this.raw, name], this.#sensitive)
  }
  /** With the names as they were written for its own. @internal */
  get asWritten(): Fields {
    return new Fields(this.rawPairs().flat(), undefined, this.#sensitive)
  }
  /** Pairs with names as they are read by rawName. @internal */
  rawPairs(): [string, string][] {
    return Array.from({ length: this.length }, (_, i) => [this.rawName(i), this.value(i)])
  }
  /** Pairs with lower-case names; secrets are not removed. */
  toJSON(): (readonly [name: string, value: string])[] {
    return [...this]
  }
}

function notFields(what: string): TypeError {
  return new TypeError(`headers or trailers must be Fields, pairs or a record, not ${what}`)
}

function add(flat: string[], raw: string[], name: unknown, value: unknown): void {
  if (typeof name !== 'string') throw new TypeError(`a field name must be a string, not ${typeof name}`)
  if (typeof value !== 'string') {
    throw new TypeError(`the value of field ${excerpt(name)} must be a string, not ${typeof value}`)
  }
  flat.push(lowerOf(name), value)
  raw.push(name)
}

/**
 * Names that were lowered before: callers use few, and a look-up costs a quarter of the loop. Bounded; and copies, since a
 * name that was cut out of a text would hold all of that.
 */
const LOWERED = new Map<string, string>()
function lowerOf(name: string): string {
  let lower = LOWERED.get(name)
  if (lower === undefined) {
    lower = lowered(name)
    if (LOWERED.size < 512 && name.length <= 64) LOWERED.set(name.split('').join(''), lower)
  }
  return lower
}

function at(list: readonly string[], place: number, index: number): string {
  const item = list[place]
  if (item === undefined) throw new RangeError(`there is no field at index ${index}`)
  return item
}

/** Throws LocalProtocolError unless the field line may be sent. RFC 9110 §5.1, §5.5. */
export function checkField(rawName: string, value: string): void {
  if (!isToken(rawName)) throw misuse('field-name', 'RFC 9110 §5.1', `${excerpt(rawName)} is not a field name`)
  if (!isFieldValue(value)) {
    // The value may be a secret: the message names the field, never what stands in it.
    throw misuse(
      'field-value',
      'RFC 9110 §5.5',
      `the value of field ${excerpt(rawName)} has a char that may not be sent`,
    )
  }
}

/** Fields whose values never appear in a snapshot, a trace or an error. */
export const SECRET_FIELDS: ReadonlySet<string> = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'proxy-authenticate',
  'www-authenticate',
])
