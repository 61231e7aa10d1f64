// What the caller gave, checked and put into the pool's terms, before any byte leaves: TypeError for the wrong type,
// RangeError for the wrong number, LocalProtocolError or UnsupportedProtocol for what may not be sent.
//
// Both interfaces come through here; neither promises nor threads are known.
import {
  checkedBytes,
  checkField,
  Fields,
  formatAuthority,
  formatOrigin,
  isSecure,
  isToken,
  isVisible,
  misuse,
  planOf,
  requireString,
  splitUrl,
  type Bytes,
  type ContentPlan,
  type FieldsInit,
  type Millis,
  type Origin,
  type Priority,
  type RequestHead,
} from '../../http/index.ts'
import type { Timeouts, TraceEvent } from '../../pool/lean.ts'

/** Milliseconds; null or Infinity: off. */
export interface TimeoutOptions {
  /** Waiting for a connection, over all re-queues. Default 30 s. */
  readonly pool?: number | null | undefined
  /** From resolving to ALPN, one deadline. Default 10 s. */
  readonly connect?: number | null | undefined
  /** No byte accepted while bytes wait. Default 60 s. */
  readonly write?: number | null | undefined
  /** From the request sent to the final head complete, then between content bytes. Default 300 s. */
  readonly read?: number | null | undefined
  /** All of it. Default off. */
  readonly total?: number | null | undefined
}
export type TimeoutInit = number | TimeoutOptions | undefined

/** What every interface takes for a request. `Content` is what the interface can pull from. */
export interface CommonRequestOptions<Content> {
  /** Sent in their order and case. Host comes first unless given; framing fields come from the content. */
  headers?: FieldsInit | undefined
  /**
   * Strings are sent as UTF-8. Bytes must not be changed before the request is over. A function is called for each
   * attempt: such content can be sent again.
   */
  content?: Content | (() => Content) | undefined
  /** The function is called after the content. */
  trailers?: FieldsInit | (() => FieldsInit) | undefined
  /** A number is the total. */
  timeout?: TimeoutInit
  signal?: AbortSignal | undefined
  /** The request-target, in place of the URL's path and query: `*`, absolute-form … RFC 9112 §3.2. */
  target?: string | undefined
  /** Extended CONNECT, with method CONNECT. RFC 8441. */
  protocol?: string | undefined
  /** In place of the URL's host, for SNI and for the certificate. */
  sniHostname?: string | undefined
  /** Ask before sending the content; it goes out after 100 (Continue) or a second. RFC 9110 §10.1.1. Default false. */
  expectContinue?: boolean | undefined
  /** RFC 9218. HTTP/2 only. */
  priority?: Priority | undefined
  /** Each 1xx response as it comes. */
  onInformational?: ((status: number, headers: Fields) => void) | undefined
  trace?: ((event: TraceEvent) => void) | undefined
  /** Of `request()` only: more content than this is an error. Default 1 GiB. */
  maxContentBytes?: number | undefined
}

/** A request in the pool's terms, and what of it stays with the interface. */
export interface PreparedRequest {
  readonly origin: Origin
  readonly head: RequestHead
  readonly plan: ContentPlan
  readonly source: PreparedContent
  readonly timeouts: Timeouts
}

/** What content is made of: nothing, one chunk, or something to be opened for each attempt. */
export interface PreparedContent {
  readonly chunk: Bytes | undefined
  /** Not a chunk: what is iterated, or the function that gives it. */
  readonly open: (() => unknown) | undefined
  readonly replayable: boolean
}

const DEFAULT_TIMEOUTS: Timeouts = { pool: 30_000, connect: 10_000, write: 60_000, read: 300_000, total: Infinity }
const MAX_MILLIS = 2 ** 31 - 1

/** Fills what is left out from `defaults`. */
export function prepareTimeouts(given: TimeoutInit, defaults: Timeouts = DEFAULT_TIMEOUTS): Timeouts {
  if (given === undefined) return defaults
  if (typeof given === 'number') return { ...defaults, total: checkMillis('timeout', given) }
  if (typeof given !== 'object' || given === null) throw new TypeError('timeout must be a number or an object')
  const own: { -readonly [name in keyof Timeouts]: Millis } = { ...defaults }
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(own, name)) throw new TypeError(`there is no timeout '${name}'`)
    if (value !== undefined) own[name as keyof Timeouts] = checkMillis(`timeout.${name}`, value)
  }
  return own
}

