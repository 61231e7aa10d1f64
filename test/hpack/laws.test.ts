// Properties of HPACK: what is encoded decodes to itself, both tables are the plain lists of RFC 7541 §2.3.2, no octets
// whatever make the decoder throw anything but its own error, and hpack.js reads and writes the same.
import { createRequire } from 'node:module'
import { fc, test } from '@fast-check/vitest'
import { describe, expect } from 'vitest'
import { HpackDecoder, HpackEncoder, HpackError } from '../../src/h2/hpack/index.ts'
import { Fields } from '../../src/http/index.ts'
import { DecoderTable, EncoderTable } from '../../src/h2/hpack/tables.ts'

const latin1 = (maxLength: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((c) => String.fromCharCode(c)), maxLength, size: 'max' })
const name = fc.oneof(
  fc.constantFrom(':method', ':path', 'cookie', 'authorization', 'set-cookie', 'etag', 'accept-encoding', 'x-a', 'x-b'),
  fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'q', 'z', '-', '0', '9'), maxLength: 20, size: 'max' }),
)
const value = fc.oneof(
  fc.constantFrom('GET', '/', '', 'a', 'b', 'c', 'gzip, deflate'),
  fc.string({ maxLength: 40, size: 'max' }),
  latin1(200),
)
const list = fc.array(fc.tuple(name, value), { maxLength: 12 })

describe('round trip', () => {
  test.prop([
    fc.array(
      fc.record({
        list,
        sensitive: fc.uniqueArray(name, { maxLength: 3 }),
        peerSizes: fc.array(fc.oneof(fc.nat(200), fc.nat(10_000)), { maxLength: 3 }),
      }),
      { maxLength: 20, size: 'max' },
    ),
    fc.nat(8192),
  ])('a list decodes to itself, secrets marked, whatever happened to the size of the table', (steps, cap) => {
    const encoder = new HpackEncoder({ maxTableSize: cap })
    const decoder = new HpackDecoder()
    for (const step of steps) {
      for (const size of step.peerSizes) {
        encoder.setPeerMaxTableSize(size)
        decoder.setMaxTableSize(size)
      }
      const sensitive = new Set(step.sensitive)
      const fields = decoder.decode(encoder.encode(step.list, sensitive))
      expect([...fields]).toEqual(step.list)
      step.list.forEach(([field], i) => {
        if (sensitive.has(field) || field === 'authorization' || field === 'set-cookie') {
          expect(fields.isSensitive(i)).toBe(true)
        }
      })
      expect(encoder.tableSize).toBeLessThanOrEqual(Math.min(cap, encoder.maxTableSize))
      expect(decoder.tableSize).toBe(encoder.tableSize)
      expect(decoder.maxTableSize).toBe(encoder.maxTableSize)
    }
  })

  test.prop([fc.array(list, { maxLength: 8 }), fc.nat(300)])(
    'law C6: a refused list leaves the encoder as it was, table and all',
    (lists, cap) => {
      const encoder = new HpackEncoder({ maxTableSize: cap })
      const twin = new HpackEncoder({ maxTableSize: cap })
      for (const one of lists) {
        expect(() => encoder.encode([...one, ['x-new', 'ā']])).toThrow('char above 0xFF')
        expect(encoder.encode(one)).toEqual(twin.encode(one))
        expect(encoder.tableSize).toBe(twin.tableSize)
      }
    },
  )

  test.prop([list])('law C11: same inputs, same outputs', (one) => {
    expect(new HpackEncoder().encode(one)).toEqual(new HpackEncoder().encode(Fields.from(one)))
  })
})

