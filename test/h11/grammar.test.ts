// Names, targets and hosts, straight on the functions that judge them.
import { describe, expect, it, test } from 'vitest'
import { FieldName, nameOf, ROLE, targetForm } from '../../src/h11/grammar.ts'
import { isHost } from '../../src/http/index.ts'

const bytes = (text: string): Uint8Array => Uint8Array.from(text, (char) => char.charCodeAt(0))

describe('a field name', () => {
  const viewOf = ({ buffer }: Uint8Array) => new DataView(buffer)
  const at = (text: string, name: string, behind = ': x') => {
    const line = bytes(`${text}${name}${behind}\0\0\0`)
    return nameOf(line, viewOf(line), text.length, text.length + name.length)
  }

  test.each(['Content-Length', 'content-length', 'CONTENT-LENGTH', 'X-Own', 'Cantent-Langth', 'Content-Lengthy', 'a'])(
    '%s is itself in each spelling, and one object wherever it stands',
    (name) => {
      const seen = at('', name)
      expect(seen).toMatchObject({ raw: name, lower: name.toLowerCase() })
      expect(at('A: b\r\n', name)).toBe(seen)
    },
  )
  const letter = (n: number): string => String.fromCharCode(97 + Math.floor(n))
  const many = (count: number, nameAt: (n: number) => string): void => {
    for (let n = 0; n < count; n++) expect(at('', nameAt(n)).raw).toBe(nameAt(n))
  }
  it('is remembered as one of a bounded number', () => {
    const early = at('', 'X-Early')
    many(600, (n) => `${letter(n % 26)}-${letter(n / 26)}`)
    expect(at('', 'X-Early')).not.toBe(early)
    expect(at('', 'X-Early')).toBe(at('', 'X-Early'))
  })
  it('is not remembered when it is long, or when many look alike', () => {
    const long = 'x'.repeat(65)
    expect(at('', long)).not.toBe(at('', long))
    many(9, (n) => `a${n}b-c`)
    expect(at('', 'a3b-c')).toBe(at('', 'a3b-c'))
    expect(at('', 'a4b-c')).not.toBe(at('', 'a4b-c'))
    const far = 'x'.repeat(100)
    expect(at(far, 'X-Far')).toBe(at(far, 'X-Far'))
  })
  test.each([
    ['Content-Length', ROLE.contentLength],
    ['transfer-encoding', ROLE.transferEncoding],
    ['CONNECTION', ROLE.connection],
    ['Host', ROLE.host],
    ['Upgrade', ROLE.upgrade],
    ['expect', ROLE.expect],
    ['Server', ROLE.none],
  ])('%s has its role', (name, role) => {
    expect(at('', name).role).toBe(role)
  })
  it('is not looked up where its colon does not follow it', () => {
    expect(at('', 'Host', ' : x')).toMatchObject({ raw: 'Host', role: ROLE.host })
    expect(at('', 'Host', ' : x')).not.toBe(at('', 'Host'))
  })
  test.each(['a', 'ab', 'abc', 'abcd', 'abcde', 'abcdefg', 'abcdefgh'])('%s stands where all its bytes do', (raw) => {
    const name = new FieldName(raw)
    const stands = (text: string) => name.standsAt(viewOf(bytes(`${text}\0\0\0\0`)), 1)
    expect(stands(`x${raw}:`)).toBe(true)
    expect(stands(`x${raw}:yyyy`)).toBe(true)
    expect(stands(`x${raw}`)).toBe(false)
    expect(stands(`${raw}:  `)).toBe(false)
    for (let i = 0; i <= raw.length; i++) expect(stands(`x${raw.slice(0, i)}_${`${raw}:`.slice(i + 1)}`)).toBe(false)
  })
})