/** A duration: null or Infinity is off; above 2^31−1 ms (25 days) is as good as off and is capped there. */
export function checkMillis(name: string, value: unknown): Millis {
  if (value === null) return Infinity
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number of milliseconds, not ${typeof value}`)
  if (Number.isNaN(value) || value < 0) throw new RangeError(`${name} must be 0 or more, not ${value}`)
  return value === Infinity ? Infinity : Math.min(value, MAX_MILLIS)
}

/** An option that is misspelt would be one without effect. */
export function checkNames(whose: string, options: unknown, names: ReadonlySet<string>): void {
  if (typeof options !== 'object' || options === null) throw new TypeError(`the ${whose} options must be an object`)
  for (const name of Object.keys(options)) {
    if (!names.has(name)) throw new TypeError(`there is no ${whose} option '${name}'`)
  }
}

/** An integer from `min` to `max`; left out: the default. */
export function checkInteger(name: string, value: unknown, byDefault: number, min: number, max: number): number {
  if (value === undefined) return byDefault
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number, not ${typeof value}`)
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`${name} must be an integer from ${min} to ${max}, not ${value}`)
  }
  return value
}

export function checkBoolean(name: string, value: unknown, byDefault: boolean): boolean {
  if (value === undefined) return byDefault
  if (typeof value !== 'boolean') throw new TypeError(`${name} must be a boolean, not ${typeof value}`)
  return value
}
export function checkType(name: string, value: unknown, type: 'string' | 'function'): void {
  if (value !== undefined && typeof value !== type) throw new TypeError(`${name} must be a ${type}`)
}

/** A copy that may be sent. */
export function checkedFields(init: FieldsInit | undefined): Fields {
  const fields = Fields.from(init)
  for (let i = 0; i < fields.length; i++) checkField(fields.rawName(i), fields.value(i))
  return fields
}

/** How much of a response is to be dropped; left out: as much as the pool says. */
export function checkDrain(limit: number | undefined): void {
  if (limit !== Infinity) checkInteger('limit', limit, 0, 0, Number.MAX_SAFE_INTEGER)
}

// One origin object per authority, so that the pool finds its queue by identity. Cleared when it has grown: a client
// of 10,000 origins pays for the split again now and then, and nothing is held for ever.
interface Located {
  /** Up to the path: all that decides on the origin, as in `https://example.org:8443`. */
  readonly prefix: string
  readonly origin: Origin
  readonly authority: string
  readonly scheme: string
}
const origins = new Map<string, Located>()
const MAX_ORIGINS = 4096
const SLASH = 0x2f
/** Most requests go where the last one went: found without a new string and its hash. */
let latest: Located | undefined

function locate(url: string | URL): { site: Located; target: string } {
  const text = typeof url === 'string' ? url : urlText(url)
  const known = knownSite(text)
  if (known !== undefined) {
    const rest = text.slice(known.prefix.length)
    if (isVisible(rest)) {
      const hash = rest.indexOf('#')
      return { site: known, target: hash < 0 ? rest : rest.slice(0, hash) }
    }
  }
  const { origin, target } = splitUrl(text)
  // Not cut out of the URL, which would be held as long.
  const prefix = formatOrigin(origin)
  const site = { prefix, origin, authority: formatAuthority(origin), scheme: isSecure(origin) ? 'https' : 'http' }
  // What is written otherwise, or has no path, is split each time.
  if (text.startsWith(`${prefix}/`)) {
    if (origins.size >= MAX_ORIGINS) origins.clear()
    origins.set(prefix, site)
  }
  return { site, target }
}
/** The origin of a URL; the same object for the same authority, mostly. */
export function originOf(url: string | URL): Origin {
  return locate(url).site.origin
}
function knownSite(text: string): Located | undefined {
  if (latest !== undefined && text.startsWith(latest.prefix) && text.charCodeAt(latest.prefix.length) === SLASH) {
    return latest
  }
  const slash = pathAt(text)
  return slash < 0 ? undefined : (latest = origins.get(text.slice(0, slash)))
}
/** -1: the URL ends with its authority. */
function pathAt(text: string): number {
  return text.indexOf('/', text.indexOf('//') + 2)
}

function urlText(url: unknown): string {
  if (typeof url === 'object' && url !== null && 'href' in url && typeof url.href === 'string') return url.href
  throw new TypeError(`url must be a string or a URL, not ${url === null ? 'null' : typeof url}`)
}

