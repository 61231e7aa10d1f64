// Messages (RFC 9110 §6) as the caller describes them: version-blind, before anything is framed.
//
// A head says what is sent and how much content there will be; which framing fields or pseudo-header fields that
// becomes is the machine's business.
import type { Fields, FieldsInit } from './fields.ts'
import { asciiLower, listMembers, parseDecimal } from './grammar.ts'
import { misuse } from './misuse.ts'

export type Bytes = Uint8Array
export type OwnedBytes = Uint8Array<ArrayBuffer>
/** Of whichever realm: a test runner has its own. */
export function isBytes(value: unknown): value is Bytes {
  return ArrayBuffer.isView(value) && (value as Bytes)[Symbol.toStringTag] === 'Uint8Array'
}
/** Uint8Array, or a class of the platform's above it. TypeError: no bytes. */
export function checkedBytes(data: Bytes | undefined): Bytes {
  if (data?.constructor !== Uint8Array && !isBytes(data)) throw new TypeError('bytes must be a Uint8Array')
  return data
}
/** A plain view: subarray of a Buffer costs half as much again. */
export function plainBytes(data: Bytes): Bytes {
  if (checkedBytes(data).constructor === Uint8Array) return data
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}
/** How many bytes are asked for; no number of bytes is none. */
export function wholeBytes(most: number): number {
  return most > 0 ? Math.floor(most) : 0
}
/** Milliseconds on any monotonic origin. */
export type Millis = number
export type Role = 'client' | 'server'
/** Stream identifier in HTTP/2; 1, 2, 3 … in HTTP/1.1. */
export type ExchangeId = number

/** How the end of the content is known. RFC 9112 §6.3; HTTP/2 answers 'frames'. */
export type Framing = 'none' | 'length' | 'chunked' | 'close-delimited' | 'frames'
/** What a sender says of its content before it comes. */
export type ContentPlan = 'none' | { readonly length: number } | 'unknown'

export interface RequestHead {
  readonly method: string
  readonly scheme?: string | undefined
  readonly authority?: string | undefined
  /** origin-form, absolute-form, authority-form or asterisk-form. RFC 9112 §3.2. */
  readonly target: string
  /** Extended CONNECT, RFC 8441 §4. HTTP/2 only. */
  readonly protocol?: string | undefined
  readonly headers: FieldsInit
  /** Left out: the caller's own framing fields decide. Given: they must agree. */
  readonly content?: ContentPlan | undefined
  /** RFC 9218 §4. */
  readonly priority?: Priority | undefined
}
export interface Priority {
  /** 0 (most) to 7 (least urgent), default 3. */
  readonly urgency?: number | undefined
  /** Default false. */
  readonly incremental?: boolean | undefined
}
export interface ResponseHead {
  readonly status: number
  /** HTTP/1.1 only. Left out: the phrase of RFC 9110 §15, or nothing. */
  readonly reasonPhrase?: string | undefined
  readonly headers: FieldsInit
  readonly content?: ContentPlan | undefined
}

/** Methods that define a meaning for enclosed content: they say so when there is none. RFC 9110 §8.6. */
export const EXPECTS_CONTENT: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH'])

/** Methods that may be sent again by themselves. RFC 9110 §9.2.2; QUERY is safe by its draft. */
export const IDEMPOTENT_METHODS: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'OPTIONS',
  'TRACE',
  'PUT',
  'DELETE',
  'QUERY',
])

/**
 * What the caller's own framing fields say of the content: one Content-Length, or
 * Transfer-Encoding with exactly one final `chunked`. undefined: they say nothing. What contradicts itself, or the
 * plan, is a LocalProtocolError. RFC 9112 §6.1 to §6.3, RFC 9110 §8.6.
 */
export function planOf(headers: Fields, content: ContentPlan | undefined): ContentPlan | undefined {
  let length = -1
  let chunked = false
  const flat = headers.flat
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i] as string
    if (name === 'content-length') {
      const value = parseDecimal(flat[i + 1] as string)
      if (value < 0) throw misuse('content-length', 'RFC 9110 §8.6', 'Content-Length is not 1*DIGIT up to 2^53−1')
      // Equal or not: a server may take two for an attack.
      if (length >= 0) throw misuse('content-length', 'RFC 9110 §8.6', 'Content-Length is given twice')
      length = value
    } else if (name === 'transfer-encoding') {
      if (chunked) throw misuse('transfer-encoding', 'RFC 9112 §6.1', 'Transfer-Encoding is given twice')
      // Not a list with empty members either: a server may take it for an attack. RFC 9110 §5.6.1.1.
      if (asciiLower(flat[i + 1] as string) !== 'chunked') {
        throw misuse('transfer-encoding', 'RFC 9112 §6.1', "the only Transfer-Encoding that is sent is 'chunked'")
      }
      chunked = true
    }
  }
  if (chunked && length >= 0) {
    throw misuse('framing', 'RFC 9112 §6.2', 'Content-Length and Transfer-Encoding exclude each other')
  }
  const said: ContentPlan | undefined = chunked ? 'unknown' : length >= 0 ? { length } : undefined
  // What the caller does not know, its fields may.
  if (content === undefined || content === 'unknown') return said ?? content
  // Read once: what was checked is what is sent.
  const planned = content === 'none' ? 0 : typeof content === 'object' ? content.length : -1
  if (!Number.isSafeInteger(planned) || planned < 0) {
    throw misuse('content-length', 'RFC 9110 §8.6', 'the length of the content is not an integer from 0 to 2^53−1')
  }
  if (chunked || (length >= 0 && length !== planned)) {
    throw misuse('framing', 'RFC 9112 §6.3', 'the framing fields contradict what the caller says of the content')
  }
  return content === 'none' ? content : { length: planned }
}

/** Whether content may follow a head with this plan. */
export function hasSome(plan: ContentPlan): boolean {
  return plan === 'unknown' || (plan !== 'none' && plan.length > 0)
}

/** Whether the request asks for 100 (Continue). RFC 9110 §10.1.1. */
export function expectsContinue(fields: Fields): boolean {
  // Hardly any does: for those it makes nothing.
  if (!fields.has('expect')) return false
  const members = fields.getAll('expect').flatMap(listMembers)
  return members.some((member) => asciiLower(member) === '100-continue')
}
/** Throws LocalProtocolError `expect` for a request without content that does. */
export function refuseExpect(fields: Fields): void {
  if (expectsContinue(fields)) {
    throw misuse('expect', 'RFC 9110 §10.1.1', 'a request without content must not expect 100-continue')
  }
}

/**
 * Framing, routing, request modifiers, authentication, response controls, and what describes the connection or the
 * content. RFC 9110 §6.5.1.
 */
const NOT_IN_TRAILERS: ReadonlySet<string> = new Set([
  'age',
  'authorization',
  'cache-control',
  'connection',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'date',
  'expect',
  'expires',
  'host',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'keep-alive',
  'location',
  'max-forwards',
  'proxy-authenticate',
  'proxy-authorization',
  'range',
  'retry-after',
  'set-cookie',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'vary',
  'www-authenticate',
])

/** Throws LocalProtocolError `trailer-field` for one that means something before the content only. RFC 9110 §6.5.1. */
export function checkTrailers(trailers: Fields): void {
  for (let i = 0; i < trailers.length; i++) {
    const name = trailers.name(i)
    if (NOT_IN_TRAILERS.has(name)) {
      throw misuse('trailer-field', 'RFC 9110 §6.5.1', `${name} may not be sent as a trailer field`)
    }
  }
}