describe('a request-target', () => {
  const origin = { scheme: undefined, authority: undefined }
  test.each<[string, string, unknown]>([
    ['GET', '/', origin],
    ['GET', '/a?b', origin],
    ['GET', '/a#b', undefined],
    ['GET', 'a', undefined],
    ['OPTIONS', '*', origin],
    ['M-SEARCH', '*', origin],
    ...['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'TRACE', 'PATCH'].map((method): [string, string, unknown] => [
      method,
      '*',
      undefined,
    ]),
    ['CONNECT', 'a:1', { scheme: undefined, authority: 'a:1' }],
    ['CONNECT', '[::1]:65535', { scheme: undefined, authority: '[::1]:65535' }],
    ['CONNECT', 'a:00080', { scheme: undefined, authority: 'a:00080' }],
    ['CONNECT', 'a', undefined],
    ['CONNECT', 'a:', undefined],
    ['CONNECT', ':1', undefined],
    ['CONNECT', 'a:0', undefined],
    ['CONNECT', 'a:00000', undefined],
    ['CONNECT', 'a:65536', undefined],
    ['CONNECT', 'a:99999', undefined],
    ['CONNECT', 'a:100000', undefined],
    ['CONNECT', 'a:1x', undefined],
    ['CONNECT', 'a:x1', undefined],
    ['CONNECT', 'a@b:1', undefined],
    ['CONNECT', '/', undefined],
    ['CONNECT', 'a:1:2', undefined],
    ['CONNECT', '::1:2', undefined],
    ['GET', 'http://a', { scheme: 'http', authority: 'a' }],
    ['GET', 'HTTPS://a:1/b?c', { scheme: 'https', authority: 'a:1' }],
    ['GET', 'http://[::1]/', { scheme: 'http', authority: '[::1]' }],
    ['GET', 'http://a:/', { scheme: 'http', authority: 'a:' }],
    ['GET', 'http:///a', undefined],
    ['GET', 'http:a', undefined],
    ['GET', 'http://:1/', undefined],
    ['GET', 'https://u@a/', undefined],
    ['GET', 'http://a/#b', undefined],
    ['GET', '!http://a/', undefined],
    ['GET', 'urn:a', { scheme: 'urn', authority: '' }],
    ['GET', 'ftp://u@a/', { scheme: 'ftp', authority: 'a' }],
    ['GET', 'x://u:p@v@[::1]:1/y@z', { scheme: 'x', authority: '[::1]:1' }],
    ['GET', 'x://a/y@z', { scheme: 'x', authority: 'a' }],
    ['GET', 'x:y@z', { scheme: 'x', authority: '' }],
    ['GET', 'x://@', { scheme: 'x', authority: '' }],
    ['GET', 'x:1', undefined],
    ['GET', 'x:1/', { scheme: 'x', authority: '' }],
    ['GET', 'x://', { scheme: 'x', authority: '' }],
    ['GET', 'x:', undefined],
  ])('%s %s', (method, target, form) => {
    expect(targetForm(method, target)).toStrictEqual(form)
  })
  test.each(['http://', 'x:', 'x://@', '/'])('C12: %s… with a fragment is refused in linear time', (start) => {
    const before = performance.now()
    for (const part of ['a', '@', '1']) {
      expect(targetForm('GET', `${start}${part.repeat(100_000)}#`)).toBeUndefined()
    }
    expect(performance.now() - before).toBeLessThan(1_000)
  })
})

describe('a host', () => {
  test.each(['', 'a', 'a.b', 'a:80', 'a:', '[::1]', '[::1]:8', '[v1.a:b]', '[vFf.~]', "a!$&'()*+,;=_~", '%41'])(
    '%s may be',
    (host) => {
      expect(isHost(host)).toBe(true)
      expect(isHost(host)).toBe(true)
    },
  )
  test.each([
    ':80',
    '[::1',
    '::1',
    '[::1%25a]',
    '[v.a]',
    '[v1.]',
    '[v1.a',
    '[xv1.a]',
    '[v1.a/]',
    '[vg.a]',
    'a b',
    'a@b',
    'a:b',
    'a/b',
    '%4',
    '[]',
  ])('%s may not', (host) => {
    expect(isHost(host)).toBe(false)
    expect(isHost(host)).toBe(false)
  })
  it('that was refused does not stand for one that was taken', () => {
    expect([isHost('a'), isHost('a b'), isHost('a')]).toEqual([true, false, true])
  })
})
