// HTTP semantics in field sections (RFC 9113 §8): what makes a message malformed, in both directions.
//
// Every check is on the decoded strings and answers; nothing is dropped or repaired, so that what a peer smuggles in never
// reaches an HTTP/1.1 hop. Received sections become requests, responses or trailers; heads of the caller, which are
// version-blind, become sections. It knows nothing of frames or streams.
import {
  asciiLower,
  EXPECTS_CONTENT,
  checkField,
  checkTrailers,
  excerpt,
  Fields,
  hasSome,
  isAuthorityForm,
  isFieldValue,
  isHost,
  isToken,
  isVisible,
  listMembers,
  misuse,
  parseDecimal,
  planOf,
} from '../http/index.ts'
import type { ContentPlan, RequestHead, Role } from '../http/index.ts'
import { violation, type Violation } from './frames.ts'
import { formatPriority } from './priority.ts'
import type { Section } from './stream.ts'

export interface RequestSection {
  readonly method: string
  readonly scheme: string | undefined
  readonly authority: string | undefined
  readonly target: string
  readonly protocol: string | undefined
  readonly headers: Fields
  /** −1: not given. */
  readonly contentLength: number
  /** The value of `priority`. RFC 9218 §5. */
  readonly priority: string | undefined
}
export interface ResponseSection {
  readonly status: number
  readonly headers: Fields
  readonly contentLength: number
}

/** Field names with a meaning here; all others are only checked. */
type Special = 'connection-specific' | 'te' | 'host' | 'content-length' | 'cookie' | 'priority' | 'none'
const SPECIAL: ReadonlyMap<string, Special> = new Map<string, Special>([
  ['connection', 'connection-specific'],
  ['proxy-connection', 'connection-specific'],
  ['keep-alive', 'connection-specific'],
  ['transfer-encoding', 'connection-specific'],
  ['upgrade', 'connection-specific'],
  ['te', 'te'],
  ['host', 'host'],
  ['content-length', 'content-length'],
  ['cookie', 'cookie'],
  ['priority', 'priority'],
  // Common names, so that their chars are not looked at again and again.
  ...[
    'accept, accept-encoding, accept-language, accept-ranges, access-control-allow-origin, age, alt-svc',
    'authorization, cache-control, content-disposition, content-encoding, content-language, content-type, date, etag',
    'expires, grpc-status, grpc-message, if-modified-since, if-none-match, last-modified, link, location, origin',
    'pragma, range, referer, server, set-cookie, strict-transport-security, user-agent, vary, via, x-cache',
    'x-content-type-options, x-forwarded-for, x-frame-options, x-request-id',
  ].flatMap((line) => line.split(', ').map((name): [string, Special] => [name, 'none'])),
])

const COLON = 0x3a

/** What the regular field lines of a section say; one at a time is read, so one record serves all. */
const said = {
  contentLength: -1,
  host: undefined as string | undefined,
  priority: undefined as string | undefined,
  cookies: 0,
}

/** Checks the field lines from `from` on. RFC 9113 §8.2. */
function readFields(
  flat: readonly string[],
  from: number,
  kind: 'request' | 'response' | 'trailers',
): Violation | undefined {
  said.contentLength = -1
  said.host = said.priority = undefined
  said.cookies = 0
  for (let i = from; i < flat.length; i += 2) {
    const name = flat[i] as string
    const value = flat[i + 1] as string
    const special = SPECIAL.get(name)
    if (special === undefined && !isLowerToken(name)) return badName(name)
    if (!isFieldValue(value)) return badValue(name)
    if (special !== undefined && special !== 'none') {
      const wrong = readSpecial(special, name, value, kind)
      if (wrong !== undefined) return wrong
    }
  }
  return undefined
}

function readSpecial(
  special: Exclude<Special, 'none'>,
  name: string,
  value: string,
  kind: string,
): Violation | undefined {
  switch (special) {
    case 'connection-specific':
      return violation('connection-specific', 'RFC 9113 §8.2.2', `${name} has no place in HTTP/2`)
    case 'te':
      if (kind !== 'response' && asciiLower(value) === 'trailers') return undefined
      return violation('connection-specific', 'RFC 9113 §8.2.2', "te may only be 'trailers', in a request")
    case 'host':
      if (said.host !== undefined && kind === 'request') {
        return violation('repeated-host', 'RFC 9110 §7.2', 'the request has more than one Host field')
      }
      said.host = value
      return undefined
    case 'content-length':
      return kind === 'trailers' ? undefined : readContentLength(value)
    case 'cookie':
      said.cookies++
      return undefined
    case 'priority':
      said.priority = said.priority === undefined ? value : `${said.priority}, ${value}`
      return undefined
  }
}