/** Puts method, URL and options into the pool's terms. */
export function prepareRequest<Content>(
  method: string,
  url: string | URL,
  options: CommonRequestOptions<Content> | undefined,
  defaults: Timeouts,
): PreparedRequest {
  const { site, target } = locate(url)
  const headers = Fields.from(options?.headers)
  const given = options?.target
  // The target has its own where it is neither a path nor `*`: Host is then to say the same. RFC 9112 §3.2.
  const elsewhere = given !== undefined && /^[^/*]/.test(given)
  return prepare(site.origin, options, defaults, {
    method,
    scheme: site.scheme,
    // A Host of the caller's own stands for the authority in both versions.
    authority: elsewhere || headers.has('host') ? undefined : site.authority,
    target: given === undefined ? target : given,
    protocol: options?.protocol,
    headers,
    content: undefined,
    priority: options?.priority,
  })
}

/** The same for a head that the caller made: nothing is added to it. */
export function prepareHead<Content>(
  origin: Origin,
  head: RequestHead,
  options: CommonRequestOptions<Content> | undefined,
  defaults: Timeouts,
): PreparedRequest {
  const { headers, target, protocol, priority } = options ?? {}
  if ((headers ?? target ?? protocol ?? priority) !== undefined)
    throw new TypeError('headers, target, protocol and priority belong in the head here')
  const checked = checkOrigin(origin)
  const scheme = head.scheme ?? checked.scheme
  return prepare(checked, options, defaults, { ...head, scheme, headers: Fields.from(head.headers) })
}

/** A head that is ours to complete. */
type OwnHead = Omit<RequestHead, 'content' | 'headers'> & {
  readonly headers: Fields
  content?: ContentPlan | undefined
}

function prepare<Content>(
  origin: Origin,
  options: CommonRequestOptions<Content> | undefined,
  defaults: Timeouts,
  head: OwnHead,
): PreparedRequest {
  const { method, target, protocol, priority } = head
  requireString('method', method)
  requireString('request-target', target)
  checkType('protocol', protocol, 'string')
  // RFC 9218 §4.
  if (priority !== undefined) {
    checkNames('priority', priority, PRIORITY_NAMES)
    checkInteger('priority.urgency', priority.urgency, 3, 0, 7)
    checkBoolean('priority.incremental', priority.incremental, false)
  }
  if (!isToken(method)) throw misuse('method', 'RFC 9110 §9.1', 'the method is not a token')
  if (!isVisible(target))
    throw misuse('target', 'RFC 9112 §3.2', 'the request-target is empty or has a char that may not be sent')
  const source = options === undefined ? NO_CONTENT : prepareContent(options.content)
  const content = plan(head, source, options?.trailers !== undefined)
  head.content = content
  return {
    origin,
    head,
    plan: content,
    source,
    timeouts: options === undefined ? defaults : prepareTimeouts(options.timeout, defaults),
  }
}

function checkOrigin(origin: Origin): Origin {
  if (typeof origin !== 'object' || origin === null) throw new TypeError('origin must be an object')
  const { scheme, host, port } = origin
  const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`
  if (/[/?#]/.test(scheme + authority))
    throw misuse('url', 'RFC 3986 §3.2', 'a part of the origin is not of its grammar')
  return splitUrl(`${scheme}://${authority}/`).origin
}

const PRIORITY_NAMES: ReadonlySet<string> = new Set<keyof Priority>(['urgency', 'incremental'])
export const NO_CONTENT: PreparedContent = { chunk: undefined, open: undefined, replayable: true }
const encoder = new TextEncoder()

function prepareContent(content: unknown): PreparedContent {
  if (content === undefined) return NO_CONTENT
  if (typeof content === 'function') return { chunk: undefined, open: content as () => unknown, replayable: true }
  const chunk = asChunk(content)
  if (chunk !== undefined) return { chunk, open: undefined, replayable: true }
  if (!isIterable(content))
    throw new TypeError(`content must be ${CONTENT}, not ${content === null ? 'null' : typeof content}`)
  // It may fail before it is asked for a chunk, and is told so then; unheard, that would be the process's end.
  if (isStream(content)) content.on('error', () => undefined)
  return { chunk: undefined, open: () => content, replayable: false }
}
/** Of Node's. */
export function isStream(value: unknown): value is { destroy(): void; on(name: 'error', heard: () => void): void } {
  if (typeof value !== 'object' || value === null || !('pipe' in value)) return false
  return 'destroy' in value && typeof value.destroy === 'function'
}
const CONTENT = 'a string, a Uint8Array, an iterable of them, a ReadableStream or a function that gives one of these'

/** A string as UTF-8, bytes as they are; undefined for what is neither. TypeError: a view of anything but bytes. */
export function asChunk(value: unknown): Bytes | undefined {
  if (typeof value === 'string') return encoder.encode(value)
  return ArrayBuffer.isView(value) ? checkedBytes(value as Bytes) : undefined
}

function isIterable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && (Symbol.asyncIterator in value || Symbol.iterator in value)
}

/** What the caller's own head says of the content comes first; content of known length must agree with it. */
function plan(head: OwnHead, source: PreparedContent, trailers: boolean): ContentPlan {
  const said = planOf(head.headers, head.content)
  const own: ContentPlan =
    source.chunk !== undefined ? { length: source.chunk.byteLength } : source.open !== undefined ? 'unknown' : 'none'
  if (said === undefined || said === own) return trailers ? 'unknown' : own
  const known = own === 'none' ? 0 : typeof own === 'object' ? own.length : undefined
  if (typeof said === 'object' && known !== undefined && known !== said.length) {
    throw misuse(
      'content-length',
      'RFC 9112 §6.3',
      `Content-Length says ${said.length}, the content has ${known} bytes`,
    )
  }
  if (said === 'none' && known !== 0)
    throw misuse('framing', 'RFC 9112 §6.3', "content is given although the head says 'none'")
  return said
}
