// What RFC 9112 adds to the shared grammar: field names as they stand on the wire, and request-targets.
//
// A field name that was seen before is recognised by comparing bytes; only a new one is decoded and lower-cased. There is
// no list of common names: making one at import would cost more than the first heads do. What matters to framing or to
// persistence carries a role, so that one pass over a head can collect it.
import { asciiLower, decodeLatin1, isAuthorityForm, isHost } from '../http/index.ts'

export const HTAB = 0x09
export const LF = 0x0a
export const CR = 0x0d
export const SP = 0x20
export const COLON = 0x3a
export const DEL = 0x7f

/** What a field is to the machine; 0: nothing but a field. */
export const ROLE = {
  none: 0,
  contentLength: 1,
  transferEncoding: 2,
  connection: 3,
  host: 4,
  upgrade: 5,
  expect: 6,
} as const
export type FieldRole = (typeof ROLE)[keyof typeof ROLE]

const ROLES: ReadonlyMap<string, FieldRole> = new Map([
  ['content-length', ROLE.contentLength],
  ['transfer-encoding', ROLE.transferEncoding],
  ['connection', ROLE.connection],
  ['host', ROLE.host],
  ['upgrade', ROLE.upgrade],
  ['expect', ROLE.expect],
])

/** One spelling of a field name. */
export class FieldName {
  readonly raw: string
  readonly lower: string
  readonly role: FieldRole
  /** Of the name and its colon. */
  readonly length: number
  /** The two, four bytes at a time; of the last four only what #mask covers. */
  readonly #words: readonly number[]
  readonly #mask: number

  constructor(raw: string) {
    this.raw = raw
    this.lower = asciiLower(raw)
    this.role = ROLES.get(this.lower) ?? ROLE.none
    this.length = raw.length + 1
    const words: number[] = []
    for (let i = 0; i < this.length; i++) {
      const byte = i < raw.length ? raw.charCodeAt(i) : COLON
      words[i >> 2] = (words[i >> 2] ?? 0) | (byte << (8 * (i & 3)))
    }
    this.#words = words
    this.#mask = (-1 >>> (8 * (-this.length & 3))) | 0
  }
  /** Whether the name and a colon stand there. Up to three bytes more must be readable. */
  standsAt(view: DataView, at: number): boolean {
    const words = this.#words
    const last = words.length - 1
    for (let i = 0; i < last; i++) if (view.getInt32(at + 4 * i, true) !== words[i]) return false
    return (view.getInt32(at + 4 * last, true) & this.#mask) === words[last]
  }
}

/** Names that were seen, by their key. All are forgotten when they are too many: what matters is soon seen again. */
const SEEN: Map<number, FieldName[]> = new Map()
let seen = 0
const MAX_SEEN = 512
const MAX_SEEN_BYTES = 64
/** Names of one key. A peer that looks for them makes its own heads slower, no more. */
const MAX_ALIKE = 4

/** Length and three of the bytes: enough to tell almost all common names apart. */
function keyOf(bytes: Uint8Array, from: number, to: number): number {
  const middle = (from + to) >> 1
  return (
    ((to - from) << 24) | ((bytes[from] as number) << 16) | ((bytes[middle] as number) << 8) | (bytes[to - 1] as number)
  )
}

/** The name in bytes from … to, which are tchar; `view` is of the same bytes. */
export function nameOf(bytes: Uint8Array, view: DataView, from: number, to: number): FieldName {
  const key = keyOf(bytes, from, to)
  const alike = SEEN.get(key)
  if (alike !== undefined) {
    for (const name of alike) if (name.length === to - from + 1 && name.standsAt(view, from)) return name
  }
  const name = new FieldName(decodeLatin1(bytes, from, to))
  if (to - from <= MAX_SEEN_BYTES) remember(key, alike, name)
  return name
}

function remember(key: number, alike: FieldName[] | undefined, name: FieldName): void {
  if (alike !== undefined && alike.length === MAX_ALIKE) return
  if (seen === MAX_SEEN) {
    SEEN.clear()
    seen = 0
  }
  seen++
  if (alike === undefined || seen === 1) SEEN.set(key, [name])
  else alike.push(name)
}

/** What a request-target says, by its form. RFC 9112 §3.2. */
export interface Target {
  readonly scheme: string | undefined
  /** Of absolute-form and authority-form; undefined: the Host field decides. */
  readonly authority: string | undefined
}
/** OPTIONS alone is asked of a whole server; what a method of another specification means by `*` is its own business. */
const NEVER_ASTERISK: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'TRACE', 'PATCH'])
const ORIGIN_FORM: Target = { scheme: undefined, authority: undefined }

/** The form of a request-target of visible ASCII; undefined: none of the four, or not for this method. */
export function targetForm(method: string, target: string): Target | undefined {
  if (method === 'CONNECT') return isAuthorityForm(target) ? { scheme: undefined, authority: target } : undefined
  // An expression that goes on to the end for it takes quadratic time where there is one.
  if (target.includes('#')) return undefined
  if (target.charCodeAt(0) === 0x2f) return ORIGIN_FORM
  if (target === '*') return NEVER_ASTERISK.has(method) ? undefined : ORIGIN_FORM
  return absoluteForm(target)
}

/**
 * `absolute-URI`. An http or https URI has a host and no userinfo, of any other the userinfo is no part of Host; what could
 * be `host:port` is none. RFC 3986 §4.3, RFC 9110 §4.2.1, §4.2.4, RFC 9112 §3.2, §3.2.3.
 */
function absoluteForm(target: string): Target | undefined {
  const match = /^([A-Za-z][A-Za-z0-9+.-]*):(?!\d*$)(?:\/\/([^/?]*))?/.exec(target)
  if (match === null) return undefined
  const [, given = '', authority = ''] = match
  const scheme = asciiLower(given)
  if ((scheme === 'http' || scheme === 'https') && (authority === '' || !isHost(authority))) return undefined
  return { scheme, authority: authority.slice(authority.lastIndexOf('@') + 1) }
}
