// The one framing decision of each received message (RFC 9112 §6.3), and whether the connection persists after it
// (§9.3). Made once, by exact grammar, from what the reader noted of the head.
//
// It does not touch bytes, and does not know what becomes of the connection: it says why it may not be used again.
import type { Framing, Role } from '../http/index.ts'
import { asciiLower, excerpt, Fields, listMembers, parseDecimal } from '../http/index.ts'
import type { FaultCode } from './faults.ts'
import type { FieldRole } from './grammar.ts'
import { ROLE } from './grammar.ts'
import type { Lenient } from './lenient.ts'

/** What a head's fields say to framing and persistence, in one pass over them; repeated fields joined by a comma. */
export class Notes {
  /** The roles of the fields that were folded, a bit for each. */
  folded = 0
  contentLength: string | undefined
  transferEncoding: string | undefined
  connection: string | undefined
  host: string | undefined
  hosts = 0
  upgrade: string | undefined
  expect: string | undefined

  reset(): void {
    this.folded = this.hosts = 0
    this.contentLength = this.transferEncoding = this.connection = this.host = this.upgrade = this.expect = undefined
  }
  add(role: FieldRole, value: string): void {
    switch (role) {
      case ROLE.contentLength:
        this.contentLength = joined(this.contentLength, value)
        break
      case ROLE.transferEncoding:
        this.transferEncoding = joined(this.transferEncoding, value)
        break
      case ROLE.connection:
        this.connection = joined(this.connection, value)
        break
      case ROLE.host:
        this.host = value
        this.hosts++
        break
      case ROLE.upgrade:
        this.upgrade = joined(this.upgrade, value)
        break
      default:
        this.expect = joined(this.expect, value)
    }
  }
}

/** What a fault is about, where that is the value of a field. None of them is a secret; userinfo is not shown. */
const ABOUT: Partial<Record<FaultCode, 'contentLength' | 'transferEncoding' | 'host' | 'upgrade' | 'expect'>> = {
  'content-length': 'contentLength',
  'limit-content': 'contentLength',
  'transfer-encoding': 'transferEncoding',
  'transfer-coding': 'transferEncoding',
  'invalid-host': 'host',
  'unexpected-upgrade': 'upgrade',
  expectation: 'expect',
}
/** The detail of a fault of a head whose grammar is right. */
export function valueDetail(notes: Notes, code: FaultCode): string {
  const about = ABOUT[code]
  const value = about && notes[about]
  return value === undefined ? '' : `: ${excerpt(value)}`
}

/** Field lines of one name as one value. RFC 9110 §5.3. */
export function joined(before: string | undefined, value: string): string {
  return before === undefined ? value : `${before}, ${value}`
}

const FRAMING_ROLES = (1 << ROLE.contentLength) | (1 << ROLE.transferEncoding) | (1 << ROLE.connection)
const ANY_ROLE = ~(1 << ROLE.none)

/**
 * Whether a fold may hide something: of a response how it is framed and whether its connection ends, of a request
 * anything that has a role. All other folds mean what a space does. RFC 9112 §5.2, §11.2.
 */
export function foldsHide(notes: Notes, receiver: Role): boolean {
  return (notes.folded & (receiver === 'client' ? FRAMING_ROLES : ANY_ROLE)) !== 0
}

/** How a received message is framed. */
export interface Decision {
  readonly framing: Exclude<Framing, 'frames'>
  /** Of the content, where framing is 'length'. */
  readonly length: number
  /** Why the connection must not be used again, whatever the peer says of it. */
  readonly closes: 'faulty-framing' | 'close-delimited' | undefined
  /** Content-Length has no say, and must not be seen (beside Transfer-Encoding), or is seen once (repeated). */
  readonly rewrite: 'drop-length' | 'one-length' | undefined
}

const NO_CONTENT: Decision = { framing: 'none', length: 0, closes: undefined, rewrite: undefined }
const CHUNKED: Decision = { framing: 'chunked', length: 0, closes: undefined, rewrite: undefined }
const CLOSE_DELIMITED: Decision = {
  framing: 'close-delimited',
  length: 0,
  closes: 'close-delimited',
  rewrite: undefined,
}

/** RFC 9112 §6.3 for a request: what is doubtful is refused. */
export function requestFraming(notes: Notes, minor: number, lenient: Lenient): Decision | FaultCode {
  if (notes.transferEncoding !== undefined) {
    if (minor === 0) return 'faulty-framing'
    if (notes.contentLength !== undefined) return 'conflicting-framing'
    if (hasEmptyMember(notes.transferEncoding)) return 'transfer-encoding'
    const codings = codingsOf(notes.transferEncoding, lenient)
    if (codings === 'chunked') return CHUNKED
    return codings === 'coded' ? 'transfer-coding' : 'transfer-encoding'
  }
  return notes.contentLength === undefined ? NO_CONTENT : byLength(notes.contentLength)
}

