// Origins and URLs (RFC 9110 §4.2, §4.3.1; RFC 3986 §3), split without loss and not normalised: `/a/../b;x?` reaches
// the wire as it was given, the fragment aside.
//
// It refuses what would be ambiguous on the wire (controls, spaces, non-ASCII, userinfo, a backslash in the
// authority) rather than repair it. It does not resolve, escape or know about proxies.
import { UnsupportedProtocol } from './errors.ts'
import { excerpt, isVisible, lowered, parseDecimal } from './grammar.ts'
import { misuse } from './misuse.ts'

/** Scheme and host in lower case; an IPv6 host without brackets, its zone after a `%`. */
export interface Origin {
  readonly scheme: string
  readonly host: string
  readonly port: number
}
export interface SplitUrl {
  readonly origin: Origin
  /** Path and query as they were given; '/' where the path is empty. */
  readonly target: string
}

const DEFAULT_PORTS: ReadonlyMap<string, number> = new Map([
  ['http', 80],
  ['ws', 80],
  ['https', 443],
  ['wss', 443],
])

/** Splits an absolute URL of scheme http, https, ws or wss. Throws UnsupportedProtocol or LocalProtocolError. */
export function splitUrl(url: string): SplitUrl {
  if (!isVisible(url)) throw badUrl(url, 'has a control, a space or a char outside ASCII, or is empty')
  const { scheme, authority, rest } = splitAuthority(url)
  const defaultPort = DEFAULT_PORTS.get(scheme)
  if (defaultPort === undefined) {
    throw new UnsupportedProtocol(`the URL ${excerpt(url)} has the scheme '${scheme}', not http, https, ws or wss`, {
      code: 'unsupported-scheme',
      rule: 'RFC 9110 §4.2',
    })
  }
  if (authority.includes('@')) {
    // Not shown: it is likely to hold a password.
    throw misuse('url', 'RFC 9110 §4.2.4', `a URL of scheme '${scheme}' must not hold userinfo ('user:password@')`)
  }
  const { host, port } = splitHostPort(authority, url)
  const hash = rest.indexOf('#')
  const pathAndQuery = hash < 0 ? rest : rest.slice(0, hash)
  const target = pathAndQuery.startsWith('/') ? pathAndQuery : '/' + pathAndQuery
  return { origin: { scheme, host, port: port ?? defaultPort }, target }
}

/** The parts of any absolute URL with an authority; the scheme in lower case. A proxy's URL starts here too. */
export function splitAuthority(url: string): { scheme: string; authority: string; rest: string } {
  const match = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#]*)/.exec(url)
  if (match === null) {
    throw new UnsupportedProtocol(`the URL ${excerpt(url)} is not absolute: it lacks 'http://' or 'https://'`, {
      code: 'missing-scheme',
      rule: 'RFC 9110 §4.2',
    })
  }
  const [whole, scheme = '', authority = ''] = match
  return { scheme: lowered(scheme), authority, rest: url.slice(whole.length) }
}

/** `host [":" port]` with the host in lower case and without brackets. RFC 3986 §3.2.2, §3.2.3. */
export function splitHostPort(authority: string, url: string = authority): { host: string; port: number | undefined } {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::([0-9]*))?$/.exec(authority)
  if (match === null) throw badUrl(url, 'has a malformed host or port')
  const [, literal, name, digits] = match
  // A copy: cut out of the URL it would hold all of that, for as long as the origin is known.
  const host = literal === undefined ? lowered(name ?? '') : addressOf(literal)
  if (host === '') throw badUrl(url, 'has no host')
  if (literal === undefined ? !isRegName(host) : !isIPv6(host)) throw badUrl(url, 'has a malformed host')
  if (digits === undefined || digits === '') return { host, port: undefined }
  const port = parseDecimal(digits)
  if (!isPort(port)) throw badUrl(url, 'has a port outside 1 to 65535')
  return { host, port }
}

function isPort(port: number): boolean {
  return port >= 1 && port <= 65_535
}