function readContentLength(value: string): Violation | undefined {
  const length = parseDecimal(value)
  if (length < 0 || (said.contentLength >= 0 && said.contentLength !== length)) {
    return violation('content-length', 'RFC 9110 §8.6', 'Content-Length is not one decimal number up to 2^53−1')
  }
  said.contentLength = length
  return undefined
}

function isLowerToken(name: string): boolean {
  return isToken(name) && asciiLower(name) === name
}
function badName(name: string): Violation {
  if (name.charCodeAt(0) === COLON) {
    return violation('pseudo-header', 'RFC 9113 §8.3', `pseudo-header field ${excerpt(name)} is out of place`)
  }
  return violation('field-name', 'RFC 9113 §8.2.1', `${excerpt(name)} is not a field name in lower case`)
}
function badValue(name: string): Violation {
  return violation(
    'field-value',
    'RFC 9113 §8.2.1',
    `the value of field ${excerpt(name)} has a char that may not be there`,
  )
}
function badPseudo(message: string): Violation {
  return violation('pseudo-header', 'RFC 9113 §8.3.1', message)
}

/** The field lines behind the pseudo-header fields; what was never indexed stays marked. */
function fieldsFrom(flat: readonly string[], from: number, sensitive: ReadonlySet<number> | undefined): Fields {
  const marked = sensitive && new Set([...sensitive].map((i) => i - from / 2))
  return new Fields(flat.slice(from), undefined, marked)
}

/** Cookie crumbs are one field again, in the place of the first. RFC 9113 §8.2.3. */
function joinCookies(fields: Fields): Fields {
  const flat: string[] = []
  const sensitive = new Set<number>()
  let cookie = -1
  for (let i = 0; i < fields.length; i++) {
    let at = flat.length
    if (fields.name(i) === 'cookie') {
      if (cookie < 0) cookie = at
      at = cookie
    }
    if (at < flat.length) flat[at + 1] += '; ' + fields.value(i)
    else flat.push(fields.name(i), fields.value(i))
    if (fields.isSensitive(i)) sensitive.add(at / 2)
  }
  return new Fields(flat, undefined, sensitive)
}

/** RFC 9113 §8.3.1, §8.5; RFC 8441 §4. */
export function readRequest(
  flat: readonly string[],
  sensitive: ReadonlySet<number> | undefined,
  extendedConnect: boolean,
): RequestSection | Violation {
  let method, scheme, authority, path, protocol: string | undefined
  let at = 0
  for (; at < flat.length; at += 2) {
    const name = flat[at] as string
    if (name.charCodeAt(0) !== COLON) break
    const value = flat[at + 1] as string
    let repeated: string | undefined
    if (name === ':method') [repeated, method] = [method, value]
    else if (name === ':scheme') [repeated, scheme] = [scheme, asciiLower(value)]
    else if (name === ':authority') [repeated, authority] = [authority, value]
    else if (name === ':path') [repeated, path] = [path, value]
    else if (name === ':protocol') [repeated, protocol] = [protocol, value]
    else return badPseudo(`${excerpt(name)} is no pseudo-header field of a request`)
    if (repeated !== undefined) return badPseudo(`${name} is given twice`)
  }
  const wrong = readFields(flat, at, 'request')
  if (wrong !== undefined) return wrong
  if (method === undefined || !isToken(method)) return badPseudo(':method is missing or not a token')
  const control = checkControl(method, scheme, authority, path, protocol, extendedConnect)
  if (control !== undefined) return control
  let headers = fieldsFrom(flat, at, sensitive)
  if (said.cookies > 1) headers = joinCookies(headers)
  const { contentLength, host, priority } = said
  return {
    method,
    scheme,
    authority: authority ?? host,
    target: path ?? (authority as string),
    protocol,
    headers,
    contentLength,
    priority,
  }
}