describe('any octets', () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.uint8Array({ maxLength: 60, size: 'max' }) },
    // Representations that mean something, so that more than the first octet is reached.
    {
      weight: 3,
      arbitrary: fc
        .array(
          fc.constantFrom(
            '82',
            'be',
            'bf',
            '4001610162',
            '0f2f0161',
            '20',
            '3f45',
            '7e0133',
            '1001610162',
            '4082abcd0161',
          ),
          {
            maxLength: 12,
            size: 'max',
          },
        )
        .map((parts) => new Uint8Array(Buffer.from(parts.join(''), 'hex'))),
    },
  )
  test.prop([fc.array(fc.tuple(step, fc.option(fc.nat(5000))), { maxLength: 8 }), fc.integer({ min: 0, max: 300 })])(
    'law C2: fields or a fault, the table within its size, and after a connection error nothing',
    (steps, maxListBytes) => {
      const decoder = new HpackDecoder({ maxListBytes, maxFields: 5 })
      const twin = new HpackDecoder({ maxListBytes, maxFields: 5 })
      let failed: unknown
      for (const [block, acknowledged] of steps) {
        if (acknowledged !== null) for (const one of [decoder, twin]) one.setMaxTableSize(acknowledged)
        const { flat, fault } = decoder.decodeBlock(block, 0, block.length)
        expect(decoder.tableSize).toBeLessThanOrEqual(decoder.maxTableSize)
        if (failed !== undefined) expect(fault).toBe(failed)
        if (fault === undefined) {
          const bytes = flat.reduce((sum, text) => sum + text.length, 16 * flat.length)
          expect(bytes).toBeLessThanOrEqual(maxListBytes)
          expect(flat.length).toBeLessThanOrEqual(10)
        } else {
          if (failed === undefined) expect(fault.offset).toBeLessThanOrEqual(block.length)
          if (fault.scope === 'connection') failed ??= fault
        }
        // The form that throws says the same.
        let thrown: unknown
        try {
          expect([...twin.decode(block)].flat().map((t) => t.length)).toEqual(flat.map((t) => t.length))
        } catch (error) {
          thrown = error
        }
        if (fault === undefined) expect(thrown).toBeUndefined()
        else {
          expect(thrown).toBeInstanceOf(HpackError)
          expect((thrown as HpackError).fault).toEqual(fault)
        }
      }
    },
  )

  test.prop([fc.uint8Array({ maxLength: 40, size: 'max' })], { numRuns: 1000 })(
    'a Huffman string that is accepted is the only code of what it decodes to',
    (code) => {
      const block = new Uint8Array([0x00, 0x01, 0x78, 0x80 | code.length, ...code])
      const { flat, fault } = new HpackDecoder().decodeBlock(block, 0, block.length)
      if (fault !== undefined) expect(fault.code).toBe('hpack-huffman')
      else {
        const text = flat[1] as string
        const again = new HpackEncoder().encode([[':path', text]])
        // Ours is coded only where that is shorter; then it must be the same octets.
        if (text.length > code.length) expect(again.subarray(again.length - code.length)).toEqual(code)
        else expect([...new HpackDecoder().decode(again)]).toEqual([[':path', text]])
      }
    },
  )
})

// ── the tables against plain arrays ──

interface Model {
  entries: { name: string; value: string }[]
  maxSize: number
}
interface Tables {
  readonly decoder: DecoderTable
  readonly encoder: EncoderTable
}
const sizeOf = (entry: { name: string; value: string }): number => entry.name.length + entry.value.length + 32
const total = (model: Model): number => model.entries.reduce((sum, entry) => sum + sizeOf(entry), 0)
function evict(model: Model, to: number): void {
  while (model.entries.length > 0 && total(model) > to) model.entries.pop()
}

function agree(model: Model, { decoder, encoder }: Tables): void {
  expect(decoder.count).toBe(model.entries.length)
  expect(decoder.size).toBe(total(model))
  expect(encoder.size).toBe(total(model))
  model.entries.forEach((entry, i) => {
    expect(decoder.name(i)).toBe(entry.name)
    expect(decoder.value(i)).toBe(entry.value)
    const record = encoder.find(entry.name)
    expect(record).toBeDefined()
    if (record === undefined) return
    // The newest of equal entries, and the newest of a name.
    const first = model.entries.findIndex((e) => e.name === entry.name && e.value === entry.value)
    expect(encoder.indexOf(record, entry.value)).toBe(62 + first)
    expect(encoder.nameIndexOf(record)).toBe(62 + model.entries.findIndex((e) => e.name === entry.name))
  })
  for (const gone of ['a', 'bb', 'ccc']) {
    if (!model.entries.some((entry) => entry.name === gone)) expect(encoder.find(gone)).toBeUndefined()
  }
}

