// Fields: ordered, duplicates kept, lossless, and nothing that JavaScript would do to a plain object's keys.
import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import { checkField, Fields, LocalProtocolError, type FieldsInit } from '../../src/http/index.ts'

const name = fc.stringMatching(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}$/)
const value = fc.string({
  unit: fc
    .integer({ min: 0x21, max: 0xff })
    .filter((c) => c !== 0x7f)
    .map((c) => String.fromCharCode(c)),
})
const pairs = fc.array(fc.tuple(name, value), { maxLength: 20 })

describe('Fields', () => {
  it('keeps order, duplicates and the case that was given', () => {
    const fields = Fields.from([
      ['Set-Cookie', 'a=1'],
      ['x-one', '1'],
      ['SET-COOKIE', 'b=2'],
    ])
    expect([...fields]).toEqual([
      ['set-cookie', 'a=1'],
      ['x-one', '1'],
      ['set-cookie', 'b=2'],
    ])
    expect([0, 1, 2].map((i) => fields.rawName(i))).toEqual(['Set-Cookie', 'x-one', 'SET-COOKIE'])
    expect(fields.get('Set-cookie')).toBe('a=1')
    expect(fields.getAll('SET-cookie')).toEqual(['a=1', 'b=2'])
    expect(fields.has('x-two')).toBe(false)
  })

  it('takes a record with lists, and pairs of any iterable', () => {
    expect([...Fields.from({ accept: ['a', 'b'], host: 'x' })]).toEqual([
      ['accept', 'a'],
      ['accept', 'b'],
      ['host', 'x'],
    ])
    expect([...Fields.from(new Map([['A', 'b']]))]).toEqual([['a', 'b']])
    expect([...Fields.from(new Headers({ 'X-Y': 'z' }))]).toEqual([['x-y', 'z']])
  })

  it('treats the names that plain objects trip over like any other', () => {
    const names = ['__proto__', 'constructor', '0', '4294967295', 'hasOwnProperty']
    const fields = Fields.from(names.map((one, i) => [one, String(i)] as const))
    expect([...fields].map(([one]) => one)).toEqual(names.map((one) => one.toLowerCase()))
    for (const [i, one] of names.entries()) expect(fields.getAll(one)).toEqual([String(i)])
    expect([...Fields.from(JSON.parse('{"__proto__":"x"}') as FieldsInit)]).toEqual([['__proto__', 'x']])
    expect([...Fields.from(JSON.parse('{"then":"x"}') as FieldsInit)]).toEqual([['then', 'x']])
  })

  it.each([
    ['a string', 'a: b'],
    ['null', null],
    ['a promise', Promise.resolve([['a', 'b']])],
    ['a number as value', { a: 1 }],
    ['undefined as value', { a: undefined }],
    ['a bare name', [['a']]],
    ['a name that is no string', [[1, 'a']]],
    ['a list with a number', { a: ['x', 1] }],
  ])('refuses %s with a TypeError', (_, init) => {
    expect(() => Fields.from(init as unknown as FieldsInit)).toThrow(TypeError)
  })

  it('lower-cases ASCII only: the Kelvin sign does not become a k', () => {
    expect(Fields.from([['\u212Aey', 'v']]).name(0)).toBe('\u212Aey')
  })

  it('says which indexes came as never-indexed literals', () => {
    const fields = new Fields(['a', '1', 'b', '2'], undefined, new Set([1]))
    expect([fields.isSensitive(0), fields.isSensitive(1)]).toEqual([false, true])
    expect(Fields.empty.isSensitive(0)).toBe(false)
  })

  it('refuses an index outside its length', () => {
    expect(() => Fields.empty.name(0)).toThrow(RangeError)
    expect(() => Fields.from([['a', 'b']]).rawName(1)).toThrow(RangeError)
    expect(() => Fields.from([['A', 'b']]).rawName(1)).toThrow(new RangeError('there is no field at index 1'))
    expect(Fields.from([['A', 'b']]).isSensitive(1)).toBe(false)
  })

  test.prop([pairs])('is an array of pairs, whatever the pairs', (list) => {
    const fields = Fields.from(list)
    expect(fields.length).toBe(list.length)
    expect([...fields]).toEqual(list.map(([n, v]) => [n.toLowerCase(), v]))
    expect(list.map((_, i) => [fields.rawName(i), fields.value(i)])).toEqual(list)
    for (const [n] of list) {
      const all = list.filter(([other]) => other.toLowerCase() === n.toLowerCase()).map(([, v]) => v)
      expect(fields.getAll(n)).toEqual(all)
      expect(fields.get(n)).toBe(all[0])
    }
    expect(Fields.from(fields)).toBe(fields)
    expect(JSON.parse(JSON.stringify(fields))).toEqual([...fields])
  })
})

describe('checkField', () => {
  test.prop([name, value])('accepts what the grammar allows', (n, v) => {
    expect(() => checkField(n, v)).not.toThrow()
  })
  it.each([
    ['', 'x'],
    ['a b', 'x'],
    ['a:', 'x'],
    ['a\r\n', 'x'],
    ['\u00e4', 'x'],
    ['\u212a', 'x'],
    ['a', 'x\r\ny: z'],
    ['a', 'x\ny'],
    ['a', 'x\0y'],
    ['a', '\x7f'],
    ['a', ' x'],
    ['a', 'x\t'],
    ['a', '\u0100'],
    ['a', '\u560d\u560a'],
  ])('refuses %j: %j', (n, v) => {
    expect(() => checkField(n, v)).toThrow(LocalProtocolError)
  })
  it('never shows the value: it may be a secret', () => {
    expect(() => checkField('authorization', 'hunter2\n')).toThrow(/^(?!.*hunter2)/)
  })
})