function checkControl(
  method: string,
  scheme: string | undefined,
  authority: string | undefined,
  path: string | undefined,
  protocol: string | undefined,
  extendedConnect: boolean,
): Violation | undefined {
  if (protocol !== undefined && (method !== 'CONNECT' || !extendedConnect || !isToken(protocol))) {
    return violation('pseudo-header', 'RFC 8441 §4', ':protocol without CONNECT, without our SETTINGS, or no token')
  }
  const host = said.host
  const web = isWeb(scheme)
  if (method === 'CONNECT' && protocol === undefined) {
    if (scheme !== undefined || path !== undefined || authority === undefined || !isAuthorityForm(authority)) {
      return violation('pseudo-header', 'RFC 9113 §8.5', 'CONNECT takes a host and a port as :authority, and no other')
    }
  } else {
    if (!web && !isScheme(scheme)) return badPseudo(':scheme is missing or malformed')
    if (path === undefined || !isVisible(path)) return badPseudo(':path is missing, empty or malformed')
    if (web && !isPath(method, path)) return badPseudo(':path is not a path with a query')
    if (authority !== undefined && !isAuthority(authority, web)) {
      return badPseudo(':authority is not a host with an optional port')
    }
    if (protocol !== undefined && authority === undefined) return badPseudo('extended CONNECT lacks :authority')
  }
  if (host === undefined) return undefined
  if (authority === undefined ? host !== '' && !isAuthority(host, web) : !sameHost(authority, host, scheme)) {
    return violation('invalid-host', 'RFC 9113 §8.3.1', 'Host differs from :authority or is malformed')
  }
  return undefined
}

function isWeb(scheme: string | undefined): boolean {
  return scheme === 'https' || scheme === 'http'
}
function isScheme(text: string | undefined): boolean {
  return text !== undefined && /^[a-z][a-z0-9+.-]*$/.test(text)
}
/** `absolute-path [ "?" query ]`, or '*' for OPTIONS; of visible ASCII. RFC 9113 §8.3.1. */
function isPath(method: string, path: string): boolean {
  return path.charCodeAt(0) === 0x2f ? !path.includes('#') : path === '*' && method === 'OPTIONS'
}
/** Of http and https: `uri-host [ ":" port ]`. RFC 9113 §8.3.1, RFC 9110 §4.2.1, §4.2.4. */
function isAuthority(text: string, web: boolean): boolean {
  return web ? text !== '' && isHost(text) : isVisible(text) && !text.includes('@')
}

/** Scheme-based normalization: case, and the scheme's own port. RFC 3986 §6.2.2.1, §6.2.3. */
function sameHost(authority: string, host: string, scheme: string | undefined): boolean {
  if (authority === host) return true
  let port = scheme === 'https' ? ':443' : scheme === 'http' ? ':80' : ':'
  // The Host of a CONNECT may leave the port to the target. RFC 9110 §9.3.6.
  if (scheme === undefined) port = authority.slice(authority.lastIndexOf(':'))
  return normalHost(authority, port) === normalHost(host, port)
}
function normalHost(host: string, port: string): string {
  const lower = asciiLower(host)
  if (lower.endsWith(port)) return lower.slice(0, -port.length)
  return lower.endsWith(':') ? lower.slice(0, -1) : lower
}

/** RFC 9113 §8.3.2. */
export function readResponse(
  flat: readonly string[],
  sensitive: ReadonlySet<number> | undefined,
): ResponseSection | Violation {
  if (flat[0] !== ':status') return violation('pseudo-header', 'RFC 9113 §8.3.2', ':status is missing or not the first')
  const status = readStatus(flat[1] as string)
  if (status < 0) return violation('status', 'RFC 9113 §8.3.2', ':status is not three digits from 100 on')
  if (status === 101) return violation('status', 'RFC 9113 §8.6', 'HTTP/2 has no 101 (Switching Protocols)')
  const wrong = readFields(flat, 2, 'response')
  if (wrong !== undefined) return wrong
  return { status, headers: fieldsFrom(flat, 2, sensitive), contentLength: said.contentLength }
}

/** 100 to 999; −1 for anything else. */
function readStatus(text: string): number {
  const status = text.length === 3 ? parseDecimal(text) : -1
  return status >= 100 ? status : -1
}

/** RFC 9113 §8.1: no pseudo-header fields. */
export function readTrailers(flat: readonly string[], sensitive: ReadonlySet<number> | undefined): Fields | Violation {
  const wrong = readFields(flat, 0, 'trailers')
  return wrong ?? new Fields(flat, undefined, sensitive)
}

/** Name + value + 32 of each field. RFC 9113 §6.5.2. */
export function listBytes(flat: readonly string[]): number {
  let bytes = 16 * flat.length
  for (let i = 0; i < flat.length; i++) bytes += (flat[i] as string).length
  return bytes
}

/** After such a head a stream carries DATA that is no content, and nothing else. RFC 9113 §8.5, RFC 9110 §9.3.6. */
export function opensTunnel(method: string, status: number): boolean {
  return method === 'CONNECT' && status < 300
}
/** A response without content, whatever its fields say. RFC 9110 §6.4.1. */
export function hasNoContent(method: string, status: number): boolean {
  return method === 'HEAD' || status === 204 || status === 304
}