class Insert implements fc.Command<Model, Tables> {
  readonly name: string
  readonly value: string
  constructor(entry: { name: string; value: string }) {
    this.name = entry.name
    this.value = entry.value
  }
  check(): boolean {
    return true
  }
  run(model: Model, tables: Tables): void {
    evict(model, model.maxSize - sizeOf(this))
    tables.decoder.insert(this.name, this.value)
    if (sizeOf(this) <= model.maxSize) {
      model.entries.unshift({ name: this.name, value: this.value })
      tables.encoder.insert(tables.encoder.find(this.name), this.name, this.value)
    } else {
      // The encoder never inserts what does not fit (RFC 7541 §4.4 would empty the table).
      const size = tables.encoder.maxSize
      tables.encoder.resize(0)
      tables.encoder.resize(size)
    }
    agree(model, tables)
  }
  toString(): string {
    return `insert ${this.name}: ${this.value}`
  }
}
class Resize implements fc.Command<Model, Tables> {
  readonly size: number
  constructor(size: number) {
    this.size = size
  }
  check(): boolean {
    return true
  }
  run(model: Model, tables: Tables): void {
    model.maxSize = this.size
    evict(model, this.size)
    tables.decoder.resize(this.size)
    tables.encoder.resize(this.size)
    agree(model, tables)
  }
  toString(): string {
    return `resize ${this.size}`
  }
}
/** Inserts that are taken back: the model does not move. */
class TakeBack implements fc.Command<Model, Tables> {
  readonly inserts: readonly Insert[]
  constructor(inserts: readonly Insert[]) {
    this.inserts = inserts
  }
  check(): boolean {
    return true
  }
  run(model: Model, tables: Tables): void {
    tables.encoder.begin()
    for (const { name, value } of this.inserts) {
      if (sizeOf({ name, value }) <= model.maxSize) tables.encoder.insert(tables.encoder.find(name), name, value)
    }
    tables.encoder.rollback()
    agree(model, tables)
  }
  toString(): string {
    return `take back ${this.inserts.join(', ')}`
  }
}

describe('tables', () => {
  const entry = fc.record({ name: fc.constantFrom('a', 'bb', 'ccc'), value: fc.string({ maxLength: 30, size: 'max' }) })
  const insert = entry.map((one) => new Insert(one))
  test.prop([
    fc.commands(
      [
        insert,
        insert,
        fc.oneof(fc.nat(300), fc.nat(2000)).map((size) => new Resize(size)),
        fc.array(insert, { maxLength: 10 }).map((inserts) => new TakeBack(inserts)),
      ],
      { size: 'large', maxCommands: 120 },
    ),
  ])('are the list of RFC 7541 §2.3.2: newest first, evicted from the end', (commands) => {
    const setup = () => ({
      model: { entries: [], maxSize: 1500 } satisfies Model,
      real: { decoder: new DecoderTable(1500), encoder: new EncoderTable(1500) },
    })
    fc.modelRun(setup, commands)
  })
})

// ── hpack.js ──

interface HpackJsField {
  readonly name: string
  readonly value: string
  readonly neverIndex?: boolean
}
interface HpackJs {
  readonly compressor: { create(options: object): { write(list: HpackJsField[]): void; read(): Uint8Array | null } }
  readonly decompressor: {
    create(options: object): {
      write(block: Uint8Array): void
      execute(): void
      read(): HpackJsField | null
    }
  }
}
function hpackJsOrNothing(): HpackJs | undefined {
  try {
    return createRequire(import.meta.url)('hpack.js') as HpackJs
  } catch {
    return undefined
  }
}
const hpackJs = hpackJsOrNothing()

describe.skipIf(hpackJs === undefined)('beside hpack.js (skipped where it is not installed)', () => {
  const { compressor, decompressor } = hpackJs as HpackJs
  // hpack.js keys a plain object by name and mistakes 'constructor' for an entry; it forgets about empty blocks.
  const asked = fc.array(fc.array(fc.tuple(name, latin1(40)), { minLength: 1, maxLength: 10 }), { maxLength: 10 })

  test.prop([asked])('it reads what we write', (lists) => {
    const encoder = new HpackEncoder()
    const peer = decompressor.create({ table: { maxSize: 4096 } })
    for (const one of lists) {
      peer.write(Buffer.from(encoder.encode(one)))
      peer.execute()
      const read: [string, string][] = []
      for (let field = peer.read(); field !== null; field = peer.read()) read.push([field.name, field.value])
      expect(read).toEqual(one)
    }
  })
  test.prop([asked, fc.boolean()])('we read what it writes', (lists, neverIndex) => {
    const peer = compressor.create({ table: { maxSize: 4096 } })
    const decoder = new HpackDecoder()
    for (const one of lists) {
      peer.write(one.map(([field, text]) => ({ name: field, value: text, neverIndex })))
      const fields = decoder.decode(new Uint8Array(peer.read() as Uint8Array))
      expect([...fields]).toEqual(one)
      expect(fields.isSensitive(0)).toBe(neverIndex)
    }
  })
})
