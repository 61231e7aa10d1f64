// Leniency: what a strict reading refuses and one named flag lets through. All are off unless given; none touches the
// framing of chunks. docs/h11-leniency.md says of each what it lets through and why that is dangerous.

export const LENIENCIES = [
  /** A bare LF ends a line of a head (RFC 9112 §2.2 allows it). Never within chunked framing, trailers included. */
  'bareLf',
  /** obs-fold in requests and their trailers becomes one SP (RFC 9112 §5.2). Responses need no flag. */
  'obsFold',
  /** A field line that breaks the grammar is left out. */
  'skipInvalidFields',
  /** Whitespace between field name and colon (RFC 9112 §5.1 asks servers for 400). */
  'spaceBeforeColon',
  /** `HTTP/1.1 200` CRLF: a status-line without the SP before its absent reason-phrase (RFC 9112 §4). */
  'statusLineWithoutSpace',
  /** `chunked, chunked` is read as one (RFC 9112 §6.1 forbids it). */
  'repeatedChunked',
  /** `Connection: keep-alive` keeps an HTTP/1.0 connection open (RFC 9112 §9.3, C.2.2). */
  'http10KeepAlive',
  /** An HTTP/1.1 request without Host (RFC 9112 §3.2 asks for 400). */
  'missingHost',
] as const

export type Leniency = (typeof LENIENCIES)[number]
export type Lenient = Readonly<Record<Leniency, boolean>>

const STRICT: Lenient = Object.freeze(
  Object.fromEntries(LENIENCIES.map((flag) => [flag, false])) as Record<Leniency, boolean>,
)

/** Every flag. TypeError: no such flag, or no boolean. */
export function resolveLenient(given: Readonly<Record<string, boolean | undefined>> | undefined): Lenient {
  if (given === undefined) return STRICT
  const resolved: Record<string, boolean> = { ...STRICT }
  for (const [flag, value] of Object.entries(given)) {
    if (!Object.hasOwn(STRICT, flag)) throw new TypeError(`there is no leniency '${flag}'`)
    if (value === undefined) continue
    if (typeof value !== 'boolean') throw new TypeError(`leniency '${flag}' must be a boolean, not ${typeof value}`)
    resolved[flag] = value
  }
  return resolved as Lenient
}