// ── what the caller sends ──

export interface Outgoing {
  readonly section: Section
  /** Content that has to follow; Infinity: any may. */
  readonly promised: number
}

function promisedBy(plan: ContentPlan | undefined): number {
  if (plan === undefined || plan === 'unknown') return Infinity
  return plan === 'none' ? 0 : plan.length
}

/** Fields that are about the connection, or about HTTP/1.1's framing, and say nothing over HTTP/2. */
const LEFT_OUT: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding'])

/**
 * The caller's fields, checked. A head is version-blind: what is about an HTTP/1.1 connection is left out, what would
 * change the meaning (upgrade, te) is refused. RFC 9113 §8.2.
 */
function checkedFields(fields: Fields, role: Role, host: string | undefined): Fields {
  let leaveOut = false
  for (let i = 0; i < fields.length; i++) {
    const name = fields.name(i)
    const value = fields.value(i)
    const special = SPECIAL.get(name)
    if (special === 'connection-specific') {
      if (!LEFT_OUT.has(name)) throw misuse('connection-specific', 'RFC 9113 §8.2.2', `HTTP/2 has no field ${name}`)
      leaveOut = true
    } else if (special === 'te' && (role === 'server' || asciiLower(value) !== 'trailers')) {
      throw misuse('connection-specific', 'RFC 9113 §8.2.2', "te may only be 'trailers', in a request")
    } else if (special === 'host' && host !== undefined) leaveOut = true
    checkField(name, value)
  }
  return leaveOut ? without(fields, host !== undefined) : fields
}

/** What Connection names is about the connection too. RFC 9110 §7.6.1. */
function without(fields: Fields, host: boolean): Fields {
  const named = fields.getAll('connection').flatMap((value) => listMembers(asciiLower(value)))
  const flat: string[] = []
  const sensitive = new Set<number>()
  for (let i = 0; i < fields.length; i++) {
    const name = fields.name(i)
    if (LEFT_OUT.has(name) || (host && name === 'host') || (name !== 'te' && named.includes(name))) continue
    if (fields.isSensitive(i)) sensitive.add(flat.length / 2)
    flat.push(name, fields.value(i))
  }
  return new Fields(flat, undefined, sensitive)
}

/** Names as the caller wrote them, whatever they are, as long as chars are octets: for a harness that plays a broken peer. */
function uncheckedSection(control: readonly string[], given: Fields): Section {
  const fields = given.asWritten
  for (const text of [...control, ...fields.flat]) {
    for (let i = 0; i < text.length; i++) {
      if (text.charCodeAt(i) > 0xff) throw misuse('field-value', 'RFC 9110 §5.5', 'a field has a char above 0xFF')
    }
  }
  return { control, fields }
}

function withLength(fields: Fields, plan: ContentPlan | undefined): Fields {
  if (typeof plan !== 'object' || fields.has('content-length')) return fields
  return fields.with('content-length', `${plan.length}`)
}

/** LocalProtocolError: what may not be sent. */
export function requestSection(head: RequestHead, validate: boolean): Outgoing {
  const { method, target, protocol } = head
  const given = Fields.from(head.headers)
  const plain = method === 'CONNECT' && protocol === undefined
  const origin = head.authority ?? given.get('host')
  // A tunnel goes where the target says, whoever is asked for it. RFC 9113 §8.5.
  const authority = plain && (origin === undefined || isAuthorityForm(target)) ? target : origin
  const asked = head.scheme ?? 'https'
  const lower = validate ? asciiLower(asked) : asked
  const scheme = lower === 'ws' ? 'http' : lower === 'wss' ? 'https' : lower
  const control = [':method', method]
  if (!plain) control.push(':scheme', scheme)
  if (authority !== undefined) control.push(':authority', authority)
  if (!plain) control.push(':path', target)
  if (protocol !== undefined) control.push(':protocol', protocol)
  // The sender goes by it too.
  const priority = head.priority === undefined ? '' : formatPriority(head.priority)
  if (!validate) return { section: uncheckedSection(control, given), promised: Infinity }
  checkRequest(method, target, protocol, scheme, authority, given)
  const planned = planOf(given, head.content)
  let plan = method === 'TRACE' ? empty(planned, 'RFC 9110 §9.3.8', 'a TRACE request') : planned
  if (priority !== '' && !given.has('priority')) control.push('priority', priority)
  // What goes through a tunnel is no content. RFC 9110 §9.3.6.
  if (method === 'CONNECT') {
    if (given.has('content-length')) throw misuse('content', 'RFC 9110 §9.3.6', 'a CONNECT request has no content')
    plan = undefined
  } else if (plan === 'none' && EXPECTS_CONTENT.has(method)) plan = { length: 0 }
  const fields = withLength(checkedFields(given, 'client', authority), plan)
  return { section: { control, fields }, promised: promisedBy(plan) }
}

