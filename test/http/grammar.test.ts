// The ABNF that every version shares: each check against a plain restatement of its rule, for any string whatever.
import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import {
  asciiLower,
  decodeLatin1,
  decodePortable,
  excerpt,
  isFieldValue,
  isToken,
  isVisible,
  listMembers,
  parseDecimal,
} from '../../src/http/index.ts'

const anyText = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.stringMatching(/^[0-9a-zA-Z ,\t-]*$/))

describe('checks', () => {
  test.prop([anyText])('token = 1*tchar', (text) => {
    expect(isToken(text)).toBe(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text))
  })
  test.prop([anyText])('field-value has no control but HTAB, and no space at its ends', (text) => {
    const plain = /^[\t\x20-\x7e\x80-\xff]*$/.test(text) && !/^[ \t]|[ \t]$/.test(text)
    expect(isFieldValue(text)).toBe(plain)
  })
  test.prop([anyText])('visible = 1*VCHAR', (text) => {
    expect(isVisible(text)).toBe(/^[\x21-\x7e]+$/.test(text))
  })
})

describe('parseDecimal', () => {
  it.each([
    ['0', 0],
    ['007', 7],
    ['9007199254740991', 2 ** 53 - 1],
    ['9007199254740992', -1],
    ['9007199254740993', -1],
    ['18446744073709551621', -1],
    ['00000000000000001', 1],
    ['000000000000000000000', 0],
    ['00000000018446744073709551621', -1],
    ['9'.repeat(400), -1],
    ['', -1],
    ['+5', -1],
    ['-5', -1],
    ['5 ', -1],
    ['5\u00a0', -1],
    ['0x5', -1],
    ['1_0', -1],
    ['5e0', -1],
    ['\u0665', -1],
  ])('%j is %d', (text, value) => expect(parseDecimal(text)).toBe(value))
  test.prop([fc.maxSafeNat()])('reads what it would print', (n) => {
    expect(parseDecimal(String(n))).toBe(n)
  })
})

describe('listMembers', () => {
  it.each([
    ['a', ['a']],
    [' a ,\tb', ['a', 'b']],
    [',, a,,b ,', ['a', 'b']],
    ['', []],
    [' ', []],
    ['a b', ['a b']],
  ])('%j', (value, members) => expect(listMembers(value)).toEqual(members))
  test.prop([fc.array(fc.stringMatching(/^[a-z]{1,5}$/))])('finds again what was joined', (members) => {
    expect(listMembers(members.join(' , '))).toEqual(members)
  })
})

describe('strings and bytes', () => {
  // Long by being repeated: to make one of thousands of chars shorter, once it fails, takes minutes.
  const some = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((c) => String.fromCharCode(c)), minLength: 1 })
  test.prop([some, fc.nat(9000)])('latin1 is lossless, on every path', (piece, length) => {
    const text = piece.repeat(length).slice(0, length)
    const bytes = Uint8Array.from(text, (char) => char.charCodeAt(0))
    expect(decodeLatin1(bytes, 0, length) === text).toBe(true)
    expect(decodePortable(bytes, 0, length) === text).toBe(true)
    expect(decodePortable(bytes, 1, length) === text.slice(1)).toBe(true)
  })
  test.prop([anyText])('asciiLower changes A to Z and nothing else', (text) => {
    expect(asciiLower(text)).toBe(text.replace(/[A-Z]/g, (c) => String.fromCharCode(c.charCodeAt(0) + 32)))
  })
  it('asciiLower takes text of any length', () => {
    expect(asciiLower('aB'.repeat(100_000))).toBe('ab'.repeat(100_000))
  })
  it('an excerpt leaves out what may be userinfo', () => {
    expect(['http://u:p@h/', 'a@b@c', '@a', 'a'].map(excerpt)).toEqual(['…"@h/"', '…"@c"', '"@a"', '"a"'])
  })
  it('an excerpt tells a char beyond latin1 from two', () => {
    expect(['\x142', '\u0142', '\xff', '\u2028'].map(excerpt)).toEqual([
      '"\\x142"',
      '"\\u0142"',
      '"\\xff"',
      '"\\u2028"',
    ])
  })
  test.prop([fc.string({ unit: 'binary', maxLength: 80, size: 'max' })])(
    'an excerpt is printable and short',
    (text) => {
      expect(excerpt(text)).toMatch(/^…?"[\x20-\x7e]{0,288}"…?$/)
    },
  )
})
