// URLs are split without loss, and what would be ambiguous on the wire is refused, loudly.
import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import {
  formatAuthority,
  formatHost,
  formatOrigin,
  isIPv4,
  isIPv6,
  LocalProtocolError,
  splitUrl,
  UnsupportedProtocol,
} from '../../src/http/index.ts'

describe('splitUrl', () => {
  it.each([
    ['http://example.org', 'http', 'example.org', 80, '/'],
    ['https://example.org/', 'https', 'example.org', 443, '/'],
    ['HTTPS://EXAMPLE.org:8443/A', 'https', 'example.org', 8443, '/A'],
    ['ws://h/chat', 'ws', 'h', 80, '/chat'],
    ['wss://h/chat', 'wss', 'h', 443, '/chat'],
    ['http://h:/', 'http', 'h', 80, '/'],
    ['http://h:00080/', 'http', 'h', 80, '/'],
    ['http://h:000008080/', 'http', 'h', 8080, '/'],
    ['http://h?q', 'http', 'h', 80, '/?q'],
    ['http://h/?', 'http', 'h', 80, '/?'],
    ['http://h#f', 'http', 'h', 80, '/'],
    ['http://h/a;b=1?q#f', 'http', 'h', 80, '/a;b=1?q'],
    ['http://h/a/../b;x?', 'http', 'h', 80, '/a/../b;x?'],
    ['http://h/%7Euser//x', 'http', 'h', 80, '/%7Euser//x'],
    ['http://h/?a=b://c@d', 'http', 'h', 80, '/?a=b://c@d'],
    ['http://h/{"a"|b}^`', 'http', 'h', 80, '/{"a"|b}^`'],
    ['http://[::1]:8080/x', 'http', '::1', 8080, '/x'],
    ['http://[2001:DB8::1]/x', 'http', '2001:db8::1', 80, '/x'],
    ['http://[FE80::1%25Eth0]/', 'http', 'fe80::1%Eth0', 80, '/'],
    ['http://[fe80::1%eth0]/', 'http', 'fe80::1%eth0', 80, '/'],
    ['http://[fe80::1%25]/', 'http', 'fe80::1%25', 80, '/'],
    ['http://127.0.0.1:65535/', 'http', '127.0.0.1', 65535, '/'],
    ['http://a_b.c-d/', 'http', 'a_b.c-d', 80, '/'],
  ])('%s', (url, scheme, host, port, target) => {
    expect(splitUrl(url)).toEqual({ origin: { scheme, host, port }, target })
  })

  it.each([
    ['', LocalProtocolError],
    ['example.org/', UnsupportedProtocol],
    ['//example.org/', UnsupportedProtocol],
    ['/path', UnsupportedProtocol],
    ['ftp://h/', UnsupportedProtocol],
    ['http:/h/', UnsupportedProtocol],
    ['http:///path', LocalProtocolError],
    ['http://:80/', LocalProtocolError],
    ['http://user@h/', LocalProtocolError],
    ['http://user:secret@h/', LocalProtocolError],
    ['http://h:0/', LocalProtocolError],
    ['http://h:65536/', LocalProtocolError],
    ['http://h:123456789012/', LocalProtocolError],
    ['http://h:8a/', LocalProtocolError],
    ['http://h:-1/', LocalProtocolError],
    ['http://h\\evil/', LocalProtocolError],
    ['http://a,b"c/', LocalProtocolError],
    ['http://h /', LocalProtocolError],
    ['http://h/a b', LocalProtocolError],
    ['http://h/\r\nX: y', LocalProtocolError],
    ['http://h/\u00e4', LocalProtocolError],
    ['http://b\u00fccher/', LocalProtocolError],
    ['http://[::1/', LocalProtocolError],
    ['http://::1/', LocalProtocolError],
    ['http://[1::2::3]/', LocalProtocolError],
    ['http://[12345::]/', LocalProtocolError],
    ['http://[v1.x]/', LocalProtocolError],
  ])('refuses %j', (url, type) => {
    expect(() => splitUrl(url)).toThrow(type)
  })

  it('never shows userinfo in the error', () => {
    for (const url of ['http://me:hunter2@h/', 'http://me:hunter2@h:99999/', 'http://me:hunter2@h :1/']) {
      expect(() => splitUrl(url)).toThrow(/^(?!.*hunter2)/)
    }
  })

  const host = fc.oneof(
    fc.domain(),
    fc.ipV4(),
    fc.ipV6().map((ip) => `[${ip}]`),
  )
  const rest = fc.stringMatching(/^(\/[!-"$-~]{0,20})?$/)
  test.prop([fc.constantFrom('http', 'https', 'ws', 'wss'), host, fc.option(fc.integer({ min: 1, max: 65535 })), rest])(
    'loses nothing: the parts make the URL again',
    (scheme, h, port, path) => {
      const url = `${scheme}://${h}${port === null ? '' : `:${port}`}${path}`
      const { origin, target } = splitUrl(url)
      expect(target).toBe(path === '' ? '/' : path)
      expect(formatHost(origin.host)).toBe(h.toLowerCase())
      expect(splitUrl(formatOrigin(origin) + target)).toEqual({ origin, target })
    },
  )
})

describe('formatAuthority', () => {
  it('brackets IPv6, drops its zone and the scheme’s own port', () => {
    expect(formatAuthority({ scheme: 'http', host: '::1', port: 8080 })).toBe('[::1]:8080')
    expect(formatAuthority({ scheme: 'https', host: 'fe80::1%eth0', port: 443 })).toBe('[fe80::1]')
    expect(formatAuthority({ scheme: 'wss', host: 'h', port: 443 })).toBe('h')
    expect(formatAuthority({ scheme: 'https', host: 'h', port: 80 })).toBe('h:80')
  })
})

describe('IP literals', () => {
  test.prop([fc.ipV4()])('every IPv4 address is one', (ip) => {
    expect(isIPv4(ip)).toBe(true)
  })
  test.prop([fc.ipV6()])('every IPv6 address is one', (ip) => {
    expect(isIPv6(ip)).toBe(true)
  })
  it.each(['1.2.3', '1.2.3.4.5', '256.1.1.1', '01.2.3.4', '1.2.3.4.', '', 'a.b.c.d'])('%j is no IPv4 address', (ip) =>
    expect(isIPv4(ip)).toBe(false),
  )
  it.each([':::', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '::1.2.3', 'g::', '1:2:3:4:5:6:7::8:9', ':1:2:3:4:5:6:7', ''])(
    '%j is no IPv6 address',
    (ip) => expect(isIPv6(ip)).toBe(false),
  )
})