/** RFC 9112 §6.3 for a response to `method`: where the RFC gives precedence it is followed, and reuse ends. */
export function responseFraming(
  notes: Notes,
  method: string,
  status: number,
  minor: number,
  lenient: Lenient,
): Decision | FaultCode {
  const { transferEncoding } = notes
  if (!hasContent(method, status)) {
    // HTTP/1.0 had none: whoever sends it does not know where messages end. RFC 9112 §6.1.
    return minor === 0 && transferEncoding !== undefined ? { ...NO_CONTENT, closes: 'faulty-framing' } : NO_CONTENT
  }
  if (transferEncoding !== undefined) {
    const codings = codingsOf(transferEncoding, lenient)
    if (codings === 'faulty') return 'transfer-encoding'
    const rewrite = notes.contentLength === undefined ? undefined : 'drop-length'
    if (codings === 'unframed') return { framing: 'close-delimited', length: 0, closes: 'faulty-framing', rewrite }
    if (minor === 1 && rewrite === undefined) return CHUNKED
    return { framing: 'chunked', length: 0, closes: 'faulty-framing', rewrite }
  }
  return notes.contentLength === undefined ? CLOSE_DELIMITED : byLength(notes.contentLength)
}

/** Whether a response to `method` can have content. RFC 9110 §6.4.1; a 2xx to CONNECT is followed by a tunnel. */
export function hasContent(method: string, status: number): boolean {
  return !(method === 'HEAD' || status < 200 || status === 204 || status === 304 || isSwitch(method, status))
}

/** Whether the connection is something else after a final response, or 101, to `method`. RFC 9110 §7.8, §9.3.6. */
export function isSwitch(method: string, status: number): boolean {
  return status === 101 || (method === 'CONNECT' && status < 300)
}

function byLength(value: string): Decision | FaultCode {
  let length = parseDecimal(value)
  if (length >= 0) return { framing: 'length', length, closes: undefined, rewrite: undefined }
  // A list of equal numbers is that number. RFC 9110 §8.6.
  const [first = '', ...others] = listMembers(value)
  length = parseDecimal(first)
  const differ = others.some((other) => parseDecimal(other) !== length)
  if (length < 0 || differ || hasEmptyMember(value)) return 'content-length'
  return { framing: 'length', length, closes: undefined, rewrite: 'one-length' }
}

/** RFC 9110 §5.6.1.2 lets empty members pass; whoever takes the list for one word reads another message. */
function hasEmptyMember(list: string): boolean {
  return listMembers(list).length !== list.split(',').length
}

/**
 * chunked: exactly that. coded: something else, then one final chunked. faulty: chunked more than once, or with
 * parameters (RFC 9112 §7.1). unframed: chunked is not final, or what is there is no list of codings.
 */
function codingsOf(value: string, lenient: Lenient): 'chunked' | 'coded' | 'faulty' | 'unframed' {
  if (value === 'chunked') return 'chunked'
  const codings = listMembers(value).map(asciiLower)
  const others = codings.filter((coding) => coding !== 'chunked')
  const repeated = codings.length - others.length > 1 && !(lenient.repeatedChunked && others.length === 0)
  if (repeated || others.some((coding) => /^chunked[ \t]*;/.test(coding))) return 'faulty'
  if (codings.at(-1) !== 'chunked') return 'unframed'
  return others.length === 0 ? 'chunked' : 'coded'
}

/** The fields as the application is to see them. */
export function rewritten(fields: Fields, decision: Decision): Fields {
  if (decision.rewrite === undefined) return fields
  const pairs: (readonly [string, string])[] = []
  let seen = decision.rewrite === 'drop-length'
  for (let i = 0; i < fields.length; i++) {
    if (fields.name(i) !== 'content-length') pairs.push([fields.rawName(i), fields.value(i)])
    else if (!seen) {
      pairs.push([fields.rawName(i), `${decision.length}`])
      seen = true
    }
  }
  return Fields.from(pairs)
}

/** Why the connection will not persist after a received message; undefined: it will. RFC 9112 §9.3. */
export function closeReasonOf(
  connection: string | undefined,
  minor: number,
  lenient: Lenient,
): 'connection-close' | 'http-1.0' | undefined {
  if (connection === undefined) return minor === 1 ? undefined : 'http-1.0'
  if (connection === 'keep-alive' && minor === 1) return undefined
  if (hasOption(connection, 'close')) return 'connection-close'
  if (minor === 1) return undefined
  return lenient.http10KeepAlive && hasOption(connection, 'keep-alive') ? undefined : 'http-1.0'
}

/** Whether a Connection value lists an option. RFC 9110 §7.6.1. */
export function hasOption(connection: string | undefined, option: string): boolean {
  if (connection === undefined || connection.length < option.length) return false
  return asciiLower(connection) === option || listMembers(connection).some((member) => asciiLower(member) === option)
}