function checkRequest(
  method: string,
  target: string,
  protocol: string | undefined,
  scheme: string,
  authority: string | undefined,
  headers: Fields,
): void {
  if (!isToken(method)) throw misuse('method', 'RFC 9110 §9.1', `${excerpt(method)} is not a method`)
  if (!isScheme(scheme)) throw misuse('scheme', 'RFC 9110 §4.2', `${excerpt(scheme)} is not a scheme`)
  if (protocol !== undefined && (method !== 'CONNECT' || !isToken(protocol))) {
    throw misuse('protocol', 'RFC 8441 §4', 'a protocol is a token and goes with CONNECT')
  }
  const hosts = headers.getAll('host')
  // None of them is sent where there is an authority, but who gives two means two things. RFC 9110 §5.3.
  if (hosts.length > 1) throw misuse('host', 'RFC 9110 §7.2', 'a request has one Host field, not several')
  if (authority === undefined && method === 'CONNECT') {
    throw misuse('authority', 'RFC 8441 §4', 'extended CONNECT needs an authority')
  }
  if (method === 'CONNECT' && protocol === undefined) {
    if (isAuthorityForm(authority as string)) return
    throw misuse('target', 'RFC 9113 §8.5', 'CONNECT needs a host and a port')
  }
  const web = isWeb(scheme)
  if (authority !== undefined && !isAuthority(authority, web)) {
    // Not shown: it may hold a password.
    throw misuse('authority', 'RFC 9113 §8.3.1', 'the authority is not a host with an optional port')
  }
  for (const host of hosts) {
    // A Host field is the authority where no other is given: there is one.
    if (!sameHost(authority as string, host, scheme)) {
      throw misuse('authority', 'RFC 9113 §8.3.1', 'the Host field differs from the authority')
    }
  }
  if (!isVisible(target) || (web && !isPath(method, target))) {
    throw misuse('target', 'RFC 9113 §8.3.1', `${excerpt(target)} is not a path with a query, or '*' for OPTIONS`)
  }
}

/** @param method of the request that it answers */
export function responseSection(
  status: number,
  given: Fields,
  content: ContentPlan | undefined,
  validate: boolean,
  method: string,
): Outgoing {
  const control = [':status', `${status}`]
  if (!validate) return { section: uncheckedSection(control, given), promised: Infinity }
  if (!Number.isInteger(status) || status < 200 || status > 999) {
    throw misuse('status', 'RFC 9110 §15', `${status} is not the status of a final response`)
  }
  const planned = planOf(given, content)
  const tunnel = opensTunnel(method, status)
  const bare = tunnel || status === 204
  if (bare && given.has('content-length')) {
    throw misuse('content-length', 'RFC 9110 §8.6', `a ${status} response has no Content-Length`)
  }
  const none = status === 204 || status === 205
  const plan = none ? empty(planned, 'RFC 9110 §6.4.1, §15.3.6', `a ${status} response`) : planned
  const fields = withLength(checkedFields(given, 'server', undefined), bare ? undefined : plan)
  const promised = tunnel ? Infinity : hasNoContent(method, status) ? 0 : promisedBy(plan)
  return { section: { control, fields }, promised }
}

/** The plan of what has no content, though its framing may say so. */
function empty(planned: ContentPlan | undefined, rule: string, what: string): ContentPlan {
  if (planned !== undefined && hasSome(planned)) throw misuse('content', rule, `${what} has no content`)
  return planned ?? 'none'
}

export function informationalSection(status: number, given: Fields, validate: boolean): Section {
  const control = [':status', `${status}`]
  if (!validate) return uncheckedSection(control, given)
  if (!Number.isInteger(status) || status < 100 || status > 199 || status === 101) {
    throw misuse('status', 'RFC 9113 §8.6', `${status} is not the status of an informational response in HTTP/2`)
  }
  if (given.has('content-length')) {
    throw misuse('content-length', 'RFC 9110 §8.6', 'an informational response has no Content-Length')
  }
  return { control, fields: checkedFields(given, 'server', undefined) }
}

export function trailerSection(given: Fields, validate: boolean): Section {
  if (!validate) return uncheckedSection([], given)
  checkTrailers(given)
  return { control: [], fields: checkedFields(given, 'client', undefined) }
}