/** As the system takes it: the `%25` before a zone stands for `%` (RFC 6874 §2), and the zone's case is its own. */
function addressOf(literal: string): string {
  const zone = literal.indexOf('%')
  if (zone < 0) return lowered(literal)
  return lowered(literal.slice(0, zone)) + literal.slice(zone).replace(/^%25(?=.)/, '%')
}

/** `reg-name` or IPv4address of RFC 3986 §3.2.2; at least one char. */
export function isRegName(host: string): boolean {
  return /^(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+$/.test(host)
}

/** IPv6address of RFC 3986 §3.2.2, with or without a zone (`fe80::1%25eth0`, RFC 6874 §2; or a bare `%`). */
export function isIPv6(host: string): boolean {
  if (!host.includes(':')) return false
  const match = /^([0-9A-Fa-f:.]+)(?:%[A-Za-z0-9\-._~%]+)?$/.exec(host)
  if (match === null) return false
  const address = match[1] as string
  const tail = address.slice(address.lastIndexOf(':') + 1)
  // An IPv4address at the end stands for two groups.
  const halves = (isIPv4(tail) ? address.slice(0, -tail.length) + '0:0' : address).split('::')
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')))
  if (!groups.every((group) => /^[0-9A-Fa-f]{1,4}$/.test(group))) return false
  return halves.length === 1 ? groups.length === 8 : halves.length === 2 && groups.length <= 7
}

/** Dotted decimal without leading zeros. RFC 3986 §3.2.2. */
export function isIPv4(host: string): boolean {
  return /^(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!$)|$)){4}$/.test(host)
}

/** `Host = uri-host [ ":" port ]`, or empty. RFC 9110 §7.2, RFC 3986 §3.2.2 (a zone is not of it: RFC 6874 §4). */
export function isHost(value: string): boolean {
  if (value === knownHost) return true
  const match = /^(?:\[([^\]%]*)\]|([^:[\]]+))(?::[0-9]*)?$/.exec(value)
  if (value !== '' && (match === null || !isUriHost(match[1], match[2]))) return false
  knownHost = value
  return true
}
/** The latest valid one: most heads repeat it. */
let knownHost = ''

function isUriHost(literal: string | undefined, name: string | undefined): boolean {
  if (literal === undefined) return isRegName(name as string)
  return isIPv6(literal) || /^[vV][0-9A-Fa-f]+\.[A-Za-z0-9\-._~!$&'()*+,;=:]+$/.test(literal)
}

/** `uri-host ":" port`; the port is neither empty nor outside 1 to 65535. RFC 9110 §9.3.6. */
export function isAuthorityForm(target: string): boolean {
  const colon = target.lastIndexOf(':')
  const digits = target.slice(colon + 1)
  return colon > 0 && digits.length <= 5 && isPort(parseDecimal(digits)) && isHost(target)
}

/** The host as it stands in a URL, a Host field or :authority: IPv6 in brackets and without its zone (RFC 6874 §4). */
export function formatHost(host: string): string {
  if (!host.includes(':')) return host
  const zone = host.indexOf('%')
  return `[${zone < 0 ? host : host.slice(0, zone)}]`
}

/** Host and, where it is not the scheme's own, port: what Host and :authority say. RFC 9110 §7.2. */
export function formatAuthority(origin: Origin): string {
  const host = formatHost(origin.host)
  return DEFAULT_PORTS.get(origin.scheme) === origin.port ? host : `${host}:${origin.port}`
}

/** `scheme://host[:port]`. */
export function formatOrigin(origin: Origin): string {
  return `${origin.scheme}://${formatAuthority(origin)}`
}

/** Whether the origin is reached through TLS. */
export function isSecure(origin: Origin): boolean {
  return origin.scheme === 'https' || origin.scheme === 'wss'
}

function badUrl(url: string, what: string): Error {
  return misuse('url', 'RFC 9110 §4.2', `the URL ${excerpt(url)} ${what}`)
}
